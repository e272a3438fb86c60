"""What is done while a fault befalls it: one call of the code under test, or a whole ticket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from dss import Admin, Client, DssError, Provider, Session
from dss.errors import Unfinished
from dss.login import login, user
from tests.dss.serving.lab import until
from tests.faults.proxy import Proxy
from tests.faults.scenarios import Scenario
from tests.faults.sites import ATTACHED, INSTANCE, LAB, LINE, Site, Truth


class Work:
    """What a flow works with: logins that go through the proxy, and a ticket that was prepared.

    Args:
        site: The server.
        proxy: The proxy before it.
        folder: An empty folder.
        scenario: Says what time-outs and what patience the logins have.
        ticket: The ticket, 0 where the flow begins without one.
        owner: Login of its owner.
        stack: Closes the logins.

    Attributes:
        secrets: What nobody may read.
    """

    def __init__(
        self,
        site: Site,
        proxy: Proxy,
        folder: Path,
        scenario: Scenario,
        ticket: int,
        owner: Session,
        stack: ExitStack,
    ) -> None:
        self.site = site
        self.proxy = proxy
        self.folder = folder
        self.scenario = scenario
        self.ticket = ticket
        self.secrets: list[str] = []

        def through(login: Session) -> Session:
            assert login.cookie is not None
            assert login.cookie.value is not None
            self.secrets.append(login.cookie.value)
            session = Session(
                proxy.url,
                cookie=login.cookie.value,
                timeout=scenario.timeout,
                retry_for=scenario.retry_for,
            )
            return stack.enter_context(session)

        self.client = Client(through(owner))
        self.provider = Provider(through(site.provider))
        self.admin = Admin(through(site.admin))

    @cached_property
    def newcomer(self) -> tuple[str, str]:
        """The address of a user who has no session yet, and a token to log in with."""
        email, token = self.site.new_token()
        self.secrets.append(token)
        return email, token

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def attached(self) -> Path:
        file = self.folder / "attached.bin"
        file.write_bytes(ATTACHED)
        return file


@dataclass(frozen=True)
class Flow:
    """A flow.

    Args:
        given: A name of `tests.faults.given.GIVEN`.
        act: What is done.
        goal: What the server says when it is done.
        check: Whether the outcome is right on this side as well.
        truth: What the server says, where it is not of tickets.
    """

    given: str
    act: Callable[[Work], Any]
    goal: str
    check: Callable[[Work, Any], object] = lambda work, outcome: True
    truth: Callable[[Work, Truth], str] = lambda work, truth: str(truth)


# What needs more than a line.


def _login(work: Work) -> str:
    times = work.scenario
    with login(
        work.proxy.url, work.newcomer[1], timeout=times.timeout, retry_for=times.retry_for
    ) as session:
        return user(session)


def _token(work: Work, _: Truth) -> str:
    return work.site.token_state(work.newcomer[1])


def _users(work: Work, _: Truth) -> str:
    users = work.site.ask(work.site.admin, f"api/admin/providers/{LAB}/users").decode("utf-8")
    return f"{users.count(work.newcomer[0])} user"


def _claim(work: Work) -> int | None:
    claim = work.provider.claim([work.site.hash], LAB, INSTANCE)
    return claim.ticket if claim else None


def _claim_later(work: Work) -> int | None:
    work.provider.services()
    until(lambda: work.proxy.has_hung_up)
    return _claim(work)


def _wait(work: Work) -> list[str]:
    """Follows a ticket; gives the lines of its log as they came."""
    looks = list(work.client.wait(work.ticket, timeout=30, interval=0.01))
    assert looks[-1].status.final
    return [line.message for look in looks for line in look.log]


def _attachment(work: Work) -> Path:
    (line,) = [line for line in work.client.log(work.ticket) if line.attachments]
    target = work.results / "attached.bin"
    target.parent.mkdir()
    work.client.fetch_attachment(line.attachments[0], target)
    return target


def _submit_in_two(work: Work) -> int:
    """Submits without any patience, and goes on with the ticket that the error names."""
    with _impatient(work.client.session), pytest.raises(Unfinished) as failure:
        work.client.submit(work.site.study, work.site.hash)
    ticket = failure.value.ticket
    work.client.upload(ticket, work.site.study)
    work.client.make_ready(ticket)
    return ticket


def _fetch_in_two(work: Work) -> Path:
    """Fetches without any patience, and once more."""
    with _impatient(work.provider.session), pytest.raises(DssError):
        work.provider.download(work.ticket, work.results)
    return work.provider.download(work.ticket, work.results)


def _deliver_in_two(work: Work) -> None:
    with _impatient(work.provider.session), pytest.raises(DssError):
        work.provider.upload(work.ticket, work.site.study)
    work.provider.upload(work.ticket, work.site.study)


@contextmanager
def _impatient(session: Session) -> Iterator[None]:
    retry_for, session.retry_for = session.retry_for, 0
    yield
    session.retry_for = retry_for


def _whole(work: Work) -> str:
    """The whole way of a ticket, by the user and by the provider."""
    ticket = work.client.submit(work.site.study, work.site.hash)
    assert _claim(work) == ticket
    job = work.provider.download(ticket, work.folder / "job")
    work.provider.attach(ticket, "A matrix", work.attached, "text/plain")
    work.provider.log(ticket, "info", LINE)
    work.provider.progress(ticket, 0.5)
    work.provider.upload(ticket, job)
    work.provider.succeed(ticket)
    list(work.client.wait(ticket, timeout=30, interval=0.01))
    return _fetched(work, work.client.download(ticket, work.results), "results", ticket)


def _fetched(work: Work, workspace: Path, area: str, ticket: int | None = None) -> str:
    """Makes sure that exactly the files of the area are in the folder, byte for byte."""
    expected = work.site.expected(ticket or work.ticket, area)
    found = {file.name: file.read_bytes() for file in work.results.iterdir()}
    assert found == expected, (sorted(found), sorted(expected))
    assert workspace == work.results / list(expected)[-1]
    return "fetched"


def _service_names(work: Work, found: list[Any]) -> None:
    (service,) = found
    assert (service.name, service.hash, service.version, service.description) == (
        "Fault",
        work.site.hash,
        "1.10",
        "A service",
    )


def _new(work: Work, ticket: int) -> None:
    assert ticket > work.ticket


def _same(work: Work, ticket: int | None) -> None:
    assert ticket == work.ticket


def _is(expected: Any) -> Callable[[Work, Any], None]:
    def check(_: Work, outcome: Any) -> None:
        assert outcome == expected

    return check


def _is_user(work: Work, outcome: str) -> None:
    assert outcome == work.newcomer[0]


def _lines_once(_: Work, lines: list[str]) -> None:
    assert len(lines) == len(set(lines))
    assert LINE in lines


def _sent_once(work: Work, _: object) -> None:
    """What was there already is not sent again."""
    first = next(iter(work.site.archive))
    assert first not in work.proxy.uploads


def _attachment_whole(_: Work, path: Path) -> None:
    assert path.read_bytes() == ATTACHED


def _each_sent_once(work: Work, ticket: int) -> None:
    """What arrived before the failure is not sent again."""
    assert sorted(work.proxy.uploads) == sorted(work.site.expected(ticket, "input"))


CLAIMED = "claimed, 1 claim, input whole"
DELIVERED = "claimed, 1 claim, input whole, results whole"
DONE = "success, 1 claim, 1 line, 1 attachment, input whole, results whole"

FLOWS: dict[str, Flow] = {
    "login": Flow("nothing", _login, "token used", _is_user, _token),
    "services": Flow("nothing", lambda w: w.client.services(), "no ticket", _service_names),
    "create": Flow("nothing", lambda w: w.client.create(w.site.hash), "init", _new),
    "submit": Flow(
        "nothing", lambda w: w.client.submit(w.site.study, w.site.hash), "ready, input whole", _new
    ),
    "submit, verified": Flow(
        "nothing",
        lambda w: w.client.submit(w.site.study, w.site.hash, verify=True),
        "ready, input whole",
        _new,
    ),
    "submit in two": Flow("nothing", _submit_in_two, "ready, input whole", _each_sent_once),
    "take up": Flow(
        "begun", lambda w: w.client.upload(w.ticket, w.site.study), "init, input whole", _sent_once
    ),
    "make ready": Flow("filled", lambda w: w.client.make_ready(w.ticket), "ready, input whole"),
    "status": Flow(
        "ready", lambda w: str(w.client.status(w.ticket)), "ready, input whole", _is("ready")
    ),
    "follow": Flow("done", _wait, DONE, _lines_once),
    "delete": Flow("done", lambda w: w.client.delete(w.ticket), "no ticket"),
    "retry": Flow("failed", lambda w: w.client.retry(w.ticket), "ready, input whole"),
    "claim": Flow("ready", _claim, CLAIMED, _same),
    "claim later": Flow("ready", _claim_later, CLAIMED, _same),
    "fetch": Flow(
        "claimed",
        lambda w: w.provider.download(w.ticket, w.results),
        CLAIMED,
        lambda w, path: _fetched(w, path, "input"),
    ),
    "fetch, 3 at once": Flow(
        "claimed",
        lambda w: w.provider.download(w.ticket, w.results, parallel=3),
        CLAIMED,
        lambda w, path: _fetched(w, path, "input"),
    ),
    "fetch in two": Flow(
        "claimed", _fetch_in_two, CLAIMED, lambda w, path: _fetched(w, path, "input")
    ),
    "log": Flow(
        "claimed",
        lambda w: w.provider.log(w.ticket, "info", LINE),
        "claimed, 1 claim, 1 line, input whole",
    ),
    "attach": Flow(
        "claimed",
        lambda w: w.provider.attach(w.ticket, "A matrix", w.attached),
        "claimed, 1 claim, 1 attachment, input whole",
    ),
    "progress": Flow(
        "claimed", lambda w: w.provider.progress(w.ticket, 0.5), f"{CLAIMED}, progress 0.5"
    ),
    "deliver": Flow("claimed", lambda w: w.provider.upload(w.ticket, w.site.study), DELIVERED),
    "deliver in two": Flow("claimed", _deliver_in_two, DELIVERED),
    "succeed": Flow(
        "delivered",
        lambda w: w.provider.succeed(w.ticket),
        "success, 1 claim, input whole, results whole",
    ),
    "fail": Flow(
        "claimed",
        lambda w: w.provider.fail(w.ticket, LINE),
        "failed, 1 claim, 1 line, input whole",
    ),
    "download": Flow(
        "done",
        lambda w: w.client.download(w.ticket, w.results),
        DONE,
        lambda w, path: _fetched(w, path, "results"),
    ),
    "attachment": Flow("done", _attachment, DONE, _attachment_whole),
    "add a user": Flow(
        "nothing", lambda w: w.admin.add_user(LAB, w.newcomer[0]), "1 user", truth=_users
    ),
    "all tickets": Flow("ready", lambda w: w.admin.tickets(), "ready, input whole"),
    "whole": Flow("nothing", _whole, DONE, _is("fetched")),
}
