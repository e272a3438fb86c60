from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dss import (
    Admin,
    Client,
    InvalidResponse,
    Middleware,
    NetworkFailed,
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
    Unfinished,
    WrongState,
)
from dss.http.multipart import FileBody
from dss.records import Attachment, Service, Ticket
from snapws import ImageDamaged, Workspace, WorkspaceError
from tests.dss.raw_server import DROP, RawServer, answer, listing


def test_services_are_listed_and_described(client: Client, service: str, description: Path) -> None:
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


def test_unknown_service_is_not_found(client: Client, impatient: None) -> None:
    with pytest.raises(NotFound, match="is not available"):
        client.service_detail("0" * 40)
    with pytest.raises(NotFound, match="is not available"):
        client.create("0" * 40)
    with pytest.raises(NotFound, match=r"no service is named 'nonsense'; services: \w"):
        client.create("nonsense")
    with pytest.raises(ServerFailed):
        client.service_stats("0" * 40)


def test_ticket_is_made_by_the_name_of_the_service(client: Client, service: str) -> None:
    name = client.service_detail(service).name
    ticket = client.create(name)
    assert client.tickets() == [Ticket(ticket, name, TicketStatus.INIT)]


def test_name_stands_for_the_highest_version_that_is_offered(
    middleware: Middleware, client: Client, admin: Admin, service: str, description: Path
) -> None:
    told = json.loads((description / "service.json").read_text(encoding="utf-8"))
    by_version = {told["version"]: service}
    for version in ("1.9", "1.10.1", "2.0"):
        (description / "service.json").write_text(json.dumps(told | {"version": version}))
        by_version[version] = middleware.publish(description, "testlab")
    admin.delete_service("testlab", by_version["2.0"])
    ticket = client.create(told["name"])
    client.make_ready(ticket)
    ahead = {
        version: client.service_stats(by_version[version]).queue_length for version in by_version
    }
    assert ahead == {"1.10": 0, "1.9": 0, "1.10.1": 1, "2.0": 0}


def test_full_quota_refuses_a_ticket(client: Client, service: str) -> None:
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
def test_unknown_ticket_is_not_found(client: Client, call: Callable[[Client], object]) -> None:
    with pytest.raises(NotFound, match="1000000"):
        call(client)


def test_ticket_of_somebody_else_is_not_found(
    client: Client,
    service: str,
    new_user: Callable[[], str],
    open_session: Callable[[str], Session],
) -> None:
    ticket = client.create(service)
    other = Client(open_session(new_user()))
    with pytest.raises(NotFound, match=f"Ticket {ticket} not found for user"):
        other.status(ticket)


def test_call_in_a_wrong_state_is_refused(client: Client, provider: Provider, claimed: int) -> None:
    with pytest.raises(WrongState, match=f"ticket {claimed} is claimed: only a ticket in state in"):
        client.make_ready(claimed)
    with pytest.raises(WrongState, match="is claimed: only a ticket that failed can be tried"):
        client.retry(claimed)
    client.delete(claimed)
    client.delete(claimed)
    with pytest.raises(TicketDeleted, match=f"ticket {claimed} is deleted"):
        client.retry(claimed)


def test_failed_ticket_is_retried(
    client: Client, provider: Provider, service: str, claimed: int
) -> None:
    provider.fail(claimed, "It did not work")
    assert client.status(claimed) is TicketStatus.FAILED
    client.retry(claimed)
    assert client.status(claimed) is TicketStatus.READY
    assert [e.message for e in client.log(claimed)][-2:] == ["It did not work", "Retrying ticket"]


def test_log_message_of_many_lines_stays_as_it_is(
    client: Client, provider: Provider, claimed: int
) -> None:
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
    seen = client.wait(claimed, timeout=3, interval=0.01)
    next(seen)
    with pytest.raises(TimedOut, match=f"3 s .*ticket {claimed}|ticket {claimed} .* 3 s"):
        next(seen)


