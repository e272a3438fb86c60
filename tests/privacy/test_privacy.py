"""What an archive says of a person: nothing, or what the person typed to be read.

The archive is looked at by `tests.privacy.scanner`, which knows the markers and no format. Markers
stand in tags too, which are checked apart: services find layers by them, so they stay.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sysconfig
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from snapws import MeshError, Workspace
from snapws.archive import archive
from tests.privacy import image_files, machines, markers, mesh_files, nifti_files, voxels
from tests.privacy.conftest import ALLOWED, PRIVACIES
from tests.privacy.marking import Marks
from tests.privacy.scanner import Scanner

CONTENT = hashlib.md5(voxels.VOXELS).hexdigest()


def found_in(folder: Path, marks: Marks) -> set[str]:
    return {finding.marker for finding in Scanner(marks.places).folder(folder)}


def need(image_format: str) -> None:
    if image_format in image_files.OF_ITK:
        pytest.importorskip("SimpleITK", reason="needs the extra 'formats'")


def inflated_alone(data: bytes) -> bytes:
    """Inflate a gzip file that has one member, no name, no time, and nothing after it."""
    magic, flags, seconds = struct.unpack("<3sBI", data[:8])
    assert (magic, flags, seconds) == (b"\x1f\x8b\x08", 0, 0)
    stream = zlib.decompressobj(31)
    content = stream.decompress(data)
    assert stream.eof
    assert stream.unused_data == b""
    return content


# ------------------------------------------------------------------ format by format


@pytest.mark.parametrize("privacy", PRIVACIES)
@pytest.mark.parametrize("image_format", image_files.FORMATS)
def test_an_image_says_nothing(tmp_path, leaks, image_format, privacy):
    need(image_format)
    study = markers.build(tmp_path / "study", [image_format], [])
    archive(Workspace.open(study.workspace), tmp_path / "out", privacy=privacy)
    assert leaks(tmp_path / "out", study.marks, ALLOWED[privacy]) == set()
    layers = sorted((tmp_path / "out").glob("layer_*"))
    assert [path.name for path in layers] == [
        f"layer_{number:03d}_{CONTENT}.nii.gz" for number in range(study.images)
    ]
    for path in layers:
        image = inflated_alone(path.read_bytes())
        assert image[352:] == voxels.VOXELS
        assert struct.unpack("<8h", image[40:56]) == (3, *voxels.SHAPE, 1, 1, 1, 1)
        assert struct.unpack("<8f", image[76:108])[1:4] == voxels.SPACING
        assert image[108:112] == struct.pack("<f", 352)
        assert struct.unpack("<f", image[76:80])[0] in (0, 1, -1)
        # All that is text, and all that says nothing of these voxels.
        for start, end in ((4, 40), (56, 68), (74, 76), (120, 123), (124, 252), (328, 344)):
            assert image[start:end].strip(b"\0r") == b""
        assert image[348:352] == bytes(4)


@pytest.mark.parametrize("privacy", PRIVACIES)
@pytest.mark.parametrize("mesh_format", mesh_files.FORMATS)
def test_a_mesh_says_nothing(tmp_path, leaks, mesh_format, privacy):
    study = markers.build(tmp_path / "study", ["nii"], [mesh_format])
    archive(Workspace.open(study.workspace), tmp_path / "out", privacy=privacy)
    assert leaks(tmp_path / "out", study.marks, ALLOWED[privacy]) == set()
    (mesh,) = (tmp_path / "out").glob("mesh_*")
    content = hashlib.md5(mesh.read_bytes()).hexdigest()
    assert mesh.name.partition(".")[0] == f"mesh_000_001_000_{content}"


@pytest.mark.parametrize("privacy", PRIVACIES)
@pytest.mark.parametrize("mesh_format", mesh_files.IRREGULAR)
def test_a_mesh_with_more_than_its_format_allows_says_nothing_or_is_refused(
    tmp_path, leaks, mesh_format, privacy
):
    study = markers.build(tmp_path / "study", ["nii"], [mesh_format], irregular=True)
    try:
        archive(Workspace.open(study.workspace), tmp_path / "out", privacy=privacy)
    except MeshError:
        assert not (tmp_path / "out").exists()
    else:
        assert leaks(tmp_path / "out", study.marks, ALLOWED[privacy]) == set()


def test_a_mesh_that_cannot_be_scrubbed_is_refused(tmp_path, leaks):
    study = markers.build(tmp_path / "study", ["nii"], [])
    workspace = Workspace.open(study.workspace)
    scene = tmp_path / f"{study.marks('file name of a scene')}.vrml"
    scene.write_text(f"#VRML V2.0 utf8\n# {study.marks('comment in a scene')}\n")
    workspace.add_mesh(scene)
    with pytest.raises(MeshError):
        archive(workspace, tmp_path / "out", privacy="strict")
    assert not (tmp_path / "out").exists()
    archive(workspace, tmp_path / "out", privacy="strict", unscrubbed_meshes=True)
    (leak,) = leaks(tmp_path / "out", study.marks, ALLOWED["strict"])
    assert leak.startswith("comment in a scene in mesh_000_001_000_")


@pytest.mark.parametrize("image_format", nifti_files.FIELDS_WITHOUT_MEANING)
def test_fields_without_meaning_say_nothing(tmp_path, leaks, image_format):
    study = markers.build(tmp_path / "study", [image_format], [])
    archive(Workspace.open(study.workspace), tmp_path / "out", privacy="strict")
    assert leaks(tmp_path / "out", study.marks, ALLOWED["strict"]) == set()


def test_the_ending_of_a_mesh_says_nothing(tmp_path, leaks):
    study = markers.build(tmp_path / "study", ["nii"], [])
    workspace = Workspace.open(study.workspace)
    scene = tmp_path / f"scene.{study.marks('ending of a file of no known kind')}"
    scene.write_text("nothing")
    workspace.add_mesh(scene)
    with pytest.raises(MeshError):
        archive(workspace, tmp_path / "out", privacy="strict")
    try:
        archive(workspace, tmp_path / "out", privacy="strict", unscrubbed_meshes=True)
    except MeshError:
        assert not (tmp_path / "out").exists()
    else:
        assert leaks(tmp_path / "out", study.marks, ALLOWED["strict"]) == set()


# ------------------------------------------------------------------ everything, by the command


@dataclass(frozen=True)
class Run:
    """What one command line wrote."""

    study: markers.Study
    folder: Path
    report: bytes
    stdout: bytes
    stderr: bytes


@pytest.fixture(scope="session")
def run(study, tmp_path_factory):
    """Archive the study by the console script, once for each set of options."""
    pytest.importorskip("SimpleITK", reason="needs the extra 'formats'")
    script = Path(sysconfig.get_path("scripts")) / ("snapws.exe" if os.name == "nt" else "snapws")
    assert script.is_file(), "the package is not installed in this environment"
    folder = tmp_path_factory.mktemp("command")
    person = machines.environment(folder / "elsewhere", study.marks)
    done: dict[tuple[str, ...], Run] = {}

    def once(*options: str) -> Run:
        if options not in done:
            out = folder / f"out{len(done)}"
            report = folder / f"report{len(done)}.json"
            words = [script, "archive", study.workspace, out, "--report", report, *options]
            ended = subprocess.run(
                words, env=person, cwd=person["PWD"], capture_output=True, timeout=300, check=False
            )
            assert ended.returncode == 0, ended.stderr.decode(errors="replace")
            done[options] = Run(study, out, report.read_bytes(), ended.stdout, ended.stderr)
        return done[options]

    return once


OPTIONS = {"standard": (), "strict": ("--strict",)}


@pytest.mark.parametrize("privacy", PRIVACIES)
def test_an_archive_says_nothing(run, leaks, privacy):
    done = run(*OPTIONS[privacy])
    assert leaks(done.folder, done.study.marks, ALLOWED[privacy]) == set()
    assert len(list(done.folder.glob("layer_*"))) == done.study.images
    assert len(list(done.folder.glob("mesh_*"))) == done.study.meshes


def test_a_standard_archive_says_the_five_kinds_of_typed_text(run):
    done = run()
    marks = done.study.marks
    found = found_in(done.folder, marks)
    assert marks.shown(found, "typed") == marks.shown(marks.places, "typed")
    kept = [text["text"] for text in json.loads(done.report)["kept"]]
    assert set(kept) >= marks.of("typed")
    assert set(kept) <= marks.of(*ALLOWED["standard"])


@pytest.mark.parametrize("privacy", PRIVACIES)
@pytest.mark.parametrize("stream", ["report", "stdout", "stderr"])
def test_what_the_command_says_is_what_the_archive_says(run, leaks, privacy, stream):
    done = run(*OPTIONS[privacy])
    # The report, which is no part of the archive, says which entries were left out, by their keys.
    allowed = (*ALLOWED[privacy], "key") if stream == "report" else ALLOWED[privacy]
    assert leaks(getattr(done, stream), done.study.marks, allowed) == set()


def test_a_report_counts_what_was_left_out(run):
    dropped = json.loads(run("--strict").report)["dropped"]
    assert dropped["Layers.Layer[].IOHints.Format"] == run("--strict").study.images
    assert dropped["MeshLayers.Layer[].Note"] == run("--strict").study.meshes


@pytest.mark.parametrize("privacy", PRIVACIES)
def test_tags_of_layers_stay(run, privacy):
    done = run(*OPTIONS[privacy])
    marks = done.study.marks
    (workspace,) = done.folder.glob("*.itksnap")
    archived, source = Workspace.open(workspace), Workspace.open(done.study.workspace)
    for after, before in (
        *zip(archived.layers(), source.layers(), strict=True),
        *zip(archived.meshes(), source.meshes(), strict=True),
    ):
        assert after.tags == before.tags
        assert set(after.tags) <= marks.of("tag")
    tags = {one.file for one in Scanner(marks.of("tag")).folder(done.folder)}
    assert tags == {workspace.name}


def test_a_strict_archive_still_names_layers_and_labels(run):
    (workspace,) = run("--strict").folder.glob("*.itksnap")
    archived = Workspace.open(workspace)
    assert [layer.nickname for layer in archived.layers()][:2] == ["Layer 000", "Layer 001"]
    assert [label.name for label in archived.labels] == ["Label 1", "Label 2"]
    assert len(archived.annotations) == 1
    assert len(archived.time_points) == 1


def test_keep_names_keeps_file_names_and_nothing_else(run, leaks):
    done = run("--keep-names")
    marks = done.study.marks
    assert leaks(done.folder, marks, (*ALLOWED["standard"], "file name")) == set()
    for path in done.folder.glob("layer_*"):
        (name,) = {text for text in marks.of("file name") if text in path.name}
        assert path.name == f"{path.name[:10]}{name}.nii.gz"
