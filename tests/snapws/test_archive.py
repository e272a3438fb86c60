"""Archives: exact, deterministic, whole or not at all, and silent about people."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Extension, Nifti1Header, Nifti1Image

from snapws import (
    ArchiveError,
    ImageDamaged,
    ImageUnsupported,
    LayerFileMissing,
    LayerNotFound,
    MeshUnsupported,
    Workspace,
    archive,
)
from snapws.labels import Label
from snapws.registry import xml_format
from snapws.verify import verify_archive
from tests.conformance.replay import RECORDINGS
from tests.snapws.images.test_images import ARCHIVED, CUT_SHORT

SEGMENTATION_OPACITY = "ProjectMetaData.IRIS.LabelState.SegmentationAlpha"

write_archive = archive.archive


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_archive_is_the_same_workspace(base, tmp_path):
    base.layers()[1].transform = np.diag([1.5, 1, 1, 1])
    base.layers()[1].display.color_map = "Jet"
    base.layers()[3].display.set_linear_contrast(10, 20)
    base.main.registry[SEGMENTATION_OPACITY] = "0.25"
    base.labels = [Label(1, "one", (1, 2, 3), 100, False, True)]
    base.add_time_point("ED", tags={"first"})
    base.add_landmark((1, 2, 3), "tip")
    report = write_archive(base, tmp_path / "out" / "ticket.itksnap")
    assert [path.name for path in report.files] == [
        "layer_000_32fc5ba66915f062173221c590709c2f.nii.gz",
        "layer_001_4929542ec200ab5a9f879064f466729c.nii.gz",
        "layer_002_e1a661881d282832bcd2f5d26d3f902a.nii.gz",
        "layer_003_f57514c8034741c7be454e3c44eba235.nii.gz",
        "ticket.itksnap",
    ]
    assert report.workspace == tmp_path / "out" / "ticket.itksnap"
    assert sorted(content(tmp_path / "out")) == sorted(path.name for path in report.files)

    (tmp_path / "out").rename(tmp_path / "moved")
    archived = Workspace.open(tmp_path / "moved" / "ticket.itksnap")
    for ours, source in zip(archived.layers(), base.layers(), strict=True):
        assert ours.path.parent == tmp_path / "moved"
        assert (ours.role, ours.tags, ours.nickname) == (source.role, source.tags, source.nickname)
        assert np.array_equal(ours.transform, source.transform)
        assert ours.display.color_map == source.display.color_map
        assert ours.display.contrast == source.display.contrast
        assert ours.registry.get(SEGMENTATION_OPACITY) == source.registry.get(SEGMENTATION_OPACITY)
    assert archived.labels == base.labels
    assert archived.time_points[0].nickname == "ED"
    assert archived.annotations[0].center == (1, 2, 3)
    assert [(text.kind, text.text) for text in report.kept] == [
        ("annotation text", "tip"),
        ("tags", "Target"),
        ("layer nickname", "T1"),
        ("label name", "one"),
        ("tags", "Alpha,Source,Zeta"),
        ("layer nickname", "Second image"),
        ("tags", "Seg,Source"),
        ("time point nickname", "ED"),
        ("tags", "first"),
    ]


def test_the_source_is_not_changed(base, tmp_path):
    before = base.registry.copy()
    write_archive(base, tmp_path / "out")
    assert base.registry == before
    assert (tmp_path / "out" / "workspace.itksnap").exists()


def test_the_same_input_gives_the_same_bytes(base, inputs, tmp_path, monkeypatch):
    write_archive(base, tmp_path / "one")
    elsewhere = inputs.rename(tmp_path / "another place")
    os.utime(elsewhere / "a.nii.gz", (1, 1))
    monkeypatch.setenv("USER", "somebody")
    write_archive(Workspace.open(elsewhere / "base.itksnap"), tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_names_can_be_kept(base, tmp_path):
    report = write_archive(base, tmp_path / "out", names="keep")
    assert [path.name for path in report.files][:2] == ["layer_000_a.nii.gz", "layer_001_b.nii.gz"]
    assert Workspace.open(report.workspace).layer("M").path.name == "layer_000_a.nii.gz"


MARKER = "JANE_DOE_1970"


def test_no_marker_survives_outside_the_typed_texts(tmp_path):
    """A name in every place that this version knows of; the scanner knows the markers alone."""
    home = tmp_path / f"{MARKER}_home"
    home.mkdir()
    image = Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.diag([2.0, 2, 2, 1]))
    for field in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        image.header[field] = MARKER[:13]
    image.header["cal_max"], image.header["toffset"] = 13, 17
    image.header.extensions.append(Nifti1Extension("comment", MARKER.encode()))
    nibabel.save(image, home / "image.nii")
    with (
        (home / f"{MARKER}.nii.gz").open("wb") as file,
        gzip.GzipFile(f"{MARKER}.nii", "wb", fileobj=file) as zipped,
    ):
        zipped.write((home / "image.nii").read_bytes())

    workspace = Workspace()
    workspace.add_anatomical(home / f"{MARKER}.nii.gz", nickname=MARKER, tags={"T1"})
    overlay = workspace.add_overlay(home / "image.nii")
    registry = workspace.registry
    registry[f"Unknown.{MARKER}"] = MARKER
    registry["Layers.Layer[000].IOHints.DICOM.SeriesDescription"] = MARKER
    registry["Layers.Layer[000].ProjectMetaData.IOHistory.AnatomicImage.Element[0]"] = MARKER
    registry["Layers.Layer[000].LayerMetaData.Alpha"] = MARKER
    registry["Layers.Layer[007].AbsolutePath"] = MARKER  # behind a gap
    registry["Annotations.Annotations.Element[5].Color"] = MARKER
    registry["Annotations.Annotations.Comment"] = MARKER
    registry["TimePointProperties.Patient"] = MARKER
    overlay.display.color_map = MARKER
    overlay.registry["LayerMetaData.DisplayMapping.SelectedScalarRep"] = MARKER
    overlay.registry["ImageTransform.Matrix.Element[0][0]"] = f"1 {MARKER}"
    workspace.labels = [Label(1, MARKER)]
    table = workspace.main.registry.folder("ProjectMetaData.IRIS.LabelTable")
    table["Element[9].Label"] = MARKER  # left behind by another program
    workspace.add_landmark((1, 2, 3), MARKER)
    workspace.add_time_point(MARKER)
    workspace.comments = (MARKER,)
    workspace.save(home / f"{MARKER}.itksnap")

    report = write_archive(workspace, tmp_path / "out")
    assert sorted(text.kind for text in report.kept if MARKER in text.text) == [
        *["annotation text", "label name", "layer nickname", "time point nickname"]
    ]
    assert report.dropped[f"Unknown.{MARKER}"] == 1
    assert MARKER not in str(list(report.dropped.values()))

    found = []
    for path in (tmp_path / "out").iterdir():
        data = path.read_bytes()
        assert MARKER not in path.name
        if path.suffix == ".gz":
            assert data[3] == 0  # gzip: no name, comment or extra field
            assert data[4:8] == bytes(4)  # and no time
            data += gzip.decompress(data)
        assert MARKER[:13].encode() not in data or path.suffix == ".itksnap"
        found += [line for line in data.splitlines() if MARKER[:8].encode() in line]
    assert len(found) == len([text for text in report.kept if MARKER in text.text])


#: Digits that could be somebody's, where a number of another kind belongs.
DIGITS = "19700413"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("LayerMetaData.Alpha", f"555 {DIGITS}"),
        ("LayerMetaData.Sticky", DIGITS),
        ("LayerMetaData.DisplayMapping.SelectedComponent", DIGITS),
        (f"LayerMetaData.DisplayMapping.Curve.ControlPoint[{DIGITS}].tValue", "1"),
        (f"ImageTransform.Matrix.Element[{DIGITS}][0]", "1"),
        ("ProjectMetaData.Files.Grey.Dimensions", f"12 10 8 {DIGITS}"),
    ],
)
def test_digits_do_not_pass_for_numbers(base, tmp_path, key, value):
    base.main.registry[key] = value
    report = write_archive(base, tmp_path / "out")
    assert DIGITS not in report.workspace.read_text()


def test_header_fields_that_mean_nothing_hold_nothing(tmp_path):
    """Text hidden in the bytes of numbers that this header does not use."""
    header = Nifti1Header(endianness="<")
    header.set_data_shape((3, 4, 5))
    header.set_data_dtype(np.int16)
    header["pixdim"][1:4] = 1
    header["vox_offset"] = 352
    block = bytearray(header.binaryblock + b"\0" * 4)
    hidden = {48: b"DIMENSIO", 92: b"PIXDIM_4_TO_7_BY", 56: b"INTENT_PARAM"}
    hidden[256] = b"QUATERN_QOFFSET_ABCDEFGH"
    hidden[280] = b"SROW_X_AND_Y_AND_Z_ARE_FORTY_EIGHT_BYTES_LONG_NO"
    for offset, text in hidden.items():
        block[offset : offset + len(text)] = text
    (tmp_path / "x.nii").write_bytes(bytes(block) + bytes(120))
    workspace = Workspace()
    workspace.add_anatomical(tmp_path / "x.nii")
    report = write_archive(workspace, tmp_path / "out")
    written = gzip.decompress(report.files[0].read_bytes())
    for text in hidden.values():
        assert text not in written
        assert text[:4] not in written


def test_a_file_in_the_way(base, tmp_path):
    (tmp_path / "out" / "x.itksnap").mkdir(parents=True)
    with pytest.raises(ArchiveError, match="is a folder"):
        write_archive(base, tmp_path / "out" / "x.itksnap")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.itksnap"]
    with pytest.raises(ArchiveError, match="is the workspace itself"):
        write_archive(base, base.path)
    with pytest.raises(ArchiveError, match="cannot write the archive .*too long"):
        write_archive(base, tmp_path / ("x" * 300))
    with pytest.raises(ArchiveError, match="not 'Hash'"):
        write_archive(base, tmp_path / "new", names="Hash")
    with pytest.raises(ArchiveError, match="not 'Strict'"):
        write_archive(base, tmp_path / "new", privacy="Strict")
    with pytest.raises(ArchiveError, match="between 1 and 9, not 0"):
        write_archive(base, tmp_path / "new", level=0)
    base.layers()[3].registry["Role"] = "JaneDoeRole"
    with pytest.raises(ArchiveError, match="layer 003 has the role 'JaneDoeRole'"):
        write_archive(base, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("truncated.nii.gz", ImageDamaged, "layer 001: .*1295 of 1920 bytes of voxels missing"),
        ("shear.nii.gz", ImageUnsupported, "layer 001: .*sheared"),
        ("notanimage.nii.gz", ImageUnsupported, "layer 001: "),
        ("empty.nii", ImageDamaged, "layer 001: .*empty"),
        ("nothing.nii.gz", LayerFileMissing, "layer 001: its file .* is not there: put it back"),
    ],
)
def test_after_an_error_nothing_is_left(base, tmp_path, name, error, message):
    base.layers()[1].file = base.folder / name
    with pytest.raises(error, match=message):
        write_archive(base, tmp_path / "new" / "folder" / "x.itksnap")
    assert not (tmp_path / "new").exists()


def test_what_was_there_stays(base, tmp_path):
    (tmp_path / "other.txt").write_text("mine")
    base.layers()[1].file = base.folder / "truncated.nii.gz"
    with pytest.raises(ImageDamaged):
        write_archive(base, tmp_path / "x.itksnap")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inputs", "other.txt"]


def test_what_cannot_be_archived(base, tmp_path):
    with pytest.raises(LayerNotFound, match="no main image"):
        write_archive(Workspace(), tmp_path / "out")
    base.layers()[1].file = "https://h.org/b.nii.gz"
    with pytest.raises(LayerFileMissing, match="layer 001 is at https"):
        write_archive(base, tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(ArchiveError, match="file is not a folder"):
        write_archive(Workspace.open(base.path), tmp_path / "file" / "x.itksnap")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, row in ARCHIVED.items()
        if "layer" in row and ".nii" in name and name not in CUT_SHORT
    ],
)
def test_geometry_and_voxels_stay_as_they_were(tmp_path, name):
    source = RECORDINGS / "inputs" / name
    workspace = Workspace()
    workspace.add_anatomical(source)
    report = write_archive(workspace, tmp_path / "out")
    assert report.files[0].name == ARCHIVED[name]["layer"]
    ours, before = nibabel.load(report.files[0]), nibabel.load(source)
    assert np.array_equal(np.asanyarray(ours.dataobj), np.asanyarray(before.dataobj))
    assert np.array_equal(ours.affine, before.affine)
    for form in ("get_qform", "get_sform"):
        (left, left_code), (right, right_code) = (
            getattr(image.header, form)(coded=True) for image in (ours, before)
        )
        assert left_code == right_code
        assert np.array_equal(left, right)


def test_the_workspace_of_an_archive_is_canonical(base, tmp_path):
    report = write_archive(base, tmp_path / "out")
    data = report.workspace.read_bytes()
    assert xml_format.to_bytes(xml_format.parse(data, "x").registry) == data


def test_strict_archives_hold_nothing_typed_but_tags(base, tmp_path):
    base.layers()[1].nickname = "Jane's T2"
    base.layers()[2].tags = ("Brain",)
    base.labels = [Label(7, "Jane's tumour"), Label(9, "")]
    base.add_time_point("Jane at 3", tags={"Jane"})
    base.add_landmark((1, 2, 3), "Jane's tip")
    base.add_mesh(base.folder / "tri.vtk", nickname="Jane's cortex", tags={"Surface"})
    before = base.registry.copy()
    report = write_archive(base, tmp_path / "out", privacy="strict")
    assert base.registry == before
    assert b"Jane" not in report.workspace.read_bytes()
    ours = Workspace.open(report.workspace)
    assert [layer.nickname for layer in ours.layers()][1] == "Layer 001"
    assert [label.name for label in ours.labels] == ["Label 7", "Label 9"]
    assert ours.meshes()[0].nickname == "Mesh 000"
    assert ours.time_points[-1].nickname.startswith("Time point ")
    assert ours.time_points[-1].tags == ()
    assert ours.annotations[0].text == "Annotation 0"
    assert {text.kind for text in report.kept} == {"tags"}
    assert len(report.kept) == len([one for one in (*base.layers(), *base.meshes()) if one.tags])
    assert ours.layer(tag="Brain").number == 2
    assert verify_archive(tmp_path / "out", base) == ()


def test_meshes_go_along(base, tmp_path):
    mesh = base.add_mesh(base.folder / "tri.vtk", nickname="Cortex", tags={"Surface"})
    mesh.add_polydata(base.folder / "tri.stl")
    mesh.add_polydata(base.folder / "tri.vtk", time_point=2)
    report = write_archive(base, tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "moved")
    (ours,) = Workspace.open(tmp_path / "moved" / "workspace.itksnap").meshes()
    assert (ours.nickname, ours.tags, ours.type) == ("Cortex", ("Surface",), mesh.type)
    assert [one[:2] for one in ours.polydata()] == [(1, 0), (1, 1), (2, 0)]
    for one in ours.polydata():
        data = Path(one.file).read_bytes()
        name = f"mesh_000_{one.time_point:03d}_{one.number:03d}_{hashlib.md5(data).hexdigest()}"
        assert Path(one.file) == tmp_path / "moved" / (name + Path(one.file).suffix)
    assert len(report.files) == len(base.layers()) + 3 + 1
    assert verify_archive(tmp_path / "moved", base) == ()


def test_a_mesh_that_cannot_be_scrubbed(base, tmp_path):
    (tmp_path / "scene.vrml").write_text("#VRML V2.0 utf8\n# Jane Doe")
    base.add_mesh(tmp_path / "scene.vrml")
    with pytest.raises(MeshUnsupported, match=r"mesh:0: .*scene.vrml"):
        write_archive(base, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    report = write_archive(base, tmp_path / "out", unscrubbed_meshes=True)
    (file,) = report.unscrubbed
    assert file.read_text() == "#VRML V2.0 utf8\n# Jane Doe"
    assert [problem.where for problem in verify_archive(tmp_path / "out")] == ["mesh:0"]
    base.meshes()[0].registry["MeshTimePoints.TimePoint[001].PolyData[000].AbsolutePath"] = "/no"
    with pytest.raises(LayerFileMissing, match="mesh:0: its file /no is not there"):
        write_archive(base, tmp_path / "new")


def test_layers_of_an_archive_are_taken_as_they_are(base, tmp_path):
    first = write_archive(base, tmp_path / "first", level=9)
    assert first.taken == ()
    ticket = Workspace.open(first.workspace)
    ticket.layers()[0].nickname = "New"
    ticket.remove(ticket.layers()[3])
    ticket.add_overlay(base.layers()[3].path)
    second = write_archive(ticket, tmp_path / "second")
    assert [path.name for path in second.taken] == [path.name for path in first.files[:3]]
    for one, other in zip(first.files[:3], second.files[:3], strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert not one.samefile(other)
    assert second.files[3].read_bytes() != first.files[3].read_bytes()
    assert verify_archive(tmp_path / "second", base) == ()


@pytest.mark.parametrize(
    "spoil",
    ["voxel", "header", "gzip name", "gzip time", "second member", "behind the voxels", "a copy"],
)
def test_a_layer_that_only_seems_archived_is_archived_afresh(base, tmp_path, spoil):
    first = write_archive(base, tmp_path / "first").files[0]
    clean = gzip.decompress(first.read_bytes())
    spoiled = {
        "voxel": gzip.compress(clean[:-1] + b"x", mtime=0),
        "header": gzip.compress(clean[:148] + b"JaneDoe" + clean[155:], mtime=0),
        "gzip name": b"\x1f\x8b\x08\x08"
        + first.read_bytes()[4:10]
        + b"JaneDoe\0"
        + first.read_bytes()[10:],
        "gzip time": gzip.compress(clean, mtime=17),
        "second member": first.read_bytes() + gzip.compress(b"JaneDoe", mtime=0),
        "behind the voxels": gzip.compress(clean + b"JaneDoe", mtime=0),
        "a copy": gzip.compress(clean, mtime=0),
    }[spoil]
    first.write_bytes(spoiled)
    ticket = Workspace.open(tmp_path / "first" / "workspace.itksnap")
    report = write_archive(ticket, tmp_path / "second")
    assert (report.files[0] in report.taken) is (spoil == "a copy")
    assert verify_archive(tmp_path / "second") == ()
    written = report.files[0].read_bytes()
    assert b"JaneDoe" not in written + gzip.decompress(written)


def test_levels_trade_time_for_size(base, tmp_path):
    base.layers()[0].file = RECORDINGS / "inputs" / "t4d.nii.gz"
    contents = []
    for level in (1, 3, 9):
        report = write_archive(base, tmp_path / str(level), level=level)
        contents.append([gzip.decompress(path.read_bytes()) for path in report.files[:-1]])
        assert verify_archive(tmp_path / str(level), base) == ()
    assert contents[0] == contents[1] == contents[2]


def test_the_report_as_a_record(base, tmp_path):
    base.layers()[1].nickname = "T2"
    base.registry["Layers.Layer[001].ProjectMetaData.Unknown"] = "Jane Doe"
    report = write_archive(base, tmp_path / "out")
    record = json.loads(json.dumps(report.record()))
    assert record["workspace"] == "workspace.itksnap"
    assert record["files"][0] == {
        "name": report.files[0].name,
        "bytes": report.files[0].stat().st_size,
    }
    key = "Layers.Layer[001].LayerMetaData.CustomNickName"
    assert {"kind": "layer nickname", "key": key, "text": "T2"} in record["kept"]
    assert record["dropped"]["Layers.Layer[].ProjectMetaData.Unknown"] == 1
    assert "Jane" not in json.dumps(record)
    assert str(tmp_path) not in json.dumps(record)


def test_names_that_are_kept_are_listed(base, tmp_path):
    report = write_archive(base, tmp_path / "out", names="keep", privacy="strict")
    kept = [text.text for text in report.kept if text.kind == "file name"]
    assert kept == [path.name for path in report.files[:-1]]


def test_a_mesh_of_which_nothing_is_documented_but_its_file(base, tmp_path):
    base.add_mesh(base.folder / "tri.vtk")
    folder = base.meshes()[0].registry
    for key, _ in list(folder.walk()):
        if not key.endswith("AbsolutePath"):
            folder[key] = "Jane Doe"
    write_archive(base, tmp_path / "out", privacy="strict")
    assert b"Jane" not in (tmp_path / "out" / "workspace.itksnap").read_bytes()
    assert len(Workspace.open(tmp_path / "out" / "workspace.itksnap").meshes()[0].polydata()) == 1
