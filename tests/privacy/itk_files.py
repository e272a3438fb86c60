"""MetaImage, NRRD, GIPL and VTK images, with a marker wherever one can stand."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from tests.privacy.marking import Marks
from tests.privacy.voxels import SHAPE, SPACING, SWAPPED, VOXELS, after, fill, gzipped


def _meta(mark: Marks, what: str, data_file: str, **extra: object) -> bytes:
    lines = {
        "ObjectType": "Image",
        "ObjectSubType": mark(f"{what}: ObjectSubType"),
        "NDims": "3",
        "Name": mark(f"{what}: Name"),
        "Comment": f"scan of {mark(f'{what}: Comment')}",
        "PatientName": mark(f"{what}: a key of its own"),
        mark(f"{what}: name of a key"): "1",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        **extra,
        "DimSize": "5 6 7",
        "ElementSpacing": "1.5 2 2.5",
        "ElementType": "MET_SHORT",
        "ElementDataFile": data_file,
    }
    return "".join(f"{key} = {value}\n" for key, value in lines.items()).encode()


def mha(folder: Path, mark: Marks) -> Path:
    what = ".mha"
    path = folder / f"{mark(f'{what}: file name', 'file name')}.mha"
    path.write_bytes(_meta(mark, what, "LOCAL") + VOXELS + after(mark, what))
    return path


def mha_compressed(folder: Path, mark: Marks) -> Path:
    what = ".mha, compressed"
    data = zlib.compress(VOXELS)
    header = _meta(mark, what, "LOCAL", CompressedData="True", CompressedDataSize=len(data))
    path = folder / f"{mark(f'{what}: file name', 'file name')}.mha"
    path.write_bytes(header + data)
    return path


def mhd(folder: Path, mark: Marks) -> Path:
    what = ".mhd"
    voxels = folder / f"{mark(f'{what}: name of the voxel file')}.raw"
    skipped = mark(f"{what}: bytes before the voxels").encode()
    voxels.write_bytes(skipped + VOXELS)
    path = folder / f"{mark(f'{what}: file name', 'file name')}.mhd"
    path.write_bytes(_meta(mark, what, voxels.name, HeaderSize=len(skipped)))
    return path


def _nrrd(mark: Marks, what: str, *more: str) -> bytes:
    lines = [
        "NRRD0005",
        f"# made for {mark(f'{what}: comment')}",
        f"content: {mark(f'{what}: content')}",
        "type: int16",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: 5 6 7",
        "space directions: (1.5,0,0) (0,2,0) (0,0,2.5)",
        "kinds: domain domain domain",
        "labels: " + " ".join(f'"{mark(f"{what}: label {axis}")}"' for axis in range(3)),
        f'space units: "{mark(f"{what}: space unit")}" "mm" "mm"',
        f"sample units: {mark(f'{what}: sample units')}",
        "endian: little",
        "space origin: (0,0,0)",
        *more,
        f"PatientName:={mark(f'{what}: value of a key')}",
        f"{mark(f'{what}: name of a key')}:=1",
    ]
    return "\n".join(lines).encode() + b"\n"


def nrrd(folder: Path, mark: Marks) -> Path:
    what = ".nrrd"
    path = folder / f"{mark(f'{what}: file name', 'file name')}.nrrd"
    skipped = f"{mark(f'{what}: line skipped before the voxels')}\n".encode()
    header = _nrrd(mark, what, "encoding: raw", "line skip: 1") + b"\n"
    path.write_bytes(header + skipped + VOXELS + after(mark, what))
    return path


def nrrd_gzip(folder: Path, mark: Marks) -> Path:
    what = ".nrrd, gzip"
    path = folder / f"{mark(f'{what}: file name', 'file name')}.nrrd"
    path.write_bytes(_nrrd(mark, what, "encoding: gzip") + b"\n" + gzipped(VOXELS, mark, what))
    return path


def nhdr(folder: Path, mark: Marks) -> Path:
    what = ".nhdr"
    voxels = folder / f"{mark(f'{what}: name of the voxel file')}.raw"
    skipped = mark(f"{what}: bytes skipped before the voxels").encode()
    voxels.write_bytes(skipped + VOXELS)
    path = folder / f"{mark(f'{what}: file name', 'file name')}.nhdr"
    more = ("encoding: raw", f"byte skip: {len(skipped)}", f"data file: {voxels.name}")
    path.write_bytes(_nrrd(mark, what, *more))
    return path


def _gipl(mark: Marks, what: str) -> bytes:
    block = bytearray(256)
    struct.pack_into(">5H", block, 0, *SHAPE, 1, 15)
    struct.pack_into(">4f", block, 10, *SPACING, 1)
    fields = {"patient": 26, "end of patient": 98, "matrix": 106, "flags and minimum": 186}
    fill(block, {**fields, "pixval_offset and pixval_cal": 236, "user_def": 244}, mark, what)
    struct.pack_into(">I", block, 252, 0xEFFFE9B0)
    return bytes(block) + SWAPPED + after(mark, what)


def gipl(folder: Path, mark: Marks) -> Path:
    path = folder / f"{mark('.gipl: file name', 'file name')}.gipl"
    path.write_bytes(_gipl(mark, ".gipl"))
    return path


def gipl_gz(folder: Path, mark: Marks) -> Path:
    what = ".gipl.gz"
    path = folder / f"{mark(f'{what}: file name', 'file name')}.gipl.gz"
    path.write_bytes(gzipped(_gipl(mark, what), mark, what))
    return path


def vtk(folder: Path, mark: Marks) -> Path:
    what = ".vtk image"
    header = (
        f"# vtk DataFile Version 3.0\n{mark(f'{what}: title')}\nBINARY\nDATASET STRUCTURED_POINTS\n"
        "DIMENSIONS 5 6 7\nSPACING 1.5 2 2.5\nORIGIN 0 0 0\nPOINT_DATA 210\n"
        f"SCALARS {mark(f'{what}: name of the scalars')} short 1\n"
        "LOOKUP_TABLE default\n"
    ).encode()
    data = mark(f"{what}: field data").encode()
    field = f"\nFIELD {mark(f'{what}: name of a field')} 1\nnote 1 {len(data)} char\n".encode()
    path = folder / f"{mark(f'{what}: file name', 'file name')}.vtk"
    path.write_bytes(header + SWAPPED + field + data + b"\n")
    return path
