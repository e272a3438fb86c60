"""A service run on a workspace with no server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from nibabel.nifti1 import Nifti1Image

from dss.errors import ServiceError
from dss.serving.trial import run
from snapws import Workspace
from snapws.verify import verify_archive

HEADER = "import pathlib\nfrom dss import service\n"
SERVICE = (
    HEADER
    + """
@service(name="Trial", tags=["Target"])
def trial(job):
    assert pathlib.Path.cwd() == job.workdir
    assert list(job.workdir.iterdir()) == []
    pathlib.Path("note.txt").write_text("note")
    with job.phase("First", 0.0, 0.5):
        job.log("a line", attach="note.txt")
    copy = pathlib.Path(job.workspace.layer(tag="Target").path).read_bytes()
    pathlib.Path("copy.nii.gz").write_bytes(copy)
    job.workspace.add_overlay("copy.nii.gz", tags={"Copy"})
"""
)


def service(folder: Path, text: str) -> Path:
    file = folder / "trial_service.py"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_trial_returns_the_result_of_the_service(workspace: Workspace, tmp_path: Path) -> None:
    lines: list[str] = []
    before = Path.cwd()
    given = Path(workspace.path or "")
    bytes_before = given.read_bytes()
    result = run(service(tmp_path, SERVICE), given, tmp_path / "out", tell=lines.append)
    assert Path.cwd() == before
    assert given.read_bytes() == bytes_before
    verify_archive(result)
    found = Workspace.open(result)
    voxels = [
        numpy.asarray(Nifti1Image.from_filename(found.layer(tag=tag).path).dataobj)
        for tag in ("Target", "Copy")
    ]
    assert numpy.array_equal(*voxels)
    assert voxels[0].any()
    assert lines[0].startswith("a line [note.txt: ")
    assert lines[1:2] == ["50%"]
    assert lines[2].startswith("First: done in ")
    assert (tmp_path / "out" / "work" / "note.txt").is_file()
    # The name of the folder of the study is nobody's business: the archive was taken.
    assert "Jane" not in str(found.layer(tag="Target").path)


ARRAYS = """
import numpy
from dss import service

@service(name="Threshold", tags=["Target"])
def threshold(job):
    values = job.workspace.layer(tag="Target").array()[...]
    bright = values > values.mean()
    job.workspace.add_segmentation(
        bright, like="Target", labels={1: "Bright"}, nickname="Bright", tags=["Result"]
    )
