"""Every answer of the middleware that is not the one asked for: which error it becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from dss import (
    Admin,
    Client,
    DssError,
    InvalidResponse,
    Middleware,
    NotFound,
    NotLoggedIn,
    NotPermitted,
    OutcomeUnknown,
    Provider,
    QuotaReached,
    Refused,
    ServerFailed,
    Session,
    TicketDeleted,
    WrongState,
)
from dss.login import login
from dss.middleware import ADMINISTRATOR

NOBODY = "0" * 40


@dataclass(frozen=True)
class World:
    middleware: Middleware
    client: Client
    provider: Provider
    admin: Admin
    service: str

    def created(self) -> int:
        return self.client.create(self.service)

    def ready(self) -> int:
        ticket = self.created()
        self.client.make_ready(ticket)
        return ticket

    def claimed(self) -> int:
        self.ready()
        claim = self.provider.claim([self.service], "answerlab", "x")
        assert claim
        return claim.ticket

    def deleted(self) -> int:
        ticket = self.claimed()
        self.client.delete(ticket)
        return ticket


def by_name(world: World, name: str) -> str:
    """Has the server look for a service, which `Client` does itself."""
    return world.client.session.post_form("api/tickets", {"name": name}, if_lost="")


@pytest.fixture(scope="module")
def world(middleware: Middleware, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("service")
    told = '{"name": "Answers", "version": "1", "shortdesc": ""}'
    (folder / "service.json").write_text(told, encoding="utf-8")
    service = middleware.publish(folder, "answerlab")
    middleware.add_user("asker@example.org", tier="poweruser")
    middleware.add_user("answerer@example.org")
    with (
        middleware.login("asker@example.org") as asker,
        middleware.login("answerer@example.org") as answerer,
        middleware.login(ADMINISTRATOR) as administrator,
    ):
        admin = Admin(administrator)
        admin.add_user("answerlab", "answerer@example.org")
        yield World(middleware, Client(asker), Provider(answerer), admin, service)


def post(session: Session, path: str, if_lost: str | None = None, **fields: str) -> str:
    return session.post_form(path, fields, if_lost=if_lost)


def fill_quota(world: World) -> None:
    world.middleware.add_user("guest@example.org", tier="guest")
    with world.middleware.login("guest@example.org") as session:
        for _ in range(11):
            Client(session).create(world.service)


def send(session: Session, area: str, form: str) -> None:
    """Sends a form that the library would not."""

    class Body:
        content_type = "multipart/form-data; boundary=b"

        def __len__(self) -> int:
            return len(form)

        def __iter__(self) -> object:
            return iter([form.encode()])

    session.post_body(area, Body(), if_lost=None)


def part(name: str) -> str:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\nx\r\n--b--\r\n'


def nameless(session: Session) -> Session:
    return Session(session.server)


ANSWERS: dict[str, tuple[Callable[[World], object], type[DssError], str]] = {
    "no login": (lambda w: nameless(w.client.session).get_text("api/tickets"), NotLoggedIn, "run:"),
    "wrong cookie": (
        lambda w: Session(w.client.session.server, cookie=NOBODY).get_text("api/tickets"),
        NotLoggedIn,
        "run: dss login",
    ),
    "wrong token": (lambda w: login(w.client.session.server, "x"), NotLoggedIn, "works once"),
    "no page for a token": (
        lambda w: w.client.session.get_text("api/token"),
        NotPermitted,
        "Unauthorized access",
    ),
    "no administrator": (
        lambda w: Admin(w.client.session).tickets(),
        NotPermitted,
        "Insufficient privileges",
    ),
    "no provider": (
        lambda w: Provider(w.client.session).claim([w.service], "answerlab", "x"),
        NotPermitted,
        "You are not a provider for service",
    ),
    "empty service": (
        lambda w: post(
            w.provider.session, "api/pro/services/claims", services=f"{w.service},", provider="p"
        ),
        NotPermitted,
        "You are not a provider",
    ),
    "unknown user": (
        lambda w: w.admin.add_user("answerlab", "nobody@example.org"),
        NotFound,
        "Email unrecognized by the system",
    ),
    "unknown ticket": (lambda w: w.client.status(10**6), NotFound, "Ticket 1000000 not found"),
    "unknown ticket, provider": (lambda w: w.provider.status(10**6), NotFound, "not found"),
    "unknown service": (lambda w: by_name(w, "none"), NotFound, "Unable to find service"),
    "unknown hash": (lambda w: w.client.create(NOBODY), NotFound, "is not available"),
    "short hash": (lambda w: by_name(w, w.service[:8]), NotFound, "Unable to find service"),
    "unknown service's detail": (
        lambda w: w.client.service_detail(NOBODY),
        NotFound,
        "is not available",
    ),
    "unknown log entry": (lambda w: w.client.attachments(10**6), NotFound, "is not readable"),
    "unknown attachment": (
        lambda w: w.client.session.get_text("blobs/00000000"),
        NotFound,
        "Resource 00000000 not found",
    ),
    "no attachment": (
        lambda w: w.client.session.get_text("blobs/000000000"),
        NotFound,
        r"not found .* 404 to GET",
    ),
    "no route": (lambda w: w.client.session.get_text("api/none"), NotFound, "404 to GET api/none"),
    "wrong method": (lambda w: post(w.client.session, "api/services"), Refused, "405 to POST"),
    "quota": (
        fill_quota,
        QuotaReached,
        r"\(10\) exceeded.*; finished tickets count, too: delete tickets",
    ),
    "deleted, status": (lambda w: w.client.retry(w.deleted()), TicketDeleted, "is deleted"),
    "deleted, provider": (
        lambda w: w.provider.log(w.deleted(), "info", "x"),
        TicketDeleted,
        r"Ticket \d+ has been deleted",
    ),
    "not claimed": (
        lambda w: w.provider.files(w.ready()),
        WrongState,
        "has not been claimed by user",
    ),
    "unknown status": (
        lambda w: post(w.client.session, f"api/tickets/{w.created()}/status", status="bogus"),
        WrongState,
        "Changing ticket status to bogus is not supported",
    ),
    "unknown status, provider": (
        lambda w: post(w.provider.session, f"api/pro/tickets/{w.claimed()}/status", status="bogus"),
        WrongState,
        "Cannot set status of ticket to bogus",
    ),
    "ready twice": (lambda w: w.client.make_ready(w.ready()), WrongState, "is ready: only"),
    "retried too soon": (lambda w: w.client.retry(w.claimed()), WrongState, "is claimed: only"),
    "files too late": (
        lambda w: send(w.client.session, f"api/tickets/{w.claimed()}/files/input", part("myfile")),
        NotFound,
        "not found for user",
    ),
    "no file": (
        lambda w: send(w.client.session, f"api/tickets/{w.created()}/files/input", part("other")),
        Refused,
        "bad request",
    ),
    "no git": (
        lambda w: w.admin.add_service("answerlab", "/nowhere"),
        Refused,
        "Error fetching Git repository",
    ),
    "failure, read": (
        lambda w: w.client.service_stats(NOBODY),
        ServerFailed,
        "internal server error .* 500 to GET",
    ),
    "failure, repeated": (
        lambda w: post(w.client.session, f"api/tickets/{w.claimed()}/status"),
        ServerFailed,
        "500 to POST",
    ),
    "failure, in doubt": (
        lambda w: post(nameless(w.client.session), "api/login", "it may be"),
        OutcomeUnknown,
        "500 to POST api/login.; the request was sent: it may be",
    ),
    "unknown category": (
        lambda w: post(w.provider.session, f"api/pro/tickets/{w.claimed()}/log", "it may be"),
        OutcomeUnknown,
        "internal server error",
    ),
    "unknown index": (
        lambda w: w.client.session.get_digest(f"api/tickets/{w.claimed()}/files/input/9"),
        ServerFailed,
        "internal server error",
    ),
    "other end of a part": (
        lambda w: [w.provider.progress(t, 0.5, end=e) for t in [w.claimed()] for e in (0.5, 1.0)],
        ServerFailed,
        "reset the progress first",
    ),
    "redirect": (
        lambda w: nameless(w.client.session).get_text("logout"),
        InvalidResponse,
        r"redirects to .* \(303 to GET logout",
    ),
    "page": (
        lambda w: w.client.session.get_json("about"),
        InvalidResponse,
        "did not answer with JSON",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_becomes_its_error(world: World, impatient: None, name: str) -> None:
    provoke, kind, words = ANSWERS[name]
    with pytest.raises(kind, match=words) as caught:
        provoke(world)
    assert type(caught.value) is kind
    assert str(caught.value).isprintable()
