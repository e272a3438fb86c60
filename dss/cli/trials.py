"""A service on this machine, for trials."""

from __future__ import annotations

import logging
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from dss.cli.remarks import remarking
from snapws.cli import render

if TYPE_CHECKING:
    from dss.middleware import Middleware


class DemoService(str, Enum):
    """The example services of the demonstration."""

    REGISTRATION = "registration"
    NECKCUT = "neckcut"


def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Where all files go; a new temporary folder if none is given."),
    ] = None,
    service: Annotated[
        DemoService, typer.Option(help="Which example service does the work.")
    ] = DemoService.REGISTRATION,
) -> None:
    """Send a ticket all the way, on this machine.

    On real brain images and the real middleware. The registration needs greedy (pip install
    picsl-greedy), the neck cut nothing more.
    """
    from dss import demo as demonstration

    begin = time.monotonic()

    def tell(line: str) -> None:
        render.note(f"[{time.monotonic() - begin:5.1f} s] {line}")

    place = folder or Path(tempfile.mkdtemp(prefix="dss-demo-"))
    with remarking("dss", logging.WARNING):
        result = demonstration.run(place, tell, service.value)
    for finding in result.findings:
        render.result(finding)
    render.result(f"result: {result.workspace}")
    render.result(f"took {result.seconds:.1f} s")


def middleware(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]", help="Where it keeps its data; a temporary folder if none is given."
        ),
    ] = None,
    email: Annotated[
        str | None,
        typer.Argument(
            metavar="| token EMAIL", help="Print another token of a user, while it runs, and end."
        ),
    ] = None,
    example: Annotated[
        bool,
        typer.Option("--example", help="Offer the neck cut, and serve it: all of DSS, to try."),
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 chooses a free one.")
    ] = 0,
    users: Annotated[
        list[str] | None,
        typer.Option("--user", metavar="EMAIL", help="A further user; say it again for more."),
    ] = None,
    browser_user: Annotated[
        str, typer.Option(metavar="EMAIL", help="As whom its pages are opened in a browser.")
    ] = "user@localhost",
    trust_loopback: Annotated[
        bool,
        typer.Option(
            "--trust-loopback",
            help="Whoever opens a page on this machine is that user: for a machine of your own.",
        ),
    ] = False,
) -> None:
    """Run a local middleware, for trials, until interrupted.

    Prints its URL, an address that logs one browser in, once, and for its administrator and for
    each user a token to log in with, once. Its page /token shows others, and so does `token`.
    """
    from dss.middleware import ADMINISTRATOR, Middleware

    if email is not None:
        if folder != Path("token"):
            raise typer.BadParameter(f"one folder, or token EMAIL, not {folder} {email}")
        render.result(_running(port).new_token(email))
        return
    signal.signal(signal.SIGTERM, _stop)
    with Middleware(
        folder, port=port, browser_user=browser_user, trusts_browsers=trust_loopback
    ) as server:
        if trust_loopback:
            render.note(
                f"warning: whoever can use this machine is {browser_user} here: not for a machine "
                "that others use, too"
            )
        render.result(f"URL    {server.url}")
        render.result(f"pages  {server.url if trust_loopback else server.browser_url}")
        render.result(f"token  {server.add_user(ADMINISTRATOR, admin=True)}  ({ADMINISTRATOR})")
        # Each once: a second token ends the first, and the administrator's rights.
        others = dict.fromkeys(("user@localhost", browser_user, *(users or ())))
        others.pop(ADMINISTRATOR, None)
        for email in others:
            render.result(f"token  {server.add_user(email)}  ({email})")
        try:
            with ExitStack() as stack:
                if example:
                    from dss import demo as demonstration
                    from dss.serving.monitoring import logs

                    stack.enter_context(logs.showing(sys.stderr, as_json=False, level=logging.INFO))
                    served = demonstration.serving(server, "neckcut", server.folder / "runner")
                    render.result(f"offers {stack.enter_context(served)}  (MRI-NeckCut)")
                render.note("stop with Ctrl-C")
                server.wait()
        except KeyboardInterrupt:
            render.note("stopped")


def _running(port: int) -> Middleware:
    """Return the middleware that runs on a port; for 0 the only one of this user.

    Raises:
        MiddlewareFailed: None runs there, or several do.
    """
    from dss.errors import MiddlewareFailed
    from dss.middleware import Middleware, running

    found = {one: folder for one, folder in running().items() if port in (0, one)}
    if len(found) != 1:
        many = f"{len(found)} run (ports {', '.join(map(str, sorted(found)))}): choose one, --port"
        none = "none of yours runs on this machine: start it with dss middleware"
        raise MiddlewareFailed(f"which middleware? {many if found else none}")
    ((_, folder),) = found.items()
    return Middleware(folder)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
