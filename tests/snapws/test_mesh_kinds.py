"""Which files are meshes: by what is in them, whatever they are called."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

from snapws import mesh_formats
from snapws.archive import archive
from snapws.check import check_workspace
from snapws.errors import MeshDamaged, MeshError, MeshUnsupported
from snapws.mesh_formats import kinds
from tests.snapws.mesh_samples import TRIANGLE, Vtp, binary_stl, f4, i4, legacy

POINTS = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0)], "f4")
CORNERS = np.array([(0, 1, 2)], "i4")
LETTER = b"Dear colleague,\n\nas to the patient of last week: he is well.\n\nYours\n"
GRID = legacy("ASCII", "POINTS 3 float", f4(*POINTS.ravel()), "CELLS 1 4", i4(3, 0, 1, 2))
IMAGE = (
    b"# vtk DataFile Version 3.0\nscan\nASCII\nDATASET STRUCTURED_POINTS\nDIMENSIONS 1 1 1\n"
    b"SPACING 1 1 1\nORIGIN 0 0 0\nPOINT_DATA 1\nSCALARS a int\nLOOKUP_TABLE default\n7\n"
)
PLY = (
    b"ply\nformat ascii 1.0\ncomment by Jane\nelement vertex 3\nproperty float x\n"
    b"property float y\nproperty float z\nelement face 1\n"
    b"property list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
)
OBJ = (
    b"# by Jane\no part\nv 0 0 0\nv 1.5 -1e-3 .5\nv 0 1 0 0.5 0.5 1\nvn 0 0 1\n\nf 1//1 2//1 3//1\n"
)


def gifti(intent: str, values: np.ndarray) -> bytes:
    array = nibabel.gifti.GiftiDataArray(values, intent)
    return nibabel.gifti.GiftiImage(darrays=[array]).to_bytes()


def freesurfer(folder: Path) -> bytes:
    nibabel.freesurfer.write_geometry(folder / "lh.pial", POINTS, CORNERS, "by Jane")
    return (folder / "lh.pial").read_bytes()


def curvature(folder: Path) -> bytes:
    nibabel.freesurfer.write_morph_data(folder / "lh.curv", POINTS[:, 0])
    return (folder / "lh.curv").read_bytes()


def zipped(_: Path) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("a.obj", OBJ)
    return data.getvalue()


def nifti(_: Path) -> bytes:
    return nibabel.Nifti1Image(np.zeros((2, 2, 2), "i2"), np.eye(4)).to_bytes()


MESHES = {
    "scene.vrml": b"#VRML V2.0 utf8\n# by Jane\n",
    "scene.wrl": b"#VRML V1.0 ascii\n",
    "a.ply": PLY,
    "binary.ply": PLY.replace(b"ascii", b"binary_little_endian").replace(b"\n", b"\r\n", 1),
    "plain.ply": PLY.replace(b"comment by Jane\n", b""),
    "crlf.ply": PLY.replace(b"\n", b"\r\n"),
    "a.obj": OBJ,
    "crlf.obj": OBJ.replace(b"\n", b"\r\n").rstrip(),
    "a.off": b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n",
    "comment.off": b"OFF\n# by Jane\n\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n",
    "a.gii": gifti("NIFTI_INTENT_POINTSET", POINTS),
    "lh.pial": freesurfer,
    "grid.vtk": GRID.replace(b"POLYDATA", b"UNSTRUCTURED_GRID"),
    "new.vtk": legacy("ASCII", *TRIANGLE, version="6.0"),
    "more.vtk": legacy("ASCII", *TRIANGLE, "MORE 3"),
    "lz4.vtp": Vtp().file().replace(b"byte_order", b'compressor="vtkLZ4DataCompressor" byte_order'),
    "grid.vtu": Vtp().file().replace(b'"PolyData"', b'"UnstructuredGrid"'),
    "named.mesh": PLY,
}
OTHERS = {
    "letter.txt": LETTER,
    "letter.obj": LETTER,
    "letter.vrml": b"# " + LETTER,
    "verse.obj": b"v for victory\nf for freedom\n",
    "values.obj": b"v 1 2 3\nv 4 5 6\n",
    "id_rsa": b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n-----END OPENSSH PRIVATE KEY-----\n",
    "image.vtk": IMAGE,
    "image.ply": nifti,
    "image.vti": Vtp().file().replace(b'"PolyData"', b'"ImageData"'),
    "image.mesh": lambda folder: gzip.compress(nifti(folder), mtime=0),
    "values.gii": gifti("NIFTI_INTENT_SHAPE", POINTS),
    "lh.curv": curvature,
    "archive.obj": zipped,
    "empty.obj": b"",
    "page.vtu": b"<html><body>VTKFile of type PolyData</body></html>",
    "a.byu": b"1 3 1 3\n1 1\n0 0 0 1 0 0 0 1 0\n1 2 -3\n",
    "b.y": b"1 3 1 3\n1 1\n0 0 0 1 0 0 0 1 0\n1 2 -3\n",
    "mesh.byu": PLY,
}
DAMAGED = {
    "letter.vtk": LETTER,
    "nifti.vtk": nifti,
    "ply.vtk": PLY,
    "letter.vtp": LETTER,
    "letter.stl": LETTER,
    "stl.vtk": binary_stl(2),
    "cut.vtk": legacy("ASCII", *TRIANGLE)[:-3],
    "cut.stl": binary_stl(2)[:-1],
}


def written(folder: Path, name: str, files: dict[str, object]) -> Path:
    data = files[name]
    content = data(folder) if callable(data) else data
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("name", MESHES)
def test_a_mesh_that_cannot_be_scrubbed_is_known_by_its_content(tmp_path, name):
    path = written(tmp_path, name, MESHES)
    found = mesh_formats.content(path)
    assert isinstance(found.refusal, MeshUnsupported)
    assert found.data == path.read_bytes()
    with pytest.raises(MeshUnsupported, match="save (the mesh|it) "):
        mesh_formats.scrubbed(path)


@pytest.mark.parametrize("name", [*OTHERS, *DAMAGED])
def test_a_file_that_is_no_mesh_is_never_taken(base, tmp_path, name):
    path = written(tmp_path, name, OTHERS | DAMAGED)
    base.add_mesh(path)
    for privacy in ("standard", "strict"):
        for unscrubbed in (True, False):
            with pytest.raises(MeshError) as refused:
                archive(base, tmp_path / "out", privacy=privacy, unscrubbed_meshes=unscrubbed)
            assert str(refused.value).startswith(f"mesh:0: {path}")
            assert isinstance(refused.value, MeshDamaged) == (name in DAMAGED)
            assert not (tmp_path / "out").exists()
    assert [one.where for one in check_workspace(base) if one.kind == "mesh"] == ["mesh:0"]


@pytest.mark.parametrize("name", ["a.byu", "b.y", "A.BYU"])
def test_a_byu_mesh_is_refused_with_the_remedy(base, tmp_path, name):
    (tmp_path / name).write_bytes(OTHERS["a.byu"])
    mesh = base.add_mesh(tmp_path / name)
    assert mesh.polydata()[0].format == "BYU Mesh"  # as the reference tool stores it
    with pytest.raises(MeshUnsupported, match="ITK-SNAP opens no .* convert it to .vtk or .vtp"):
        archive(base, tmp_path / "out")


@pytest.mark.parametrize("cut", [1, 3])
def test_numbers_that_go_on_and_on_cost_no_more_than_their_length(cut):
    """Digits can be split in many ways; the pattern of a number has one."""
    line = b"v " + b" ".join([b"1" * 32] * 3) + b"x\n"
    assert not kinds.is_mesh(line * 1000)
    assert not kinds.is_mesh(b"v " + b" ".join([b"1" * 40_000] * cut) + b"\n")
    assert not kinds.is_mesh(b"<" + b"<VTKFile " * 7000)
    assert not kinds.is_mesh(b"<NIFTI_INTENT_POINTSET" + b"<GIFTI_ " * 7000)
    assert not kinds.is_mesh(b"ply\nformat ascii 1.0\n" + b"\nelement verte" * 4000)
