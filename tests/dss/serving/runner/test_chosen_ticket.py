"""``dss run --ticket``: one ticket, and no other."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from dss import Admin, Middleware, Provider, TicketStatus
from dss.login import Credentials
from dss.middleware import ADMINISTRATOR
from tests.dss.serving.lab import LAB, SERVICE, Lab, until
from tests.dss.serving.runner.test_loop import posix

FAILING = """
    from dss import service

    @service(name="NAME")
    def work(job):
        raise ValueError("no head in this image")
"""


@pytest.fixture
def middleware(tmp_path: Path) -> Iterator[Middleware]:
    """A server of this test alone: which ticket waits is what it is about."""
    with Middleware(tmp_path / "middleware") as running:
        yield running


def claim(lab: Lab) -> int:
    """Claim a ticket as whoever starts a container for each does."""
    with Credentials(lab.home).open_session() as session:
        claimed = Provider(session).claim([lab.hash], LAB, "scheduler")
    assert claimed is not None
    return claimed.ticket


def fails(lab: Lab, *options: object) -> str:
    """Run a runner that has to be refused in one line; return the line."""
    done = lab.run(*options)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("dss: error: ")]
    return line


def test_ticket_that_waits_is_worked_on_and_no_other(lab: Lab) -> None:
    first, second = lab.submit(), lab.submit()
    done = lab.run("--ticket", first)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("tickets: 1 success\n")
    assert lab.result(first).layer(tag="Result")
    assert lab.status(second) is TicketStatus.READY


def test_ticket_that_is_claimed_already_is_taken_over(lab: Lab) -> None:
    first, second = lab.submit(), lab.submit()
    assert claim(lab) == first
    assert lab.run("--ticket", first).returncode == 0
    assert lab.status(first) is TicketStatus.SUCCESS
    assert lab.status(second) is TicketStatus.READY


def test_containers_work_on_their_tickets_side_by_side(lab: Lab) -> None:
    tickets = [lab.submit(), lab.submit()]
    assert [claim(lab), claim(lab)] == tickets
    own = [lab.folder / f"container {ticket}" for ticket in tickets]
    with (
        lab.running("--ticket", tickets[0], "--workdir", own[0]) as one,
        lab.running("--ticket", tickets[1], "--workdir", own[1]) as other,
    ):
        assert (one.wait(300), other.wait(300)) == (0, 0)
    assert [lab.status(ticket) for ticket in tickets] == [TicketStatus.SUCCESS] * 2


def test_ticket_that_fails(lab: Lab) -> None:
    lab.write(FAILING)
    ticket = lab.submit()
    done = lab.run("--ticket", ticket)
    assert done.returncode == 1
    assert done.stderr.endswith("tickets: 1 failed\n")
    assert "no head in this image" in lab.error(ticket)


def test_younger_ticket_is_not_claimed_in_place_of_an_older_one(lab: Lab) -> None:
    first, second = lab.submit(), lab.submit()
    line = fails(lab, "--ticket", second)
    assert f"ticket {second} is not the next" in line
    assert f"ticket {first} waits, too" in line
    assert lab.status(first) is lab.status(second) is TicketStatus.READY


def test_ticket_that_does_not_exist(lab: Lab) -> None:
    assert f"there is no ticket {10**6} of a service" in fails(lab, "--ticket", 10**6)


def test_ticket_that_is_finished(lab: Lab) -> None:
    ticket = lab.submit()
    assert lab.run("--once").returncode == 0
    assert f"ticket {ticket} is success: it does not wait" in fails(lab, "--ticket", ticket)


def test_ticket_that_another_login_has_claimed(lab: Lab) -> None:
    ticket = lab.submit()
    claim(lab)
    lab.email = f"other.{lab.email}"
    lab.middleware.add_user(lab.email)
    with lab.middleware.login(ADMINISTRATOR) as session:
        Admin(session).add_user(LAB, lab.email)
    lab.log_in()
    assert f"ticket {ticket} is claimed by another login" in fails(lab, "--ticket", ticket)
    assert lab.status(ticket) is TicketStatus.CLAIMED


def test_ticket_of_another_service(lab: Lab) -> None:
    other = lab.offer(f"{lab.name}Other")
    ticket = lab.submit(service=other)
    line = fails(lab, "--ticket", ticket)
    assert f"ticket {ticket} is of another service than {lab.name}" in line
    assert lab.status(ticket) is TicketStatus.READY


def test_claimed_ticket_of_one_of_several_services_needs_its_name(lab: Lab) -> None:
    lab.offer(f"{lab.name}Other")
    lab.write(
        """
        from dss import service

        @service(name="NAME")
        def one(job): ...

        @service(name="NAMEOther")
        def other(job): ...
        """
    )
    ticket = lab.submit()
    claim(lab)
    assert "with --service" in fails(lab, "--ticket", ticket)
    assert lab.run("--ticket", ticket, "--service", lab.name).returncode == 0


def kill_at_work(lab: Lab, ticket: int, *options: object) -> None:
    """Have a runner killed while it works on a ticket."""
    lab.write("import sabotage\n" + textwrap.dedent(SERVICE))
    lab.hold({ticket: "before send"})
    with lab.running(*options) as runner:
        until(lambda: lab.held(ticket) or runner.poll() is not None)
        assert lab.held(ticket)
        runner.kill()
        runner.wait()
    lab.let_go()


@posix
def test_killed_runner_goes_on_with_its_ticket_alone(lab: Lab) -> None:
    first, second = lab.submit(), lab.submit()
    kill_at_work(lab, first, "--ticket", first)
    assert lab.run("--ticket", first).returncode == 0
    assert lab.status(first) is TicketStatus.SUCCESS
    assert lab.status(second) is TicketStatus.READY


@posix
def test_other_open_tickets_of_the_work_folder_are_left(lab: Lab) -> None:
    first, second = lab.submit(), lab.submit()
    kill_at_work(lab, first, "--max-tickets", 1)
    done = lab.run("--ticket", second)
    assert done.returncode == 0, done.stderr
    assert lab.status(first) is TicketStatus.CLAIMED
    assert lab.run("--once").returncode == 0
    assert lab.status(first) is TicketStatus.SUCCESS


@pytest.mark.parametrize("more", [("--adopt",), ("--max-tickets", 2)], ids=["adopt", "several"])
def test_one_ticket_is_not_several(lab: Lab, more: tuple[object, ...]) -> None:
    done = lab.run("--ticket", 1, *more)
    assert done.returncode == 2
    assert "--ticket is one ticket" in done.stderr
