"""Logging in, and the login kept for the next time.

The login is shared with `itksnap-wt`: `~/.alfabis/server` holds the URL, and
`~/.alfabis/cookie_<md5 of the URL>.jar` the session cookie, as curl's cookie engine writes it.
Python's own reader and writer of that form lose cookies that end with the session, so the seven
fields of its lines are read and written here.
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
"""Variable of the environment that overrides the server kept in the home folder."""

_GREETING = "logged in as "


def login(
    server: str,
    token: str,
    *,
    timeout: tuple[float, float] = TIMEOUT,
    retry_for: float = RETRY_FOR,
    verify: bool | str = True,
) -> Session:
    """Log in with a token, which the server accepts once; the session begins without cookies.

    A failed login ends whatever session it was sent with, so none is sent.

    Args:
        server: URL of the middleware.
        token: What the page `token` of the server shows; spaces around it are dropped.
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
    """Ask the server who is logged in: the e-mail address of the user.

    Raises:
        NotLoggedIn: Nobody is.
    """
    return session.get_text("api/login", _read_user)


def _read_user(answer: str) -> str:
    if not answer.startswith(_GREETING):
        raise InvalidResponse(f"the server answered {shown(answer)!r} to a login")
    return shown(answer.removeprefix(_GREETING))


class Credentials:
    """The login kept in the home folder, shared with `itksnap-wt`.

    Args:
        home: The home folder; the user's by default.
    """

    def __init__(self, home: Path | None = None) -> None:
        self.folder = (home or Path.home()) / ".alfabis"

    @property
    def server(self) -> str | None:
        """URL of the server: the environment's, else that of the last login, else None."""
        return _url(os.environ.get(SERVER_VARIABLE)) or _url(self._last()) or None

    def _last(self) -> str:
        try:
            text = (self.folder / "server").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, IsADirectoryError):
            return ""
        return text.strip()

    def make_folder(self) -> None:
        """Make the folder that the login is kept in: before a token is used up that works once.

        Raises:
            NotLoggedIn: It cannot be made or written; the message says why.
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
        """Keep a session for the next time, in place of the one kept for the same server.

        Raises:
            NotLoggedIn: The session has no cookie.
        """
        cookie = session.cookie
        if cookie is None or cookie.value is None:
            raise _no_login(session.server)
        # A domain with a leading dot was given by the server and includes the hosts below it.
        below = cookie.domain.startswith(".")
        fields = (
            f"#HttpOnly_{cookie.domain if below else session.host}",
            "TRUE" if below else "FALSE",
            cookie.path,
            "FALSE",
            "0",  # ends with the session, for curl; Python's writer leaves it empty: not sent
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
        """Open the session kept for a server; the server is not asked whether it still knows it.

        Args:
            server: URL of the server; `self.server` by default.
            timeout: As for `Session`.
            retry_for: As for `Session`.
            verify: As for `Session`.

        Raises:
            NotLoggedIn: No login is kept; the message says how to log in.
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
        """Remove the login kept for a server; without one nothing happens.

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
        """The jars that a login may be in: `itksnap-wt` names them by the URL as it was typed."""
        return [self._jar(spelling) for spelling in (server, server + "/")]


def _url(text: str | None) -> str:
    return (text or "").strip().rstrip("/")


def _no_login(server: str) -> NotLoggedIn:
    return NotLoggedIn(f"not logged in to {server}; run: dss login {server}")


def _write_private(target: Path, text: str) -> None:
    """Write a file that only its owner reads, from its first byte on."""
    if target.exists() and not target.is_symlink():
        target.chmod(0o600)  # the new file takes over the mode of the old one
    with atomic_write(target, 0o600) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")
