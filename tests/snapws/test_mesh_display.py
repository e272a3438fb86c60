"""How meshes are shown, and in which coordinate system they are, stays in archives."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest

from snapws import Workspace, mesh_formats
from snapws.archive import archive
from snapws.comparison import compare_workspaces
from snapws.verify import verify_archive

MESH = """# vtk DataFile Version 4.2
{title}
ASCII
DATASET POLYDATA
{field}POINTS 3 float
0 0 0 1 0 0 0 1 0
POLYGONS 1 4
3 0 1 2
POINT_DATA 3
FIELD FieldData 2
{first} 1 3 float
1 2 3
{second} 1 3 float
4 5 6
"""
STL = """solid {title}
facet normal 0 0 1
outer loop
vertex 0 0 0
vertex 1 0 0
vertex 0 1 0
endloop
endfacet
endsolid
"""


def mesh(path: Path, title="x", field="", first="Dr%20Jones%20area", second="Normals") -> Path:
    path.write_text(MESH.format(title=title, field=field, first=first, second=second))
    return path


@pytest.fixture
def study(tmp_path) -> Workspace:
    folder = tmp_path / "study"
    folder.mkdir()
    image = nibabel.Nifti1Image(np.zeros((4, 3, 2), np.int16), np.eye(4))
    nibabel.save(image, folder / "t1.nii.gz")
    workspace = Workspace()
    workspace.set_main(folder / "t1.nii.gz")
    workspace.save(folder / "w.itksnap")
    return workspace


# ------------------------------------------------------------------------------ coordinate systems

TITLES = [
    ("ITK-SNAP coord sys for 3D Slicer: SPACE=RAS", b"SPACE=RAS"),
    ("3D Slicer output. SPACE=LPS", b"SPACE=LPS"),
    ("SPACE=LPS of Jane Doe\r", b"SPACE=LPS"),
    ("SPACE=Jane", b""),
    ("SPACE=RASMUS", b""),
    ("MYSPACE=RAS", b""),
    ("space=ras", b""),
]


@pytest.mark.parametrize(("title", "token"), TITLES)
def test_the_token_of_a_title_stays_and_nothing_else(tmp_path, title, token):
    data = mesh_formats.scrubbed(mesh(tmp_path / "a.vtk", title))
    assert data.split(b"\n")[1] == (token or b"vtk output")
    assert mesh_formats.scrub(data, tmp_path / "a.vtk") == data


@pytest.mark.parametrize(("title", "token"), TITLES)
def test_the_token_of_an_stl_title_stays_and_nothing_else(tmp_path, title, token):
    (tmp_path / "a.stl").write_bytes(STL.format(title=title).encode())
    data = mesh_formats.scrubbed(tmp_path / "a.stl")
    assert data.split(b"\n")[0] == b"solid " + token if token else b"solid"
    assert mesh_formats.scrub(data, tmp_path / "a.stl") == data


@pytest.mark.parametrize(("title", "token"), TITLES)
def test_the_token_of_a_binary_stl_stays_and_nothing_else(tmp_path, title, token):
    triangle = struct.pack("<12fH", *[0.0] * 12, 7)
    (tmp_path / "a.stl").write_bytes(title.encode().ljust(80) + struct.pack("<I", 1) + triangle)
    data = mesh_formats.scrubbed(tmp_path / "a.stl")
    assert data[:80].rstrip(b"\0") == token
    assert mesh_formats.scrub(data, tmp_path / "a.stl") == data


@pytest.mark.parametrize(("text", "stays"), [("RAS", True), ("LPS", True), ("Jane", False)])
def test_the_array_that_says_the_coordinate_system_stays(tmp_path, text, stays):
    field = f"FIELD FieldData 2\nOWNER 1 1 string\nJane\nSPACE 1 1 string\n{text}\n"
    data = mesh_formats.scrubbed(mesh(tmp_path / "a.vtk", field=field))
    expected = f"FIELD FieldData 1\nSPACE 1 1 string\n{text}\nPOINTS 3 float".encode()
    assert (expected in data) is stays
    assert b"Jane" not in data
    assert mesh_formats.scrub(data, tmp_path / "a.vtk") == data


@pytest.mark.parametrize(("text", "stays"), [(b"LPS", True), (b"Doe", False)])
def test_the_array_of_a_binary_file_stays(tmp_path, text, stays):
    points = struct.pack(">9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)
    field = b"FIELD FieldData 1\nSPACE 1 1 string\n\xc3" + text + b"\n"
    (tmp_path / "a.vtk").write_bytes(
        b"# vtk DataFile Version 4.2\nx\nBINARY\nDATASET POLYDATA\n"
        + field
        + b"POINTS 3 float\n"
        + points
        + b"\nPOLYGONS 1 4\n"
        + struct.pack(">4i", 3, 0, 1, 2)
        + b"\n"
    )
    data = mesh_formats.scrubbed(tmp_path / "a.vtk")
    assert (field in data) is stays
    assert (b"Doe" in data) is False
    assert mesh_formats.scrub(data, tmp_path / "a.vtk") == data


def encoded(text: bytes, *, packed: bool) -> str:
    body = text + b"\0"
    if packed:
        block = zlib.compress(body)
        header = struct.pack("<4I", 1, len(body), 0, len(block))
        return (base64.b64encode(header) + base64.b64encode(block)).decode()
    return base64.b64encode(struct.pack("<I", len(body)) + body).decode()


@pytest.mark.parametrize("form", ["ascii", "binary", "packed"])
@pytest.mark.parametrize(("text", "stays"), [(b"RAS", True), (b"Doe", False), (b"Jane Doe", False)])
def test_the_array_of_a_vtp_file_stays(tmp_path, form, text, stays):
    codes = " ".join(map(str, text + b"\0"))
    content = codes if form == "ascii" else encoded(text, packed=form == "packed")
    compressor = ' compressor="vtkZLibDataCompressor"' if form == "packed" else ""
    (tmp_path / "a.vtp").write_text(
        f'<VTKFile type="PolyData" version="0.1" byte_order="LittleEndian"{compressor}><PolyData>'
        '<FieldData><Array type="String" Name="SPACE" NumberOfTuples="1" '
        f'format="{"ascii" if form == "ascii" else "binary"}">{content}</Array></FieldData>'
        '<Piece NumberOfPoints="3" NumberOfVerts="0" NumberOfLines="0" NumberOfStrips="0" '
        'NumberOfPolys="0"><Points><DataArray type="Float32" NumberOfComponents="3" '
        'format="ascii">0 0 0 1 0 0 0 1 0</DataArray></Points></Piece></PolyData></VTKFile>'
    )
    data = mesh_formats.scrubbed(tmp_path / "a.vtp")
    assert (b'Name="SPACE"' in data) is stays
    assert (b">82 65 83 0<" in data) is stays
    assert mesh_formats.scrub(data, tmp_path / "a.vtp") == data


# ------------------------------------------------------------------------------------ display


def described(workspace: Workspace, file: Path, names: list[str]) -> None:
    """Add a mesh and say how its arrays are shown."""
    registry = workspace.add_mesh(file).registry
    registry["SolidColor"], registry["SliceViewOpacity"] = "1 0.149126 0", "0.5"
    registry["Owner"] = "Jane Doe"
    for number, name in enumerate(names):
        array = registry.make_folder(f"DataArrayProperties.DataArray[{number:03d}]")
        array["ArrayName"], array["ArrayType"] = name, "PointData"
        array["ActiveVectorMode"], array["ActiveComponent"] = "Magnitude", "0"
        array["ColorMap.Preset"] = "Jet" if number else "Cool"
        array["IntensityCurve.NumberOfControlPoints"] = "2"
        for point in ("0", "1", "2"):
            array[f"IntensityCurve.ControlPoint[{point}].tValue"] = point
        array["Typist"] = "Jane Doe"


def test_keys_of_meshes_stay_with_neutral_names(study, tmp_path):
    names = ["Of no file", "Dr Jones area", "Normals"]
    described(study, mesh(study.folder / "a.vtk"), names)
    archive(study, tmp_path / "out")
    archived = Workspace.open(tmp_path / "out" / "workspace.itksnap")
    text = (tmp_path / "out" / "workspace.itksnap").read_text()
    assert "Jane" not in text
    assert "Jones" not in text
    (layer,) = archived.meshes()
    assert layer.registry["SolidColor"] == "1 0.149126 0"
    assert layer.registry["SliceViewOpacity"] == "0.5"
    arrays = layer.registry.folder("DataArrayProperties")
    assert sorted(arrays.folders) == ["DataArray[000]", "DataArray[001]"]
    first, second = (arrays.folder(name) for name in sorted(arrays.folders))
    assert first["ArrayName"] == "array_0"
    assert second["ArrayName"] == "Normals"
    assert first["ColorMap.Preset"] == "Jet"
    assert first["IntensityCurve.ControlPoint[1].tValue"] == "1"
    assert first.folder("IntensityCurve.ControlPoint[2]") is None
    data = Path(layer.polydata()[0].file).read_bytes()
    assert b"\narray_0 1 3 float\n" in data
    assert b"\nNormals 1 3 float\n" in data


def test_an_archive_with_keys_of_meshes_is_verified_and_archived_again(study, tmp_path):
    described(study, mesh(study.folder / "a.vtk"), ["Dr Jones area", "Normals"])
    study.save()
    archive(study, tmp_path / "out")
    path = tmp_path / "out" / "workspace.itksnap"
    assert verify_archive(path, study) == ()
    archive(Workspace.open(path), tmp_path / "again")
    assert (tmp_path / "again" / "workspace.itksnap").read_bytes() == path.read_bytes()
    assert compare_workspaces(study, Workspace.open(path)) == ()


def test_an_array_whose_name_stays_a_persons_is_a_problem_of_an_archive(study, tmp_path):
    described(study, mesh(study.folder / "a.vtk"), ["Dr Jones area"])
    archive(study, tmp_path / "out")
    path = tmp_path / "out" / "workspace.itksnap"
    path.write_text(path.read_text().replace('"array_0"', '"Jane Doe"'))
    kinds = {problem.kind for problem in verify_archive(path)}
    assert kinds == {"privacy"}


def test_names_on_which_the_files_of_a_mesh_do_not_agree_are_left_out(study, tmp_path):
    described(study, mesh(study.folder / "a.vtk", first="A", second="B"), ["A", "B", "C"])
    study.meshes()[0].add_polydata(mesh(study.folder / "b.vtk", first="A", second="C"), 2)
    study.meshes()[0].add_polydata(mesh(study.folder / "c.vtk", first="B", second="A"), 3)
    archive(study, tmp_path / "out")
    (layer,) = Workspace.open(tmp_path / "out" / "workspace.itksnap").meshes()
    arrays = layer.registry.folder("DataArrayProperties")
    assert [one["ArrayName"] for one in arrays.folders.values()] == ["array_1"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("SolidColor", "0 1 0"),
        ("SliceViewOpacity", "0.25"),
        ("DataArrayProperties.DataArray[001].ColorMap.Preset", "Hot"),
        ("DataArrayProperties.DataArray[000].ActiveComponent", "1"),
    ],
)
def test_compare_sees_keys_of_meshes(study, key, value):
    described(study, mesh(study.folder / "a.vtk"), ["Dr Jones area", "Normals"])
    other = Workspace.open(study.save())
    assert compare_workspaces(study, other) == ()
    other.meshes()[0].registry[key] = value
    (difference,) = compare_workspaces(study, other)
    assert difference.place == "mesh:0"
