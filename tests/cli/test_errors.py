"""What the command refuses, and how it says so."""

from __future__ import annotations

import os

import pytest

from snapws import Workspace


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("layers list none.itksnap", "cannot read the workspace none.itksnap: No such file"),
        (
            "tags add none.itksnap M A",
            "the workspace none.itksnap does not exist: make one with snapws new",
        ),
        ("layers list badxml.itksnap", "badxml.itksnap, line 13: "),
        ("layers pick study.itksnap tag:No", "no layer has the tag 'No'; tags in study.itksnap: "),
        ("layers pick base.itksnap tag:Source", "2 layers of base.itksnap have the tag 'Source'"),
        (
            "layers pick study.itksnap nickname:No",
            "no layer has the nickname 'No'; nicknames in study.itksnap: ",
        ),
        ("layers pick study.itksnap 7", "no layer is '7'; layers in study.itksnap: 000 (main)"),
        ("layers pick cardiac.itksnap O:0", "its file /data/study/sub/b.nii.gz is not there"),
        ("layers pick mesh.itksnap mesh:0", "mesh:0 is a mesh layer"),
        (
            "layers files study.itksnap --tag No",
            "no layer has the tag 'No'; tags in study.itksnap: Draft",
        ),
        ("layers files cardiac.itksnap", "/data/study/sub/b.nii.gz is not there"),
        ("layers add study.itksnap none.nii", "there is no file none.nii"),
        ("layers set-main study.itksnap notanimage.nii.gz", "notanimage.nii.gz"),
        ("layers remove study.itksnap M", "the main image goes last"),
        ("layers set study.itksnap M --contrast 1", "'1' is not a valid contrast"),
        ("layers set study.itksnap M --contrast 0:0,0:1", "two or more points with rising inputs"),
        ("layers set study.itksnap O:0 --opacity 90", "give 90%, or 35% for 90 of 255"),
        ("layers set study.itksnap O:0 --opacity 300", "goes from 0 to 1 (opaque), not to 300"),
        ("layers add study.itksnap t2.nii.gz --opacity=-1", "'-1' is not a valid opacity"),
        ("layers set study.itksnap M --color-map Jett", "'Jett' is not a known colour map"),
        ("layers pick study.itksnap Target", "001 (overlay), 002 (segmentation); or tag:Target"),
        ("transform get study.itksnap FLAIR", "; or nickname:FLAIR"),
        ("info t1.nii.gz", "t1.nii.gz, line 1: no XML, and so no ITK-SNAP workspace"),
        ("show study.itksnap -o none/x.png", "there is no such folder: make it first"),
        ("report study.itksnap -o none/x.html", "there is no such folder: make it first"),
        ("layers set study.itksnap M --contrast 5,1", "contrast LOW,HIGH: 5 is not below 1"),
        ("layers set study.itksnap M --transform short.mat", "a 4x4 matrix has 16 numbers"),
        ("layers set mesh.itksnap mesh:0 --sticky", "only a nickname and tags"),
        ("meshes add study.itksnap tri.stl --to M", "M is an image layer"),
        ("tags remove study.itksnap M No", "has no tag 'No'; its tags: Target"),
        ("tags add study.itksnap M a,b", "cannot be a tag"),
        ("labels set study.itksnap labels_bad.txt", "labels_bad.txt, line "),
        ("registry get study.itksnap No.Such", "there is no registry entry 'No.Such'"),
        ("registry dump study.itksnap No", "the registry folder 'No' does not exist"),
        ("registry load study.itksnap X none.txt", "cannot read none.txt: No such file"),
        ("labels export study.itksnap none/labels.txt", "No such file or directory"),
        ("new study.itksnap t1.nii.gz", "study.itksnap already exists"),
        ("archive cardiac.itksnap out", "layer 001"),
        ("verify none", "cannot read the archive none: No such file"),
        ("verify ar", "an archive holds one workspace, ar holds none"),
    ],
)
def test_refusals_are_one_line_and_change_nothing(snapws, line, message):
    before = {path: path.read_bytes() for path in _files()}
    result = snapws(line, 1)
    assert result.stdout == ""
    assert result.stderr.startswith("snapws: error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in _files()} == before


def _files():
    from pathlib import Path

    return sorted(path for path in Path().rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "line",
    [
        "layers",
        "layers list",
        "layers lists study.itksnap",
        "layers add study.itksnap t2.nii.gz --role main",
        "layers list study.itksnap --nonsense",
        "layers set study.itksnap M",
        "meshes add study.itksnap tri.stl --time-point 0",
        "labels add study.itksnap labels.txt --offset x",
        "relocate study.itksnap --from /data",
    ],
)
def test_usage(snapws, line):
    result = snapws(line, 2)
    assert "Usage: snapws" in result.output


@pytest.mark.parametrize("line", ["-v layers list none.itksnap", "layers list none.itksnap -v"])
def test_verbose_adds_where(snapws, line):
    lines = snapws(line, 1).stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("snapws: error: cannot read")


@pytest.mark.parametrize("line", ["-q tags add study.itksnap M X", "tags add study.itksnap M X -q"])
def test_quiet_leaves_remarks_out(snapws, line):
    assert snapws(line).output == ""
    assert "X" in Workspace.open("study.itksnap").main.tags
    assert snapws("tags add study.itksnap M Y").output != ""


def test_two_of_one_nickname(snapws):
    snapws("layers set study.itksnap O:0 --nickname T1")
    result = snapws("layers pick study.itksnap nickname:T1", 1)
    assert (
        "2 layers of study.itksnap have the nickname 'T1': 000 (main), 001 (overlay)"
        in result.stderr
    )


def test_what_a_file_says_cannot_steer_the_terminal(snapws):
    snapws(["layers", "set", "study.itksnap", "M", "--nickname", "a\nb\u202ec"])
    assert "a?b?c" in snapws("layers list study.itksnap").stdout


@pytest.mark.skipif(os.name == "nt", reason="Windows has no terminals of this kind")
@pytest.mark.parametrize(("no_color", "styled"), [("", True), ("1", False)])
def test_colors_on_a_terminal_only(study, no_color, styled):
    import pty
    import subprocess

    from tests.cli.test_front_door import SCRIPT

    master, slave = pty.openpty()
    subprocess.run(
        [SCRIPT, "layers", "list", "study.itksnap"],
        stdout=slave,
        check=True,
        timeout=300,
        env={**os.environ, "NO_COLOR": no_color, "TERM": "xterm"},
    )
    os.close(slave)
    printed = os.read(master, 100_000)
    os.close(master)
    assert printed.startswith(b"\x1b[1mNumber" if styled else b"Number")
