"""The same tetrahedron as a file of every mesh format, with a marker wherever one can stand."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

from tests.privacy.marking import Marks
from tests.privacy.voxels import Writer

POINTS = ((0.0, 0.0, 0.0), (4.0, 0.0, 0.0), (0.0, 5.0, 0.0), (0.0, 0.0, 6.0))
TRIANGLES = ((0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3))


def _rows(rows: tuple[tuple[float, ...], ...], first: str = "") -> str:
    return "".join(first + " ".join(f"{value:g}" for value in row) + "\n" for row in rows)


def _codes(text: str) -> str:
    """Return a string as VTK writes it in its text forms: by the codes of its bytes."""
    return " ".join(str(code) for code in (*text.encode(), 0))


def _percent(text: str) -> str:
    """Return a name as VTK's legacy writer quotes it."""
    return "".join(f"%{code:02X}" for code in text.encode())


def vtk_text(folder: Path, mark: Marks) -> Path:
    what = ".vtk mesh, text"
    path = folder / f"{mark(f'{what}: file name', 'file name')}.vtk"
    note = mark(f"{what}: characters in field data")
    text = f"""# vtk DataFile Version 4.2
{mark(f"{what}: title")}
ASCII
DATASET POLYDATA
FIELD FieldData 3
{mark(f"{what}: name in field data")} 1 1 int
7
notes 1 1 string
{mark(f"{what}: string in field data")}
codes 1 {len(note)} char
{_codes(note).removesuffix(" 0")}
POINTS 4 float
{_rows(POINTS)}METADATA
INFORMATION 1
NAME {mark(f"{what}: name in the metadata")} LOCATION {mark(f"{what}: location in the metadata")}
DATA {mark(f"{what}: data in the metadata")}

POLYGONS 4 16
{_rows(TRIANGLES, "3 ")}
CELL_DATA 4
SCALARS {mark(f"{what}: name of cell scalars")} float 1
LOOKUP_TABLE {mark(f"{what}: name of a lookup table")}
1
2
3
4
LOOKUP_TABLE {mark(f"{what}: name of the lookup table itself")} 1
1 1 1 1
GLOBAL_IDS {mark(f"{what}: name of identifiers")} int
1 2 3 4
METADATA
COMPONENT_NAMES
{_percent(mark(f"{what}: name of a component"))}
INFORMATION 1
NAME key LOCATION place
DATA 1
{_percent(mark(f"{what}: value of an information key"))}

POINT_DATA 4
NORMALS {mark(f"{what}: name of normals")} float
{_rows(((0, 0, 1),) * 4)}COLOR_SCALARS {mark(f"{what}: name of colours")} 1
1 0 1 0
TEXTURE_COORDINATES {mark(f"{what}: name of texture coordinates")} 1 float
1 0 1 0
TENSORS {mark(f"{what}: name of tensors")} float
{_rows(((0, 0, 1),) * 12)}PEDIGREE_IDS {mark(f"{what}: name of textual identifiers")} string
{mark(f"{what}: a textual identifier")}
b
c
d
FIELD {mark(f"{what}: name of a field")} 1
{_percent(mark(f"{what}: name of an array, percent-encoded"))} 1 4 float
0.5 0.5 0.5 0.5
"""
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def vtk_binary(folder: Path, mark: Marks) -> Path:
    what = ".vtk mesh, binary"
    path = folder / f"{mark(f'{what}: file name', 'file name')}.vtk"
    note = mark(f"{what}: characters in field data").encode()
    scalars = mark(f"{what}: name of the scalars").encode()
    unused = mark(f"{what}: colours of a table that no array uses").encode().ljust(8)
    text = mark(f"{what}: string of a point").encode()
    path.write_bytes(
        b"".join(
            [
                b"# vtk DataFile Version 3.0\n",
                mark(f"{what}: title", accented=True).encode("latin-1") + b"\n",
                b"BINARY\nDATASET POLYDATA\nFIELD FieldData 1\n",
                b"note 1 %d char\n%s\n" % (len(note), note),
                b"POINTS 4 float\n" + b"".join(struct.pack(">3f", *point) for point in POINTS),
                b"\nPOLYGONS 4 16\n",
                b"".join(struct.pack(">4i", 3, *triangle) for triangle in TRIANGLES),
                b"\nPOINT_DATA 4\nSCALARS %s float\nLOOKUP_TABLE default\n" % scalars,
                struct.pack(">4f", 1, 2, 3, 4) + b"\n",
                b"LOOKUP_TABLE unused 2\n" + unused + b"\n",
                b"FIELD FieldData 1\nnotes 1 4 string\n",
                bytes([0xC0 + len(text)]) + text + b"\xc1b\xc1c\xc1d\n",
            ]
        )
    )
    return path


def _block(data: bytes, *, compressed: bool = False) -> bytes:
    """Return data as VTK's XML files hold it: a head of sizes, then the bytes, each in base64."""
    if not compressed:
        return base64.b64encode(struct.pack("<I", len(data)) + data)
    small = zlib.compress(data)
    head = struct.pack("<4I", 1, len(data), 0, len(small))
    return base64.b64encode(head) + base64.b64encode(small)