"""


def test_what_a_service_adds_as_an_array_is_in_its_work_folder_and_its_result(
    workspace: Workspace, tmp_path: Path
) -> None:
    given = Path(workspace.path or "")
    before = sorted(given.parent.iterdir())
    lines: list[str] = []
    result = run(service(tmp_path, ARRAYS), given, tmp_path / "out", tell=lines.append)
    assert sorted(given.parent.iterdir()) == before
    assert (tmp_path / "out" / "work" / "Bright.nii.gz").is_file()
    found = Workspace.open(result)
    target = numpy.asarray(found.layer(tag="Target").array())
    bright = found.layer(tag="Result").array()
    assert numpy.array_equal(bright, target > target.mean())
    assert "Bright" in [label.name for label in found.labels]
    assert not [line for line in lines if "outside" in line]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ('@service(name="A", tags=["Nope"])\ndef a(job): ...\n', ServiceError, "Nope"),
        (
            '@service(name="A")\ndef a(job): raise KeyError("x")\n',
            ServiceError,
            "would read: KeyError",
        ),
        ('@service(name="A")\ndef a(job): job.run("false")\n', ServiceError, "false failed"),
        ('@service(name="A")\ndef a(job): return 42\n', ServiceError, "returned int instead"),
        (
            'a = service(name="A")(print)\nb = service(name="B")(print)\n',
            ServiceError,
            "declares A, B: choose one",
        ),
    ],
)
def test_a_failed_trial_says_why(
    workspace: Workspace, tmp_path: Path, text: str, error: type[Exception], said: str
) -> None:
    before = Path.cwd()
    with pytest.raises(error, match=said):
        run(
            service(tmp_path, HEADER + text),
            Path(workspace.path or ""),
            tmp_path / "out",
            tell=lambda _: None,
        )
    assert Path.cwd() == before
    assert not (tmp_path / "out" / "result").exists()


def test_a_file_from_elsewhere_in_a_result_is_named(workspace: Workspace, tmp_path: Path) -> None:
    """Its layer is named, and no path, since the user of a ticket reads the same line."""
    lines: list[str] = []
    (tmp_path / "atlas").mkdir()
    atlas = tmp_path / "atlas" / "brain.nii.gz"
    atlas.write_bytes(Path(workspace.layer(tag="Target").path).read_bytes())
    text = f'@service(name="A")\ndef a(job): job.workspace.add_overlay({str(atlas)!r})\n'
    given = Path(workspace.path or "")
    run(service(tmp_path, HEADER + text), given, tmp_path / "out", tell=lines.append)
    (line,) = lines
    assert line.startswith("warning: files from outside of the ticket's folder")
    number = len(list(workspace.layers()))
    assert line.endswith(f"layer {number:03d}")
    assert "atlas" not in line


def test_one_of_several_services_is_chosen_by_name(workspace: Workspace, tmp_path: Path) -> None:
    lines: list[str] = []
    text = (
        'a = service(name="A")(lambda j: j.log("a"))\nb = service(name="B")(lambda j: j.log("b"))\n'
    )
    file = service(tmp_path, HEADER + text)
    given = Path(workspace.path or "")
    run(file, given, tmp_path / "out", name="B", tell=lines.append)
    nothing = "warning: the service added nothing: its result is the workspace as it came"
    assert lines == ["b", nothing]
    with pytest.raises(ServiceError, match="declares no service C; it declares A, B"):
        run(file, given, tmp_path / "other", name="C", tell=lines.append)
    run(file, given, tmp_path / "out", name="A", tell=lines.append)  # in place of the first trial
    assert lines == ["b", nothing, "a", nothing]
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(ServiceError, match=r"contains mine.txt"):
        run(file, given, tmp_path / "out", name="B", tell=lines.append)
    assert (tmp_path / "out" / "result" / "workspace.itksnap").is_file()


def test_what_is_attached_last_is_shown(workspace: Workspace, tmp_path: Path) -> None:
    """A file shows with the next line of the log: at the end there is one for it."""
    lines: list[str] = []
    text = '@service(name="A")\ndef a(job): job.attach("Code", __file__)\n'
    file = service(tmp_path, HEADER + text)
    run(file, Path(workspace.path or ""), tmp_path / "out", tell=lines.append)
    line, warning = lines
    assert line.startswith("Attached: Code [Code: ")
    assert warning.startswith("warning: the service added nothing")


@pytest.mark.parametrize("relative", [False, True])
def test_a_failure_is_told_from_the_service_on(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: bool
) -> None:
    lines: list[str] = []
    text = '@service(name="A")\ndef a(job):\n    return 1 / 0\n'
    file = service(tmp_path, HEADER + text)
    monkeypatch.chdir(tmp_path)
    given = Path(file.name) if relative else file
    with pytest.raises(ServiceError, match="ZeroDivisionError: division by zero"):
        run(given, Path(workspace.path or ""), tmp_path / "out", tell=lines.append)
    frames = [line for line in lines if line.startswith("  File ")]
    assert frames == [f'  File "{file}", line 5, in a']  # the author may know where it is
    assert "    return 1 / 0" in lines


def test_a_temporary_folder_is_made_by_default(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, given = tmp_path / "temporary", Path(workspace.path or "")
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    refused = service(tmp_path, HEADER + '@service(name="A", tags=["Nope"])\ndef a(job): ...\n')
    with pytest.raises(ServiceError, match="Nope"):
        run(refused, given, None, tell=lambda _: None)
    assert list(temporary.iterdir()) == []
    text = '@service(name="A")\ndef a(job):\n    pathlib.Path("half").touch()\n    1 / 0\n'
    with pytest.raises(ServiceError, match=r"its files are in .*dss-service-") as raised:
        run(service(tmp_path, HEADER + text), given, None, tell=lambda _: None)
    (left,) = temporary.iterdir()
    assert str(raised.value).endswith(str(left.resolve()))
    assert (left / "work" / "half").is_file()


def test_a_file_that_cannot_be_imported_is_told_with_its_line(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = service(tmp_path, HEADER + "a = 1 / 0\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ServiceError, match=r"division by zero \(trial_service.py, line 3\)"):
        run(Path(file.name), Path(workspace.path or ""), tmp_path / "out", tell=lambda _: None)


def test_tags_of_a_description_beside_the_file_are_required(
    workspace: Workspace, tmp_path: Path
) -> None:
    """The tags of `service.json` count, as they do on the server."""
    tag = {"name": "Head", "type": "Segmentation", "hint": "the head", "required": True}
    about = {"shortdesc": "a", "longdesc": "a service", "url": "https://example.org"}
    described = {"name": "A", "version": "1.0.0", **about, "tags": [tag]}
    (tmp_path / "service.json").write_text(json.dumps(described), encoding="utf-8")
    file = service(tmp_path, HEADER + '@service(name="A")\ndef a(job): ...\n')
    with pytest.raises(ServiceError, match="Head"):
        run(file, Path(workspace.path or ""), tmp_path / "out", tell=lambda _: None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sys.exit(0)\n", r"cannot be used: SystemExit: 0 \(trial_service.py, line 4\)"),
        ('@service(name="A")\ndef a(job): sys.exit(0)\n', "would read: SystemExit: 0"),
        ('@service(name="A")\ndef a(job): sys.exit(3)\n', "would read: SystemExit: 3"),
        ('@service(name="A")\ndef a(job): raise GeneratorExit\n', "would read: GeneratorExit"),
    ],
)
def test_a_service_that_exits_has_failed(
    workspace: Workspace, tmp_path: Path, text: str, said: str
) -> None:
    file, given = service(tmp_path, HEADER + "import sys\n" + text), Path(workspace.path or "")
    with pytest.raises(ServiceError, match=said):
        run(file, given, tmp_path / "out", tell=lambda _: None)


def test_an_interrupt_is_its_users(workspace: Workspace, tmp_path: Path) -> None:
    text = '@service(name="A")\ndef a(job): raise KeyboardInterrupt\n'
    file, given = service(tmp_path, HEADER + text), Path(workspace.path or "")
    with pytest.raises(KeyboardInterrupt):
        run(file, given, tmp_path / "out", tell=lambda _: None)


#: A program that tries a service, and says its result.
TRY = """
import sys
from pathlib import Path
from dss.errors import ServiceError
from dss.serving.trial import run
file, given, output = map(Path, sys.argv[1:])
try:
    print("result", run(file, given, output, tell=lambda _: None).name)
