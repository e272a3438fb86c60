"""What the subcommands do to a workspace."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from snapws import ComponentMode, Label, Role, Workspace
from snapws.cli.frame import Saving


def opened(name: str = "study.itksnap") -> Workspace:
    return Workspace.open(name)


def test_a_new_user_gets_from_files_to_a_workspace(snapws, study):
    snapws("new fresh.itksnap t1.nii.gz --nickname T1 --tag Target")
    snapws("layers add fresh.itksnap t2.nii.gz --nickname T2 --color-map Jet --tag Source")
    snapws("layers add fresh.itksnap flair.nii.gz --nickname FLAIR")
    snapws("layers add fresh.itksnap seg.nii.gz --role segmentation --nickname Result")
    layers = opened("fresh.itksnap").layers()
    assert [layer.nickname for layer in layers] == ["T1", "T2", "FLAIR", "Result"]
    roles = [Role.MAIN, Role.OVERLAY, Role.OVERLAY, Role.SEGMENTATION]
    assert [layer.role for layer in layers] == roles
    assert layers[1].display.color_map == "Jet"
    printed = snapws("layers files fresh.itksnap --tag Source").stdout
    assert printed == f"{study / 't2.nii.gz'}\n"


def test_all_properties(snapws):
    line = "--contrast 0:0,10:0.25,20:1 --mode magnitude --opacity 35% --sticky --transform"
    np.savetxt("turned.mat", np.loadtxt("affine.mat") + np.pad([[0.5]], ((0, 3), (3, 0))))
    snapws(f"layers set study.itksnap O:0 {line} turned.mat --tag B --tag A --nickname N")
    layer = opened().layer("O:0")
    assert layer.display.contrast == ((0, 0), (10, 0.25), (20, 1))
    assert layer.display.mode is ComponentMode.MAGNITUDE
    assert (layer.display.opacity, layer.display.sticky) == (0.35, True)
    assert (layer.tags, layer.nickname) == (("A", "B"), "N")
    assert np.array_equal(layer.transform, np.loadtxt("turned.mat"))
    snapws("layers set study.itksnap O:0 --contrast auto --component 2 --no-sticky --nickname=")
    layer = opened().layer("O:0")
    assert layer.display.contrast == ()
    assert (layer.display.mode, layer.display.component) == (ComponentMode.COMPONENT, 2)
    assert (layer.display.sticky, layer.nickname, layer.tags) == (False, "", ("A", "B"))
    snapws("layers set study.itksnap O:0 --contrast -5,5")
    assert opened().layer("O:0").display.contrast == ((-5, 0), (0, 0.5), (5, 1))


def test_colour_map_and_contrast_go_where_the_mode_that_is_set_with_them_has_them(snapws):
    study = opened()
    mapping = study.layer("O:0").registry.make_folder("LayerMetaData.DisplayMapping")
    for name in ("Component", "Magnitude"):
        mapping[f"{name}.ColorMap.Preset"] = "Grayscale"
    study.save()
    snapws("layers set study.itksnap O:0 --color-map Hot --contrast 0,9 --mode magnitude")
    display = opened().layer("O:0").display
    assert (display.color_map, display.contrast[0], display.contrast[2]) == ("Hot", (0, 0), (9, 1))
    display.show(ComponentMode.COMPONENT)
    assert (display.color_map, display.contrast) == ("Grayscale", ())


def test_an_opacity_is_meant_for_an_overlay_over_the_main_image(snapws):
    snapws("layers set study.itksnap O:0 --opacity 1")
    assert opened().layer("O:0").display.sticky
    snapws("layers set study.itksnap O:0 --opacity 0.8 --no-sticky")
    snapws("layers set study.itksnap O:0 --opacity 100%")  # the file says that it is not
    assert opened().layer("O:0").display.is_tile
    snapws("layers add study.itksnap flair.nii.gz --nickname FLAIR --opacity 35%")
    assert opened().layer("O:1").display.sticky
    for layer in ("M", "S"):
        snapws(f"layers set study.itksnap {layer} --opacity 1")
        assert "LayerMetaData.Sticky" not in opened().layer(layer).registry


def test_transforms_come_back_exactly(snapws):
    printed = snapws("transform get study.itksnap tag:Source").stdout
    expected = opened().layer("O:0").transform
    assert np.array_equal(np.array(printed.split(), float).reshape(4, 4), expected)
    assert json.loads(snapws("transform get study.itksnap O:0 --json").stdout) == expected.tolist()


def test_layers_are_removed_together(snapws):
    snapws("layers remove study.itksnap 1 2")
    assert [layer.nickname for layer in opened().layers()] == ["T1"]


def test_the_main_image_and_the_segmentation_are_replaced(snapws, study):
    snapws("layers set-main study.itksnap t2.nii.gz --tag New")
    snapws("layers set-segmentation study.itksnap t2.nii.gz --nickname S")
    assert opened().main.path == study / "t2.nii.gz"
    assert [layer.nickname for layer in opened().layers(role=Role.SEGMENTATION)] == ["S"]
    refused = snapws("layers set-segmentation study.itksnap seg.nii.gz", 1)
    assert "its size is 12 x 10 x 8, that of the main image 9 x 11 x 7" in refused.stderr
    assert [layer.nickname for layer in opened().layers(role=Role.SEGMENTATION)] == ["S"]
    refused = snapws("layers add study.itksnap seg.nii.gz --role segmentation", 1)
    assert refused.stderr.count("\n") == 1
    assert len(opened().layers()) == 3


def test_meshes(snapws, study):
    snapws("meshes add study.itksnap cortex.vtk --nickname Cortex --tag Surface")
    snapws("meshes add study.itksnap tri.stl --to tag:Surface --time-point 2 --nickname Both")
    mesh = opened().meshes()[0]
    assert (mesh.nickname, mesh.tags) == ("Both", ("Surface",))
    assert mesh.file(2) == (study / "tri.stl").as_posix()
    snapws("layers set study.itksnap nickname:Both --tag A")
    assert opened().meshes()[0].tags == ("A",)
    snapws("layers remove study.itksnap mesh:0")
    assert opened().meshes() == []


def test_tags(snapws):
    snapws("tags add study.itksnap M A B")
    snapws("tags move study.itksnap O:0 A Target")
    snapws("tags remove study.itksnap M B")
    assert opened().main.tags == ()
    assert opened().layer("O:0").tags == ("A", "Source", "Target")


def test_labels(snapws):
    before = opened().labels
    snapws(["labels", "add", "study.itksnap", "labels.txt", "--offset", "100", "--pattern", "L %s"])
    assert [label.name for label in opened().labels[4:]] == [f"L {one.name}" for one in before]
    printed = snapws("labels export study.itksnap").stdout
    snapws("labels export study.itksnap out.txt")
    assert printed.encode() == Path("out.txt").read_bytes()
    snapws("labels clear study.itksnap")
    assert opened().labels == ()
    snapws("labels set study.itksnap out.txt")
    assert [label.index for label in opened().labels] == [1, 2, 5, 10, 101, 102, 105, 110]


def test_the_registry(snapws):
    snapws("registry set study.itksnap My.Key value")
    assert snapws("registry get study.itksnap My.Key").stdout == "value\n"
    snapws("registry set study.itksnap Tags X,Y --layer tag:Source")
    assert opened().layer("O:0").tags == ("X", "Y")
    dumped = snapws("registry dump study.itksnap --json --layer O:0").stdout
    assert json.loads(dumped) == dict(opened().layer("O:0").registry.walk())


def test_a_dry_run_shows_what_saving_changes(snapws):
    before = Path("study.itksnap").read_bytes()
    result = snapws("tags add study.itksnap M New --dry-run")
    assert result.stdout.splitlines() == [
        "- Layers.Layer[000].Tags = Target",
        "+ Layers.Layer[000].Tags = New,Target",
    ]
    assert Path("study.itksnap").read_bytes() == before
    snapws("tags add study.itksnap M New --dry-run -o out.itksnap")
    assert not Path("out.itksnap").exists()


def test_output_leaves_the_workspace_alone(snapws):
    before = Path("study.itksnap").read_bytes()
    result = snapws("tags add study.itksnap M New -o out.itksnap")
    assert result.stderr == "snapws: saved out.itksnap\n"
    assert Path("study.itksnap").read_bytes() == before
    assert opened("out.itksnap").main.tags == ("New", "Target")


@pytest.mark.parametrize("force", [False, True])
def test_a_change_made_meanwhile_is_not_lost_unless_forced(study, force):
    from snapws import WorkspaceChanged

    def edit() -> None:
        with Saving(force=force).edit(study / "study.itksnap") as workspace:
            other = opened()
            other.main.nickname = "Other"
            other.save()
            workspace.main.nickname = "Ours"

    if force:
        edit()
    else:
        with pytest.raises(WorkspaceChanged, match="force"):
            edit()
    assert opened().main.nickname == ("Ours" if force else "Other")


def test_copying_an_image(snapws, study):
    snapws("layers copy-image study.itksnap M copy.nii.gz")
    assert opened().main.path == study / "copy.nii.gz"
    snapws("layers copy-image study.itksnap M again.nii.gz --dry-run", 2)
    assert not (study / "again.nii.gz").exists()


def test_relocating(snapws, study):
    (study / "elsewhere").mkdir()
    for name in ("t1.nii.gz", "flair.nii.gz", "draft.nii.gz"):
        (study / name).rename(study / "elsewhere" / name)
    snapws(["layers", "pick", "study.itksnap", "M"], 1)
    snapws(["relocate", "study.itksnap", "--from", str(study), "--to", "elsewhere"])
    assert opened().main.path == study / "elsewhere" / "t1.nii.gz"
    result = snapws("relocate study.itksnap --from /no/such --to /x", 1)
    assert "no file of the workspace is below /no/such" in result.stderr


def test_archives(snapws, study):
    snapws("archive study.itksnap out/named.itksnap --keep-names")
    names = sorted(path.name for path in (study / "out").iterdir())
    assert names[0] == "layer_000_t1.nii.gz"
    assert "not named by its number and its content" in snapws("verify out", 1).stdout
    (study / "archive" / "more.txt").write_text("")
    found = json.loads(snapws("verify archive --json", 1).stdout)
    message = "more.txt is not part of the workspace"
    assert found == [{"kind": "file", "where": "archive", "message": message, "severity": "error"}]


def test_strict_archives_and_their_report(snapws, study):
    told = snapws("archive study.itksnap out --strict --level 9 --report report.json").stderr
    assert "layer nickname" not in told
    assert "tags: Target, Source, Draft" in told
    report = json.loads((study / "report.json").read_text())
    assert report["privacy"] == "strict"
    assert [file["name"] for file in report["files"]][-1] == "workspace.itksnap"
    assert Workspace.open(study / "out" / "workspace.itksnap").main.nickname == "Layer 000"
    assert snapws("verify out --against study.itksnap").stdout == ""
    result = snapws("archive study.itksnap out --report out/report.json", 1)
    assert "out/report.json is in the archive's folder" in result.stderr.replace("\\", "/")
    (study / "scene.vrml").write_text("#VRML V2.0 utf8\n# Jane")
    snapws("meshes add study.itksnap scene.vrml")
    assert "mesh:0: scene.vrml" in snapws("archive study.itksnap out", 1).stderr.replace(
        f"{study}{os.sep}", ""
    )
    told = snapws("archive study.itksnap out --unscrubbed-meshes").stderr
    assert "warning: mesh_000_001_000_" in told
    (study / "out" / "letter.txt").write_text("Jane")
    result = snapws("archive study.itksnap out", 1)
    assert "out holds other files (letter.txt)" in result.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"no mesh at all\n"),
        ("notes.vtk", b"no mesh at all\n"),
        ("lfs.vtk", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
    ],
)
def test_what_is_no_mesh_is_not_added(snapws, study, name, content):
    (study / name).write_bytes(content)
    before = (study / "study.itksnap").read_bytes()
    (line,) = snapws(f"meshes add study.itksnap {name}", 1).stderr.splitlines()
    assert line.startswith(f"snapws: error: {name}: ")
    assert (study / "study.itksnap").read_bytes() == before


def test_a_mesh_that_itk_snap_cannot_open_is_added_with_a_remark(snapws, study):
    (study / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    for name in ("a.obj", "tri.stl"):
        told = snapws(f"meshes add study.itksnap {name}").stderr
        assert f"snapws: {name}: ITK-SNAP cannot open a mesh of this kind" in told
    assert "cannot open" not in snapws("meshes add study.itksnap cortex.vtk").stderr


def test_volumes_as_csv_and_json_name_what_the_table_shows(snapws):
    records = json.loads(snapws("labels volumes study.itksnap --json").stdout)
    lines = list(csv.DictReader(snapws("labels volumes study.itksnap --csv").stdout.splitlines()))
    assert len(records) == len(lines) > 0
    for record, line in zip(records, lines, strict=True):
        assert {name: str(value) for name, value in record.items()} == line
    assert "Workspace" not in snapws("labels volumes study.itksnap").stdout
    snapws("labels volumes study.itksnap --csv --json", code=2)
    assert "the value is empty" in snapws(["labels", "volumes", "study.itksnap", ""], code=2).stderr


@pytest.mark.parametrize("name", ["=1+1", "+1", "-5", "@SUM(A1)", "\t=1", "'=1"])
def test_a_name_is_never_a_formula_in_csv_and_numbers_stay_numbers(snapws, study, name):
    workspace = Workspace.open(study / "study.itksnap")
    first = workspace.volumes()[0].label
    workspace.labels = [Label(first, name, (1, 2, 3))]
    workspace.save()
    lines = csv.DictReader(snapws("labels volumes study.itksnap --csv").stdout.splitlines())
    (line, *_) = lines
    assert line["name"] == f"'{name}"
    assert float(line["volume_mm3"]) > 0
    (record, *_) = json.loads(snapws("labels volumes study.itksnap --json").stdout)
    assert record["name"] == name


def test_a_mean_below_zero_stays_a_number_in_csv(snapws, study):
    main = Workspace.open(study / "study.itksnap").main.path
    image = nibabel.load(main)
    nibabel.Nifti1Image(np.asarray(image.dataobj) * 0 - 7, image.affine).to_filename(main)
    (line, *_) = csv.DictReader(snapws("labels volumes study.itksnap --csv").stdout.splitlines())
    assert line["mean"] == "-7.0"


@pytest.mark.parametrize(
    ("sizes", "count", "volume"),
    [
        ((0.7, 0.7, 0.7), 1000, 343.0),
        ((0.1, 0.1, 0.1), 7, 0.007),
        ((1.1, 1.3, 0.9), 1729, 2225.223),
        ((200.0, 200.0, 300.5), 3, 36060000.0),
    ],
)
def test_a_volume_has_the_digits_that_are_meant(
    snapws, tmp_path, monkeypatch, sizes, count, volume
):
    voxels = np.zeros((13, 14, 15), np.uint8)
    voxels.flat[:count] = 1
    nibabel.Nifti1Image(voxels, np.diag([*sizes, 1])).to_filename(tmp_path / "a.nii")
    workspace = Workspace.new(tmp_path / "a.nii")
    workspace.add_segmentation(tmp_path / "a.nii")
    path = workspace.save(tmp_path / "a.itksnap")
    (record,) = json.loads(snapws(["labels", "volumes", str(path), "--json"]).stdout)
    assert record["volume_mm3"] == volume
    (line,) = csv.DictReader(snapws(["labels", "volumes", str(path), "--csv"]).stdout.splitlines())
    assert line["volume_mm3"] == str(volume)
    assert f"  {volume:.15g}  " in snapws(["labels", "volumes", str(path)]).stdout


def test_volumes_of_several_workspaces_name_the_one_that_fails(snapws):
    failed = snapws("labels volumes study.itksnap cardiac.itksnap", code=1)
    assert "error: layer 002 of cardiac.itksnap: its file" in failed.stderr
    assert failed.stderr.endswith("snapws: 2 workspaces, 1 failed\n")
    assert failed.stdout.count("study.itksnap") == 2  # labels
    csv_lines = snapws("labels volumes cardiac.itksnap study.itksnap --csv", code=1).stdout
    assert [line["workspace"] for line in csv.DictReader(csv_lines.splitlines())] == [
        *("study.itksnap", "study.itksnap")
    ]


def test_labels_are_renumbered_in_the_workspace_and_a_dry_run_writes_nothing(snapws, study):
    before = sorted(study.iterdir())
    snapws("labels remap study.itksnap --map 2:1 --dry-run")
    assert sorted(study.iterdir()) == before
    old = np.asarray(opened().layer("S").array())
    records = json.loads(snapws("labels remap study.itksnap --map 2:1 --json").stdout)
    assert records == [{"old": 2, "new": 1, "name": "CA1 (head)"}]
    assert np.array_equal(opened().layer("S").array(), np.where(old == 2, 1, old))
    assert [label.index for label in opened().labels] == [1, 5, 10]
    for line in ("", "--compact --map 1:2"):
        snapws(f"labels remap study.itksnap {line}", code=2)