def _vtp(mark: Marks, what: str, *, compressed: bool) -> str:
    def numbers(values: bytes) -> str:
        return _block(values, compressed=compressed).decode()

    points = numbers(b"".join(struct.pack("<3f", *point) for point in POINTS))
    connectivity = numbers(struct.pack("<12i", *(index for one in TRIANGLES for index in one)))
    offsets = numbers(struct.pack("<4i", 3, 6, 9, 12))
    string = numbers(mark(f"{what}: string in base64").encode() + b"\0")
    note = mark(f"{what}: string as codes")
    compressor = ' compressor="vtkZLibDataCompressor"' if compressed else ""
    return f"""<?xml version="1.0"?>
<!-- {mark(f"{what}: comment")} -->
<?made by="{mark(f"{what}: processing instruction")}"?>
<VTKFile type="PolyData" version="0.1" byte_order="LittleEndian"{compressor}>
<PolyData note="{mark(f"{what}: unknown attribute")}">
<!-- {mark(f"{what}: comment further in")} -->
<FieldData>
<Array type="String" Name="{mark(f"{what}: name in field data")}" NumberOfTuples="1" format="ascii">
{_codes(note)}
</Array>
<Array type="String" Name="second" NumberOfTuples="1" format="binary">{string}</Array>
</FieldData>
<Piece NumberOfPoints="4" NumberOfVerts="0" NumberOfLines="0" NumberOfStrips="0" NumberOfPolys="4">
<PointData Scalars="{mark(f"{what}: name of the active scalars")}">
<DataArray type="Float32" Name="{mark(f"{what}: name of an array")}" format="ascii">
1 2 3 4
<InformationKey name="{mark(f"{what}: name of an information key")}" location="here">
{mark(f"{what}: value of an information key")}
</InformationKey>
</DataArray>
</PointData>
<CellData Tensors="{mark(f"{what}: name of an array that does not exist")}"><![CDATA[
{mark(f"{what}: characters between elements")}
]]></CellData>
<Points>
<DataArray type="Float32" Name="{mark(f"{what}: name of the points")}" NumberOfComponents="3" \
ComponentName0="{mark(f"{what}: name of a component")}" format="binary">{points}</DataArray>
</Points>
<Polys>
<DataArray type="String" Name="{mark(f"{what}: name of another array of cells")}"/>
<DataArray type="Int32" Name="connectivity" format="binary">{connectivity}</DataArray>
<DataArray type="Int32" Name="offsets" format="binary">{offsets}</DataArray>
</Polys>
</Piece>
</PolyData>
</VTKFile>
<!-- {mark(f"{what}: comment at the end")} --><?made {mark(f"{what}: instruction at the end")}?>
"""


def vtp(folder: Path, mark: Marks) -> Path:
    what = ".vtp"
    path = folder / f"{mark(f'{what}: file name', 'file name')}.vtp"
    path.write_text(_vtp(mark, what, compressed=False), encoding="utf-8", newline="\n")
    return path


def vtp_compressed(folder: Path, mark: Marks) -> Path:
    what = ".vtp, compressed"
    path = folder / f"{mark(f'{what}: file name', 'file name')}.vtp"
    path.write_text(_vtp(mark, what, compressed=True), encoding="utf-8", newline="\n")
    return path


def vtp_appended(folder: Path, mark: Marks) -> Path:
    what = ".vtp, appended"
    arrays = [
        b"".join(struct.pack("<3f", *point) for point in POINTS),
        struct.pack("<12i", *(index for one in TRIANGLES for index in one)),
        struct.pack("<4i", 3, 6, 9, 12),
        mark(f"{what}: string").encode() + b"\0",
        mark(f"{what}: block that no array names").encode() + b"\0",
    ]
    blocks = [struct.pack("<I", len(data)) + data for data in arrays]
    starts = [sum(map(len, blocks[:number])) for number in range(len(blocks))]
    head = f"""<VTKFile type="PolyData" version="0.1" byte_order="LittleEndian">
<PolyData>
<FieldData>
<Array type="String" Name="note" NumberOfTuples="1" format="appended" offset="{starts[3]}"/>
</FieldData>
<Piece NumberOfPoints="4" NumberOfVerts="0" NumberOfLines="0" NumberOfStrips="0" NumberOfPolys="4">
<Points>
<DataArray type="Float32" NumberOfComponents="3" format="appended" offset="{starts[0]}"/>
</Points>
<Polys>
<DataArray type="Int32" Name="connectivity" format="appended" offset="{starts[1]}"/>
<DataArray type="Int32" Name="offsets" format="appended" offset="{starts[2]}"/>
</Polys>
</Piece>
</PolyData>
<AppendedData encoding="raw">
_"""
    path = folder / f"{mark(f'{what}: file name', 'file name')}.vtp"
    path.write_bytes(head.encode() + b"".join(blocks) + b"\n</AppendedData>\n</VTKFile>\n")
    return path


