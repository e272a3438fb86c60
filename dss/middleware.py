"""A middleware on this machine, for trials and tests: the real one, on the loopback address only.

The server runs as a child process, and keeps its database, files and log in a folder of its own.
The test mode of the server is not used, since it makes everybody an administrator and checks no
states. Instead, users are inserted into the database.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from subprocess import Popen
from types import TracebackType
from typing import Literal

from dss.admin import Admin
from dss.errors import DssError, MiddlewareFailed, NotLoggedIn
from dss.http.session import Session
from dss.login import login
from snapws import files, leftovers
from snapws.extras import install_hint

HOST = "127.0.0.1"
ADMINISTRATOR = "administrator@localhost"
"""E-mail address of the administrator of every local middleware."""

_DATABASE = "db.sqlite3"
_MAX_PORT = 65535
_PORT_TRIES = 5
_START_LIMIT = 60.0
_STOP_LIMIT = 10.0
_GIT_LIMIT = 60.0
_LOOK = 0.2

# The server's own command would listen on every address. The cookie has no domain, since clients
# refuse a cookie for another host. Standard input is a pipe from the parent. When the parent ends,
# in whatever way, the pipe closes, and the child stops.
# The pipe's first line holds the key for browsers, so that the list of processes does not show it.
# By default five connections may wait. Linux lets further clients believe that they are connected,
# and may reset them after they sent a request: then nobody knows whether it was done.
_CHILD = """
import json, os, pathlib, sys, threading
host, port, root = sys.argv[1:]
browser = json.loads(sys.stdin.buffer.readline())
def stop_with_parent():
    sys.stdin.buffer.read()
    os._exit(0)
threading.Thread(target=stop_with_parent, daemon=True).start()
sys.argv = ["itksnap-dss-server", "--server", "--port", port, "--cookie-domain", "",
            "--sqlite-path", os.path.join(root, "db.sqlite3"),
            "--datastore-root", os.path.join(root, "store")]
from itksnap_dss_server import app
from dss.browser_front import Front
from web import httpserver
serve = httpserver.runsimple
database = pathlib.Path(root, "db.sqlite3")
httpserver.runsimple = lambda application, *more: serve(
    Front(application, database, **browser), *more)
make = httpserver.WSGIServer
def make_with_queue(*given):
    server = make(*given)
    server.request_queue_size = 128
    return server
