from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dss import (
    Admin,
    Client,
    InvalidResponse,
    Middleware,
    NotFound,
    NotPermitted,
    OutcomeUnknown,
    Provider,
    Refused,
    TicketStatus,
)
from tests.dss.raw_server import RawServer, answer


def test_providers_are_added_listed_and_deleted(admin: Admin) -> None:
    admin.add_provider("läb-7")
    admin.add_provider("läb-7")
    assert admin.providers().count("läb-7") == 1
    assert admin.users("läb-7") == []
    admin.delete_provider("läb-7")
    with pytest.raises(NotFound, match="no provider 'never-was'; providers: "):
        admin.delete_provider("never-was")


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a/b", "a+b", "a\n"])
def test_name_of_a_provider_that_no_url_can_hold_is_refused(admin: Admin, name: str) -> None:
    with pytest.raises(Refused, match="a provider cannot be named"):
        admin.add_provider(name)
    assert name not in admin.providers()


def test_users_are_added_listed_and_deleted(admin: Admin, new_user: Callable[[], str]) -> None:
    admin.add_provider("userlab")
    email = new_user()
    admin.add_user("userlab", email)
    admin.add_user("userlab", email)
    (only,) = admin.users("userlab")
    assert (only.email, only.admin) == (email, False)
    with pytest.raises(NotFound, match="Email unrecognized by the system"):
        admin.add_user("userlab", "nobody@example.org")
    admin.delete_user("userlab", only.id)
    assert admin.users("userlab") == []


def test_services_are_listed_and_deleted(admin: Admin, provider: Provider, service: str) -> None:
    listed = {one.hash: one for one in admin.services("testlab")}
    assert (listed[service].version, listed[service].description) == ("1.10", 'Größe, "Form"')
    admin.delete_service("testlab", service)
    admin.delete_service("testlab", service)
    assert service not in {one.hash for one in admin.services("testlab")}
    assert service not in {one.hash for one in provider.services()}


def test_service_that_cannot_be_added_is_refused(
    admin: Admin, middleware: Middleware, tmp_path: Path, service: str
) -> None:
    with pytest.raises(Refused, match="Error fetching Git repository"):
        admin.add_service("testlab", str(tmp_path / "nothing"))
    with pytest.raises(NotFound, match="no provider 'nolab'"):
        admin.add_service("nolab", str(next((middleware.folder / "services").iterdir())))


def test_another_service_of_the_same_version_is_refused(
    admin: Admin, service: str, description: Path, tmp_path: Path
) -> None:
    told = json.loads((description / "service.json").read_text(encoding="utf-8"))
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "service.json").write_text(json.dumps({**told, "longdesc": "x", "url": "y"}))
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *words], cwd=repository, check=True)
    with pytest.raises(Refused, match="A service with same name and version already exists"):
        admin.add_service("testlab", str(repository))


def test_tickets_are_listed_and_purged(admin: Admin, client: Client, claimed: int) -> None:
    (listed,) = [ticket for ticket in admin.tickets() if ticket.id == claimed]
    assert listed.status is TicketStatus.CLAIMED
    assert listed.minutes >= 0
    assert admin.purge("completed", hours=1000) == 0
    assert admin.purge("all", hours=1000) == 0
    assert client.status(claimed) is TicketStatus.CLAIMED


def test_user_who_is_no_administrator_is_refused(client: Client, service: str) -> None:
    stranger = Admin(client.session)
    for call in (
        stranger.providers,
        stranger.tickets,
        lambda: stranger.add_provider("x"),
        lambda: stranger.delete_service("testlab", service),
        lambda: stranger.purge("all", hours=0),
    ):
        with pytest.raises(NotPermitted, match="Insufficient privileges"):
            call()


def test_invalid_answers_are_refused(raw: RawServer) -> None:
    known, page = answer(b"lab\r\n"), answer(b"<html>")
    with raw.session() as session:
        admin = Admin(session)
        for answers, call in (
            ([known, page], lambda: admin.add_user("lab", "a@b")),
            ([known, page], lambda: admin.add_service("lab", "repository")),
            ([page], lambda: admin.purge("all", hours=1)),
            ([page], lambda: admin.add_provider("lab")),
        ):
            raw.answers = answers
            with pytest.raises(OutcomeUnknown, match="<html>.*it may have been done"):
                call()
        raw.answers = [known, page]
        with pytest.raises(InvalidResponse, match="<html>"):
            admin.delete_provider("lab")


def test_names_are_quoted(raw: RawServer) -> None:
    raw.answers = [answer("ä/b?c\r\n".encode()), answer(b"")]
    with raw.session() as session:
        Admin(session).users("ä/b?c")
    assert raw.heads()[1:] == ["GET /api/admin/providers/%C3%A4%2Fb%3Fc/users HTTP/1.1"]
