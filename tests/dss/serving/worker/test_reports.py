"""What a job tells its user: in order, once, and also after the server was away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dss import Client, Middleware, Provider, TicketDeleted
from dss.errors import DssError, Refused, WrongState, refusal
from dss.provider import Category
from dss.serving.job import Attached, Job
from dss.serving.worker.reports import ServerReports, ToldReports
from snapws import Workspace
from tests import ports
from tests.dss.serving.lab import LAB, Lab


@contextmanager
def reporting(
    provider: Provider, ticket: int, folder: Path, deleted: threading.Event | None = None
) -> Iterator[ServerReports]:
    tell = (deleted or threading.Event()).set
    with provider.session.clone() as session:
        reports = ServerReports(Provider(session), ticket, folder / "reports", tell)
        try:
            yield reports
        finally:
            reports.close()


def never() -> bool:
    return False


def written(folder: Path, text: str) -> Attached:
    file = folder / "note.txt"
    file.write_text(text, encoding="utf-8")
    return Attached("Note: 1/2", file, "text/plain")


def told(client: Client, ticket: int, folder: Path) -> list[tuple[str, str, list[str]]]:
    """Return what the user sees: categories, messages, contents of attachments."""
    seen = []
    for line in client.log(ticket):
        files = [
            client.fetch_attachment(one, folder / f"seen_{one.id}").read_text(encoding="utf-8")
            for one in line.attachments
        ]
        seen.append((line.category, line.message, files))
    return [one for one in seen if "laimed" not in one[1]]


def test_lines_and_files_arrive_in_order(
    client: Client, provider: Provider, claimed: int, tmp_path: Path
) -> None:
    with reporting(provider, claimed, tmp_path) as reports:
        reports.log("info", "one")
        reports.attach(written(tmp_path, "first"))
        # Its content is that of the time at which it was told of.
        reports.attach(written(tmp_path, "second"))
        written(tmp_path, "third")
        reports.log("warning", "two: Größe")
        reports.log("info", "one")
        reports.progress(0.5)
        reports.progress(0.25)
        reports.flush(never)
        seen = told(client, claimed, tmp_path)
        assert [one[:2] for one in seen[-3:]] == [
            ("info", "one"),
            ("warning", "two: Größe"),
            ("info", "one"),
        ]
        assert sorted(seen[-2][2]) == ["first", "second"]
        assert client.progress(claimed) == 0.5
    # A later process shows nothing less.
    with reporting(provider, claimed, tmp_path) as reports:
        reports.progress(0.3)
        reports.flush(never)
        assert client.progress(claimed) == 0.5
        reports.progress(0.75)
        reports.flush(never)
        assert client.progress(claimed) == 0.75
    assert len(told(client, claimed, tmp_path)) == len(seen)


def test_progress_of_an_earlier_claim_is_reset(
    client: Client, provider: Provider, claimed: int, tmp_path: Path
) -> None:
    """Parts that somebody else has left are no part of ours."""
    provider.progress(claimed, 1.0, start=0.0, end=0.4)
    provider.progress(claimed, 1.0, start=0.4, end=0.8)
    with reporting(provider, claimed, tmp_path) as reports:
        reports.progress(0.25)
        reports.flush(never)
    assert client.progress(claimed) == 0.25


def test_a_deleted_ticket_ends_the_delivery(
    client: Client, provider: Provider, claimed: int, tmp_path: Path
) -> None:
    deleted = threading.Event()
    client.delete(claimed)
    with reporting(provider, claimed, tmp_path, deleted) as reports:
        reports.log("info", "one")
        with pytest.raises(TicketDeleted):
            reports.flush(never)
        assert deleted.wait(300)


def test_a_refused_line_holds_nothing_up(
    client: Client, provider: Provider, claimed: int, tmp_path: Path
) -> None:
    """What the server does not take holds nothing up."""
    with reporting(provider, claimed, tmp_path) as reports:
        reports.attach(written(tmp_path, "gone"))
        for copy in (tmp_path / "reports").glob("*.data"):
            copy.unlink()
        reports.log("info", "after it")
        reports.flush(never)
    assert told(client, claimed, tmp_path)[-1][:2] == ("info", "after it")


def test_a_line_of_the_log_may_be_any_value(
    client: Client, provider: Provider, claimed: int, tmp_path: Path
) -> None:
    """A number is a line, too: authors log what they have computed."""
    with reporting(provider, claimed, tmp_path) as reports:
        job = Job(claimed, Workspace(), tmp_path, reports)
        job.log(0.97)  # type: ignore[arg-type]
        job.warn(None)  # type: ignore[arg-type]
        reports.flush(never)
    assert [line[:2] for line in told(client, claimed, tmp_path)[-2:]] == [
        ("info", "0.97"),
        ("warning", "None"),
    ]


def test_reports_wait_for_the_server(tmp_path: Path) -> None:
    """What is told meanwhile waits, also for another process."""
    with ports.reserved() as port, Middleware(tmp_path / "middleware", port=port) as middleware:
        middleware.add_user("user@example.org")
        client = Client(middleware.login("user@example.org"))
        lab = Lab(middleware, tmp_path, client)
        ticket = lab.submit()
        with middleware.login(lab.email) as session:
            provider = Provider(session)
            assert provider.claim([lab.hash], LAB, "probe")
            session.retry_for = 0.1
            with reporting(provider, ticket, tmp_path) as reports:
                reports.log("info", "before")
                reports.flush(never)
                middleware.stop()
                reports.attach(written(tmp_path, "meanwhile"))
                reports.log("info", "one")
                reports.progress(0.5)
            with reporting(provider, ticket, tmp_path) as reports:
                reports.log("info", "two")
                done = threading.Event()
                waiting = threading.Thread(target=lambda: (reports.flush(never), done.set()))
                waiting.start()
                assert not done.is_set()
                middleware.start()
                waiting.join(300)
                assert done.is_set()
        assert told(client, ticket, tmp_path)[-3:] == [
            ("info", "before", []),
            ("info", "one", ["meanwhile"]),
            ("info", "two", []),
        ]


def test_flush_ends_when_it_is_stopped(provider: Provider, claimed: int, tmp_path: Path) -> None:
    provider.session._http.close()
    with reporting(provider, claimed, tmp_path) as reports:
        reports.log("info", "one")
        reports.flush(lambda: True)


def test_reports_of_a_trial_are_printed(tmp_path: Path) -> None:
    lines: list[str] = []
    reports = ToldReports(lines.append, tmp_path / "attached")
    reports.log("info", "one")
    reports.attach(written(tmp_path, "first"))
    reports.log("warning", "two")
    reports.progress(0.5)
    reports.log("error", "three")
    copy = tmp_path / "attached" / "01_Note__1_2.txt"
    assert lines == ["one", f"warning: two [Note: 1/2: {copy}]", "50%", "error: three"]
    assert copy.read_text(encoding="utf-8") == "first"


@pytest.mark.parametrize("kept", ["", "0.5 of it", "nan"])
def test_corrupt_progress_is_ignored(
    client: Client, provider: Provider, claimed: int, tmp_path: Path, kept: str
) -> None:
    """A power cut may leave anything."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "progress").write_text(kept, encoding="ascii")
    with reporting(provider, claimed, tmp_path) as reports:
        reports.progress(0.25)
        reports.flush(never)
    assert client.progress(claimed) == 0.25


