from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dss import (
    Client,
    Middleware,
    NotFound,
    OutcomeUnknown,
    Provider,
    QuotaReached,
    ServerFailed,
    Session,
    TicketDeleted,
    TicketStatus,
    TimedOut,
    TransferFailed,
    WrongState,
)
from dss.records import Service, Ticket
from snapws import Workspace, WorkspaceError
from tests.dss.raw_server import DROP, RawServer, answer


def test_services(client: Client, service: str, description: Path) -> None:
    told = json.loads((description / "service.json").read_text(encoding="utf-8"))
    listed = {one.hash: one for one in client.services()}
    assert listed[service] == Service(told["name"], service, "1.10", 'Größe, "Form"')
    detail = client.service_detail(service)
    assert (detail.name, detail.version, detail.tags[0].name) == (told["name"], "1.10", "Target")
    stats = client.service_stats(service)
    assert (stats.succeeded, stats.failed, stats.queue_length) == (0, 0, 0)
    assert stats.mean_duration is None
    assert stats.last_heard is not None
    assert stats.last_heard < timedelta(minutes=10)


def test_unknown_service(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dss.session.PAUSES", ())
    with pytest.raises(NotFound, match="is not available"):
        client.service_detail("0" * 40)
    with pytest.raises(NotFound, match="is not available"):
        client.create("0" * 40)
    with pytest.raises(NotFound, match="Unable to find service named nonsense"):
        client.create("nonsense")
    with pytest.raises(ServerFailed):
        client.service_stats("0" * 40)


def test_ticket_by_name_of_the_service(client: Client, service: str) -> None:
    name = client.service_detail(service).name
    ticket = client.create(name)
    assert client.tickets() == [Ticket(ticket, name, TicketStatus.INIT)]


def test_quota(client: Client, service: str) -> None:
    for _ in range(10):
        client.create(service)
    with pytest.raises(QuotaReached, match=r"\(10\) exceeded.*delete tickets that are no longer"):
        client.create(service)
    client.delete(client.tickets()[0].id)
    client.create(service)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.status(10**6),
        lambda client: client.detail(10**6),
        lambda client: client.log(10**6),
        lambda client: client.files(10**6, "input"),
        lambda client: client.download(10**6, Path("never")),
        lambda client: client.delete(10**6),
        lambda client: client.retry(10**6),
        lambda client: client.make_ready(10**6),
        lambda client: next(client.wait(10**6)),
        lambda client: client.attachments(10**6),
    ],
)
def test_no_such_ticket(client: Client, call: Callable[[Client], object]) -> None:
    with pytest.raises(NotFound, match="1000000"):
        call(client)


def test_ticket_of_somebody_else(
    client: Client,
    service: str,
    new_user: Callable[[], str],
    open_session: Callable[[str], Session],
) -> None:
    ticket = client.create(service)
    other = Client(open_session(new_user()))
    with pytest.raises(NotFound, match=f"Ticket {ticket} not found for user"):
        other.status(ticket)


def test_wrong_state(client: Client, provider: Provider, claimed: int) -> None:
    with pytest.raises(WrongState, match=f"ticket {claimed} is claimed: only a ticket in state in"):
        client.make_ready(claimed)
    with pytest.raises(WrongState, match="is claimed: only a ticket that failed can be tried"):
        client.retry(claimed)
    client.delete(claimed)
    client.delete(claimed)
    with pytest.raises(TicketDeleted, match=f"ticket {claimed} is deleted"):
        client.retry(claimed)


def test_retry(client: Client, provider: Provider, service: str, claimed: int) -> None:
    provider.fail(claimed, "It did not work")
    assert client.status(claimed) is TicketStatus.FAILED
    client.retry(claimed)
    assert client.status(claimed) is TicketStatus.READY
    assert [e.message for e in client.log(claimed)][-2:] == ["It did not work", "Retrying ticket"]