def stl_text(folder: Path, mark: Marks) -> Path:
    what = ".stl, text"
    facets = "".join(
        "facet normal 0 0 1\nouter loop\n"
        + _rows(tuple(POINTS[index] for index in triangle), "vertex ")
        + "endloop\nendfacet\n"
        for triangle in TRIANGLES
    )
    path = folder / f"{mark(f'{what}: file name', 'file name')}.stl"
    path.write_text(
        f"solid {mark(f'{what}: name of the solid')}\n"
        f"color 1 0 0 {mark(f'{what}: text behind a colour')}\n{facets}"
        f"endsolid {mark(f'{what}: name at its end')}\n",
        encoding="utf-8",
        newline="\n",
    )
    return path


def stl_binary(folder: Path, mark: Marks) -> Path:
    what = ".stl, binary"
    header = f"made by {mark(f'{what}: header')}".encode().ljust(73)
    header += mark(f"{what}: end of the header").encode()
    corners = [[value for index in one for value in POINTS[index]] for one in TRIANGLES]
    facets = b"".join(struct.pack("<12fH", 0, 0, 1, *values, 0) for values in corners)
    path = folder / f"{mark(f'{what}: file name', 'file name')}.stl"
    path.write_bytes(header + struct.pack("<I", len(TRIANGLES)) + facets)
    return path


#: How a mesh of each format is written.
FORMATS: dict[str, Writer] = {
    "vtk-text": vtk_text,
    "vtk-binary": vtk_binary,
    "vtp": vtp,
    "vtp-compressed": vtp_compressed,
    "vtp-appended": vtp_appended,
    "stl-text": stl_text,
    "stl-binary": stl_binary,
}


def _after(write: Writer, what: str) -> Writer:
    def with_more(folder: Path, mark: Marks) -> Path:
        path = write(folder, mark)
        with path.open("ab") as file:
            file.write(mark(f"{what}: text after the end").encode() + b"\n")
        return path

    return with_more


def _with(write: Writer, what: str, old: bytes, new: bytes) -> Writer:
    """Write a file in which `new` stands for `old`, with a marker for each %b in it."""

    def with_other(folder: Path, mark: Marks) -> Path:
        path = write(folder, mark)
        data = path.read_bytes()
        assert old in data
        marker = mark(what).encode()
        path.write_bytes(data.replace(old, new.replace(b"%b", marker), 1))
        return path

    return with_other


_POINT_DATA = b"\nPOINT_DATA 4\n"
_TEXT_OF_POINTS = _POINT_DATA + b"FIELD notes 1\nnote 1 7 char\n%b\n"
_TEXT_AT_POINTS = _POINT_DATA + b"FIELD notes 1\nnote 7 4 char\n%b%b%b%b\n"
_TEXT_OF_CELLS = b"\nCELL_DATA 4\nFIELD notes 1\nnote 1 7 unsigned_char\n%b" + _POINT_DATA
_COLORS = _POINT_DATA + b"COLOR_SCALARS note 7\n%b%b%b%b\n"
_UNSTRUCTURED = b"\nDATASET UNSTRUCTURED_GRID\nFIELD notes 1\nnote 1 7 char\n%b" + _POINT_DATA
_ENTITY = b"<!DOCTYPE VTKFile [<!ENTITY note '%b'>]>\n<VTKFile "
_SECOND_POINTS = b"<Points><DataArray>%b</DataArray></Points>\n<Polys>"

#: Files with text where their format has no place for it: they may be refused, or scrubbed.
IRREGULAR: dict[str, Writer] = {
    "vtk-text": _after(vtk_text, ".vtk mesh, text"),
    "vtk-binary": _after(vtk_binary, ".vtk mesh, binary"),
    "vtp": _after(vtp, ".vtp"),
    "stl-text": _after(stl_text, ".stl, text"),
    "stl-binary": _after(stl_binary, ".stl, binary"),
    "vtk-field-of-points": _with(
        vtk_binary, "characters of more tuples than points", _POINT_DATA, _TEXT_OF_POINTS
    ),
    "vtk-field-at-points": _with(
        vtk_binary, "characters at each point", _POINT_DATA, _TEXT_AT_POINTS
    ),
    "vtk-field-of-cells": _with(
        vtk_binary, "characters of more tuples than cells", _POINT_DATA, _TEXT_OF_CELLS
    ),
    "vtk-colors": _with(vtk_binary, "colours of seven components", _POINT_DATA, _COLORS),
    "vtk-two-datasets": _with(vtk_binary, "second dataset", _POINT_DATA, _UNSTRUCTURED),
    "vtk-comment": _with(vtk_text, "comment of a text", b"\nPOLYGONS", b"\n# %b\nPOLYGONS"),
    "vtp-entity": _with(vtp, "entity", b"<VTKFile ", _ENTITY),
    "vtp-two-points": _with(vtp, "second points", b"<Polys>", _SECOND_POINTS),
    "stl-comment": _with(stl_text, "comment of a text", b"\nendloop", b"\n# %b\nendloop"),
}
