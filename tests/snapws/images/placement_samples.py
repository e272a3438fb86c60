"""Random image headers of all kinds that people's programs write, held against SimpleITK.

``python -m tests.snapws.placement_samples 20000`` runs so many NIfTI and Analyze headers, and a
tenth as many of the other formats.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk  # noqa: N813
from nibabel.analyze import AnalyzeHeader
from nibabel.nifti1 import Nifti1Header

from snapws import ImageError, images
from snapws.images import placement

sitk.ProcessObject.SetGlobalWarningDisplay(False)

_SHEARS = (1e-6, 1e-5, 5e-5, 8e-5, 2e-4, 1e-3, 0.1)


class Place(NamedTuple):
    """Size and place of an image, three axes, in RAS mm."""

    size: np.ndarray
    spacing: np.ndarray
    origin: np.ndarray
    directions: np.ndarray


def ours(path: Path) -> Place | None:
    """Return where the project puts an image; None if it refuses it."""
    try:
        header = images.read_header(path)
    except ImageError:
        return None
    return Place(np.array(header.spatial_shape), *header.placement)


def itks(path: Path, kind: str) -> Place | None:
    """Return where SimpleITK puts an image; None if it refuses it."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO(kind)
    reader.SetFileName(str(path))
    try:
        found = reader.Execute()
    except RuntimeError:
        return None
    axes = found.GetDimension()
    three = min(axes, 3)
    size, spacing, origin, directions = np.ones(3, int), np.ones(3), np.zeros(3), np.eye(3)
    size[:three] = found.GetSize()[:three]
    spacing[:three] = found.GetSpacing()[:three]
    origin[:three] = found.GetOrigin()[:three]
    cosines = np.reshape(found.GetDirection(), (axes, axes))
    directions[:three, :three] = cosines[:three, :three]
    to_ras = np.diag([-1.0, -1.0, 1.0])
    return Place(size, spacing, to_ras @ origin, to_ras @ directions)


def difference(one: Place | None, other: Place | None) -> str:
    """Return what differs between two readings; empty if they agree."""
    if one is None or other is None:
        return "" if one is other else f"refused by one alone: {one} {other}"
    if not np.array_equal(one.size, other.size):
        return f"size {one.size} {other.size}"
    if not np.allclose(one.spacing, other.spacing, rtol=1e-5, atol=0):
        return f"spacing {one.spacing} {other.spacing}"
    long = [step for step, length in zip(one.spacing, one.size, strict=True) if length > 1]
    allowed = 1e-3 * min(long or [one.spacing[0]])
    for corner in np.ndindex(2, 2, 2):
        steps = (one.size - 1) * np.array(corner)
        ends = [at.directions @ (at.spacing * steps) + at.origin for at in (one, other)]
        if not np.linalg.norm(ends[0] - ends[1]) <= allowed:
            return f"corner {corner}: {ends[0]} {ends[1]}"
    return ""


def rotation(random: np.random.Generator) -> np.ndarray:
    """Return orthonormal axes: any, or those of the scanner in any order and sense."""
    if random.random() < 0.3:
        return np.eye(3)[random.permutation(3)] * random.choice([-1.0, 1.0], 3)
    axes, _ = np.linalg.qr(random.normal(size=(3, 3)))
    return axes


