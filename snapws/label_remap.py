"""Labels renumbered and merged: the images of all segmentations and the label table together.

New images are written under new names beside the workspace; the old files stay. So one atomic
write, that of the workspace file, switches from the old images and table to the new ones.
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
_FLOAT32_WHOLE = 1 << 24  # greater whole numbers are rounded in float32


@dataclass(frozen=True)
class Renumbered:
    """A label with a new number.

    Attributes:
        old: The old number.
        new: The new number; 0 if the label was cleared.
        name: The name of the label; may be empty.
    """

    old: int
    new: int
    name: str


@dataclass
class NewImages:
    """The images that a renumbering has written.

    Attributes:
        paths: The files of the images.
        notes: Remarks, one line each.
    """

    paths: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@contextmanager
def new_images() -> Iterator[NewImages]:
    """Remove the images written in the block if the block raises.

    Save the workspace that names the images inside of the block.
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
        InvalidValue: A pair is invalid or out of range, or two pairs map one label differently.
    """
    mapping: dict[int, int] = {}
    for text in texts:
        found = _PAIR.fullmatch(text)
        if found is None:
            raise InvalidValue(
                f"{text!r} is not a valid pair: expected OLD:NEW, 1002:2 for example"
            )
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
        mapping: Old to new labels; other labels stay. None: renumber all labels of the images and
            of the table to 1, 2, 3 … in their order.
        made: The `NewImages` of the surrounding `new_images` block.
        folder: The folder for the new images, which get unused names.
        table: The label table of the old numbers; by default that of the workspace.
        dry_run: Whether to write no image; the layers then keep their files.

    Returns:
        The labels with a new number, sorted by the old one.

    Raises:
        InvalidValue: The workspace has no segmentation, or a label would be above 65535.
        ImageUnsupported: The voxels of a segmentation are not labels.
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
        raise InvalidValue(f"{len(old):,} labels are too many: ITK-SNAP holds {MAX_INDEX}")
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
    """Return the new table. Merged labels get the name of the one that keeps its number."""
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
        # The hints are for reading the old file.
        layer.registry.remove_folder("IOHints")
        layer.registry.make_folder("IOHints")


def _header(layer: Layer) -> ImageHeader:
    layer.existing()
    return layer.header()


def _write(
    header: ImageHeader, folder: Path, old: npt.NDArray[np.int64], new: npt.NDArray[Any]
) -> Path:
    """Write a renumbered image under an unused name, and return its path."""
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
        raise ImageUnsupported(f"{header.path}: a segmentation needs one real number per voxel")
    found = np.zeros(0, np.int64)
    for values in _labels(header):
        found = np.union1d(found, values)
    return found


def _labels(header: ImageHeader) -> Iterator[npt.NDArray[np.int64]]:
    """Return the labels of an image, piece by piece.

    Raises:
        ImageUnsupported: A voxel is not a valid label.
    """
    dtype = header.dtype.newbyteorder("<")
    for piece in header.voxels():
        values = as_labels(scaled(np.frombuffer(piece, dtype), header))
        least, most = values.min(), values.max()
        if not (least >= 0 and most <= MAX_ID):  # this form refuses NaN, too
            raise ImageUnsupported(
                f"{header.path}: voxels from {least} to {most} are not labels: labels go from 0 "
                f"to {MAX_ID}"
            )
        if values.dtype.kind == "f":
            if header.scaling and most > _FLOAT32_WHOLE:
                raise ImageUnsupported(
                    f"{header.path}: scaled labels above {_FLOAT32_WHOLE} are not exact: save the "
                    "image as whole numbers"
                )
            if not np.array_equal(values, np.rint(values)):
                raise ImageUnsupported(
                    f"{header.path}: voxels are not whole numbers, as labels must be"
                )
        yield values.astype(np.int64)
