"""Logging in, and the stored login.

The login is shared with `itksnap-wt`: `~/.alfabis/server` holds the URL, and
`~/.alfabis/cookie_<md5 of the URL>.jar` the session cookie, in the format of curl. Python's own
reader and writer of that format lose session cookies, so this module reads and writes the seven
fields of each line itself.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

from dss.errors import InvalidResponse, NotLoggedIn, NotPermitted
from dss.http.retry import RETRY_FOR
from dss.http.session import COOKIE_NAME, TIMEOUT, Session, server_url
from dss.text import shown
from snapws.files import atomic_write

SERVER_VARIABLE = "ITKSNAP_WT_DSS_SERVER"
"""The environment variable that overrides the server stored in the home folder."""

_GREETING = "logged in as "


def login(
    server: str,
    token: str,
    *,
    timeout: tuple[float, float] = TIMEOUT,
    retry_for: float = RETRY_FOR,
    verify: bool | str = True,
) -> Session:
    """Log in with a token. The server accepts a token only once.

    No cookie of an earlier session is sent, because a failed login would end that session.

    Args:
        server: URL of the middleware.
        token: The token from the server's page `token`. Surrounding spaces are removed.
        timeout: As for `Session`.
        retry_for: As for `Session`.
        verify: As for `Session`.

    Raises:
        NotLoggedIn: The token is wrong, or was used before.
        InvalidResponse: The server accepted the token, but its cookie is for another host.
        NetworkFailed: The server was not reached.
        OutcomeUnknown: The answer was lost; the token may be used up.
    """
    session = Session(server, timeout=timeout, retry_for=retry_for, verify=verify)
    token = token.strip()
    if not token:
        raise NotLoggedIn(f"the token is empty; get one at {session.server}/token")
    if_lost = f"the token may be used up; get another at {session.server}/token"
    try:
        session.user = session.post_form("api/login", {"token": token}, _read_user, if_lost=if_lost)
        if session.cookie is None:
            raise InvalidResponse(
                f"{session.server} accepted the token, but its cookie is for another host: the "
                f"middleware has to run with the cookie domain {session.host!r} (or '')"
            )
    except NotPermitted as error:
        session.close()
        raise NotLoggedIn(
            f"{session.server} did not accept the token; a token works once: get another at "
            f"{session.server}/token",
            status=error.status,
            text=error.text,
        ) from error
    except BaseException:
        session.close()
        raise
    return session


def user(session: Session) -> str:
    """Return the e-mail address of the logged-in user, from the server.

    Raises:
        NotLoggedIn: The server does not know the login.
    """
    return session.get_text("api/login", _read_user)


def _read_user(answer: str) -> str:
    if not answer.startswith(_GREETING):
        raise InvalidResponse(f"the server answered {shown(answer)!r} to a login")
    return shown(answer.removeprefix(_GREETING))


class Credentials:
    """The login stored in the home folder, shared with `itksnap-wt`.

    Args:
        home: The home folder. By default, the user's.
    """

    def __init__(self, home: Path | None = None) -> None:
        self.folder = (home or Path.home()) / ".alfabis"

    @property
    def server(self) -> str | None:
        """URL of the server: from the environment, else of the last login, else None."""
        return _url(os.environ.get(SERVER_VARIABLE)) or _url(self._last()) or None

    def _last(self) -> str:
        try:
            text = (self.folder / "server").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, IsADirectoryError):
            return ""
        return text.strip()

    def make_folder(self) -> None:
        """Create the folder of the stored login, before the token is used up.

        Raises:
            NotLoggedIn: The folder cannot be created or written.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                return
        except OSError as error:
            raise NotLoggedIn(
                f"cannot keep a login in {self.folder}: {error.strerror}; the token was not used"
            ) from error

    def save(self, session: Session) -> None:
        """Store the login of a session, and overwrite the stored one of the same server.

        Raises:
            NotLoggedIn: The session has no cookie.
        """
        cookie = session.cookie
        if cookie is None or cookie.value is None:
            raise _no_login(session.server)
        # The server sent a domain with a leading dot: the cookie includes the hosts below it.
        below = cookie.domain.startswith(".")
        fields = (
            f"#HttpOnly_{cookie.domain if below else session.host}",
            "TRUE" if below else "FALSE",
            cookie.path,
            "FALSE",
            "0",  # a session cookie for curl, which ignores the empty field of Python's writer
            COOKIE_NAME,
            cookie.value,
        )
        self.make_folder()
        jar = "# Netscape HTTP Cookie File\n\n" + "\t".join(fields) + "\n"
        _write_private(self._jar(session.server), jar)
        _write_private(self.folder / "server", session.server)

    def open_session(
        self,
        server: str | None = None,
        *,
        timeout: tuple[float, float] = TIMEOUT,
        retry_for: float = RETRY_FOR,
        verify: bool | str = True,
    ) -> Session:
        """Open a session with the stored login, without a check that the server still knows it.

        Args:
            server: URL of the server. By default, `self.server`.
            timeout: As for `Session`.
            retry_for: As for `Session`.
            verify: As for `Session`.

        Raises:
            NotLoggedIn: No login is stored. The message says how to log in.
            NetworkFailed: The URL is invalid.
        """
        server = server or self.server or ""
        if not server:
            raise NotLoggedIn("not logged in to any server; run: dss login URL")
        server = server_url(server)
        for jar in self._jars(server):
            try:
                lines = jar.read_text(encoding="utf-8", errors="replace").splitlines()
            except FileNotFoundError:
                continue
            rows = [line.split("\t") for line in lines]
            values = [row[6] for row in rows if len(row) == 7 and row[5] == COOKIE_NAME]
            if values and re.fullmatch("[ -~]+", values[-1]):
                return Session(
                    server, cookie=values[-1], timeout=timeout, retry_for=retry_for, verify=verify
                )
        raise _no_login(server)

    def forget(self, server: str | None = None) -> None:
        """Remove the stored login of a server, if there is one.

        Raises:
            NetworkFailed: The URL is invalid.
        """
        server = server or self.server
        if server is None:
            return
        server = server_url(server)
        for jar in self._jars(server):
            jar.unlink(missing_ok=True)
        if server == _url(self._last()):
            (self.folder / "server").unlink(missing_ok=True)

    def _jar(self, server: str) -> Path:
        digest = hashlib.md5(server.encode(), usedforsecurity=False).hexdigest()
        return self.folder / f"cookie_{digest}.jar"

    def _jars(self, server: str) -> list[Path]:
        """Return the files that may hold the login: `itksnap-wt` hashes the URL as it was typed."""
        return [self._jar(spelling) for spelling in (server, server + "/")]


def _url(text: str | None) -> str:
    return (text or "").strip().rstrip("/")


def _no_login(server: str) -> NotLoggedIn:
    return NotLoggedIn(f"not logged in to {server}; run: dss login {server}")


def _write_private(target: Path, text: str) -> None:
    """Write a file that never anybody but its owner can read."""
    if target.exists() and not target.is_symlink():
        target.chmod(0o600)  # an atomic write keeps the mode of the old file
    with atomic_write(target, 0o600) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")
