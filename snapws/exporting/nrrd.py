"""Volumes and segmentations as NRRD, as 3D Slicer reads them; images are streamed.

The format is documented at teem.sourceforge.net/nrrd/format.html, the fields of segments in 3D
Slicer's documentation ("Segmentations", file format). NRRD holds a place in double precision, axes
of any length and 64-bit integers, which NIfTI does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from snapws import geometry
from snapws.arrays import ImageArray
from snapws.deflate import GzipWriter
from snapws.errors import ImageUnsupported
from snapws.labels import Label
from snapws.pictures.sampling import scaled
from snapws.prefetch import prefetched
from snapws.registry.fields import format_number
from snapws.transforms import RAS_LPS
from snapws.volumes import as_labels, label_volumes

if TYPE_CHECKING:
    import numpy.typing as npt

    from snapws.images.header import ImageHeader

    Values = npt.NDArray[Any]

_TYPES = {
    "i1": "signed char",
    "u1": "unsigned char",
    "i2": "short",
    "u2": "unsigned short",
    "i4": "int",
    "u4": "unsigned int",
    "i8": "long long int",
    "u8": "unsigned long long int",
    "f4": "float",
    "f8": "double",
}
_ONE_BYTE = 255  # the greatest label of a segmentation with one byte a voxel


def volume_type(header: ImageHeader) -> np.dtype[Any]:
    """Return the type of the numbers of a volume: float32 for scaled voxels, else as stored.

    Raises:
        ImageUnsupported: The voxels have no type of NRRD: complex numbers, for example.
    """
    stored = header.dtype[0] if header.dtype.names else header.dtype
    kind = np.dtype(np.float32) if header.scaling else stored.newbyteorder("<")
    if kind.str[1:] not in _TYPES:
        raise ImageUnsupported(f"{header.path}: NRRD has no voxels of type {header.voxel_type}")
    return kind


def parts(header: ImageHeader) -> int:
    """Return how many numbers a voxel has: several for vectors and colours."""
    return len(header.dtype.names) if header.dtype.names else header.components


def write_volume(header: ImageHeader, file: BinaryIO) -> tuple[float, float]:
    """Write the first time point of an image as NRRD, at the place where ITK-SNAP shows it.

    Args:
        header: The image.
        file: Where to, open for writing.

    Returns:
        The least and the greatest finite number; infinity and -infinity if there is none.

    Raises:
        ImageUnsupported: The voxels have no type of NRRD, or do not fit into memory.
        ImageError: The image cannot be read.
    """
    kind, count = volume_type(header), parts(header)
    file.write(_header(header, header, kind, count))
    least, greatest = np.inf, -np.inf
    with GzipWriter(file) as out:
        for values in prefetched(_values(header)):
            finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
            if finite.size:
                least, greatest = min(least, finite.min()), max(greatest, finite.max())
            out.write(values.astype(kind, copy=False).tobytes())
    return float(least), float(greatest)


def write_segmentation(
    header: ImageHeader, main: ImageHeader, table: Iterable[Label], file: BinaryIO
) -> list[Label]:
    """Write the first time point of a segmentation as NRRD with segments (``.seg.nrrd``).

    It has the place of the main image, voxel on voxel, as in ITK-SNAP. There is a segment for each
    label of the table, and for each other label that a voxel has.

    Args:
        header: The segmentation, of the main image's size.
        main: The main image.
        table: The labels.
        file: Where to, open for writing.

    Returns:
        The label of each segment.

    Raises:
        ImageUnsupported: The image has not one real number a voxel.
        ImageError: It cannot be read.
    """
    known = {label.index: label for label in table if label.index}
    for index in label_volumes(header).voxels[0]:
        if index and index not in known:
            known[index] = Label(index, f"Label {index}")
    labels = [known[index] for index in sorted(known)]
    kind = np.dtype("u1" if max(known, default=0) <= _ONE_BYTE else "<u2")
    file.write(_header(header, main, kind, 1, _segments(labels, main.spatial_shape)))
    with GzipWriter(file) as out:
        for values in prefetched(_stored(header)):
            is_label, found = as_labels(values, header)
            if is_label is None:
                whole = found.astype(kind)
            else:
                whole = np.zeros(values.shape, kind)
                whole[is_label] = found
            out.write(whole.tobytes())
    return labels


def segment_id(label: Label) -> str:
    """Return the ID of the segment of a label."""
    return f"Segment_{label.index}"


def _segments(labels: Sequence[Label], shape: Sequence[int]) -> dict[str, str]:
    """Return the fields that make an image of labels a segmentation."""
    extent = " ".join(f"0 {length - 1}" for length in shape)
    fields: dict[str, str] = {}
    for number, label in enumerate(labels):
        fields |= {
            f"Segment{number}_{key}": value
            for key, value in (
                ("ID", segment_id(label)),
                ("Name", label.name),
                ("NameAutoGenerated", "0"),
                ("Color", " ".join(f"{part / 255:.6f}" for part in label.color)),
                ("ColorAutoGenerated", "0"),
                ("LabelValue", str(label.index)),
                ("Layer", "0"),
                ("Extent", extent),
                ("Tags", "|"),
            )
        }
    return fields | {
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_MasterRepresentation": "Binary labelmap",  # until version 5.2
        "Segmentation_SourceRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }


def _header(
    header: ImageHeader,
    place: ImageHeader,
    kind: np.dtype[Any],
    count: int,
    fields: Mapping[str, str] | None = None,
) -> bytes:
    """Return the header of a file, with the place of an image."""
    lps = np.diag([*RAS_LPS, 1.0]) @ geometry.affine(place)
    sizes = list(header.spatial_shape)
    axes = [_vector(lps[:3, axis]) for axis in range(3)]
    kinds = ["domain"] * 3
    if count > 1:
        sizes, axes = [count, *sizes], ["none", *axes]
        kinds = ["RGB-color" if header.dtype.names and count == 3 else "vector", *kinds]
    lines = [
        "NRRD0005",
        f"type: {_TYPES[kind.str[1:]]}",
        f"dimension: {len(sizes)}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, sizes))}",
        f"space directions: {' '.join(axes)}",
        f"kinds: {' '.join(kinds)}",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(lps[:3, 3])}",
        *(f"{key}:={_escaped(value)}" for key, value in (fields or {}).items()),
    ]
    return "\n".join([*lines, "", ""]).encode()


def _vector(numbers: Iterable[float]) -> str:
    # Reversed axes give -0; adding 0 makes it 0.
    return f"({','.join(format_number(float(number) + 0.0) for number in numbers)})"


def _escaped(text: str) -> str:
    """Return a text on one line, as NRRD and 3D Slicer write it."""
    lines = text.replace("\\", "\\\\").splitlines()
    return "\\n".join(lines)


def _values(header: ImageHeader) -> Iterator[Values]:
    """Yield the numbers of the first time point in the order of NRRD: parts of a voxel together."""
    if header.components > 1:
        header.refuse_too_large()
        values = np.asarray(ImageArray(header))
        volume = values[:, :, :, 0] if values.ndim > 4 else values
        for plane in np.moveaxis(volume, 2, 0):
            yield plane.transpose(1, 0, 2).ravel()
        return
    for stored in _stored(header):
        yield stored.view(stored.dtype[0]) if stored.dtype.names else scaled(stored, header)


def _stored(header: ImageHeader) -> Iterator[Values]:
    """Yield the stored voxels of the first time point; all are read, so that damage is found."""
    missing, kind = int(np.prod(header.spatial_shape)), header.dtype.newbyteorder("<")
    for piece in header.voxels():
        stored = np.frombuffer(piece, kind)[:missing]
        missing -= len(stored)
        if len(stored):
            yield stored
