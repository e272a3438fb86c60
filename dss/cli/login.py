"""Logging in and out."""

from __future__ import annotations

import os
import re
import sys
from typing import Annotated

import typer

from dss.cli.shared import Connection, Link, warn_if_readable
from snapws.cli import render
from snapws.cli.frame import Listing

_VARIABLE = "DSS_TOKEN"


def login(
    server: Annotated[
        str, typer.Argument(metavar="URL", help="URL of the server.", show_default=False)
    ],
    *,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            metavar="-",
            help=f"Read the token from standard input; else it is that in {_VARIABLE}, or asked "
            "for.",
            show_default=False,
        ),
    ] = None,
    link: Link,
) -> None:
    """Log in with a token, which works once, and keep the login.

    The page URL/token of the server shows a token; a local one, dss middleware, has printed it.
    The login is shared with itksnap-wt. Where it fails, an earlier login stays as it was.
    """
    from dss.http.session import Session
    from dss.login import Credentials
    from dss.login import login as log_in

    server = server.strip().rstrip("/").removesuffix("/token")  # the page that shows it
    verify = link.verify
    Session(server, verify=verify).close()  # refuse an invalid URL before asking for a token
    warn_if_readable(server)
    words = _token(server, token)
    Credentials().make_folder()  # before the token is used up
    with log_in(server, words, verify=verify, retry_for=link.retry_for) as session:
        Credentials().save(session)
        render.result(render.printable(f"logged in to {session.server} as {session.user}"))


def logout(
    server: Annotated[
        str | None,
        typer.Argument(
            metavar="URL", help="The server, if not that of the last login.", show_default=False
        ),
    ] = None,
) -> None:
    """Forget the login to a server.

    The server itself is not told.
    """
    from dss.login import Credentials

    login_kept = Credentials()
    where = server or login_kept.server
    login_kept.forget(server)
    render.note(f"logged out of {where}" if where else "there was no login")


def whoami(connection: Connection, listing: Listing) -> None:
    """Ask the server who is logged in."""
    from dss.login import user

    with connection.open() as session:
        found = {"user": user(session), "server": session.server}
    if listing.json:
        render.as_json(found)
    else:
        render.result(render.printable(f"{found['user']} at {found['server']}"))


def _token(server: str, given: str | None) -> str:
    """Read the token from the standard input, the environment or a prompt."""
    if given == "-":
        return sys.stdin.readline()
    if given is not None:  # the message does not repeat it, for it may be a token
        raise typer.BadParameter(
            "whoever lists the processes of this machine can read a token on a command line: "
            f"say --token -, or set {_VARIABLE}"
        )
    if _VARIABLE in os.environ:
        return os.environ[_VARIABLE]
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            f"no terminal to ask for the token on: say --token -, or set {_VARIABLE}"
        )
    local = re.match(r"https?://(127\.0\.0\.1|localhost|\[::1\])[:/]", server)
    place = f"from {server.strip().rstrip('/')}/token"
    prompt = f"Token ({place}{', or printed by dss middleware' if local else ''})"
    return str(typer.prompt(prompt, hide_input=True, err=True))