class Refusing(Provider):
    """Calls of which those for lines end as the test says, one after the other, then well."""

    def __init__(self, provider: Provider, *errors: DssError) -> None:
        super().__init__(provider.session.clone())
        self.errors = list(errors)

    def log(self, ticket: int, category: Category, message: str) -> int:
        if self.errors:
            raise self.errors.pop(0)
        return super().log(ticket, category, message)


@contextmanager
def refused(provider: Provider, ticket: int, folder: Path, *errors: DssError) -> Iterator[Refusing]:
    """Report a line, why a ticket failed, and another line, some of which are refused."""
    refusing = Refusing(provider, *errors)
    with refusing.session:
        reports = ServerReports(refusing, ticket, folder / "reports", lambda: None)
        try:
            reports.log("info", "before")
            reports.log("error", "no head in this image")
            reports.log("info", "after")
            reports.flush(never)
            yield refusing
        finally:
            reports.close()


def page(status: int) -> Refused:
    return refusal(status, "<html>Down for maintenance</html>", call="POST x", server="http://x")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have reports that were refused tried again at once."""
    monkeypatch.setattr("dss.serving.worker.reports._FIRST_PAUSE", 0.01)


def test_the_reason_of_a_failure_waits_for_the_end_of_a_proxys_page(
    client: Client, provider: Provider, claimed: int, tmp_path: Path, impatient: None
) -> None:
    """A proxy's page refuses everything, for a while; that a line is lost by it is not so bad."""
    pages = [page(status) for status in (400, 400, 403, 404, 413)]
    with refused(provider, claimed, tmp_path, *pages) as refusing:
        assert not refusing.errors
    assert [one[:2] for one in told(client, claimed, tmp_path)[-2:]] == [
        ("error", "no head in this image"),
        ("info", "after"),
    ]
    assert "before" not in [one[1] for one in told(client, claimed, tmp_path)]


def test_the_reason_of_a_failure_is_not_retried_for_ever(
    provider: Provider,
    claimed: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    impatient: None,
) -> None:
    monkeypatch.setattr("dss.serving.worker.reports._REFUSALS", 3)
    with refused(provider, claimed, tmp_path, *[page(400)] * 100) as refusing:
        # The line before and the line after are offered once.
        assert 100 - len(refusing.errors) == 1 + 4 + 1


def test_a_ticket_that_is_no_longer_ours_is_not_waited_for(
    client: Client, provider: Provider, claimed: int, tmp_path: Path
) -> None:
    errors = [WrongState("has not been claimed")] * 3
    with refused(provider, claimed, tmp_path, *errors) as refusing:
        assert not refusing.errors
    lines = [one[1] for one in told(client, claimed, tmp_path)]
    assert not {"before", "no head in this image", "after"} & {*lines}
