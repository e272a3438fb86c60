"""What the author of a service types: `dss service`."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from dss.cli.service import app as service
from dss.serving.declaration import load
from snapws.cli import frame

app = typer.Typer()
app.callback()(frame.options)
app.add_typer(service, name="service")


def run(line: str, code: int = 0):
    """Run a command line of `dss`, hold its exit code, and give what it printed."""
    result = CliRunner().invoke(app, shlex.split(line), prog_name="dss")
    assert result.exit_code == code, (result.output, result.exception)
    return result


FILLED_IN = {"shortdesc": "Segments", "longdesc": "Segments all of it"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder."""
    (tmp_path / "my lab").mkdir()
    monkeypatch.chdir(tmp_path / "my lab")
    return tmp_path / "my lab"


def test_a_service_is_begun(folder):
    result = run("service init neckcut --name MRI-NeckCut")
    assert result.stdout == ""
    told, code = folder / "neckcut" / "service.json", folder / "neckcut" / "my_service.py"
    assert json.loads(told.read_text())["name"] == "MRI-NeckCut"
    assert list(load(code)) == ["MRI-NeckCut"]
    first, second = result.stderr.replace("\\", "/").splitlines()
    assert first.startswith("dss: wrote neckcut/service.json: ")
    assert first.endswith(" dss service check neckcut/service.json")
    assert second.startswith("dss: wrote neckcut/my_service.py: ")
    assert second.endswith(" dss service test neckcut/my_service.py WORKSPACE")
    checked = run("service check neckcut")
    notes = checked.stdout.splitlines()
    assert [line.split(": ")[:3] for line in notes] == [
        ["note", f"line {line}, {field}", "is still the text of dss service init"]
        for line, field in ((4, "shortdesc"), (5, "longdesc"))
    ]
    told = checked.stderr.replace("\\", "/")
    test = "dss service test neckcut/my_service.py WORKSPACE"
    assert told == f"dss: neckcut: no errors; try its code: {test}\n"


def test_without_words_it_is_begun_here_and_named_as_the_folder(folder):
    run("service init")
    assert json.loads((folder / "service.json").read_text())["name"] == "my-lab"
    assert "no errors" in run("service check service.json").stderr


@pytest.mark.parametrize(("name", "named"), [("+++", "my-service"), ("a" * 50, "a" * 40)])
def test_a_folder_with_a_name_that_no_service_can_have(folder, name, named):
    run(f"service init '{name}'")
    assert json.loads((folder / name / "service.json").read_text())["name"] == named


def test_nothing_is_replaced(folder):
    (folder / "my_service.py").write_text("mine")
    result = run("service init", 1)
    assert result.stderr.startswith("dss: error: my_service.py already exists, and nothing was")
    assert (folder / "my_service.py").read_text() == "mine"
    assert [file.name for file in folder.iterdir()] == ["my_service.py"]


def test_a_name_that_no_service_can_have(folder):
    result = run("service init --name 'a b'", 1)
    assert "dss: error: name: 'a b' must consist of letters" in result.stderr
    assert list(folder.iterdir()) == []


def test_errors_are_listed(folder):
    document = {"name": "a b", "version": "1.0.0", "shortdesc": "s", "url": "", "x\x1b": 1}
    (folder / "service.json").write_text(json.dumps(document, indent=1))
    result = run("service check .", 1)
    assert result.stderr == "dss: error: service.json cannot be used: 2 errors\n"
    lines = result.stdout.splitlines()
    assert lines[0].startswith(
        "error: line 1, longdesc: is missing, and the server's page of services"
    )
    assert lines[1].startswith("error: line 2, name: 'a b' must consist of letters")
    assert lines[2].startswith('note: line 6, ["x\\u001b"]: is not a known field: ')
    assert len(lines) == 3
    found = json.loads(run("service check service.json --json", 1).stdout)
    assert [(one["severity"], one["line"], one["where"]) for one in found] == [
        ("error", 1, "longdesc"),
        ("error", 2, "name"),
        ("note", 6, '["x\\u001b"]'),
    ]
    assert found[1].keys() == {"severity", "where", "line", "what", "remedy"}