class NiftiSamples:
    """Random NIfTI-1 headers of all rows of the table, alone and combined."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def header(self) -> Any:
        """Return the next header for which ITK's reading does not depend on rounding."""
        while True:
            header = self._any()
            if not is_a_matter_of_rounding(header):
                return header

    def _any(self) -> Any:
        random = self._random
        axes = int(random.choice([2, 3, 3, 3, 4, 5]))
        header = Nifti1Header()
        shape = random.integers(2, 6, axes)
        shape[random.random(axes) < [0, 0, 0.2, 0.3, 0.3][:axes]] = 1
        header["dim"] = [axes, *shape, *[1] * (7 - axes)]
        header["datatype"], header["bitpix"], header["vox_offset"] = 2, 8, 352
        header["magic"], header["xyzt_units"] = b"n+1", 2
        self._place(header)
        for chance, change in (
            (0.3, self._units),
            (0.3, self._pixdim),
            (0.15, self._qfac),
            (0.15, self._quaternion),
            (0.1, self._codes),
            (0.15, self._axes),
            (0.05, self._intent),
        ):
            if random.random() < chance:
                change(header)
        return header

    def _place(self, header: Any) -> None:
        random = self._random
        axes, offset = rotation(random), random.normal(size=3) * random.choice([0, 1, 100, 1000])
        sizes = random.uniform(0.3, 3, 3) * random.choice([0.001, 0.05, 1, 1, 1, 10, 250])
        kind = random.choice(["both", "both", "qform", "sform", "none"])
        header["pixdim"][1:4] = sizes
        if kind in ("both", "qform"):
            header.set_qform(_matrix(axes, sizes, offset), int(random.integers(1, 6)))
        if kind in ("both", "sform"):
            relation = random.choice(["same", "same", "near", "far", "sheared"])
            if relation == "near":
                angle = random.choice([0, 0.01, 0.1])
                cos, sin = np.cos(angle), np.sin(angle)
                axes = axes @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
                offset = offset + random.normal(size=3) * random.choice([0, 0.1, 1]) * sizes
            elif relation == "far":
                axes, offset = rotation(random), random.normal(size=3) * 50
            elif relation == "sheared":
                shear = np.eye(3)
                shear[tuple(random.permutation(3)[:2])] = random.choice(_SHEARS)
                axes = axes @ shear
            lengths = sizes * random.choice([1, 1, 1, 2, 1.01, 0.5], 3)
            header.set_sform(_matrix(axes, lengths, offset), int(random.integers(1, 6)))

    def _units(self, header: Any) -> None:
        header["xyzt_units"] = int(self._random.integers(0, 64))

    def _pixdim(self, header: Any) -> None:
        axis = int(self._random.integers(1, 4))
        value = self._random.choice([0, -1, -1, np.nan, np.inf, -np.inf])
        header["pixdim"][axis] = header["pixdim"][axis] * value if value else 0

    def _qfac(self, header: Any) -> None:
        header["pixdim"][0] = self._random.choice([0, 0, 1, -1, 0.5, -7, np.nan])

    def _quaternion(self, header: Any) -> None:
        values = self._random.normal(size=3)
        length = self._random.choice([0.5, 0.999, 1, 1.000001, 1.3, 20])
        values *= length / np.linalg.norm(values)
        values[self._random.random(3) < 0.1] = self._random.choice([np.nan, np.inf])
        header["quatern_b"], header["quatern_c"], header["quatern_d"] = values
        if self._random.random() < 0.3:
            header[f"qoffset_{self._random.choice([*'xyz'])}"] = np.nan

    def _codes(self, header: Any) -> None:
        name = self._random.choice(["qform_code", "sform_code"])
        header[name] = int(self._random.choice([-1, -300, 6, 77]))

    def _axes(self, header: Any) -> None:
        axes = int(header["dim"][0])
        if self._random.random() < 0.5:
            header["dim"][0] = self._random.choice([6, 7])
            header["dim"][7] = self._random.choice([1, 1, 2])
        else:
            at = int(self._random.integers(1, axes + 1))
            header["dim"][at] = self._random.choice([0, -1, -7])

    def _intent(self, header: Any) -> None:
        if header["dim"][0] > 5:  # of vectors ITK leaves out what lies along the sixth axis
            return
        header["intent_code"] = int(self._random.choice([1007, 5, 2001]))


