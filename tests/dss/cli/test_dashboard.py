"""What `dashboard` shows of a work folder, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path
from shutil import copytree

import pytest
import typer
from typer.testing import CliRunner

from dss.cli import dashboard as module
from dss.cli.shared import command
from dss.serving.journal import Journal, Outcome, Step
from dss.serving.workdir import PROGRESS, REPORTS, folder_of
from snapws.cli import frame
from tests.interrupts import interrupt

HASH = "0" * 40

PROGRAM = """
import sys, typer
from dss.cli.dashboard import dashboard
from dss.cli.shared import command
from snapws import console
from snapws.cli import frame
app = typer.Typer(pretty_exceptions_enable=False)
app.callback()(frame.options)
command(app, "dashboard", example="dss provider dashboard")(dashboard)
sys.exit(console.run(lambda: app(prog_name="dss")))
"""

app = typer.Typer(rich_markup_mode=None)
app.callback()(frame.options)
command(app, "dashboard", example="dss provider dashboard --watch")(module.dashboard)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A work folder in which everything has happened once."""
    folder = tmp_path_factory.mktemp("work")
    with closing(Journal(folder)) as journal:
        journal.bind(server="https://dss.example.org", provider="lab", instance="lab_7f")
        journal.add_claimed(1, "Neck", HASH)
        journal.record(1, Step.FINISHED, outcome=Outcome.SUCCESS)
        journal.add_claimed(2, "Neck", HASH)
        journal.record(2, Step.FAILING, reason="no head in\n\x1b[2Jit " + "x" * 1000)
        journal.record(2, Step.FINISHED, outcome=Outcome.FAILED)
        journal.add_claimed(3, "Brain", HASH)
        journal.begin(3)
        journal.add_claimed(4, "Brain", HASH)
        journal.record(4, Step.PACKAGED)
        journal.sent(4, "layer", 1_234_567)
        journal.remark(4, "waiting", "the server is away")
        journal.end_claim(journal.begin_claim(HASH), "unknown")
    folder_of(folder, 2).mkdir()
    reports = folder_of(folder, 3) / REPORTS
    reports.mkdir(parents=True)
    (reports / PROGRESS).write_text("0.250000", encoding="ascii")
    return folder


@pytest.fixture
def folder(work, tmp_path):
    """A copy of `work`."""
    return copytree(work, tmp_path / "work")


def run(*words, code=0):
    result = CliRunner().invoke(app, ["dashboard", *map(str, words)], prog_name="dss")
    assert result.exit_code == code, (result.output, result.exception)
    return result


def started(folder: Path, *words: str, **streams) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "dashboard", "--workdir", folder, "--watch", *words],
        stderr=subprocess.PIPE,
        **streams,
    )


def sections(page):
    """Return the lines of a page under their titles."""
    head, *rest = page.rstrip().split("\n\n")
    parts = {block.split(":", 1)[0]: block.splitlines() for block in rest}
    return head.splitlines(), parts


def test_the_page_has_all_sections(folder):
    head, parts = sections(run("--workdir", folder).stdout)
    assert head[1] == "Runner: lab_7f of lab at https://dss.example.org, not running"
    assert head[2] == "Claims without an answer: 1 (see dss run --adopt)"
    assert list(parts) == [
        "Open",
        "Waiting for the server",
        "Last failures",
        "Finished",
        "Time to a step",
    ]
    columns = parts["Open"][1].split()
    assert (
        " ".join(columns) == "Ticket Service Step Progress Since For Times begun Result sent Note"
    )
    assert parts["Open"][2].split()[:4] == ["3", "Brain", "claimed", "25%"]
    assert parts["Open"][2].endswith("  1")
    waits = parts["Waiting for the server"][2]
    assert waits.split()[:3] == ["4", "Brain", "packaged"]
    assert waits.endswith("1.2 MB in 1 file  the server is away")
    assert parts["Last failures"][1].split() == ["Ticket", "Service", "At", "Files", "Reason"]
    assert f"  {folder_of(folder, 2)}  " in parts["Last failures"][2]
    assert [line.split()[:-2] for line in parts["Finished"][2:]] == [
        ["hour", "1", "1"],
        ["24", "hours", "1", "1"],
    ]
    assert [line.split()[:3] for line in parts["Time to a step"][2:]] == [
        ["Brain", "packaged", "1"],
        ["Neck", "failing", "1"],
        ["Neck", "finished", "2"],
    ]