httpserver.WSGIServer = make_with_queue
app.pargs.port = f"{host}:{port}"
app.main_server()
"""


class _PortTaken(MiddlewareFailed):
    """The port is in use by another program."""


class Middleware:
    """A middleware as a child process; it stops when the context or this process ends.

    Args:
        folder: The folder for its data, created if it does not exist; by default a temporary
            folder, which is removed when the context ends.
        port: The port to listen on; 0 chooses a free one, which stays the same after a restart.
        browser_user: E-mail address of the user as whom `browser_url` logs a browser in.
        trusts_browsers: Whether every browser is logged in as this user, without a key; only for a
            machine that nobody else uses.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        port: int = 0,
        browser_user: str = "user@localhost",
        trusts_browsers: bool = False,
    ) -> None:
        self._browser_user = browser_user
        self._trusts_browsers = trusts_browsers
        self._key = secrets.token_hex(24)
        self._temporary = ExitStack()
        made = folder or self._temporary.enter_context(leftovers.temporary("dss-middleware-"))
        self.folder = Path(made).resolve()
        self.port = port
        self._child: Popen[bytes] | None = None
        self._scratch = ExitStack()

    @property
    def url(self) -> str:
        """URL of the server, valid once it has started."""
        return f"http://{HOST}:{self.port}"

    @property
    def browser_url(self) -> str:
        """URL that logs one browser in, once; each start makes a new URL."""
        return f"{self.url}/?key={self._key}"

    @property
    def log(self) -> Path:
        """The file with the output of the server."""
        return self.folder / "middleware.log"

    @property
    def pid(self) -> int | None:
        """Process id of the server; None if it does not run."""
        return self._child.pid if self._child else None

    def __enter__(self) -> Middleware:
        try:
            self.start()
        except BaseException:
            self._temporary.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._temporary.close()

    def start(self) -> None:
        """Start the server and wait until it answers; do nothing if it runs already.

        After a restart on the same folder and port, its tickets, users and logins are as before.

        Raises:
            MiddlewareFailed: The server is not installed, its folder cannot be used, or it did not
                start. In the last case the message ends with the last lines of its output.
        """
        if self._child is not None:
            return
        if not 0 <= self.port <= _MAX_PORT:
            raise MiddlewareFailed(f"{self.port} is not a valid port: expected 0 to {_MAX_PORT}")
        if find_spec("itksnap_dss_server") is None:
            raise MiddlewareFailed(f"the middleware is not installed; {install_hint('middleware')}")
        try:
            (self.folder / "store").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MiddlewareFailed(
                f"{self.folder} cannot hold the middleware's data: {error.strerror}; choose "
                "another folder"
            ) from error
        if self.port:
            self._start_on(_usable(self.port))
            return
        for _ in range(_PORT_TRIES - 1):
            with suppress(_PortTaken):
                self._start_on(_usable(0))
                return
        self._start_on(_usable(0))

    def _start_on(self, port: int) -> None:
        """Start the server on a port, and wait until it answers there.

        Raises:
            MiddlewareFailed: The server did not start.
        """
        # The server leaves a clone of each added service among its temporary files.
        scratch = self._scratch.enter_context(leftovers.temporary("temporary-", self.folder))
        with self.log.open("ab") as output:
            self._child = Popen(  # noqa: S603 - our own words only
                [sys.executable, "-c", _CHILD, HOST, str(port), str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env={**_environment(), "TMPDIR": str(scratch)},
                # Ctrl-C is for the parent, which then stops the child.
                start_new_session=os.name == "posix",
            )
        self._key = secrets.token_hex(24)
        browser = {
            "user": self._browser_user,
            "key": self._key,
            "is_trusting": self._trusts_browsers,
        }
        try:
            assert self._child.stdin  # noqa: S101 - it is a pipe
            self._child.stdin.write(json.dumps(browser).encode() + b"\n")
            self._child.stdin.flush()
            self._wait_until_ready(self._child, port)
            self.port = port
            if (note := _note(port)) is not None:
                note.parent.mkdir(parents=True, exist_ok=True)
                files.write_bytes(note, os.fsencode(self.folder))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server; its folder stays as it is."""
        child, self._child = self._child, None
        if child is None:
            return
        # Another middleware may have got the port, and written its own note.
        if (note := _note(self.port)) is not None and _noted(note) == self.folder:
            note.unlink(missing_ok=True)
        with child:  # which closes the pipe and waits
            child.terminate()
            try:
                child.wait(_STOP_LIMIT)
            except subprocess.TimeoutExpired:
                child.kill()
        self._scratch.close()

    def wait(self) -> None:
        """Wait until the server ends.

        Raises:
            MiddlewareFailed: The server ended, so something else must have stopped it.
        """
        if (child := self._child) is not None:
            # `child.wait()` would sleep on after a signal that another thread of this process gets,
            # as one does at times where threads start processes.
            while (code := child.poll()) is None:
                time.sleep(_LOOK)
            raise MiddlewareFailed(f"the middleware ended with exit code {code}; see {self.log}")

    def restart(self) -> None:
        """Stop the server and start it again on the same folder and port."""
        self.stop()
        self.start()

    def add_user(
        self,
        email: str,
        *,
        admin: bool = False,
        tier: Literal["guest", "poweruser", "xnat"] = "guest",
    ) -> str:
        """Add a user, or change an existing one.

        Args:
            email: E-mail address of the user.
            admin: Whether the user is an administrator, for whom the server checks no states.
            tier: Maximum number of tickets of the user: 10, 60 or 100000.

        Returns:
            A token for one login.
        """
        token = secrets.token_hex(24)
        with closing(self._database()) as database, database:
            database.execute(
                "insert into users (email, passwd, dispname, sysadmin, tier) values (?,?,?,?,?) "
                "on conflict (email) do update set "
                "passwd = excluded.passwd, sysadmin = excluded.sysadmin, tier = excluded.tier",
                (email, token, email.partition("@")[0], int(admin), tier),
            )
        return token

    def login(self, email: str) -> Session:
        """Log in as a user, without a token; a token that the user has stays valid.

        Raises:
            MiddlewareFailed: The user does not exist.
        """
        with self._lent_token(email) as token:
            return login(self.url, token)

    def new_token(self, email: str) -> str:
        """Return a new token of a user, for one login; existing logins stay valid.

        The token that the user had until now is no longer valid.

        Raises:
            MiddlewareFailed: The user does not exist.
        """
        token = secrets.token_hex(24)
        self._replace_token(email, token)
        return token

    def publish(self, description: str | Path, provider: str) -> str:
        """Make a provider offer the service that a `service.json` describes.

        The file is committed to a new git repository in the server's folder. The same description
        always has the same hash; a changed one needs a new version. Missing fields `longdesc` and
        `url` are filled in, since the server's page of services fails without them.

        Args:
            description: A folder with a `service.json`.
            provider: Name of the provider, added if it does not exist.

        Returns:
            Hash of the service.

        Raises:
            MiddlewareFailed: `service.json` does not exist, or lacks name, version or shortdesc; or
                git is not installed.
            Refused: The server has another service with this name and version.
        """
        service = _read_service(Path(description) / "service.json")
        folder = self.folder / "services" / secrets.token_hex(8)
        folder.mkdir(parents=True)
        text = json.dumps(service, indent=2, sort_keys=True) + "\n"
        (folder / "service.json").write_text(text, encoding="utf-8", newline="\n")
        _git(folder, "init", "--quiet", "--template=")
        _git(folder, "add", "service.json")
        _git(folder, "commit", "--quiet", "--no-verify", "-m", "Describe the service")
        with self.login(ADMINISTRATOR) as session:
            admin = Admin(session)
            admin.add_provider(provider)
            return admin.add_service(provider, str(folder))

    @contextmanager
    def _lent_token(self, email: str) -> Iterator[str]:
        """Make a token for a login of our own; afterwards the user's own token is valid again."""
        lent = secrets.token_hex(24)
        own = self._replace_token(email, lent)
        try:
            yield lent
        finally:
            self._replace_token(email, own)

    def _replace_token(self, email: str, token: str | None) -> str | None:
        """Set a user's token and return the previous token, or None if the user had none."""
        with closing(self._database()) as database, database:
            # Nobody may use the old token up between the two statements: it would be valid again.
            database.execute("begin immediate")
            found = database.execute("select passwd from users where email=?", (email,)).fetchone()
            if found is None:
                raise MiddlewareFailed(
                    f"no user {email} in {self.folder}: add one (--user, add_user)"
                )
            database.execute("update users set passwd=? where email=?", (token, email))
        own: str | None = found[0]
        return own

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / _DATABASE, timeout=30)

    def _knows(self, email: str) -> bool:
        with closing(self._database()) as database:
            row = database.execute("select 1 from users where email=?", (email,)).fetchone()
        return row is not None

    def _wait_until_ready(self, child: subprocess.Popen[bytes], port: int) -> None:
        end = time.monotonic() + _START_LIMIT
        while time.monotonic() < end and child.poll() is None:
            if _connect(port) == 0 and self._answers(port):
                return
            time.sleep(0.02)
        last = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]
        first = f"the middleware did not start on port {port}; {self.log} ends:"
        # Another program may have taken the port since it was found to be free.
        failed = _PortTaken if _connect(port) == 0 else MiddlewareFailed
        raise failed("\n".join([first, *last]))

    def _answers(self, port: int) -> bool:
        """Return whether this server answers on a port, and not another program."""
        try:
            if not self._knows(ADMINISTRATOR):
                self.add_user(ADMINISTRATOR, admin=True, tier="poweruser")
            with self._lent_token(ADMINISTRATOR) as token:
                login(f"http://{HOST}:{port}", token, retry_for=1.0).close()
        except sqlite3.OperationalError:
            return False  # this server creates its tables before it listens
        except NotLoggedIn:
            return False  # the token is unknown, so another middleware answers
        except DssError as error:
            raise _PortTaken(f"another program answers on port {port}: {error}") from error
        return True