def is_a_matter_of_rounding(header: Any) -> bool:
    """Return whether ITK's reading of a header hangs on the last bit of a number.

    It does where the sform, of another code than 1, is the qform but for a reflection or less than
    about 1e-4, and where the axes of a flat image are nearly parallel within its plane. One axis
    alone, which SimpleITK does not read, is left out, too.
    """
    first, second = placement.qform(header), placement.sform(header)
    if second and not second.is_finite:
        second = None
    dim = [max(1, int(length)) for length in header["dim"]]
    if dim[0] == 2 or int(header["intent_code"]) == 1007:
        if dim[2] == dim[3] == 1 or header["dim"][1] < 1:
            return True
        for form in (first, second):
            if form and abs(np.linalg.det(form.directions[:2, :2])) < 1e-3:
                return True
    if not (first and second) or int(header["sform_code"]) == 1:
        return False
    turned = [
        form.directions * [1, 1, np.sign(np.linalg.det(form.directions))]
        for form in (first, second)
    ]
    is_near = (
        np.abs(turned[0] - turned[1]).max() < 1e-3
        and np.abs(first.lengths - second.lengths).max() < 1e-3
        and np.abs(first.offset - second.offset).max() < 1e-3
    )
    shift = np.abs(first.directions - second.directions).max()
    moved = np.abs(first.offset - second.offset).max() / min(first.lengths)
    return bool(is_near and max(shift, moved) > 5e-5)


