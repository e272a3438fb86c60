from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import nibabel
import numpy
import pytest

from dss import Admin, Client, Middleware, Provider, Session
from dss.middleware import ADMINISTRATOR
from snapws import Workspace
from tests.dss.raw_server import RawServer

_numbers = count(1)


@pytest.fixture(scope="session")
def middleware(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Middleware]:
    """The real middleware; nobody in it is an administrator but `ADMINISTRATOR`."""
    with Middleware(tmp_path_factory.mktemp("middleware")) as running:
        yield running


@pytest.fixture
def open_session(middleware: Middleware) -> Iterator[Callable[[str], Session]]:
    """Opens sessions that are closed after the test."""
    sessions: list[Session] = []

    def open_one(email: str) -> Session:
        sessions.append(middleware.login(email))
        return sessions[-1]

    yield open_one
    for session in sessions:
        session.close()


@pytest.fixture
def new_user(middleware: Middleware, open_session: Callable[[str], Session]) -> Callable[[], str]:
    """Adds users who are not administrators; gives their addresses."""

    def add() -> str:
        email = f"user{next(_numbers)}@example.org"
        middleware.add_user(email)
        return email

    return add


@pytest.fixture
def client(new_user: Callable[[], str], open_session: Callable[[str], Session]) -> Client:
    """A user without tickets."""
    return Client(open_session(new_user()))


@pytest.fixture
def admin(open_session: Callable[[str], Session]) -> Admin:
    return Admin(open_session(ADMINISTRATOR))


@pytest.fixture
def description(tmp_path: Path) -> Path:
    """A folder with the `service.json` of a service that no other test has."""
    folder = tmp_path / "description"
    folder.mkdir()
    service = {
        "name": f"Service{next(_numbers)}",
        "version": "1.10",
        "shortdesc": 'Größe, "Form"',
        "tags": [{"name": "Target", "type": "MainImage", "hint": "a scan", "required": True}],
    }
    (folder / "service.json").write_text(json.dumps(service), encoding="utf-8")
    return folder


@pytest.fixture
def service(middleware: Middleware, description: Path) -> str:
    """Hash of a service without tickets, offered by the provider `testlab`."""
    return middleware.publish(description, "testlab")


@pytest.fixture
def provider(
    admin: Admin, service: str, new_user: Callable[[], str], open_session: Callable[[str], Session]
) -> Provider:
    """A user who provides `service` for `testlab`."""
    email = new_user()
    admin.add_user("testlab", email)
    return Provider(open_session(email))


@pytest.fixture
def claimed(client: Client, provider: Provider, service: str) -> int:
    """A ticket of `client`, without files, claimed by `provider`."""
    ticket = client.create(service)
    client.make_ready(ticket)
    claim = provider.claim([service], "testlab", "instance_1")
    assert claim is not None
    assert claim.ticket == ticket
    return ticket


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace of two images, tagged Target and Source."""
    folder = tmp_path / "study of Jane Doe"
    folder.mkdir()
    for name, seed in (("target", 1), ("source", 2)):
        voxels = numpy.random.default_rng(seed).integers(0, 999, (9, 8, 7), numpy.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, numpy.eye(4)), folder / f"{name}.nii.gz")
    study = Workspace()
    study.add_anatomical(folder / "target.nii.gz", tags={"Target"})
    study.add_overlay(folder / "source.nii.gz", nickname="Söurce", tags={"Source"})
    study.save(folder / "study.itksnap")
    return study


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other without much of a pause."""
    monkeypatch.setattr("dss.http.retry.FIRST_PAUSE", 0.01)


@pytest.fixture
def raw(impatient: None) -> Iterator[RawServer]:
    """A server that answers what the test says."""
    server = RawServer()
    yield server
    server.close()
