"""Label tables in the formats of other programs, recognised by their content.

>>> from snapws.label_tables import Labels
>>> labels = Labels.parse(b"1 0.5 0 1 Left hippocampus", "atlas.lut")
>>> labels.format, [(label.index, label.name, label.color) for label in labels]
('fsleyes', [(1, 'Left hippocampus', (128, 0, 255))])
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from snapws import compression, files, paths
from snapws.errors import InvalidValue, TextFileError
from snapws.label_tables import caret, formats, itksnap, nnunet, seg_nrrd, slicer
from snapws.label_tables.entries import Collector, Entry, entry_of, named
from snapws.labels import Label, LabelTable
from snapws.labels import parse as parse_itksnap
from snapws.tables import Record, Table

__all__ = ["Entry", "Labels", "carried"]

#: The greatest size of a table, or of the header of an image with a table.
MAX_BYTES = 16 << 20
_NIFTI = (b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Labels(Table):
    """The labels of a file. Iteration yields them as labels of ITK-SNAP.

    ``workspace.labels = Labels.read("FreeSurferColorLUT.txt")`` sets the labels of a workspace.

    Attributes:
        entries: The labels of the file by index, also those above 65535 that ITK-SNAP cannot store;
            without the background.
        format: The name of the file's format.
        notes: Remarks about changed or lost properties, one line each.
        source: The name of the file in messages.
    """

    def __init__(
        self,
        labels: Iterable[Label | Entry],
        *,
        format: str = "itksnap",  # noqa: A002 - the plain word
        notes: Iterable[str] = (),
        source: str = "the labels",
    ) -> None:
        given = (entry_of(one) if isinstance(one, Label) else one for one in labels)
        self.entries = tuple(sorted((one for one in given if one.index), key=lambda one: one.index))
        self.format = format
        self.notes = tuple(notes)
        self.source = source

    def __iter__(self) -> Iterator[Label]:
        """Return an iterator over the labels, as labels of ITK-SNAP.

        Raises:
            InvalidValue: An index is above 65535.
        """
        if beyond := [entry for entry in self.entries if not entry.fits]:
            raise InvalidValue(
                f"{self.source}: ITK-SNAP holds labels up to 65535, not {named(beyond)}: "
                "renumber them in image and table first"
            )
        return iter([entry.label() for entry in self.entries])

    def __len__(self) -> int:
        return len(self.entries)

    def _table(self) -> tuple[Iterable[Record], Sequence[str]]:
        return [asdict(entry) for entry in self.entries], LabelTable.LISTED

    @classmethod
    def read(cls, path: str | Path, format: str | None = None) -> Labels:  # noqa: A002
        """Read the labels of a file.

        Args:
            path: A table, or an image with a table in its header.
            format: The name of the format; by default it is recognised by content.

        Raises:
            TextFileError: The file cannot be read, is corrupt, has no labels or could have several
                formats; the message names file and line.
            InvalidValue: The format does not exist.
        """
        try:
            start = _start(Path(path))
        except compression.GzipDamaged as error:
            raise TextFileError(f"{path}: {error}") from None
        except OSError as error:
            raise TextFileError(f"{path}: {error.strerror or error}") from None
        return cls.parse(start, str(path), format)

    @classmethod
    def parse(cls, data: bytes, source: str, format: str | None = None) -> Labels:  # noqa: A002
        """Read the content of a file; see `read`."""
        _check_name(format)
        kind = _kind(data)
        if format is not None and (format in formats.IN_IMAGES) != (kind in formats.IN_IMAGES):
            raise TextFileError(f"{source}: not {formats.IN_IMAGES.get(format, 'a text')}")
        into = Collector(source)
        if kind in formats.IN_IMAGES:
            if format not in (None, kind):
                raise TextFileError(f"{source}: not {formats.IN_IMAGES[str(format)]}")
            _parse_image(kind, data, into)
            return cls._collected(into, kind)
        text = _decode(data)
        if slicer.is_continuous(text):
            raise TextFileError(
                f"{source}: a continuous colour map of 3D Slicer, which has points and no labels: "
                "save a colour table there"
            )
        name = format or _only(formats.recognised(text), source)
        # The reader of ITK-SNAP's label files decodes the text by its own rules.
        if name == "itksnap" and not itksnap.has_beyond(text):
            return cls(parse_itksnap(data, source), source=source)
        formats.TEXT[name].parse(text, into)
        return cls._collected(into, name)

    @classmethod
    def _collected(cls, into: Collector, name: str) -> Labels:
        entries = into.entries()
        if not entries:
            raise TextFileError(f"{into.source}: it has no label table with labels")
        return cls(entries, format=name, notes=into.notes, source=into.source)

    def to_text(self, format: str = "itksnap") -> tuple[str, tuple[str, ...]]:  # noqa: A002
        """Return the labels as text in a format, and remarks about lost properties.

        Raises:
            InvalidValue: The format does not exist, is read only, or cannot store a name.
        """
        _check_name(format)
        if format in formats.IN_IMAGES:
            raise InvalidValue(f"{formats.IN_IMAGES[format]} is read, not written")
        colored = tuple(entry if entry.color else _colored(entry) for entry in self.entries)
        _refuse_line_ends(colored)
        text, notes = formats.TEXT[format].write(colored)
        return text, tuple(notes)

    def write(
        self,
        path: str | Path,
        format: str | None = None,  # noqa: A002
    ) -> tuple[str, ...]:
        """Write the labels to a file in one atomic step.

        Args:
            path: The file. An existing ``dataset.json`` keeps everything but its labels.
            format: The name of the format; by default the extension decides.

        Returns:
            Remarks about lost properties, one line each.

        Raises:
            InvalidValue: The format does not exist, is read only, or cannot store a name.
            TextFileError: A ``dataset.json`` exists and is invalid.
            OSError: The file cannot be written.
        """
        path = Path(path)
        name = format or formats.ENDINGS.get(path.suffix.lower(), "itksnap")
        text, notes = self.to_text(name)
        if name == "nnunet" and path.is_file():
            old = _decode(paths.read_file(path, MAX_BYTES))
            text, more = nnunet.write(self.entries, old, str(path))
            notes = tuple(more)
        files.write_bytes(path, text.encode())
        return notes


def carried(path: str | Path) -> Labels | None:
    """Return the labels in the header of an image; None if it has no label table.

    Raises:
        TextFileError: The image cannot be read, or the table is corrupt.
    """
    try:
        start = _start(Path(path), images_only=True)
    except compression.GzipDamaged as error:
        raise TextFileError(f"{path}: {error}") from None
    except OSError as error:
        raise TextFileError(f"{path}: {error.strerror or error}") from None
    kind = _kind(start)
    if kind not in formats.IN_IMAGES:
        return None
    into = Collector(str(path))
    _parse_image(kind, start, into)
    entries = into.entries()
    return Labels(entries, format=kind, notes=into.notes, source=str(path)) if entries else None


def _colored(entry: Entry) -> Entry:
    """Return an entry with the colour of a new label in ITK-SNAP."""
    from dataclasses import replace

    from snapws.label_tables.colors import color_of_new_label

    return replace(entry, color=color_of_new_label(entry.index))


def _refuse_line_ends(entries: tuple[Entry, ...]) -> None:
    for entry in entries:
        if "\n" in entry.name or "\r" in entry.name:
            raise InvalidValue(f"label {entry.index}: a label file cannot hold a line break")


def _check_name(name: str | None) -> None:
    if name is not None and name not in formats.NAMES:
        raise InvalidValue(f"there is no format {name!r} of labels: {', '.join(formats.NAMES)}")


def _only(found: list[str], source: str) -> str:
    if len(found) > 1:
        titles = " or ".join(formats.TEXT[name].title for name in found)
        raise TextFileError(
            f"{source}: it can be a table of {titles}: choose with --format ({', '.join(found)})"
        )
    return found[0]


def _kind(start: bytes) -> str:
    if start[:4] in _NIFTI:
        return "totalsegmentator"
    return "seg-nrrd" if start[:4] == b"NRRD" else "text"


def _parse_image(kind: str, start: bytes, into: Collector) -> None:
    if kind == "seg-nrrd":
        seg_nrrd.parse(start, into)
        return
    documents = caret.extensions(start, into)
    for document in documents[:1]:
        caret.parse(document, into)


def _decode(data: bytes) -> str:
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data.decode(encoding, errors="replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _start(path: Path, *, images_only: bool = False) -> bytes:
    """Return the content of a table, or the header of an image.

    Raises:
        OSError: The file cannot be read, or has more than `MAX_BYTES`.
        GzipDamaged: The file is corrupt gzip.
    """
    import errno

    block, need = bytearray(), MAX_BYTES
    with paths.open_file(path) as file, closing(compression.iter_decompressed(file)) as pieces:
        for piece in pieces:
            block += piece
            if len(block) >= 1024:
                kind = _kind(bytes(block[:4]))
                if images_only and kind not in formats.IN_IMAGES:
                    break
                if kind == "totalsegmentator":
                    need = min(MAX_BYTES, caret.end_of_header(bytes(block[:1024])))
                if len(block) >= need or (kind == "seg-nrrd" and seg_nrrd.ends(block)):
                    break
    if len(block) >= MAX_BYTES and need == MAX_BYTES:
        reason = f"more than {MAX_BYTES >> 20} MiB are not read as a label table"
        raise OSError(errno.EFBIG, reason, str(path))
    return bytes(block)
