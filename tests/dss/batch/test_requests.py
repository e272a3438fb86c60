"""Requests for tickets whose answers are lost: no case is sent twice, and no ticket stays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from dss.batch import journal as journals
from dss.batch.cases import named
from dss.batch.journal import Journal, Step
from dss.batch.run import Batch, Settings
from dss.client import Client
from dss.errors import OutcomeUnknown, Refused
from tests.dss.batch.site import LIMIT, NAME, USER, Site


class Killed(BaseException):
    """Stands for the end of the process at this point."""


@pytest.fixture(autouse=True)
def _short_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dss.batch.requests._QUIET", 1.0)


@pytest.fixture
def journal(site: Site) -> Iterator[Journal]:
    """The journal of a batch of two cases."""
    cases = named([site.add_cases(2)])
    site.out.mkdir()
    with journals.opened(site.out) as opened:
        for case in cases:
            opened.add(case.name, case.workspace)
        yield opened


@pytest.fixture
def again(site: Site, journal: Journal) -> Callable[[], None]:
    """Goes on with the batch, as another process would."""

    def run() -> None:
        settings = Settings(site.hash, NAME, interval=0.2, timeout=LIMIT)
        with journals.opened(journal.folder) as opened:
            Batch(site.client, opened, settings, list(opened.content.cases)).run()

    return run


def assert_all_well(site: Site) -> None:
    assert site.trouble == []
    assert sorted(site.done) == [0, 1]
    assert {len(tickets) for tickets in site.done.values()} == {1}
    assert site.client.tickets() == []


def ending(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """End the process once, before or after the server has made the first ticket."""
    create = Client.create

    def cut(self: Client, service: str) -> int:
        monkeypatch.setattr(Client, "create", create)
        if moment == "after":
            create(self, service)
        raise Killed

    monkeypatch.setattr(Client, "create", cut)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_around_the_request_makes_no_second_ticket(
    site: Site, again: Callable[[], None], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    foreign = site.client.create(site.hash)  # which stays, for it was there before
    ending(monkeypatch, moment)
    with pytest.raises(Killed):
        again()
    assert len(site.client.tickets()) == (2 if moment == "after" else 1)
    again()
    assert [one.id for one in site.client.tickets()] == [foreign]
    site.client.delete(foreign)
    assert_all_well(site)


def test_a_request_that_arrives_late_gives_its_ticket_to_another_case(
    site: Site, again: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    create, late = Client.create, []

    def delayed(self: Client, service: str) -> int:
        """Lose the first request, which arrives after the batch has asked for it."""
        if not late:
            late.append(0)
            raise OutcomeUnknown("no answer")
        monkeypatch.setattr(Client, "create", create)
        number = create(self, service)
        late.append(create(self, service))
        return number

    monkeypatch.setattr(Client, "create", delayed)
    again()
    assert late[1] in site.done[0] | site.done[1]
    assert_all_well(site)


def test_a_request_that_arrives_when_all_is_done_leaves_no_ticket(
    site: Site, again: Callable[[], None], journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending(monkeypatch, "before")
    with pytest.raises(Killed):
        again()
    with journals.opened(journal.folder) as opened:
        opened.note(opened.content.cases["sub-00"], Step.WAITING, lost=True)
    files = Client.status

    def status(self: Client, ticket: int):
        """Have it arrive with the last ticket at work."""
        if ticket == 2 and not arrived:
            arrived.append(Client.create(self, site.hash))
        return files(self, ticket)

    arrived: list[int] = []
    monkeypatch.setattr(Client, "status", status)
    again()
    assert arrived
    assert_all_well(site)


def test_the_empty_ticket_of_another_program_is_not_taken_once_it_is_filled(
    site: Site, again: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ending(monkeypatch, "before")
    with pytest.raises(Killed):
        again()
    foreign = site.client.create(site.hash)
    files = Client.files

    def listed(self: Client, ticket: int, area):
        """Have the other program fill its ticket between two looks of the batch."""
        found = files(self, ticket, area)
        if ticket == foreign and not found:
            study = site.folder / "studies" / "01" / "study.itksnap"
            monkeypatch.setattr(Client, "files", files)
            site.client.upload(foreign, study)
        return found

    monkeypatch.setattr(Client, "files", listed)
    again()
    assert [(one.id, one.status) for one in site.client.tickets()] == [(foreign, "init")]
    site.client.delete(foreign)
    assert_all_well(site)


def test_more_empty_tickets_than_requests_are_not_guessed_between(
    site: Site, again: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dss.batch.requests._OTHERS", 0.0)
    ending(monkeypatch, "after")
    with pytest.raises(Killed):
        again()
    foreign = site.client.create(site.hash)
    with pytest.raises(Refused, match=f"dss tickets delete 1 {foreign}"):
        again()
    assert [one.status for one in site.client.tickets()] == ["init", "init"]
    site.client.delete(foreign)
    again()
    assert_all_well(site)


def test_a_ticket_that_somebody_deletes_ends_its_case(
    site: Site, again: Callable[[], None], journal: Journal
) -> None:
    site.paused.set()
    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    with site.middleware.login(USER) as session:
        elsewhere = Client(session)
        while not any(one.id == 1 and one.status == "ready" for one in elsewhere.tickets()):
            assert thread.is_alive()
        elsewhere.delete(1)
    site.paused.clear()
    thread.join(LIMIT)
    found = journals.read(site.out).cases
    assert [str(case.status) for case in found.values()] == ["deleted", "success"]