def test_notes_alone_are_no_failure(folder):
    run("service init")
    document = json.loads((folder / "service.json").read_text())
    (folder / "service.json").write_text(json.dumps({**document, **FILLED_IN, "authors": "Doe"}))
    (folder / "my_service.py").unlink()
    result = run("service check .")
    assert result.stdout.startswith("note: line 1, authors: is not a known field")
    assert result.stderr == "dss: .: no errors\n"
    assert [one["severity"] for one in json.loads(run("service check . --json").stdout)] == ["note"]


def test_no_file(folder):
    result = run("service check .", 1)
    assert result.stdout == ""
    expected = f"there is no service.json in {folder}: in another folder, dss service init writes"
    assert result.stderr == f"dss: error: {expected} one to be filled in\n"


def test_a_file_that_is_no_description(folder):
    (folder / "e3.py").write_text("import dss\n")
    result = run("service check e3.py", 1)
    assert result.stdout == (
        "error: line 1: this is not valid JSON (expecting value, at column 1): "
        "correct the error there, or just before\n"
    )
    assert result.stderr == "dss: error: e3.py cannot be used: 1 error\n"


@pytest.mark.parametrize("named", ["begun", "begun/my_service.py"])
def test_a_service_without_a_description(folder, named, workspace):
    run("service init begun --name Bright")
    line = f"service test {named} '{workspace.path}' -o result"
    told = folder.joinpath("begun", "service.json")
    assert (
        run(line)
        .stderr.splitlines()[-1]
        .endswith(f" dss service check {Path('begun') / told.name}")
    )
    told.unlink()
    last = run(line).stderr.splitlines()[-1]
    assert f"there is no {Path('begun') / told.name}: dss service init" in last


def test_what_the_begun_description_has_a_user_read(folder, workspace):
    run("service init begun")
    workspace.main.tags = ()
    workspace.save(workspace.path)
    told = run(f"service test begun '{workspace.path}'", 1).stderr
    assert "no layer has the tag Target: give it to the main image (the image to work on)" in told


def test_help_says_what_is_typed():
    group = typer.main.get_command(app).commands["service"]
    assert list(group.commands) == ["init", "check", "test"]
    for name, command in group.commands.items():
        assert len(command.get_short_help_str(60)) <= 60
        assert f"$ dss service {name} " in run(f"service {name} --help").output
    assert "[DIR]" in run("service init --help").output
    assert "[[DIR]]" not in run("service init --help").output


CRASHES = {
    "segfault": ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
    "leaves": ("os._exit(7)", "exit code 7"),
    "leaves well": ("os._exit(0)", "exit code 0"),
}


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("how", CRASHES)
def test_crash_of_a_service_is_named(folder, workspace, how):
    words, said = CRASHES[how]
    text = f"""
import os, signal, sys
from dss import service

@service(name="A")
def a(job):
    job.log("begun")
    {words}
"""
    (folder / "crash.py").write_text(text)
    told = run(f"service test crash.py '{workspace.path}' -o result", 1).stderr
    assert "dss: begun\n" in told
    (line,) = [line for line in told.splitlines() if line.startswith("dss: error: ")]
    assert "the service crashed: its process" in line
    assert said in line
    assert str(folder / "result") in line or "in result" in line


def test_result_of_a_service_is_checked(folder, workspace):
    text = """
import numpy
from dss import service

@service(name="A")
def a(job):
    labels = numpy.ones(job.workspace.main.array().shape, "u1")
    job.workspace.add_segmentation(labels * 7, like=job.workspace.main)
"""
    (folder / "undescribed.py").write_text(text)
    found = run(f"service test undescribed.py '{workspace.path}' -o result", 1)
    assert found.stdout.splitlines()[0].endswith("workspace.itksnap")
    assert "error of the result: " in found.stderr
    assert "7" in found.stderr