def detail(status: str, *log: int) -> bytes:
    lines = [
        {"id": n, "atime": 1, "category": "info", "message": str(n), "attachments": []} for n in log
    ]
    result = {"result": {"status": status, "progress": 0, "log": lines}}
    return answer(json.dumps(result).encode())


def test_wait_bears_trouble(raw: RawServer) -> None:
    """And what came before the trouble does not come again."""
    busy = answer(b"", status="503 Service Unavailable")
    raw.answers = [detail("claimed", 1), DROP, busy, detail("claimed", 2), DROP, detail("success")]
    with raw.session(retry_for=30) as session:
        seen = list(Client(session).wait(1, interval=0))
    assert [[entry.id for entry in one.log] for one in seen] == [[1], [2], []]
    assert [head.split("=")[1][0] for head in raw.heads()] == ["0", "1", "1", "1", "2", "2"]


def test_trouble_that_lasts_ends_the_wait(raw: RawServer) -> None:
    raw.answers = [detail("claimed"), DROP]
    with raw.session(retry_for=0.1) as session, pytest.raises(NetworkFailed):
        list(Client(session).wait(1, interval=0))


@pytest.mark.parametrize("silence", [DROP, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"])
def test_wait_ends_by_the_clock(raw: RawServer, silence: bytes) -> None:
    """Whatever the patience and the time-outs of the session are."""
    raw.keep_alive = True
    raw.answers = [detail("claimed"), silence]
    with Session(raw.url) as session:
        seen = Client(session).wait(1, timeout=3, interval=0)
        next(seen)
        with pytest.raises(TimedOut, match="3 s are over, and ticket 1: no answer from"):
            next(seen)


class SlowServer(Session):
    """A server, and a clock of its own: each look at the ticket takes `took` seconds.

    Attributes:
        now: The clock.
        looks: When a look began, and how long it might take.
    """

    def __init__(self, took: float) -> None:
        super().__init__("http://127.0.0.1:1")
        self.took = took
        self.now = 1000.0
        self.looks: list[tuple[float, float]] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds

    def get_json(self, path: str, *, within: float | None = None) -> object:
        assert within is not None
        self.looks.append((self.now, within))
        self.now += min(self.took, within)
        if self.took > within:
            raise NetworkFailed("timed out")
        document = detail("claimed", int(self.now)).partition(b"\r\n\r\n")[2]
        return json.loads(document)


@pytest.mark.parametrize("took", [0.0, 0.1, 0.5, 3.0])
@pytest.mark.parametrize("interval", [0.7, 5.0, 60.0])
def test_last_look_is_in_time(
    monkeypatch: pytest.MonkeyPatch, took: float, interval: float
) -> None:
    """The wait is over when its time is, and what was there shortly before that was told."""
    server = SlowServer(took)
    monkeypatch.setattr("dss.tickets.time", server)
    told: list[int] = []

    def follow() -> None:
        for look in Client(server).wait(1, timeout=30, interval=interval):
            told.extend(entry.id for entry in look.log)

    with pytest.raises(TimedOut, match="is still claimed after 30 s"):
        follow()
    assert server.now == pytest.approx(1030)
    last = server.looks[-1][0]
    assert told[-1] == int(last + took) >= int(1030 - 2 * took - 0.2)
    assert all(begin + within == pytest.approx(1030) for begin, within in server.looks)


@pytest.mark.parametrize("took", [0.5, 9.0])
def test_wait_without_time_looks_once(monkeypatch: pytest.MonkeyPatch, took: float) -> None:
    server = SlowServer(took)
    monkeypatch.setattr("dss.tickets.time", server)
    with pytest.raises(TimedOut):
        list(Client(server).wait(1, timeout=0))
    assert server.looks == [(1000.0, 1.0)]
    assert server.now == pytest.approx(1000 + min(took, 1.0))


@pytest.mark.parametrize("at_once", [0, 60])
def test_wait_ends_by_the_clock_although_bytes_come(raw: RawServer, at_once: int) -> None:
    raw.answers = [detail("claimed"), detail("success", *range(9))]
    with Session(raw.url) as session:
        seen = Client(session).wait(1, timeout=3, interval=0)
        next(seen)
        raw.drips = at_once
        with pytest.raises(TimedOut, match="3 s are over, and ticket 1: no answer from"):
            next(seen)


def test_wait_ends_with_the_ticket(client: Client, claimed: int) -> None:
    client.delete(claimed)
    (only,) = client.wait(claimed)
    assert only.status is TicketStatus.DELETED


def test_queue_position_is_read(client: Client, service: str) -> None:
    first, second = client.create(service), client.create(service)
    assert client.queue_position(first) is None
    client.make_ready(first)
    client.make_ready(second)
    assert [client.queue_position(ticket) for ticket in (first, second)] == [1, 2]
    position = client.detail(second).queue_position
    assert position is not None
    assert position >= 2


def test_progress_is_read(client: Client, provider: Provider, claimed: int) -> None:
    assert client.progress(claimed) == 0
    provider.progress(claimed, 0.5, end=0.5)
    assert client.progress(claimed) == 0.25
    provider.succeed(claimed)
    assert (client.progress(claimed), client.detail(claimed).progress) == (0.25, 1.0)


def test_log_is_read_from_an_entry_on(client: Client, provider: Provider, claimed: int) -> None:
    first = provider.log(claimed, "info", "one")
    second = provider.log(claimed, "error", "two")
    assert [entry.id for entry in client.log(claimed, first)] == [second]
    assert client.log(claimed, second) == ()


def test_attachment_is_fetched(
    client: Client, provider: Provider, claimed: int, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(b"1 0\x00\xff\r\n" * 99999)
    provider.attach(claimed, "Matrix", tmp_path / "f", "text/plain")
    (attachment,) = client.attachments(provider.log(claimed, "info", "done"))
    target = tmp_path / "back"
    target.write_text("old")
    assert client.fetch_attachment(attachment, target) == target
    assert target.read_bytes() == (tmp_path / "f").read_bytes()
    with pytest.raises(NotFound, match="Resource 00000000 not found"):
        client.fetch_attachment(replace(attachment, url="http://x/blobs/00000000"), target)
    with pytest.raises(TransferFailed, match="nowhere"):
        client.fetch_attachment(attachment, tmp_path / "nowhere" / "back")
    assert target.read_bytes() == (tmp_path / "f").read_bytes()


def test_only_the_number_of_an_attachment_counts(raw: RawServer, tmp_path: Path) -> None:
    """Its host is what some proxy calls the server, or worse."""
    raw.answers = [answer(b"theirs")]
    one = Attachment(1, "", "text/plain", "http://evil.example.org/blobs/0123abcd")
    with raw.session() as session:
        Client(session).fetch_attachment(one, tmp_path / "x")
        for url in ("http://h/blobs/../../secret", "http://h/0123abcd", "", "http://h/blobs/x"):
            with pytest.raises(InvalidResponse, match="not the URL of an attachment"):
                Client(session).fetch_attachment(replace(one, url=url), tmp_path / "x")
        raw.answers = [b"HTTP/1.0 200 OK\r\n\r\npart"]
        with pytest.raises(TransferFailed, match="nothing tells whether x came whole"):
            Client(session).fetch_attachment(one, tmp_path / "x")
    assert raw.heads() == ["GET /blobs/0123abcd HTTP/1.1"] * 2
    assert (tmp_path / "x").read_bytes() == b"theirs"


def test_ticket_without_a_result_is_not_downloaded(
    client: Client, claimed: int, tmp_path: Path
) -> None:
    with pytest.raises(WrongState, match=f"ticket {claimed} is claimed, and has no result: wait"):
        client.download(claimed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_ticket_that_the_network_did_not_let_fill_is_kept(
    impatient: None,
    client: Client,
    service: str,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And is filled by the next try, which sends only what is missing."""
    client.session.retry_for = 0.1
    post = Session.post_body
    sent: list[str] = []

    def post_but_workspace(
        session: Session, path: str, body: FileBody, *rest: object, **more: object
    ) -> object:
        sent.append(body._file.suffix)
        if sent[-1] == ".itksnap":
            raise NetworkFailed("cut")
        return post(session, path, body, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "post_body", post_but_workspace)
        with pytest.raises(Unfinished, match="^cut; ticket .* is kept, but not queued") as caught:
            client.submit(workspace, service)
        ticket = caught.value.ticket
        assert f"--ticket {ticket}" in str(caught.value)
        with pytest.raises(Unfinished) as again:
            client.upload(ticket, workspace)
        assert again.value.ticket == ticket
    assert sent == [".gz", ".gz", ".itksnap", ".itksnap"]
    assert [one.status for one in client.tickets()] == [TicketStatus.INIT]
    client.upload(ticket, workspace, verify=True)
    client.upload(ticket, workspace)
    client.make_ready(ticket)
    assert [entry.name[:9] for entry in client.files(ticket, "input")] == [
        "layer_000",
        "layer_001",
        "ticket_00",
    ]
    with pytest.raises(WrongState, match=f"ticket {ticket} is ready: its files are fixed"):
        client.upload(ticket, _changed(workspace))


def _changed(workspace: Workspace) -> Workspace:
    workspace.main.nickname = "another"
    return workspace


PROXY = answer(b"<h1>Blocked</h1>", status="404 Not Found")


@pytest.mark.parametrize(
    ("call", "state", "before"),
    [
        (lambda client, study: client.upload(5, study), b"init", [listing()]),
        (lambda client, _: client.make_ready(5), b"init", []),
        (lambda client, _: client.retry(5), b"timeout", [detail("timeout")]),
    ],
    ids=["upload", "make_ready", "retry"],
)
def test_refusal_of_a_proxy_is_not_one_of_the_server(
    raw: RawServer,
    workspace: Workspace,
    call: Callable[[Client, Workspace], object],
    state: bytes,
    before: list[bytes],
) -> None:
    """It says nothing of the ticket: that is there, in the state that the call needs."""
    raw.answers = [*before, PROXY, answer(state)]
    words = f"Blocked.*404 to .*; but ticket 5 is there, in state {state.decode()} as it must"
    with raw.session() as session, pytest.raises(InvalidResponse, match=words):
        call(Client(session), workspace)


def test_ticket_that_cannot_be_filled_for_a_reason_here_is_deleted(
    client: Client, service: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second image turns out to be damaged when the ticket has been made."""
    # Else it may be known to be damaged before the first is archived, and no ticket is made.
    monkeypatch.setattr("snapws.packing._MOST_AT_ONCE", 1)
    image = Path(workspace.layer(tag="Source").path)
    image.write_bytes(image.read_bytes()[:-40])
    made: list[int] = []
    create = client.create
    client.create = lambda service: made.append(create(service)) or made[-1]  # type: ignore[method-assign,func-returns-value]
    with pytest.raises(ImageDamaged):
        client.submit(workspace, service)
    assert client.tickets() == []
    assert len(made) == 1


def test_ticket_that_could_not_be_deleted_is_named(
    client: Client, service: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever learns why is told of the ticket, too."""

    def fail(*_: object, **__: object) -> None:
        client.session.clone().get_text("logout")

    monkeypatch.setattr(Session, "post_body", fail)
    with pytest.raises(Unfinished, match="redirects to .*; ticket .* is kept") as caught:
        client.submit(workspace, service)
    assert caught.value.ticket


def test_interrupted_submission_leaves_no_ticket(
    client: Client,
    service: str,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "post_body", interrupt)
    with pytest.raises(KeyboardInterrupt):
        client.submit(workspace, service)
    assert client.tickets() == []
    monkeypatch.setattr(Client, "delete", lambda self, ticket: client.service_detail("0" * 40))
    with pytest.raises(KeyboardInterrupt):
        client.submit(workspace, service)
    (left,) = client.tickets()
    assert f"ticket {left.id} stays and counts towards the quota" in caplog.text


def test_workspace_that_cannot_be_archived_makes_no_ticket(
    client: Client, service: str, workspace: Workspace
) -> None:
    Path(workspace.main.path).unlink()
    with pytest.raises(WorkspaceError, match="target"):
        client.submit(workspace, service)
    assert client.tickets() == []


def test_lost_answer_to_a_creation_is_not_retried(raw: RawServer) -> None:
    raw.answers = [DROP]
    part = "a ticket may have been made; it is the last of your tickets, and in state init"
    with raw.session() as session, pytest.raises(OutcomeUnknown, match=part):
        Client(session).create("0" * 40)
    assert len(raw.requests) == 1


def asked(call: Callable[[Client], object], raw: RawServer, *answers: bytes) -> list[str]:
    raw.answers = list(answers)
    with raw.session() as session:
        call(Client(session))
    return [head.split()[0] for head in raw.heads()]


NO_LOG = answer(b'{"result":{"status":"failed","progress":1.0,"log":[]}}')
# The call, what it asks before, and what says that nothing was done: status, and log if need be.
QUEUE = {
    "make_ready": (lambda c: c.make_ready(1), [], [answer(b"init")]),
    "retry": (lambda c: c.retry(1), [NO_LOG], [answer(b"failed"), NO_LOG]),
}


@pytest.mark.parametrize("name", QUEUE)
def test_lost_answer_to_queueing_is_settled_by_the_status(raw: RawServer, name: str) -> None:
    """The ticket's status tells whether it was done."""
    call, first, not_done = QUEUE[name]
    looks = ["GET"] * len(not_done)

    def verbs(*answers: bytes) -> list[str]:
        del raw.requests[:]
        return asked(call, raw, *first, *answers)[len(first) :]

    (verb,) = verbs(answer(b"ready"))
    for word in (b"ready", b"claimed", b"success"):
        assert verbs(DROP, answer(word)) == [verb, "GET"]
    assert verbs(DROP, *not_done, answer(b"ready")) == [verb, *looks, verb]
    # The first request was under way for longer than the question.
    late = answer(b"Ticket 1 not found for user 1", status="400 Bad Request")
    found = verbs(DROP, *not_done, late, answer(b"claimed"))
    assert found == [verb, *looks, verb, "GET"]
    with pytest.raises(TicketDeleted, match="ticket 1 is deleted"):
        verbs(DROP, answer(b"deleted"))
    with pytest.raises(OutcomeUnknown, match="ticket 1 may be queued.*; ask for its status"):
        verbs(DROP)


def test_submitted_ticket_that_may_be_queued_is_named(
    client: Client, service: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(self: Client, ticket: int) -> None:
        raise OutcomeUnknown(f"ticket {ticket} may be queued")

    monkeypatch.setattr(Client, "make_ready", lost)
    with pytest.raises(OutcomeUnknown, match="may be queued"):
        client.submit(workspace, service)
    assert len(client.tickets()) == 1


def test_lost_answer_to_a_deletion_is_retried(raw: RawServer) -> None:
    """It is a GET that says the same however often it is sent."""
    raw.answers = [DROP, answer(b"deleted")]
    with raw.session() as session:
        Client(session).delete(1)


def test_middleware_survives_the_page_of_services(
    middleware: Middleware, client: Client, service: str
) -> None:
    """It would not, if the description had been registered without its `url`."""
    assert "Service" in client.session.get_text("services")


def test_retry_that_was_done_and_failed_again_meanwhile_is_not_repeated(raw: RawServer) -> None:
    """The log tells, where the status does not."""
    log = '{"result":{"status":"failed","progress":1.0,"log":[%s]}}'
    entry = '{"id":%d,"atime":1,"category":"info","attachments":[],"message":"x"}'
    raw.answers = [
        answer((log % (entry % 4)).encode()),
        DROP,
        answer(b"failed"),
        answer((log % (entry % 5)).encode()),
    ]
    with raw.session() as session:
        Client(session).retry(1)
    assert len([head for head in raw.heads() if "/retry" in head]) == 1