def test_log_of_many_lines(client: Client, provider: Provider, claimed: int) -> None:
    before = datetime.now(timezone.utc) - timedelta(seconds=5)
    message = 'ü 😀\r\n"zwei", drei\n'
    number = provider.log(claimed, "warning", message)
    entry = client.log(claimed)[-1]
    assert (entry.id, entry.category, entry.message) == (number, "warning", message)
    assert before < entry.time < before + timedelta(minutes=5)
    assert client.detail(claimed, since=number).log == ()


def test_wait_tells_what_is_new(client: Client, provider: Provider, claimed: int) -> None:
    seen = client.wait(claimed, timeout=60, interval=0.01)
    first = next(seen)
    assert (first.status, first.progress, len(first.log)) == (TicketStatus.CLAIMED, 0.0, 2)
    provider.log(claimed, "info", "one")
    assert [entry.message for entry in next(seen).log] == ["one"]
    provider.progress(claimed, 0.25)
    second = next(seen)
    assert (second.progress, second.log) == (0.25, ())
    provider.fail(claimed, "two")
    rest = list(seen)
    assert [entry.message for one in rest for entry in one.log] == ["two"]
    assert rest[-1].status is TicketStatus.FAILED


def test_wait_is_silent_while_nothing_happens(client: Client, claimed: int) -> None:
    seen = client.wait(claimed, timeout=0.3, interval=0.01)
    next(seen)
    with pytest.raises(TimedOut, match=f"ticket {claimed} is still claimed after 0.3 s"):
        next(seen)


def test_wait_ends_with_the_ticket(client: Client, claimed: int) -> None:
    client.delete(claimed)
    (only,) = client.wait(claimed)
    assert only.status is TicketStatus.DELETED


def test_queue(client: Client, service: str) -> None:
    ticket = client.create(service)
    client.make_ready(ticket)
    position = client.detail(ticket).queue_position
    assert position is not None
    assert position >= 1


def test_no_result_yet(client: Client, claimed: int, tmp_path: Path) -> None:
    with pytest.raises(TransferFailed, match="no workspace files"):
        client.download(claimed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_ticket_that_could_not_be_filled_is_deleted(
    client: Client, service: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = Session.post_body

    def post_until_workspace(session: Session, path: str, body: object, *, doubt: str) -> str:
        if "itksnap" in doubt:
            raise OutcomeUnknown("cut")
        return post(session, path, body, doubt=doubt)  # type: ignore[arg-type]

    monkeypatch.setattr(Session, "post_body", post_until_workspace)
    with pytest.raises(OutcomeUnknown, match="cut"):
        client.submit(workspace, service)
    assert client.tickets() == []


def test_ticket_that_could_not_even_be_deleted(
    raw: RawServer, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    raw.answers = [answer(b"7"), DROP]
    with Session(raw.url) as session, pytest.raises(OutcomeUnknown, match="may be stored there"):
        Client(session).submit(workspace, "S")
    assert "ticket 7 stays and counts towards the quota: no answer from" in caplog.text


def test_workspace_that_cannot_be_archived_makes_no_ticket(
    client: Client, service: str, workspace: Workspace
) -> None:
    Path(workspace.main.path).unlink()
    with pytest.raises(WorkspaceError, match="target"):
        client.submit(workspace, service)
    assert client.tickets() == []


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda c: c.create("S"), "a ticket may have been made; it is the last of your tickets"),
        (lambda c: c.make_ready(1), "the ticket may be queued; ask for its status"),
        (lambda c: c.retry(1), "the ticket may be queued again; ask for its status"),
    ],
)
def test_lost_answer(raw: RawServer, call: Callable[[Client], object], part: str) -> None:
    raw.answers = [DROP]
    with Session(raw.url) as session, pytest.raises(OutcomeUnknown, match=part):
        call(Client(session))
    assert len(raw.requests) == 1


def test_lost_answer_to_a_deletion(raw: RawServer) -> None:
    """It is a GET that says the same however often it is sent."""
    raw.answers = [DROP, answer(b"deleted")]
    with Session(raw.url) as session:
        Client(session).delete(1)


def test_middleware_survives_the_page_of_services(
    middleware: Middleware, client: Client, service: str
) -> None:
    """It would not, if the description had been registered without its `url`."""
    assert "Service" in client.session.get_text("services")