def test_a_reason_stays_on_its_line(folder):
    _, parts = sections(run("--workdir", folder).stdout)
    (row,) = parts["Last failures"][2:]
    assert "no head in [2Jit xxx" in row
    assert row.isprintable()
    assert len(row) < 400 + len(str(folder))


def test_a_new_folder_has_nothing_to_show(tmp_path):
    Journal(tmp_path).close()
    _, parts = sections(run("--workdir", tmp_path).stdout)
    assert [part[0] for part in parts.values() if len(part) == 1] == [
        "Open: none",
        "Waiting for the server: none",
        "Last failures: none",
        "Time to a step: none",
    ]


def test_json_is_one_document(folder):
    found = json.loads(run("--workdir", folder, "--json").stdout)
    assert found["runner"] == {
        "server": "https://dss.example.org",
        "provider": "lab",
        "instance": "lab_7f",
        "up": False,
    }
    assert [(row["ticket"], row["step"]) for row in found["running"]] == [(3, "claimed")]
    assert found["running"][0]["progress"] == 0.25
    assert found["waiting"][0]["progress"] is None
    assert found["waiting"][0]["note"] == "the server is away"
    assert found["waiting"][0]["since"].endswith("+00:00")
    assert found["failures"][0]["reason"].startswith("no head in\n\x1b[2Jit x")
    assert [row["hours"] for row in found["periods"]] == [1, 24]
    assert found["lost_claims"] == 1
    assert set(found) == {
        "at",
        "runner",
        "running",
        "waiting",
        "failures",
        "periods",
        "steps",
        "finished",
        "lost_claims",
    }


def test_dss_work_is_the_folder_by_default(folder, monkeypatch):
    folder.rename(folder.with_name("dss-work"))
    monkeypatch.chdir(folder.parent)
    assert json.loads(run("--json").stdout)["waiting"]


@pytest.mark.parametrize("words", [[], ["--json"], ["--watch"]])
def test_no_journal_is_one_clear_line(tmp_path, words):
    result = run("--workdir", tmp_path / "none", *words, code=1)
    assert result.stdout == ""
    assert result.stderr.startswith("dss: error: there is no journal in ")
    assert result.stderr.count("\n") == 1


def test_watching_goes_on_until_the_journal_is_gone(folder, monkeypatch):
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            (folder / "journal.sqlite3").unlink()

    monkeypatch.setattr(module.time, "sleep", sleep)
    result = run("--workdir", folder, "--watch", "--interval", 7, "--json", code=1)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["lost_claims"] for line in lines] == [1, 1, 1]
    assert waits == [7, 7, 7]
    assert "\x1b" not in result.stdout


def _read_all(terminal: int) -> None:
    with suppress(OSError):  # as Linux says that nobody is left
        while os.read(terminal, 10_000):
            pass


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize(("words", "clears"), [([], True), (["--json"], False)])
def test_a_terminal_is_cleared_before_a_page(folder, words, clears):
    import pty

    terminal, end = pty.openpty()
    with started(folder, *words, stdout=end) as child:
        os.close(end)
        begin = os.read(terminal, len(module._CLEAR))
        reading = threading.Thread(target=_read_all, args=(terminal,))
        reading.start()
        interrupt(child)
        reading.join()
        os.close(terminal)
        assert child.returncode == 130
    assert (begin == module._CLEAR.encode()) == clears


@pytest.mark.skipif(sys.platform == "win32", reason="no interrupt can be sent to one process")
def test_an_interrupt_ends_it_quietly(folder):
    with started(folder, stdout=subprocess.PIPE) as child:
        begin = os.read(child.stdout.fileno(), 10_000)
        rest, errors = interrupt(child)
    assert (child.returncode, errors) == (130, b"")
    assert begin
    assert b"\x1b" not in begin + rest


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_closed_pipe_ends_it_quietly(folder, words):
    reader, writer = os.pipe()
    with started(folder, "--interval", "0.1", *words, stdout=writer) as child:
        os.close(writer)
        os.read(reader, 1)
        os.close(reader)
        _, errors = child.communicate(timeout=300)
    assert (child.returncode, errors) == (1, b"")
