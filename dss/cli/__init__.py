"""The `dss` command: parse, one call, render."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from dss.errors import DssError
from snapws import WorkspaceError, console

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain lines, as of snapws, that any terminal and log can show
    help="ITK-SNAP's Distributed Segmentation Service.",
)


def main() -> int:
    """Run the command line of the process, and give the exit code."""
    return console.run(lambda: app(prog_name="dss"))


@contextmanager
def _reporting() -> Iterator[None]:
    """Turn an error that is meant for people into one line and exit code 1."""
    try:
        yield
    except (DssError, WorkspaceError) as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}"
    else:
        return
    print(f"dss: error: {message}", file=sys.stderr)
    raise typer.Exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"dss {version('snapws')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None: ...


@app.command()
def login(
    server: Annotated[str, typer.Argument(help="URL of the middleware.")],
    token: Annotated[
        str | None,
        typer.Option(
            help="The token, or - to read it from standard input; asked for if not given.",
            envvar="DSS_TOKEN",
        ),
    ] = None,
) -> None:
    """Log in to a server with a token, which works once, and keep the login.

    Example: dss login https://dss.itksnap.org
    """
    from dss.login import Credentials, user
    from dss.login import login as log_in

    if token is None:
        token = typer.prompt(f"Token (from {server.rstrip('/')}/token)", hide_input=True, err=True)
    elif token == "-":  # noqa: S105 - not a token
        token = sys.stdin.readline()
    with _reporting(), log_in(server, token) as session:
        Credentials().save(session)
        print(f"logged in to {session.server} as {user(session)}")


@app.command()
def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Where all files go; a new temporary folder if none is given."),
    ] = None,
) -> None:
    """Send a ticket all the way, on two real brain images and the real middleware.

    Example: dss demo my-demo
    """
    from dss import demo as demonstration

    begin = time.monotonic()

    def tell(line: str) -> None:
        print(f"[{time.monotonic() - begin:5.1f} s] {line}", file=sys.stderr, flush=True)

    with _reporting():
        result = demonstration.run(folder or Path(tempfile.mkdtemp(prefix="dss-demo-")), tell)
    for name, overlap in result.overlaps.items():
        print(f"{name}: overlap with the truth (Dice) {overlap:.3f}")
    print(f"result: {result.workspace}")
    print(f"took {result.seconds:.1f} s")


@app.command()
def middleware(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Where it keeps its data; a temporary folder if none is given."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 chooses a free one.")
    ] = 0,
) -> None:
    """Run a local middleware, for trials, until interrupted.

    Prints its URL, and for its administrator and for a plain user a token to log in with, once.

    Example: dss middleware --port 8080
    """
    from dss.middleware import ADMINISTRATOR, Middleware

    signal.signal(signal.SIGTERM, _stop)
    with _reporting(), Middleware(folder, port=port) as server:
        print(f"URL    {server.url}")
        print(f"token  {server.add_user(ADMINISTRATOR, admin=True)}  ({ADMINISTRATOR})")
        print(f"token  {server.add_user('user@localhost')}  (user@localhost)", flush=True)
        print("stop with Ctrl-C", file=sys.stderr)
        try:
            server.wait()
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