def _matrix(axes: np.ndarray, lengths: np.ndarray, offset: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = axes * lengths
    matrix[:3, 3] = offset
    return matrix


def write_nifti(header: Any, folder: Path, form: str) -> Path:
    """Write a header and zeros as a file, as a pair, or as a pair of Analyze's."""
    voxels = bytes(6**5)
    if form == "single":
        path = folder / "a.nii"
        path.write_bytes(bytes(header.binaryblock) + bytes(4) + voxels)
        return path
    path = folder / "a.hdr"
    header["vox_offset"] = 0
    if form == "pair":
        header["magic"] = b"ni1"
    else:
        plain = AnalyzeHeader(endianness=header.endianness)
        for name in ("dim", "pixdim", "datatype", "bitpix"):
            plain[name] = header[name]
        header = plain
    path.write_bytes(bytes(header.binaryblock))
    path.with_suffix(".img").write_bytes(voxels)
    return path


def nifti_difference(number: int, seed: int, folder: Path) -> str:
    """Return what differs about the header of a number; empty if nothing does."""
    header = NiftiSamples(seed + number).header()
    if number % 4 == 0:
        header = header.as_byteswapped(">")
    form = ("single", "single", "pair", "analyze")[number % 7 % 4]
    path = write_nifti(header, folder, form)
    kind = "NiftiImageIO"
    found = difference(ours(path), itks(path, kind))
    return found and f"{form} {number}: {found}\n{header}"


def other_difference(number: int, seed: int, folder: Path) -> str:
    """Return what differs about an image of another format; empty if nothing does."""
    random = np.random.default_rng((seed, number))
    make, ending, kind = (
        (_metaimage, ".mha", "MetaImageIO"),
        (_nrrd, ".nrrd", "NrrdImageIO"),
        (_gipl, ".gipl", "GiplImageIO"),
        (_vtk, ".vtk", "VTKImageIO"),
    )[number % 4]
    path = folder / f"a{ending}"
    path.write_bytes(make(random))
    found = difference(ours(path), itks(path, kind))
    return found and f"{ending} {number}: {found}\n{path.read_bytes()[:600]!r}"


def _directions(random: np.random.Generator) -> np.ndarray:
    axes = rotation(random)
    if random.random() < 0.3:
        axes = axes @ np.array([[1, 0.2, 0], [0, 1, 0], [0, 0, 1]])
    return axes


def _words(values: np.ndarray) -> str:
    return " ".join(f"{value:.9g}" for value in values)


def _metaimage(random: np.random.Generator) -> bytes:
    axes = int(random.choice([2, 3, 3, 4]))
    size = random.integers(2, 6, axes)
    directions, angle = np.eye(axes), random.uniform(0, 6)
    directions[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    if axes > 2:
        directions[:3, :3] = _directions(random)
    spacing = random.uniform(0.1, 9, axes) * random.choice([1, 1, 1, -1], axes)
    lines = [
        "ObjectType = Image",
        f"NDims = {axes}",
        f"TransformMatrix = {_words(directions.ravel())}",
        f"Offset = {_words(random.normal(size=axes) * 100)}",
        f"ElementSpacing = {_words(spacing)}",
        f"DimSize = {_words(size)}",
    ]
    if axes == 3 and random.random() < 0.5:
        lines.insert(3, f"AnatomicalOrientation = {random.choice(['RAI', 'LPS', 'RAS', 'ASL'])}")
    lines += ["ElementType = MET_UCHAR", "ElementDataFile = LOCAL", ""]
    return "\n".join(lines).encode() + bytes(int(np.prod(size)))


def _nrrd(random: np.random.Generator) -> bytes:
    size = random.integers(2, 6, 3)
    spaces = (
        *("left-posterior-superior", "LPS", "right-anterior-superior", "RAS"),
        *("left-anterior-superior", "LAS", "scanner-xyz", "3D-right-handed", ""),
    )
    space = str(random.choice(spaces))
    lines = ["NRRD0004", "type: uint8", "dimension: 3"]
    if space:
        directions = _directions(random) * random.uniform(0.1, 9, 3)
        columns = (f"({','.join(f'{value:.9g}' for value in column)})" for column in directions.T)
        origin = ",".join(f"{value:.9g}" for value in random.normal(size=3) * 100)
        lines += [
            f"space: {space}",
            f"space directions: {' '.join(columns)}",
            f"space origin: ({origin})",
        ]
    elif random.random() < 0.7:
        lines.append(f"spacings: {_words(random.uniform(0.1, 9, 3))}")
    lines += [f"sizes: {_words(size)}", "encoding: raw", "", ""]
    return "\n".join(lines).encode() + bytes(int(np.prod(size)))


def _gipl(random: np.random.Generator) -> bytes:
    size = random.integers(2, 6, 3)
    block = bytearray(256)
    block[0:8] = np.array([*size, 1], ">u2").tobytes()
    block[8:10] = np.array([8], ">u2").tobytes()  # unsigned bytes
    block[10:26] = np.array([*random.uniform(0.1, 9, 3), 1], ">f4").tobytes()
    block[204:236] = np.array([*random.normal(size=3) * 100, 0], ">f8").tobytes()
    block[252:256] = np.array([719555000], ">u4").tobytes()
    return bytes(block) + bytes(int(np.prod(size)))


def _vtk(random: np.random.Generator) -> bytes:
    size = random.integers(2, 6, 3)
    lines = [
        *("# vtk DataFile Version 3.0", "image", "BINARY", "DATASET STRUCTURED_POINTS"),
        f"DIMENSIONS {_words(size)}",
        f"SPACING {_words(random.uniform(0.1, 9, 3))}",
        f"ORIGIN {_words(random.normal(size=3) * 100)}",
        f"POINT_DATA {np.prod(size)}",
        *("SCALARS scalars unsigned_char 1", "LOOKUP_TABLE default", ""),
    ]
    return "\n".join(lines).encode() + bytes(int(np.prod(size)))


def main(count: int) -> int:
    """Run so many headers, print what differs, and return how many do."""
    wrong = 0
    with TemporaryDirectory() as folder:
        for compare, total in ((nifti_difference, count), (other_difference, count // 10)):
            for number in range(total):
                if found := compare(number, 10_000, Path(folder)):
                    wrong += 1
                    sys.stdout.write(f"{found}\n")
            sys.stdout.write(f"{compare.__name__}: {total} headers\n")
    sys.stdout.write(f"readings that differ: {wrong}\n")
    return wrong


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])) > 0)
