"""``snapws view``: workspaces in a browser."""

from __future__ import annotations

import socket
import webbrowser
from typing import Annotated

import typer

from snapws import cohort
from snapws.cli import render
from snapws.cli.many import WorkspaceFiles
from snapws.workspace import Workspace

Port = Annotated[
    int,
    typer.Option(
        "--port",
        min=0,
        max=65535,
        metavar="PORT",
        help="The port of this machine; without it any that is free.",
        show_default=False,
    ),
]

Idle = Annotated[
    float | None,
    typer.Option(
        "--idle",
        min=0,
        metavar="MINUTES",
        help="End when no page has been open for so long.",
        show_default=False,
    ),
]


def view(
    workspaces: WorkspaceFiles,
    port: Port = 0,
    idle: Idle = None,
    no_browser: Annotated[
        bool,
        typer.Option("--no-browser", help="Start no browser; print the address alone."),
    ] = False,
) -> None:
    """Look at workspaces in a browser, in slices and in 3-D.

    Layers lie where show draws them, in the colours of the workspace. The page is for this machine
    alone, and for who has its address, which is printed; the line that --no-browser prints leads to
    it from another machine. Nothing is loaded from elsewhere. Ctrl-C ends it.
    """
    from snapws.viewer.server import Viewer

    if cohort.is_one(workspaces):
        Workspace.open(workspaces[0])  # of several, the page says which cannot be read
    viewer = Viewer(cohort.expand(workspaces), port=port, idle=idle)
    try:
        render.result(viewer.address)
        if no_browser:
            render.note(
                f"from another machine, first: ssh -N -L {viewer.port}:127.0.0.1:{viewer.port} "
                f"{socket.gethostname()}"
            )
        else:
            webbrowser.open(viewer.first_address)
        render.note("Ctrl-C ends it")
        viewer.serve()
    except KeyboardInterrupt:
        render.note("ended")
    finally:
        viewer.release()
