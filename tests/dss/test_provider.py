from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dss import (
    Client,
    NotFound,
    NotPermitted,
    OutcomeUnknown,
    Provider,
    ServerFailed,
    Session,
    TicketDeleted,
    TicketStatus,
    WrongState,
)
from dss.http.multipart import FileBody
from dss.transfer.uploads import Sent
from snapws import Workspace
from tests.dss.raw_server import DROP, RawServer, answer

HASH = "0" * 40


def test_services_of_the_provider_are_listed(provider: Provider, service: str) -> None:
    (only,) = [one for one in provider.services() if one.hash == service]
    assert (only.version, only.provider) == ("1.10", "testlab")


def test_user_who_is_no_provider_is_refused(client: Client, service: str) -> None:
    stranger = Provider(client.session)
    assert stranger.services() == []
    for call in (
        lambda: stranger.claim([service], "testlab", "x"),
        lambda: stranger.available([service]),
    ):
        with pytest.raises(NotPermitted, match=f"You are not a provider for service {service}"):
            call()


def test_claim_without_a_waiting_ticket_returns_none(provider: Provider, service: str) -> None:
    assert provider.available([service]) == []
    assert provider.claim([service], "testlab", "x") is None


@pytest.mark.parametrize("none", ["", "None", "None\n", "-1", "0"])
def test_no_ticket_in_any_server_s_words(raw: RawServer, none: str) -> None:
    raw.answers = [answer(none.encode())]
    with raw.session() as session:
        assert Provider(session).claim([HASH], "lab", "x") is None
    assert raw.requests[0].endswith(b"services=" + b"0" * 40 + b"&provider=lab&code=x")


@pytest.mark.parametrize("text", ["1", "1,a,claimed\r\n2,a,claimed\r\n", "-2", "<html>", "1,a,x"])
def test_invalid_answer_to_a_claim_leaves_a_doubt(raw: RawServer, text: str) -> None:
    raw.answers = [answer(text.encode())]
    with raw.session() as session, pytest.raises(OutcomeUnknown, match="claimed for lab x"):
        Provider(session).claim([HASH], "lab", "x")
    assert len(raw.requests) == 1


@pytest.mark.parametrize("hashes", [[], [""], [HASH, ""], HASH])
def test_text_in_place_of_hashes_is_refused(raw: RawServer, hashes: list[str]) -> None:
    with raw.session() as session, pytest.raises(ValueError, match="not a list of hashes"):
        Provider(session).claim(hashes, "lab", "x")
    assert raw.requests == []


def test_server_without_the_call_available_returns_none(raw: RawServer) -> None:
    raw.answers = [answer(b"not found", status="404 Not Found")]
    with raw.session() as session:
        assert Provider(session).available([HASH]) is None
        raw.answers = [answer(b"Service not found", status="400 Bad Request")]
        with pytest.raises(NotFound):
            Provider(session).available([HASH])


def calls(tmp_path: Path) -> list[Callable[[Provider, int], object]]:
    (tmp_path / "file").write_text("x")
    return [
        lambda p, t: p.files(t),
        lambda p, t: p.download(t, tmp_path / "out"),
        lambda p, t: p.log(t, "info", "x"),
        lambda p, t: p.attach(t, "x", tmp_path / "file"),
        lambda p, t: p.progress(t, 0.5),
        lambda p, t: p.succeed(t),
        lambda p, t: p.fail(t, "x"),
    ]


def test_call_for_an_unclaimed_ticket_is_refused(
    client: Client, provider: Provider, service: str, workspace: Workspace, tmp_path: Path
) -> None:
    ticket = client.create(service)
    client.make_ready(ticket)
    for call in calls(tmp_path):
        with pytest.raises(WrongState, match=f"Ticket {ticket} has not been claimed by user"):
            call(provider, ticket)
    with pytest.raises(WrongState):
        provider.upload(ticket, workspace)
    assert provider.status(ticket) is TicketStatus.READY
    assert not (tmp_path / "out").exists()