except ServiceError as error:
    print("error", error)
"""


def attempt(workspace: Workspace, tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Try a service in a process of its own."""
    file = service(tmp_path, HEADER + text)
    words = [sys.executable, "-c", TRY, file, workspace.path or "", tmp_path / "out"]
    return subprocess.run(words, capture_output=True, encoding="utf-8", timeout=300, check=False)


def test_the_output_of_a_service_goes_to_standard_error(
    workspace: Workspace, tmp_path: Path
) -> None:
    text = """
import os, sys
print("at import")
@service(name="A")
def a(job):
    print("printed")
    print("written", file=sys.__stdout__)
    os.system("echo by a child")
"""
    done = attempt(workspace, tmp_path, text)
    assert done.stdout == "result workspace.itksnap\n", done.stderr
    said = done.stderr.splitlines()
    assert sorted(said) == ["at import", "by a child", "printed", "written"]


@pytest.mark.skipif(os.name == "nt", reason="forks")
@pytest.mark.parametrize("end", ["return", "raise RuntimeError('no brain')"])
def test_a_forked_child_does_not_go_on_as_the_trial(
    workspace: Workspace, tmp_path: Path, end: str
) -> None:
    text = f"""
import os
@service(name="A")
def a(job):
    child = os.fork()
    if child == 0:
        {end}
    else:
        os.waitpid(child, 0)
"""
    done = attempt(workspace, tmp_path, text)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "result workspace.itksnap\n", done.stderr
    assert ("RuntimeError: no brain" in done.stderr) == ("raise" in end)
