"""Batches against the real middleware, with its quota, and a provider at work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from snapws import Workspace
from tests.dss.batch.site import LIMIT, NAME, QUOTA, REASON, Site


def status(folder: Path, home: Path, *options: str) -> str:
    """Return what dss batch status prints to somebody without a login."""
    program = str(Path(sys.executable).with_name("dss"))
    done = subprocess.run(
        [program, "batch", "status", str(folder), *options],
        env={"HOME": str(home), "USERPROFILE": str(home), "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_more_cases_than_the_quota_all_end_and_nothing_stays_on_the_server(site: Site) -> None:
    site.add_cases(QUOTA + 2)
    done = site.run(code=1)
    assert site.problems(QUOTA + 2) == []
    assert done.stderr.splitlines()[-1].endswith(
        "2 of 12 cases did not succeed: --retry-failed submits them anew"
    )
    assert done.stderr.count("the archive keeps: layer nickname: T1") == 1
    # Before the first was fetched, as many were open as the server allows.
    steps = [str(record["step"]) for record in site.records() if "step" in record]
    assert steps[: steps.index("ended")].count("created") == QUOTA

    failed = next(row for row in site.table() if row["case"] == "sub-03")
    assert failed["reason"] == REASON
    folder = site.out / "failed" / f"sub-03_{failed['ticket']}"
    log = json.loads((folder / "log.json").read_text(encoding="utf-8"))["log"]
    notes = next(one["attachments"][0]["file"] for one in log if one["attachments"])
    assert (folder / notes).read_text(encoding="utf-8") == "notes of case 3"
    shown = json.loads(status(site.out, site.folder / "nobody", "--json"))
    assert [one["status"] for one in shown].count("failed") == 2
    assert [one["case"] for one in shown] == [row["case"] for row in site.table()]
    assert REASON in status(site.out, site.folder / "nobody")

    # The same again does nothing; what failed is submitted anew only if asked.
    before = {number: set(tickets) for number, tickets in site.done.items()}
    site.run(code=1)
    assert site.done == before
    site.refused.clear()
    site.run(options=["--retry-failed"])
    assert {number for number, tickets in site.done.items() if len(tickets) > 1} == {3, 7}
    assert {row["status"] for row in site.table()} == {"success"}
    assert (folder / notes).exists()
    assert site.client.tickets() == []


def test_tickets_that_are_kept_use_up_the_quota_and_that_is_said(site: Site) -> None:
    site.add_cases(QUOTA + 2)
    done = site.run(options=["--keep-tickets"], code=1)
    assert "2 cases wait" in done.stderr
    assert "without --keep-tickets" in done.stderr
    assert len(site.client.tickets()) == QUOTA
    assert [row["status"] for row in site.table()].count("waiting") == 2
    for ticket in site.client.tickets()[:2]:
        site.client.delete(ticket.id)
    site.run(code=1)
    assert [row["status"] for row in site.table()].count("success") == QUOTA
    assert len(site.client.tickets()) == QUOTA - 2  # those that were to stay


def test_a_second_start_is_refused_while_the_first_is_at_work(site: Site) -> None:
    site.add_cases(2)
    site.paused.set()
    with site.running() as first:
        end = time.monotonic() + LIMIT
        while not (site.out / "batch.jsonl").exists() and time.monotonic() < end:
            time.sleep(0.05)
        second = site.run(code=1)
        assert f"is in use by another dss batch (process {first.pid})" in second.stderr
        assert second.stderr.count("dss: error:") == 1
        site.paused.clear()
        assert first.wait(LIMIT) == 0
    assert site.problems(2) == []


def test_nothing_is_sent_where_one_case_cannot_be(site: Site) -> None:
    site.add_cases(3)
    (site.folder / "studies" / "00" / "scan.nii.gz").unlink()
    study = site.folder / "studies" / "01" / "study.itksnap"
    study.write_bytes(study.read_bytes().replace(b'value="Target"', b'value="Other"'))
    done = site.run(code=1)
    problems = [line for line in done.stderr.splitlines() if line.startswith("dss: error: case")]
    assert [line.split()[3] for line in problems] == ["sub-00:", "sub-01:"]
    assert "has the tag Target" in problems[1]
    assert not site.out.exists()
    assert site.client.tickets() == []
    # --anyway sends what lacks a tag, not what lacks a file.
    (site.folder / "studies" / "00" / "scan.nii.gz").write_bytes(
        (site.folder / "studies" / "02" / "scan.nii.gz").read_bytes()
    )
    site.run(options=["--anyway"])
    assert {row["status"] for row in site.table()} == {"success"}


def test_a_batch_is_of_one_service_user_and_privacy(site: Site) -> None:
    site.add_cases(1)
    site.run(options=["--strict"])
    done = site.run(code=1)
    assert "was begun with privacy strict, not standard" in done.stderr
    moved = site.folder / "moved"
    shutil.move(site.out, moved)
    site.out = moved
    done = site.run(options=["--strict"], code=1)
    assert "say --trust-out once" in done.stderr
    site.run(options=["--strict", "--trust-out"])


def test_workspaces_of_folders_are_cases_by_the_shortest_names(site: Site) -> None:
    site.add_cases(2)
    site.run(site.folder / "studies", NAME, options=["--name", "{case}-{number}"])
    assert [row["case"] for row in site.table()] == ["00_study", "01_study"]
    assert (site.out / "results" / "01_study" / "01_study-000.nii.gz").exists()


def test_a_result_that_cannot_be_fetched_stays_on_the_server_until_it_can(site: Site) -> None:
    site.add_cases(1)
    site.run(options=["--max-size", "10"], code=1)
    (row,) = site.table()
    assert row["status"] == "unfetched"
    assert "so the ticket stays" in row["reason"]
    assert [one.id for one in site.client.tickets()] == [int(row["ticket"])]
    assert not (site.out / "results").exists() or not any((site.out / "results").iterdir())
    site.run(options=["--retry-failed"])
    assert site.problems(1) == []


def test_results_that_are_there_are_not_taken_for_those_of_a_new_batch(site: Site) -> None:
    site.add_cases(1)
    (site.out / "results" / "sub-00").mkdir(parents=True)
    done = site.run(code=1)
    assert "is not in the journal" in done.stderr
    assert site.client.tickets() == []


def test_layers_of_the_same_name_get_their_numbers(site: Site) -> None:
    site.add_cases(1)
    site.run(options=["--name", "{case}"])
    files = {path.name for path in (site.out / "results" / "sub-00").iterdir() if path.is_file()}
    assert files == {"sub-00.itksnap", "sub-00_000.nii.gz", "sub-00_001.nii.gz"}
    site.out = site.folder / "other"
    done = site.run(options=["--name", "{patient}"], code=1)
    assert "'{patient}' is not a valid name for layers" in done.stderr
    assert not site.out.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such terminals")
def test_files_from_outside_are_asked_about_once_for_all_cases(site: Site) -> None:
    import pty

    site.add_cases(12)
    for number in range(12):
        folder = site.folder / "studies" / f"{number:02d}"
        study = Workspace.open(folder / "study.itksnap")
        outside = site.folder / f"outside_{number:02d}.nii.gz"
        (folder / "scan.nii.gz").rename(outside)
        study.main.file = str(outside)
        study.save()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(site.folder)
        os.execve(site.words()[0], site.words(), site.environment())
    shown = ""
    while "Send these files, too? [y/N]:" not in shown:
        shown += os.read(terminal, 1000).decode()
    assert site.client.tickets() == []
    os.write(terminal, b"n\n")
    with suppress(OSError):  # so Linux says that the other side has ended
        while piece := os.read(terminal, 1000):
            shown += piece.decode()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    assert code == 1
    assert shown.count("Send these files") == 1
    assert shown.count("is from outside of the workspace's folder") == 10
    assert "2 more from outside, of 12 cases" in shown
    assert "nothing was sent" in shown
    assert not site.out.exists()