def running() -> dict[int, Path]:
    """Return the folders of the middlewares that this user runs on this machine, by port."""
    note = _note(0)
    found = {}
    for one in note.parent.iterdir() if note is not None and note.parent.is_dir() else ():
        if not one.name.isdecimal():
            continue  # a note that is being written
        folder = _noted(one)
        if folder is not None and _connect(int(one.name)) in (0, errno.EWOULDBLOCK):
            found[int(one.name)] = folder
        else:
            one.unlink(missing_ok=True)  # left by a middleware that was killed
    return found


def _noted(note: Path) -> Path | None:
    """Read the folder of a middleware in its note; None if the note or the folder is gone."""
    try:
        folder = Path(os.fsdecode(note.read_bytes()))
    except OSError:
        return None
    return folder if (folder / _DATABASE).is_file() else None


def _note(port: int) -> Path | None:
    """Return the file that holds the path of the folder of the middleware on a port."""
    state = leftovers.state_folder()
    return None if state is None else state / "middlewares" / str(port)


def _environment() -> dict[str, str]:
    """Return the environment without variables that change the server's settings or git's."""
    own = re.compile("PORT|SERVER_SOFTWARE|PHP_FCGI_CHILDREN|ALFABIS_.*|GIT_(?!SSL_).*")
    kept = {name: value for name, value in os.environ.items() if not own.fullmatch(name)}
    # UTF-8 in every locale, for the names of users and files.
    return {**kept, "PYTHONUTF8": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def _usable(port: int) -> int:
    """Return a port after a check that it is free; choose one for 0.

    Raises:
        MiddlewareFailed: The port is in use, or this user may not listen on it.
    """
    try:
        with socket.create_server((HOST, port)) as listener:
            usable: int = listener.getsockname()[1]
            return usable
    except OSError as error:
        why = str(error.strerror).partition(" (")[0]  # the rest repeats the port
        raise MiddlewareFailed(
            f"port {port} cannot be used: {why}; choose another one (--port), or 0 for any free one"
        ) from error


def _connect(port: int) -> int:
    """Try to connect: returns 0, or the error, which is EWOULDBLOCK if a server is too busy."""
    with socket.socket() as probe:
        probe.settimeout(5.0)  # Windows takes two seconds to say that nobody listens
        return probe.connect_ex((HOST, port))


def _read_service(file: Path) -> dict[str, object]:
    try:
        service = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise MiddlewareFailed(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise MiddlewareFailed(f"{file} is not JSON: {error}") from error
    needed = ("name", "version", "shortdesc")
    if not isinstance(service, dict) or not all(isinstance(service.get(k), str) for k in needed):
        raise MiddlewareFailed(f"{file} needs the texts {', '.join(needed)}")
    return {"longdesc": service["shortdesc"], "url": "", **service}


def _git(folder: Path, *words: str) -> None:
    """Run git without the user's settings, with a fixed author and date."""
    git = shutil.which("git")
    if git is None:
        raise MiddlewareFailed("git is not installed; the middleware takes services from git only")
    who = ("-c", "user.name=dss", "-c", "user.email=dss@localhost", "-c", "commit.gpgsign=false")
    when = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "2000-01-01T00:00:00Z")
    try:
        subprocess.run(  # noqa: S603 - our own words only
            [git, *who, *words],
            cwd=folder,
            env={**_environment(), **when},
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_GIT_LIMIT,
            text=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        raise MiddlewareFailed(f"git {words[0]} in {folder} failed: {said}") from error
