"""What a provider does: `dss provider`."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dss import TicketStatus
from snapws import Workspace
from tests.dss.cli.conftest import DESCRIPTION, NAME, WORKER
from tests.dss.cli.test_login import SCRIPT


@pytest.fixture
def ticket(client, service, workspace) -> int:
    """A ticket that waits."""
    return client.submit(workspace, service)


def test_services_and_waiting_tickets_are_listed(worker, service, ticket):
    found = json.loads(worker("provider services --json").stdout)
    row = {"name": NAME, "version": "1.10", "hash": service, "provider": "lab"}
    assert row in found
    assert f"{NAME}  1.10     lab       {service}" in worker("provider services").stdout
    found = json.loads(worker(f"provider available {NAME} --json").stdout)
    assert found == [{"hash": service, "name": NAME, "ready": 1}]
    assert f"{NAME}  1      {service}" in worker("provider available").stdout


def test_a_ticket_from_claim_to_success(worker, client, ticket, tmp_path, study):
    assert worker(f"provider status {ticket}").stdout == "ready\n"
    claimed = worker(f"provider claim {NAME} --instance worker7")
    assert claimed.output == f"{ticket}\n"
    found = json.loads(worker(f"provider status {ticket} --json").stdout)
    assert found == {"ticket": ticket, "status": "claimed"}
    workspace = worker(f"provider download {ticket} work --parallel 2").stdout.strip()
    assert len(Workspace.open(workspace).layers()) == 2
    worker(f"provider progress {ticket} 0.5 --end 0.5")
    assert client.detail(ticket).progress == 0.25
    (tmp_path / "affine.mat").write_text("1 0 0 0")
    worker(f"provider attach {ticket} affine.mat 'Affine matrix' --mime-type text/plain")
    worker(f"provider log {ticket} 'Affine done' --category warning")
    worker(f"provider upload {ticket} '{workspace}' --verify")
    result = worker(f"provider success {ticket}")
    assert (result.stdout, result.stderr) == ("", f"dss: ticket {ticket}: success\n")
    detail = client.detail(ticket)
    assert detail.status is TicketStatus.SUCCESS
    assert [one for one in detail.log if "instance worker7" in one.message]
    assert (detail.log[-1].category, detail.log[-1].message) == ("warning", "Affine done")
    assert [one.description for one in detail.log[-1].attachments] == ["Affine matrix"]
    assert len(client.files(ticket, "results")) == 3


def test_a_ticket_is_reported_as_failed(worker, client, ticket):
    found = json.loads(worker(f"provider claim {NAME} --provider lab --json").stdout)
    assert (found["ticket"], found["status"]) == (ticket, "claimed")
    worker(["provider", "fail", str(ticket), "no tag"])
    assert client.status(ticket) is TicketStatus.FAILED
    assert client.log(ticket)[-1].message == "no tag"


def test_a_claim_without_a_waiting_ticket_fails(worker):
    worker.fails(f"provider claim {NAME}", "no ticket waits to be claimed\n")
    worker.fails(f"provider claim {NAME} --wait 0.3 --interval 0.1", "nor came in 0.3 s")
    assert worker(f"provider available {NAME}").stdout.split() == ["Name", "Ready", "Hash"]
    assert json.loads(worker(f"provider available {NAME} --json").stdout) == []


def test_a_claim_waits_for_a_ticket(worker, client, service, workspace):
    with ThreadPoolExecutor(1) as pool:
        ticket = pool.submit(client.submit, workspace, service)
        claimed = worker(f"provider claim {NAME} --wait 60 --interval 0.1")
        assert claimed.stdout == f"{ticket.result()}\n"


@pytest.fixture
def other_provider(worker, admin, middleware, tmp_path):
    """Another provider of the service; the worker is its user only during the test."""
    (tmp_path / "service.json").write_text(json.dumps(DESCRIPTION), encoding="utf-8")
    middleware.publish(tmp_path, "otherlab")
    yield "otherlab"
    for user in admin.users("otherlab"):  # a deleted provider would keep them
        admin.delete_user("otherlab", user.id)
    admin.delete_provider("otherlab")


def test_a_claim_needs_a_known_service_and_an_unambiguous_provider(
    worker, admin, ticket, other_provider
):
    worker.fails(f"provider claim --provider {other_provider}", "you provide no service for")
    worker.fails("provider claim No", f"no service is named 'No'; services: {NAME}")
    admin.add_user(other_provider, WORKER)
    worker.fails("provider claim", f"choose a --provider: lab, {other_provider}")
    assert worker(f"provider claim {NAME} --provider {other_provider}").stdout == f"{ticket}\n"


@pytest.mark.parametrize(
    "line",
    ["download {} out", "log {} text", "progress {} 0.5", "success {}", "attach {} file text"],
)
def test_a_ticket_that_is_not_claimed_is_refused(worker, ticket, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    worker.fails(f"provider {line.format(ticket)}", "has not been claimed")
    assert not (tmp_path / "out").exists()


def test_every_command_says_that_the_owner_deleted_the_ticket(worker, client, claimed):
    client.delete(claimed)
    assert worker(f"provider status {claimed}").stdout == "deleted\n"
    worker.fails(f"provider log {claimed} text", f"Ticket {claimed} has been deleted")


def test_missing_files_are_named(worker, claimed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    worker.fails(f"provider attach {claimed} none.txt text", "none.txt", "No such file")
    worker.fails(f"provider upload {claimed} none.itksnap", "none.itksnap", "No such file")


def test_a_ticket_is_reported_once_and_with_its_result(worker, claimed, study):
    worker.fails(f"provider success {claimed}", f"ticket {claimed} has no result yet: upload it")
    assert "say why" in worker(["provider", "fail", str(claimed), " "], 2).stderr
    worker(["provider", "upload", str(claimed), str(study), "--strict"])
    worker(f"provider success {claimed}")
    for line in (f"provider success {claimed}", f"provider fail {claimed} late"):
        worker.fails(line, f"ticket {claimed} is success already")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_claim_is_told_of_where_standard_output_is_full(worker, ticket, middleware):
    environment = {**os.environ, **worker.environment()}
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [SCRIPT, "provider", "claim", NAME, "--provider", "lab"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment,
            timeout=300,
            encoding="utf-8",
        )
    assert done.returncode == 1
    assert f"dss: ticket {ticket} is claimed" in done.stderr


def test_somebody_elses_ticket_is_not_looked_for_among_ones_own(worker):
    worker.fails("provider status 999999", "not found")
    assert "dss tickets list" not in worker("provider status 999999", 1).stderr