def test_call_for_a_deleted_ticket_is_refused(
    client: Client, provider: Provider, claimed: int, workspace: Workspace, tmp_path: Path
) -> None:
    client.delete(claimed)
    for call in calls(tmp_path):
        with pytest.raises(TicketDeleted, match=f"Ticket {claimed} has been deleted"):
            call(provider, claimed)
    with pytest.raises(TicketDeleted):
        provider.upload(claimed, workspace)
    assert provider.status(claimed) is TicketStatus.DELETED


def test_unknown_ticket_is_not_found(provider: Provider) -> None:
    with pytest.raises(NotFound, match="Ticket 1000000 not found"):
        provider.status(10**6)


def test_attachments_come_with_the_next_line(
    client: Client, provider: Provider, claimed: int, tmp_path: Path
) -> None:
    file = tmp_path / "scan of Jane Doe (1).mat"
    file.write_bytes(b"1 0\x00\xff\r\n")
    provider.attach(claimed, 'Käse,\n"zwei"', file, "text/plain")
    provider.attach(claimed, "other", file)
    assert not any(entry.attachments for entry in client.log(claimed))
    number = provider.log(claimed, "info", "")
    one, two = client.attachments(number)
    assert (one.description, one.mime_type) == ('Käse,\n"zwei"', "text/plain")
    assert (two.description, two.mime_type) == ("other", "application/octet-stream")
    assert client.log(claimed)[-1].attachments == (one, two)
    path = one.url.removeprefix(client.session.server + "/")
    client.session.get_file(path, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


def test_progress_is_set_in_parts(
    client: Client, provider: Provider, claimed: int, impatient: None
) -> None:
    provider.progress(claimed, 0.5, start=0.0, end=0.5)
    provider.progress(claimed, 0.5, start=0.5, end=1.0)
    assert client.detail(claimed).progress == 0.5
    with pytest.raises(ServerFailed, match="with this start, reset the progress first"):
        provider.progress(claimed, 1.0)
    provider.reset_progress(claimed)
    assert client.detail(claimed).progress == 0.0
    provider.progress(claimed, 1.0)
    assert client.detail(claimed).progress == 1.0


@pytest.mark.parametrize(
    ("value", "start", "end"),
    [(-0.1, 0, 1), (1.1, 0, 1), (float("nan"), 0, 1), (0.5, 0.5, 0.5), (0.5, -1, 1), (0.5, 0, 2)],
)
def test_progress_outside_of_its_range_is_refused(
    provider: Provider, value: float, start: float, end: float
) -> None:
    with pytest.raises(ValueError, match="progress and its part must be within 0 to 1"):
        provider.progress(1, value, start=start, end=end)


def test_unknown_category_is_refused(provider: Provider) -> None:
    with pytest.raises(ValueError, match="'log' is not one of info, warning, error"):
        provider.log(1, "log", "x")  # type: ignore[arg-type]


def test_success_and_failure_are_reported(client: Client, provider: Provider, claimed: int) -> None:
    provider.succeed(claimed)
    assert client.status(claimed) is TicketStatus.SUCCESS
    provider.fail(claimed, "Zu früh \udcff gefreut")
    assert client.status(claimed) is TicketStatus.FAILED
    entry = client.log(claimed)[-1]
    assert (entry.category, entry.message) == ("error", "Zu früh ? gefreut")


REPORTS = {
    "success": lambda provider: provider.succeed(1),
    "failed": lambda provider: provider.set_status(1, TicketStatus.FAILED),
}


@pytest.mark.parametrize("word", REPORTS)
def test_lost_answer_to_a_report_is_settled_by_the_status(raw: RawServer, word: str) -> None:
    """The ticket's status tells whether it was done."""

    def asked(*answers: bytes) -> list[str]:
        del raw.requests[:]
        raw.answers = list(answers)
        with raw.session() as session:
            REPORTS[word](Provider(session))
        return [head.split()[0] for head in raw.heads()]

    done, other = word.encode(), b"failed" if word == "success" else b"success"
    assert asked(DROP, answer(done)) == ["POST", "GET"]
    for before in (b"claimed", other):
        assert asked(DROP, answer(before), answer(done)) == ["POST", "GET", "POST"]
    with pytest.raises(TicketDeleted):
        asked(DROP, answer(b"deleted"))
    with pytest.raises(OutcomeUnknown, match=f"ticket 1 is ready, after it was reported {word}"):
        asked(DROP, answer(b"ready"))
    assert len(raw.requests) == 2
    with pytest.raises(OutcomeUnknown, match=f"ticket 1 may be {word}; ask for its status"):
        asked(DROP)


def test_progress_is_repeated(raw: RawServer) -> None:
    raw.answers = [DROP, answer(b"success")]
    with raw.session() as session:
        Provider(session).progress(1, 0.5)
    assert len(raw.requests) == 2


def test_results_are_taken_up_and_verified(
    client: Client,
    provider: Provider,
    claimed: int,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider.upload(claimed, workspace)
    sent: list[str] = []
    post = Session.post_body

    def watched(
        session: Session, path: str, body: FileBody, *rest: object, **more: object
    ) -> object:
        sent.append(body._file.name)
        return post(session, path, body, *rest, **more)

    monkeypatch.setattr(Session, "post_body", watched)
    provider.upload(claimed, workspace)
    assert sent == []
    workspace.main.nickname = "another"
    provider.upload(claimed, workspace, verify=True)
    assert [Path(name).suffix for name in sent] == [".itksnap"]
    names = [entry.name for entry in provider.files(claimed, "results")]
    assert names[-1] == f"ticket_{claimed:08d}_results.itksnap"


def test_failure_is_reported_even_where_its_log_fails(raw: RawServer) -> None:
    raw.answers = [DROP, answer(b"failed")]
    with raw.session() as session, pytest.raises(OutcomeUnknown, match="may be in the log"):
        Provider(session).fail(1, "why")
    assert raw.heads()[-1] == "POST /api/pro/tickets/1/status HTTP/1.1"


def test_calls_are_sent_once(raw: RawServer, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    raw.answers = [DROP]
    doubts = {
        "claimed for lab x, and nobody works on it": lambda p: p.claim([HASH], "lab", "x"),
        "may be in the log": lambda p: p.log(1, "info", "x"),
        "may be attached": lambda p: p.attach(1, "x", tmp_path / "f"),
    }
    for part, call in doubts.items():
        with raw.session() as session, pytest.raises(OutcomeUnknown, match=part):
            call(Provider(session))
    assert len(raw.requests) == len(doubts)


def test_waiting_for_a_ticket(
    client: Client, provider: Provider, service: str, workspace: Workspace
) -> None:
    begin = time.monotonic()
    assert provider.wait_for_claim([service], "testlab", "x", timeout=0.3, interval=0.1) is None
    assert time.monotonic() - begin >= 0.3
    sent: list[Sent] = []
    timer = threading.Timer(
        0.2, lambda: client.submit(workspace, service, privacy="strict", sent=sent.append)
    )
    timer.start()
    claim = provider.wait_for_claim([service], "testlab", "x", timeout=30, interval=0.05)
    timer.join()
    assert claim
    names = [entry.name for entry in provider.files(claim.ticket)]
    assert [one.name for one in sent] == [*sorted(names)]
    assert all(one.size > 0 for one in sent)


def test_claim_is_not_made_again_while_waiting(raw: RawServer) -> None:
    """The look tells of a ticket, and the answer to the claim is lost."""
    raw.answers = [answer(f"{HASH},n,1\r\n".encode()), DROP]
    with raw.session() as session, pytest.raises(OutcomeUnknown, match="claimed for lab x"):
        Provider(session).wait_for_claim([HASH], "lab", "x", timeout=5, interval=0.1)
    assert len(raw.requests) == 2


def test_workspace_may_be_called_otherwise(
    provider: Provider, claimed: int, workspace: Workspace
) -> None:
    provider.upload(claimed, workspace, suffix="")
    names = [entry.name for entry in provider.files(claimed, "results")]
    assert f"ticket_{claimed:08d}.itksnap" in names


def test_waiting_for_a_ticket_bears_trouble(raw: RawServer) -> None:
    raw.answers = [DROP, DROP, answer(b""), answer(f"{HASH},n,1\r\n".encode())]
    raw.answers += [answer(f"7,{HASH},claimed\r\n".encode())]
    with Session(raw.url, retry_for=0) as session:
        claim = Provider(session).wait_for_claim([HASH], "lab", "x", timeout=9, interval=0.05)
    assert claim
    assert claim.ticket == 7
