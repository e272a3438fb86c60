"""Relocation: whole components, as the system that wrote the path means them."""

from __future__ import annotations

import pytest

from snapws import LayerFileMissing, Workspace, paths
from snapws.relocation import Relocated, relocate


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        ("/data/p1/a.nii", "/data/p1", "/new", "/new/a.nii"),
        ("/data/p1/sub/a.nii", "/data/p1/", "/new/", "/new/sub/a.nii"),
        ("/data/p12/a.nii", "/data/p1", "/new", None),
        ("/DATA/p1/a.nii", "/data/p1", "/new", None),
        ("/data/p1/a.nii", "/", "/mnt", "/mnt/data/p1/a.nii"),
        ("/data/p1/a.nii", "/data", "/", "/p1/a.nii"),
        ("C:/Users/Me/a.nii", "c:\\users\\me", "/home/me", "/home/me/a.nii"),
        ("C:\\Users\\Me\\sub\\a.nii", "C:/Users/Me", "/home/me", "/home/me/sub/a.nii"),
        ("C:/Users/Me2/a.nii", "C:/Users/Me", "/home/me", None),
        ("\\\\server\\share\\S\\a.nii", "//server/share", "/mnt", "/mnt/S/a.nii"),
        ("/data/a\\b.nii", "/data", "/new", "/new/a\\b.nii"),
        ("/data/a.nii", "/data", "D:\\data\\", "D:/data/a.nii"),
        ("https://example.org/s/a.nii", "https://example.org/s", "/new", "/new/a.nii"),
    ],
)
def test_paths(path, old, new, expected):
    assert paths.rerooted(path, old, new) == expected


def test_files_that_were_copied_are_followed_for_good(inputs, tmp_path):
    workspace = Workspace.open(inputs / "mesh.itksnap")
    layer = workspace.layers()[1]
    moved = relocate(workspace, str(inputs), "/nowhere")
    assert moved[0] == Relocated(
        "Layers.Layer[000].AbsolutePath",
        (inputs / "a.nii.gz").as_posix(),
        "/nowhere/a.nii.gz",
    )
    assert len(moved) == 7  # four layers, three surfaces
    assert layer.file == "/nowhere/b.nii.gz"
    assert workspace.meshes()[0].file(1) == "/nowhere/tri.vtk"
    saved = Workspace.open(workspace.save(tmp_path / "saved.itksnap"))
    assert [one.stored_path for one in saved.layers()] == [
        f"/nowhere/{name}" for name in ("a.nii.gz", "b.nii.gz", "s.nii.gz", "plain.nii")
    ]


def test_a_path_as_stored_counts_though_the_file_is_found_elsewhere(inputs):
    workspace = Workspace.open(inputs / "windows.itksnap")
    moved = relocate(workspace, "c:/users/me/study", "/data")
    assert [one.new for one in moved] == ["/data/a.nii.gz", "/data/b.nii.gz"]
    assert workspace.layers()[2].stored_path == "\\\\server\\share\\Study\\s.nii.gz"


def test_a_new_folder_is_made_absolute(base, inputs, monkeypatch):
    monkeypatch.chdir(inputs)
    relocate(base, inputs.as_posix(), "moved")
    assert base.main.path == inputs / "moved" / "a.nii.gz"


def test_nothing_below_the_folder(base):
    before = base.registry.copy()
    with pytest.raises(LayerFileMissing, match="no file of the workspace is below /no/such"):
        relocate(base, "/no/such", "/new")
    assert base.registry == before
