"""Labels renumbered and merged: the images of all segmentations and the label table together.

Images are written anew, under new names beside the workspace; the old files stay. So the workspace
file, which is replaced at once, decides: it names the old images and has the old table, or the new
ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from snapws import files
from snapws.deflate import GzipWriter
from snapws.errors import ImageUnsupported, InvalidValue, WorkspaceError
from snapws.label_tables.entries import MAX_ID, Entry, entry_of, named
from snapws.labels import MAX_INDEX, Label
from snapws.layers import Layer, Role
from snapws.pictures.sampling import labels as as_labels
from snapws.pictures.sampling import scaled

if TYPE_CHECKING:
    import numpy.typing as npt

    from snapws.images.header import ImageHeader
    from snapws.workspace import Workspace

_PAIR = re.compile(r"\s*([0-9]{1,19})\s*:\s*([0-9]{1,19})\s*", re.ASCII)
_SUFFIX = re.compile(
    r"(\.seg)?\.(nii|hdr|img|mgh|mgz|mha|mhd|nrrd|nhdr|gipl|vtk|dcm)(\.gz)?$", re.IGNORECASE
)
_AGAIN = re.compile(r"_remapped(-[0-9]+)?$")
_FLOAT32_WHOLE = 1 << 24  # above, whole numbers are rounded


@dataclass(frozen=True)
class Renumbered:
    """A label that has another number now.

    Attributes:
        old: Its number before.
        new: Its number now; 0 if it was cleared.
        name: Its name; empty if it has none.
    """

    old: int
    new: int
    name: str


@dataclass
class NewImages:
    """The images that a renumbering has written.

    Attributes:
        paths: Their files.
        notes: Remarks, one line each.
    """

    paths: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@contextmanager
def new_images() -> Iterator[NewImages]:
    """Keep the images that are written in the block, unless it raises: then they are removed.

    The workspace that names them is to be saved in it.
    """
    made = NewImages()
    try:
        yield made
    except BaseException:
        for path in made.paths:
            path.unlink(missing_ok=True)
        raise


def pairs(texts: Iterable[str]) -> dict[int, int]:
    """Convert texts ``OLD:NEW`` to a mapping.

    Raises:
        InvalidValue: One is of another form, out of range, or maps what another one maps elsewhere.
    """
    mapping: dict[int, int] = {}
    for text in texts:
        found = _PAIR.fullmatch(text)
        if found is None:
            raise InvalidValue(f"{text!r} is not a valid pair: say OLD:NEW, 1002:2 for example")
        old, new = int(found[1]), int(found[2])
        if not 1 <= old <= MAX_ID:
            raise InvalidValue(f"{text!r}: the old label goes from 1 to {MAX_ID}")
        if new > MAX_INDEX:
            raise InvalidValue(f"{text!r}: the new label goes from 0 (none) to {MAX_INDEX}")
        if mapping.setdefault(old, new) != new:
            raise InvalidValue(f"label {old} is mapped to {mapping[old]} and to {new}")
    return mapping


def remap(
    workspace: Workspace,
    mapping: Mapping[int, int] | None,
    made: NewImages,
    *,
    folder: Path,
    table: Iterable[Entry] | None = None,
    dry_run: bool = False,
) -> list[Renumbered]:
    """Renumber the labels of all segmentations and of the label table.

    Args:
        workspace: The workspace; save it in the block of `new_images`.
        mapping: From old to new labels; others stay. None: 1, 2, 3 … in the order of the old ones,
            those of the images and of the table.
        made: What `new_images` gives.
        folder: Where the new images are written, under names that are free.
        table: The labels of the old numbers; without it, those of the workspace.
        dry_run: Whether no image is written; the layers then keep their files.

    Returns:
        The labels that have another number now, by the old one.

    Raises:
        InvalidValue: There is no segmentation, or a label would be above 65535.
        ImageUnsupported: The voxels of a segmentation are no labels.
        ImageError: A segmentation cannot be read.
        LayerFileMissing: The file of a segmentation is missing.
        WorkspaceError: A new image cannot be written.
    """
    layers = workspace.layers(role=Role.SEGMENTATION)
    if not layers:
        raise InvalidValue(f"{workspace.name} has no segmentation to renumber")
    given = [entry_of(label) for label in workspace.labels] if table is None else list(table)
    entries = {entry.index: entry for entry in given}
    headers = {layer.number: _header(layer) for layer in layers}
    present = {number: _present(header) for number, header in headers.items()}
    known = sorted({label for found in present.values() for label in found.tolist()} - {0})
    if mapping is None:
        numbers = _compact({*known, *entries})
        names = {old: Entry(old, f"Label {old}") for old in known}
        entries = {**names, **entries}
    else:
        numbers = dict(mapping)
        _refuse_beyond([old for old in known if numbers.get(old, old) > MAX_INDEX])
        made.notes += _unused(numbers, {*known, *entries})
    workspace.labels = _renumbered_table(entries, numbers, made)
    if not dry_run:
        _write_all(layers, headers, present, numbers, folder, made)
    changed = sorted(old for old in {*known, *entries} if numbers.get(old, old) != old)
    return [
        Renumbered(old, numbers[old], entries[old].name if old in entries else "")
        for old in changed
    ]


def _compact(old: set[int]) -> dict[int, int]:
    if len(old) > MAX_INDEX:
        raise InvalidValue(f"{len(old):,} labels, of which ITK-SNAP holds {MAX_INDEX}")
    return {label: new for new, label in enumerate(sorted(old), 1)}


def _refuse_beyond(labels: list[int]) -> None:
    if labels:
        first = ", ".join(map(str, labels[:5]))
        raise InvalidValue(
            f"{len(labels)} labels of the images stay above {MAX_INDEX} ({first}): map them, too, "
            "or renumber all with --compact"
        )


def _unused(numbers: Mapping[int, int], known: set[int]) -> list[str]:
    absent = [old for old in numbers if old not in known]
    return [f"no image and no table has label {old}" for old in absent[:10]]


def _renumbered_table(
    entries: Mapping[int, Entry], numbers: Mapping[int, int], made: NewImages
) -> list[Label]:
    """Return the table: of labels that are merged, the one that kept its number names them."""
    found: dict[int, Entry] = {}
    stayed = [entry for old, entry in sorted(entries.items()) if numbers.get(old, old) == old]
    order = {old: place for place, old in enumerate(numbers)}
    moved = [entries[old] for old in sorted(entries, key=lambda old: order.get(old, -1))]
    for entry in (*stayed, *moved):
        found.setdefault(numbers.get(entry.index, entry.index), entry)
    beyond = [entry for new, entry in found.items() if new > MAX_INDEX]
    if beyond:
        made.notes.append(f"the table loses labels above {MAX_INDEX}: {named(beyond)}")
    return [
        replace(entry, index=new).label()
        for new, entry in sorted(found.items())
        if 0 < new <= MAX_INDEX
    ]


def _write_all(
    layers: list[Layer],
    headers: Mapping[int, ImageHeader],
    present: Mapping[int, npt.NDArray[np.int64]],
    numbers: Mapping[int, int],
    folder: Path,
    made: NewImages,
) -> None:
    written: dict[Path, Path] = {}
    greatest = max(
        (numbers.get(old, old) for found in present.values() for old in found.tolist()), default=0
    )
    dtype = np.dtype("<u1" if greatest <= 255 else "<u2")
    for layer in layers:
        header = headers[layer.number]
        if header.path not in written:
            old = present[layer.number]
            new = np.array([numbers.get(one, one) for one in old.tolist()], dtype)
            target = _write(header, folder, old, new)
            made.paths.append(target)
            written[header.path] = target
        layer.file = written[header.path]
        # They said how to read the old file.
        layer.registry.remove_folder("IOHints")
        layer.registry.make_folder("IOHints")


def _header(layer: Layer) -> ImageHeader:
    layer.existing()
    return layer.header()


def _write(
    header: ImageHeader, folder: Path, old: npt.NDArray[np.int64], new: npt.NDArray[Any]
) -> Path:
    """Write a renumbered image under a name that is free, and return its file."""
    stem = _AGAIN.sub("", _SUFFIX.sub("", header.path.name))
    number = 1
    while True:
        target = folder / f"{stem}_remapped{f'-{number}' if number > 1 else ''}.nii.gz"
        try:
            with files.new(target) as aside, aside.open("wb") as file:
                _fill(header, file, old, new)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise WorkspaceError(f"cannot write {target}: {error.strerror}") from None
        else:
            return target


def _fill(
    header: ImageHeader, file: BinaryIO, old: npt.NDArray[np.int64], new: npt.NDArray[Any]
) -> None:
    nifti = header.nifti.copy()
    nifti.set_data_dtype(new.dtype)
    nifti["scl_slope"], nifti["scl_inter"] = 1, 0
    with GzipWriter(file) as out:
        out.write(bytes(nifti.binaryblock).ljust(len(header.block), b"\0"))
        for values in _labels(header):
            out.write(new[np.searchsorted(old, values)].tobytes())


def _present(header: ImageHeader) -> npt.NDArray[np.int64]:
    """Return the labels in an image, sorted."""
    if header.components > 1 or header.dtype.kind not in "iuf":
        raise ImageUnsupported(
            f"{header.path}: it has not one real number a voxel, as a segmentation has"
        )
    found = np.zeros(0, np.int64)
    for values in _labels(header):
        found = np.union1d(found, values)
    return found


def _labels(header: ImageHeader) -> Iterator[npt.NDArray[np.int64]]:
    """Return the labels of an image, piece by piece.

    Raises:
        ImageUnsupported: A voxel is no label.
    """
    dtype = header.dtype.newbyteorder("<")
    for piece in header.voxels():
        values = as_labels(scaled(np.frombuffer(piece, dtype), header))
        least, most = values.min(), values.max()
        if not (least >= 0 and most <= MAX_ID):  # so written, NaN is refused
            raise ImageUnsupported(
                f"{header.path}: voxels from {least} to {most} are no labels, which go from 0 on"
            )
        if values.dtype.kind == "f":
            if header.scaling and most > _FLOAT32_WHOLE:
                raise ImageUnsupported(
                    f"{header.path}: labels above {_FLOAT32_WHOLE} that are scaled are not exact: "
                    "save it as whole numbers"
                )
            if not np.array_equal(values, np.rint(values)):
                raise ImageUnsupported(
                    f"{header.path}: voxels are not whole numbers, as labels are"
                )
        yield values.astype(np.int64)
