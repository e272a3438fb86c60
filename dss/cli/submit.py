"""``dss submit``: a workspace becomes a ticket, and its result comes back."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dss.cli.follow import Waiting, follow
from dss.cli.shared import (
    Connection,
    MaxSize,
    Submission,
    find_service,
    not_unheard,
    remark_texts,
    show_sent,
)
from dss.errors import NotFound, Refused
from dss.serving.description import misplaced
from dss.text import shown
from dss.tickets import newest
from snapws import Workspace
from snapws.cli import render
from snapws.cli.frame import Listing
from snapws.cli.options import WorkspaceFile

if TYPE_CHECKING:
    from dss.client import Client
    from dss.records import ServiceDetail


def submit(
    workspace: WorkspaceFile,
    service: Annotated[
        str | None,
        typer.Argument(metavar="SERVICE", help="The service's name or hash.", show_default=False),
    ] = None,
    *,
    ticket: Annotated[
        int | None,
        typer.Option(
            "--ticket",
            metavar="TICKET",
            min=1,
            help="Send what this ticket of yours still lacks, instead of making another.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the ticket to its end.")] = False,
    download: Annotated[
        Path | None,
        typer.Option(
            "--download",
            metavar="DIR",
            help="Follow it, and put its result there.",
            show_default=False,
        ),
    ] = None,
    max_size: MaxSize = None,
    waiting: Waiting,
    upload: Submission,
    connection: Connection,
    listing: Listing,
) -> None:
    """Send a workspace to a service, as a ticket.

    The command sends an archive that names no person (snapws archive makes the same one). It first
    lists the files outside of the workspace's folder, and on a terminal asks whether to send them.
    It refuses a workspace in which a tag that the service requires is on no layer, on several, or
    on a layer of the wrong type, unless --anyway is given. It prints the ticket's number, with
    --wait the ticket's log, and with --download the result's workspace at the end. Exit 1 if the
    ticket fails. To continue an interrupted upload, use --ticket.
    """
    from dss.client import Client

    if service is None and ticket is None:
        raise typer.BadParameter("name a SERVICE, or one of your tickets with --ticket")
    if download and download.exists() and not download.is_dir():
        raise typer.BadParameter(f"{download} is a file: name a folder for --download")
    opened = Workspace.open(workspace)
    with connection.open() as session:
        client = Client(session)
        hash_ = find_service(service, client.services()) if service else ""
        if ticket is not None and hash_:
            _check_service(client, ticket, hash_)
        asked = hash_ or (_service_of(client, ticket) if ticket is not None else "")
        if asked and not upload.anyway:
            refuse_missing_tags(opened, client.service_detail(asked))
        remark_texts(opened, upload.privacy)
        _ask_about_outside(opened, yes=upload.yes)
        if ticket is None:
            number = client.submit(
                opened, hash_, privacy=upload.privacy, verify=upload.verify, sent=show_sent
            )
        else:
            number = ticket
            client.upload(
                ticket, opened, privacy=upload.privacy, verify=upload.verify, sent=show_sent
            )
            client.make_ready(ticket)
        with not_unheard(f"ticket {number} is queued"):
            if listing.json:
                render.as_json_line({"ticket": number})
            else:
                render.result(str(number))
        if wait or download:
            follow(client, number, waiting, json=listing.json)
        if download:
            result = str(client.download(number, download, max_size=max_size))
            if listing.json:
                render.as_json_line({"ticket": number, "workspace": result})
            else:
                render.result(result)


def _ask_about_outside(workspace: Workspace, *, yes: bool) -> None:
    """Print the files outside of a workspace's folder and, on a terminal, ask whether to send them.

    Raises:
        Refused: The user does not want to send them.
    """
    asks = not yes and sys.stdin.isatty() and sys.stderr.isatty()
    if not render.outside(workspace, always=asks) or not asks:
        return
    if not typer.confirm("Send these files, too?", err=True):
        raise Refused("nothing was sent, and no ticket was made: --yes sends them without asking")


def refuse_missing_tags(workspace: Workspace, service: ServiceDetail) -> None:
    """Refuse a workspace without the tags that a service requires: the ticket would fail.

    Raises:
        Refused: A required tag is on no layer, on several, or on one of another type.
    """
    there = {tag for layer in (*workspace.layers(), *workspace.meshes()) for tag in layer.tags}
    for tag in service.tags:
        if tag.required and tag.name not in there:
            hint = f" ({shown(tag.hint)})" if tag.hint.strip() else ""
            raise Refused(
                f"no layer of {workspace.path} has the tag {tag.name}{hint}, which {service.name} "
                f"requires; nothing was sent: give it to one, as with snapws tags add "
                f"{shlex.quote(str(workspace.path))} LAYER {shlex.quote(tag.name)}; "
                "dss.Client.submit, in Python, and --anyway send it as it is"
            )
        if tag.required and (wrong := misplaced(tag, workspace)):
            raise Refused(
                f"{shown(wrong)}; {service.name} requires that, and nothing was sent: --anyway "
                "sends the workspace as it is"
            )


def _service_of(client: Client, ticket: int) -> str:
    """Return the hash of a ticket's service, empty if the service is not listed."""
    name = next((one.service for one in client.tickets() if one.id == ticket), None)
    try:
        return newest(client.services(), name).hash if name else ""
    except NotFound:
        return ""


def _check_service(client: Client, ticket: int, hash_: str) -> None:
    """Refuse to fill a ticket for another service than the given one."""
    ours = next((one.service for one in client.tickets() if one.id == ticket), None)
    names = {one.name for one in client.services() if one.hash == hash_}
    if ours is not None and names and ours not in names:
        raise Refused(f"ticket {ticket} is for {ours}, not for {', '.join(names)}")
