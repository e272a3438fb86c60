"""What a user does: `dss services`, `submit`, `tickets`."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from dss import TicketStatus
from dss.cli.submit import refuse_missing_tags
from dss.errors import Refused
from dss.parsing import read_service
from snapws import Workspace
from tests.dss.cli.conftest import DESCRIPTION, NAME

SCRIPT = Path(sysconfig.get_path("scripts")) / "dss"


@pytest.fixture
def finished(client, provider, claimed, workspace, tmp_path) -> int:
    """A ticket with two log lines, two attachments and a result."""
    provider.log(claimed, "info", "begun")
    for description, text, kind in (
        ("Größe ../x", "first", "text/plain"),
        ("matrix", "second", "x/y"),
    ):
        (tmp_path / "attached").write_text(text)
        provider.attach(claimed, description, tmp_path / "attached", kind)
    provider.log(claimed, "warning", "two\nlines\x1b[31m")
    provider.upload(claimed, workspace)
    provider.succeed(claimed)
    return claimed


@pytest.fixture
def at_work(provider, service, workspace):
    """Somebody who takes the next ticket, and logs and delivers, or fails with a reason."""
    over = threading.Event()

    def work(reason: str | None) -> int:
        while (claim := provider.claim([service], "lab", "1")) is None:
            assert not over.wait(0.05), "no ticket came"
        provider.log(claim.ticket, "info", "at work")
        provider.progress(claim.ticket, 0.5)
        if reason:
            provider.fail(claim.ticket, reason)
        else:
            provider.upload(claim.ticket, workspace)
            provider.succeed(claim.ticket)
        return claim.ticket

    with ThreadPoolExecutor(1) as pool:
        yield lambda reason=None: pool.submit(work, reason)
        over.set()


def test_services_are_listed_and_shown(user, service):
    found = [one for one in json.loads(user("services list --json").stdout) if one["name"] == NAME]
    assert found == [
        {"name": NAME, "hash": service, "version": "1.10", "description": 'Größe, "Form"'}
    ]
    assert f'{NAME}  1.10     Größe, "Form"' in user("services list").stdout
    lines = user(f"services show {NAME}").stdout.splitlines()
    assert lines[:4] == [
        f"name: {NAME}",
        "version: 1.10",
        f"hash: {service}",
        'description: Größe, "Form"',
    ]
    assert lines[-1].split() == ["Target", "MainImage", "yes", "a", "scan"]
    found = json.loads(user(f"services show {service} --json").stdout)
    tag = {"name": "Target", "type": "MainImage", "hint": "a scan", "required": True}
    assert (found["hash"], found["tags"]) == (service, [tag])


def test_statistics_of_a_service_are_shown(user, finished, client, service):
    stats = client.service_stats(service)
    assert stats.succeeded > 0
    found = json.loads(user(f"services stats {NAME} --json").stdout)
    assert found.pop("last_heard") >= 0
    assert found == {
        "hash": service,
        "succeeded": stats.succeeded,
        "failed": stats.failed,
        "mean_duration": stats.mean_duration.total_seconds(),
        "queue_length": 0,
    }
    assert f"succeeded: {stats.succeeded}\n" in user(f"services stats {service}").stdout


def test_an_ambiguous_name_of_a_service_is_refused(
    user, middleware, admin, service, study, tmp_path
):
    text = json.dumps({**DESCRIPTION, "version": "1.9"})
    (tmp_path / "service.json").write_text(text, encoding="utf-8")
    other = middleware.publish(tmp_path, "lab")
    for line in (f"services show {NAME}", f"submit '{study}' {NAME}"):
        user.fails(line, f"2 services are named '{NAME}'", f"{service} (version 1.10)", other)
    assert user(f"services show {other}").stdout.splitlines()[1] == "version: 1.9"
    admin.delete_service("lab", other)
    user.fails("services stats No", "no service is named 'No'; services: ", NAME)


def test_a_workspace_is_submitted(user, client, study, service):
    result = user(["submit", str(study), NAME])
    ticket = int(result.stdout)
    assert client.tickets()[-1].status is TicketStatus.READY
    assert len(client.files(ticket, "input")) == 3
    assert json.loads(user(["submit", str(study), service, "--verify", "--json"]).stdout) == {
        "ticket": ticket + 1
    }
    listed = json.loads(user("tickets list --json").stdout)
    assert listed == [{"id": ticket + i, "service": NAME, "status": "ready"} for i in (0, 1)]


def test_a_workspace_is_submitted_and_its_result_fetched(user, at_work, study, tmp_path):
    work = at_work()
    words = ["submit", str(study), NAME, "--download", "result", "--interval", "0.1"]
    result = user(words)
    lines = result.stdout.splitlines()
    assert lines[0] == str(work.result())
    assert lines[-2].endswith("  info     at work")
    assert lines[-1] == str(Path("result") / f"ticket_{work.result():08d}_results.itksnap")
    assert result.stderr.splitlines() == [
        "dss: the archive keeps: tags: Target, Source",
        "dss: the archive keeps: layer nickname: Söurce",
        f"dss: ticket {work.result()}: success",
    ]
    assert len(Workspace.open(lines[-1]).layers()) == 2


def test_submission_with_json_prints_one_object_a_line(user, at_work, study):
    work = at_work()
    words = ["submit", str(study), NAME, "--download", "result", "--interval", "0.1", "--json"]
    lines = [json.loads(line) for line in user(words).stdout.splitlines()]
    assert lines[0] == {"ticket": work.result()}
    assert {line["ticket"] for line in lines} == {work.result()}
    assert lines[-2]["status"] == "success"
    assert [one["message"] for line in lines[1:-1] for one in line["log"]][-1] == "at work"
    assert Path(lines[-1]["workspace"]).is_file()


def test_a_failed_ticket_ends_the_wait_with_its_reason(user, at_work, study):
    work = at_work("no layer has\nthe tag Target")
    result = user(["submit", str(study), NAME, "--download", "result", "--interval", "0.1"], 1)
    ticket = work.result()
    expected = f"dss: error: ticket {ticket} ended as failed: no layer has the tag Target\n"
    assert result.stderr.endswith(f"\n{expected}")
    assert result.stdout.endswith("error    no layer has\n    the tag Target\n")
    assert not Path("result").exists()
    result = user(f"tickets wait {ticket} --json", 1)
    assert json.loads(result.stdout.splitlines()[-1])["status"] == "failed"
    assert result.stderr == expected


def test_an_interrupted_upload_continues(user, client, service, study):
    ticket = client.create(service)
    assert user(["submit", str(study), "--ticket", str(ticket)]).stdout == f"{ticket}\n"
    again = user(["submit", str(study), NAME, "--ticket", str(ticket)], 1)
    assert f"dss: error: ticket {ticket} is ready" in again.stderr
    assert client.status(ticket) is TicketStatus.READY
    assert [file.name for file in client.files(ticket, "input")][-1].endswith(".itksnap")


def test_waiting_stops_by_the_clock(user, client, service):
    ticket = client.create(service)
    client.make_ready(ticket)
    result = user(f"tickets wait {ticket} --timeout 3 --interval 0.5", 1)
    assert result.stdout.endswith("Ticket received and queued for processing\n")
    assert result.stderr.startswith("dss: error: ")
    assert f"ticket {ticket}" in result.stderr
    found = json.loads(user(f"tickets wait {ticket} --timeout 0.05m --json", 1).stdout)
    assert (found["ticket"], found["status"], len(found["log"])) == (ticket, "ready", 1)


def test_progress_is_for_terminals(user, claimed, provider):
    if os.name == "nt":
        pytest.skip("Windows has no terminals of this kind")
    import pty

    provider.log(claimed, "info", "begun")
    provider.progress(claimed, 0.25)
    master, slave = pty.openpty()
    done = subprocess.run(
        [SCRIPT, "tickets", "wait", str(claimed), "--timeout", "3"],
        stdout=subprocess.PIPE,
        stderr=slave,
        env={**os.environ, **user.environment()},
        timeout=300,
    )
    os.close(slave)
    shown = os.read(master, 100_000).decode()
    os.close(master)
    assert done.returncode == 1
    assert b"begun" in done.stdout
    assert b"25%" not in done.stdout
    progress = f"ticket {claimed}: claimed, 25%"
    before, after = shown.split(progress)
    assert before.strip("\r") == ""
    assert after.startswith(f"\r{' ' * len(progress)}\r")  # it is gone when something else comes
    assert f"ticket {claimed}" in after


def test_a_ticket_is_shown_with_its_files_and_log(user, finished):
    lines = user(f"tickets show {finished}").stdout.splitlines()
    assert lines[:3] == [f"ticket: {finished}", "status: success", "progress: 1"]
    assert lines[3:6] == ["input: 0 files", "results: 3 files", ""]
    found = json.loads(user(f"tickets show {finished} --json").stdout)
    assert found["status"] == "success"
    assert found["input"] == []
    assert found["results"][-1] == f"ticket_{finished:08d}_results.itksnap"
    assert found["log"] == json.loads(user(f"tickets log {finished} --json").stdout)


def test_the_log_is_printed_with_attachments(user, finished):
    lines = user(f"tickets log {finished}").stdout.splitlines()
    assert lines[-3].endswith("  info     begun")
    assert lines[-2].endswith("  warning  two [Größe ../x] [matrix]")
    assert lines[-1] == "    lines?[31m"
    last = json.loads(user(f"tickets log {finished} --json").stdout)[-1]
    assert (last["category"], last["message"]) == ("warning", "two\nlines\x1b[31m")
    assert last["time"].endswith("+00:00")
    assert [one["mime_type"] for one in last["attachments"]] == ["text/plain", "x/y"]


def test_attachments_are_listed_and_downloaded(user, finished, tmp_path):
    found = json.loads(user(f"tickets attachments {finished} --json").stdout)
    assert [(one["description"], one["mime_type"]) for one in found] == [
        ("Größe ../x", "text/plain"),
        ("matrix", "x/y"),
    ]
    assert found[0]["url"] in user(f"tickets attachments {finished}").stdout
    folder = tmp_path / "files"
    result = user(["tickets", "attachments", str(finished), "--download", str(folder)])
    files = [Path(line) for line in result.stdout.splitlines()]
    first, second = (one["id"] for one in found)
    assert [file.name for file in files] == [
        f"attachment_{first}_Gr-e-x.txt",
        f"attachment_{second}_matrix.bin",
    ]
    assert [file.read_text() for file in files] == ["first", "second"]
    assert sorted(folder.iterdir()) == sorted(files)
    user.fails(["tickets", "attachments", str(finished), "--download", str(files[0])], "exists")


def test_a_ticket_without_attachments_says_so(user, client, service):
    ticket = client.create(service)
    result = user(f"tickets attachments {ticket}")
    assert result.stdout == ""
    assert result.stderr == f"dss: nothing is attached to ticket {ticket}\n"
    assert json.loads(user(f"tickets attachments {ticket} --json").stdout) == []


def test_a_result_is_downloaded(user, finished, tmp_path):
    words = ["tickets", "download", str(finished), str(tmp_path / "a"), "--parallel", "2"]
    workspace = user(words).stdout.strip()
    assert len(Workspace.open(workspace).layers()) == 2
    assert json.loads(user([*words, "--json"]).stdout) == [workspace]


def test_failed_tickets_are_retried_and_tickets_deleted(user, client, provider, claimed, service):
    user.fails(f"tickets retry {claimed}", "claimed", "only a ticket that failed")
    provider.fail(claimed, "broken")
    assert user(f"tickets retry {claimed}").output == f"dss: ticket {claimed}: ready\n"
    other = client.create(service)
    assert user(f"tickets delete {claimed} {other} -q").output == ""
    assert client.tickets() == []
    assert "broken" in user(f"tickets log {claimed}").stdout
    assert "deleted" in user(f"tickets wait {claimed}", 1).stderr


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("tickets show 999999", ["not found", "; yours: dss tickets list"]),
        ("tickets wait 999999", ["not found"]),
        ("tickets download 999999 out", ["not found"]),
        ("tickets delete 999999", ["not found"]),
        ("tickets attachments 999999 --download out", ["not found"]),
        ("submit none.itksnap Any", ["cannot read the workspace none.itksnap"]),
        ("submit none.itksnap {service}", ["none.itksnap", "No such file"]),
        ("provider claim", ["you provide no service"]),
        ("admin tickets list", ["Insufficient privileges", "for administrators: dss whoami tells"]),
    ],
)
def test_refusals_are_one_line(user, service, tmp_path, monkeypatch, line, parts):
    monkeypatch.chdir(tmp_path)
    user.fails(line.format(service=service), *parts)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "line",
    [
        "submit study.itksnap",
        "tickets",
        "tickets show x",
        "tickets show 0",
        "tickets delete",
        "tickets wait 1 --interval 0",
        "tickets wait 1 --timeout 2w",
        "tickets wait 1 --timeout -1",
        "tickets wait 1 --timeout 3651d",
        "tickets wait 1 --timeout 1e999",
        "tickets wait 1 --interval 99999999999d",
        "run s.py --provider lab --memory 1e9",
        "run s.py --provider lab --memory " + "9" * 400,
        "provider progress 1 0.5 --start 0.5 --end 0.5",
        "provider log 1 text --category debug",
        "admin tickets purge some --hours 1",
        "admin tickets purge all",
    ],
)
def test_an_invalid_command_line_shows_the_usage(stranger, line):
    assert "Usage: dss" in stranger(line, 2).stderr


def test_verbose_shows_the_traceback_and_quiet_no_remarks(user, finished):
    lines = user("tickets show 999999 -v", 1).stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("dss: error: ")
    assert user(f"-q tickets wait {finished}").stderr == ""


def test_a_ticket_of_another_service_is_refused(
    user, client, middleware, admin, service, study, tmp_path
):
    (tmp_path / "service.json").write_text(
        json.dumps({**DESCRIPTION, "name": "Other"}), encoding="utf-8"
    )
    other = middleware.publish(tmp_path, "lab")
    ticket = client.create(service)
    words = ["submit", str(study), "Other", "--ticket", str(ticket)]
    user.fails(words, f"ticket {ticket} is for {NAME}, not for Other")
    assert client.files(ticket, "input") == []
    admin.delete_service("lab", other)
    assert user(["submit", str(study), NAME, "--ticket", str(ticket)]).stdout == f"{ticket}\n"


def test_a_missing_required_layer_is_named(user, service, study, client):
    edited = Workspace.open(study)
    edited.main.tags = ()
    edited.save(study)
    (told,) = user(["submit", str(study), NAME], 1).stderr.splitlines()
    assert told.startswith(f"dss: error: no layer of {study} has the tag Target (a scan), which")
    assert "nothing was sent" in told
    words = shlex.split(told[told.index("snapws tags add") : told.index("; dss.Client.submit")])
    assert words == ["snapws", "tags", "add", str(study), "LAYER", "Target"]
    assert client.tickets() == []
    edited.main.tags = ("Target",)
    edited.save(study)
    assert user(["submit", str(study), NAME]).stdout == f"{client.tickets()[0].id}\n"


@pytest.fixture
def twice(study) -> Path:
    """The study with the required tag on two layers."""
    edited = Workspace.open(study)
    edited.add_overlay(edited.main.path, tags=["Target"])
    edited.save(study)
    return study


def test_a_required_tag_on_two_layers_is_refused(user, service, twice, client):
    told = "2 layers have the tag Target (000, 002): leave it on one, the main image (a scan)"
    user.fails(["submit", str(twice), NAME], told, "nothing was sent: --anyway")
    assert client.tickets() == []


def test_a_required_tag_on_a_layer_of_another_type_is_refused(user, service, study, client):
    edited = Workspace.open(study)
    edited.main.tags = ()
    edited.add_segmentation(edited.main.path, tags=["Target"])
    number = edited.layers()[-1].number
    edited.save(study)
    told = f"the tag Target is on layer {number:03d}, a segmentation: give it to the main image"
    user.fails(["submit", str(study), NAME], told, "nothing was sent: --anyway")
    assert client.tickets() == []


def test_a_required_tag_on_a_mesh_alone_is_refused(user, service, study, client):
    edited = Workspace.open(study)
    edited.main.tags = ()
    edited.add_mesh("tri.vtk", tags=["Target"])
    edited.save(study)
    user.fails(["submit", str(study), NAME], "only a mesh has the tag Target", "nothing was sent")
    assert client.tickets() == []


def test_a_workspace_with_other_tags_is_sent_anyway(user, service, twice, client):
    ticket = user(["submit", str(twice), NAME, "--anyway"]).stdout.strip()
    assert [str(one.id) for one in client.tickets()] == [ticket]


def test_tags_are_held_against_the_service_of_a_ticket_too(user, service, twice, client):
    ticket = client.create(service)
    words = ["submit", str(twice), "--ticket", str(ticket)]
    user.fails(words, "2 layers have the tag Target", "nothing was sent")
    assert client.files(ticket, "input") == []
    assert user([*words, "--anyway"]).stdout == f"{ticket}\n"


def test_a_tag_of_a_servers_making_is_one_word_of_a_shell(workspace):
    service = read_service(
        {
            "name": "S",
            "version": "1",
            "shortdesc": "s",
            "tags": [{"name": "x; rm -r ~", "required": True}],
        }
    )
    with pytest.raises(Refused) as caught:
        refuse_missing_tags(workspace, service)
    command = re.search("snapws tags add .*(?=; dss.Client)", str(caught.value))[0]
    assert shlex.split(command)[3:] == [str(workspace.path), "LAYER", "x; rm -r ~"]


def test_a_file_in_place_of_the_folder_for_the_result_is_refused(user, service, study, tmp_path):
    (tmp_path / "file").touch()
    words = ["submit", str(study), NAME, "--download", str(tmp_path / "file")]
    assert "is a file: name a folder" in user(words, 2).stderr


def test_times_are_numbers_with_or_without_a_unit(user, finished):
    assert user(f"tickets wait {finished} --timeout 1e3 --interval .5").exit_code == 0
    assert user(f"tickets wait {finished} --timeout 3650d").exit_code == 0


@pytest.fixture
def foreign(study, tmp_path) -> Path:
    """A scan in another folder, which is an overlay of the study."""
    opened = Workspace.open(study)
    scan = tmp_path.resolve() / "other patient" / "scan.nii.gz"
    scan.parent.mkdir()
    shutil.copy(opened.main.path, scan)
    opened.add_overlay(scan)
    opened.save(study)
    return scan


def test_scripts_are_told_of_files_from_outside_and_not_asked(user, study, foreign, service):
    for words in ([], ["--yes"]):
        result = user(["submit", str(study), NAME, *words])
        assert f"outside of the workspace's folder: {foreign}" in result.stderr
        assert result.stdout.strip().isdecimal()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no terminals of this kind")
@pytest.mark.parametrize(
    ("options", "typed", "count"),
    [
        pytest.param([], "n", 0, id="no"),
        pytest.param([], "y", 1, id="yes"),
        pytest.param(["--quiet"], "n", 0, id="quiet"),
        pytest.param(["--yes"], "", 1, id="unasked"),
    ],
)
def test_on_a_terminal_files_from_outside_are_asked_about(
    user, client, study, foreign, service, options, typed, count
):
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        words = [str(SCRIPT), "submit", str(study), NAME, *options]
        os.execve(SCRIPT, words, {**os.environ, **user.environment()})
    shown = ""
    if typed:
        while "Send these files, too? [y/N]:" not in shown:
            shown += os.read(terminal, 1000).decode()
        assert client.tickets() == []
        os.write(terminal, f"{typed}\n".encode())
    with suppress(OSError):  # so Linux says that the other side has ended
        while piece := os.read(terminal, 1000):
            shown += piece.decode()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    assert str(foreign) in shown
    assert (len(client.tickets()), code) == (count, 0 if count else 1)
    assert ("nothing was sent" in shown) == (count == 0)
