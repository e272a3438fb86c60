"""The real middleware with a service and its provider, and what it says when it is asked directly.

Nothing here goes through the proxy or through the code under test, but for what prepares a ticket:
the server is asked by other means, so that no fault of the client can hide behind itself.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import nibabel
import numpy

from dss import Admin, Middleware, Session
from dss.middleware import ADMINISTRATOR, HOST
from snapws import Workspace
from snapws.archive import archive
from tests import ports

LAB = "testlab"
INSTANCE = "instance_1"
LINE = "Größe, checked"
ATTACHED = bytes(range(256)) * 40
CLOSING_LINE = "The attachments that no line had taken yet"


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder in memory, where there is one: with each request the server waits for a disk."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 60 * 2**20
    with tempfile.TemporaryDirectory(prefix="faults-", dir=memory if roomy else None) as folder:
        yield Path(folder)


@dataclass
class Site:
    """A running middleware, one service, its provider, and a study of two layers.

    Attributes:
        hash: Of the service.
        archive: Names and bytes of the study's layers and its workspace, the workspace last.
    """

    middleware: Middleware
    folder: Path
    hash: str
    study: Path
    archive: Mapping[str, bytes]
    provider: Session
    admin: Session
    _users: Iterator[int]

    def new_user(self) -> Session:
        email = f"user{next(self._users)}@example.org"
        self.middleware.add_user(email)
        return self.middleware.login(email)

    def new_token(self) -> tuple[str, str]:
        """Adds a user; gives the address, and a token to log in with."""
        email = f"user{next(self._users)}@example.org"
        return email, self.middleware.add_user(email)

    def token_state(self, token: str) -> str:
        """Tells whether a token has been used; now it has."""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        status, answer = self._request("api/login", f"token={token}".encode(), form)
        assert status in (200, 401), answer
        return "token unused" if status == 200 else "token used"

    def ask(
        self,
        session: Session,
        path: str,
        form: Mapping[str, str] | None = None,
        file: tuple[str, bytes] | None = None,
    ) -> bytes:
        """Asks the server directly; POSTs where there is a form or a file."""
        assert session.cookie is not None
        headers = {"Cookie": f"webpy_session_id={session.cookie.value}"}
        body = None
        if file is not None:
            parts = [f'name="{key}"\r\n\r\n{value}'.encode() for key, value in (form or {}).items()]
            parts.append(f'name="myfile"; filename="{file[0]}"\r\n\r\n'.encode() + file[1])
            start = b"--border\r\nContent-Disposition: form-data; "
            body = b"".join(start + part + b"\r\n" for part in parts) + b"--border--\r\n"
            headers["Content-Type"] = "multipart/form-data; boundary=border"
        elif form is not None:
            body = urlencode(form).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        status, answer = self._request(path, body, headers)
        assert status == 200, (path, status, answer)
        return answer

    def _request(
        self, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        method = "GET" if body is None else "POST"
        with closing(HTTPConnection(HOST, self.middleware.port, timeout=30)) as connection:
            connection.request(method, f"/{path}", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def expected(self, ticket: int, area: str) -> dict[str, bytes]:
        """Names and bytes of the files that a whole area of a ticket has."""
        suffix = "_results" if area == "results" else ""
        *layers, workspace = self.archive.items()
        return dict([*layers, (f"ticket_{ticket:08d}{suffix}.itksnap", workspace[1])])


@contextmanager
def open_site() -> Iterator[Site]:
    with (
        quick_folder() as folder,
        ports.reserved() as port,
        Middleware(folder / "middleware", port=port) as middleware,
    ):
        (folder / "service").mkdir()
        text = json.dumps({"name": "Fault", "version": "1.10", "shortdesc": "A service"})
        (folder / "service" / "service.json").write_text(text, encoding="utf-8")
        service = middleware.publish(folder / "service", LAB)
        middleware.add_user("provider@example.org")
        study = _study(folder / "study")
        files = archive(Workspace.open(study), folder / "archive" / "study.itksnap").files
        with (
            middleware.login(ADMINISTRATOR) as admin,
            middleware.login("provider@example.org") as provider,
        ):
            Admin(admin).add_user(LAB, "provider@example.org")
            contents = {file.name: file.read_bytes() for file in files}
            site = Site(middleware, folder, service, study, contents, provider, admin, count(1))
            # The number of a ticket, cut off, has to be that of another one.
            for _ in range(10):
                site.ask(provider, "api/tickets", {"githash": service})
            yield site


def _study(folder: Path) -> Path:
    folder.mkdir()
    for name, seed in (("target", 1), ("source", 2)):
        voxels = numpy.random.default_rng(seed).integers(0, 9999, (20, 19, 18), numpy.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, numpy.eye(4)), folder / f"{name}.nii.gz")
    study = Workspace()
    study.add_anatomical(folder / "target.nii.gz", tags={"Target"})
    study.add_overlay(folder / "source.nii.gz", nickname="Söurce", tags={"Source"})
    return study.save(folder / "study.itksnap")


class Truth:
    """What the server says of the tickets of one user, asked directly.

    Args:
        site: The server.
        user: Login of the user; only its cookie is used.
    """

    def __init__(self, site: Site, user: Session) -> None:
        self.site = site
        self._user = user

    def __str__(self) -> str:
        """All that matters, in a few words: `claimed, 1 claim, input whole, 2 lines`."""
        tickets = self.tickets()
        return "; ".join(self._describe(*each) for each in tickets.items()) or "no ticket"

    def tickets(self) -> dict[int, str]:
        """The status of each ticket that is not deleted."""
        rows = csv.reader(io.StringIO(self._get("api/tickets").decode("utf-8")))
        return {int(row[0]): row[2] for row in rows}

    def delete_tickets(self) -> None:
        for ticket in self.tickets():
            self._get(f"api/tickets/{ticket}/delete")

    def names(self, ticket: int, area: str) -> list[str]:
        """Names of the files of an area, by their index."""
        text = self._get(f"api/tickets/{ticket}/files/{area}").decode("utf-8")
        return [name for _, name in csv.reader(io.StringIO(text))]

    def files(self, ticket: int, area: str) -> dict[str, bytes]:
        names = self.names(ticket, area)
        assert len(set(names)) == len(names), names
        path = f"api/tickets/{ticket}/files/{area}"
        return {name: self._get(f"{path}/{index}") for index, name in enumerate(names)}

    def messages(self, ticket: int) -> list[str]:
        return [line["message"] for line in self._lines(ticket)]

    def log(self, ticket: int) -> list[tuple[str, list[bytes]]]:
        """Messages, each with the contents of its attachments; loose ones come with the last."""
        message = {"message": CLOSING_LINE}
        self.site.ask(self.site.provider, f"api/pro/tickets/{ticket}/info", message)
        return [
            (line["message"], [self._get(urlsplit(a["url"]).path[1:]) for a in line["attachments"]])
            for line in self._lines(ticket)
        ]

    def _lines(self, ticket: int) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]]
        lines = json.loads(self._get(f"api/tickets/{ticket}/detail"))["result"]["log"]
        return lines

    def _describe(self, ticket: int, status: str) -> str:
        parts = [status]
        log = self.log(ticket) if status not in ("init", "ready") else []
        messages = [message for message, _ in log]
        attached = [content for _, contents in log for content in contents]
        claims = sum(m == f"Ticket claimed by provider {LAB} instance {INSTANCE}" for m in messages)
        for number, noun in ((claims, "claim"), (messages.count(LINE), "line")):
            parts += [f"{number} {noun}" + "s" * (number > 1)] * (number > 0)
        if attached:
            parts.append(f"{len(attached)} attachment" + "s" * (len(attached) > 1))
        parts += ["a damaged attachment" for content in attached if content != ATTACHED]
        parts += [self._compare(ticket, area) for area in ("input", "results")]
        if status == "claimed":
            progress = float(self._get(f"api/tickets/{ticket}/progress"))
            parts += [f"progress {progress:g}"] * (progress > 0)
        return ", ".join(part for part in parts if part)

    def _compare(self, ticket: int, area: str) -> str:
        found = self.files(ticket, area)
        whole = self.site.expected(ticket, area)
        wrong = [name for name, content in found.items() if whole.get(name) != content]
        if wrong:
            return f"{area} DAMAGED {wrong}"
        if len(found) == len(whole):
            return f"{area} whole"
        return f"{area} {len(found)} of {len(whole)}" if found else ""

    def _get(self, path: str) -> bytes:
        return self.site.ask(self._user, path)
