"""``dss provider``: claim tickets, work on them, deliver their results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dss.cli.dashboard import dashboard
from dss.cli.shared import (
    Connection,
    Folder,
    Interval,
    MaxSize,
    Parallel,
    TicketNumber,
    Upload,
    as_record,
    command,
    find_service,
    group,
    not_unheard,
    remark_texts,
    seconds,
    show_sent,
)
from dss.errors import Refused, WrongState
from snapws import Workspace
from snapws.cli import render
from snapws.cli.frame import Listing
from snapws.cli.options import WorkspaceFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dss.provider import Provider

app = group(
    "The work of a provider on tickets.",
    example="dss provider claim RegistrationExample --wait 600",
)

ServiceNames = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SERVICE",
        help="Names or hashes of services; all that you provide, if none is given.",
        show_default=False,
    ),
]
Part = Annotated[float, typer.Option(min=0, max=1, help="The part of the work that is meant.")]


@command(app, "services", example="dss provider services")
def services(connection: Connection, listing: Listing) -> None:
    """List the services that you may provide."""
    from dss.provider import Provider

    with connection.open() as session:
        found = [as_record(service) for service in Provider(session).services()]
    listing.show(found, ("name", "version", "provider", "hash"))


@command(app, "available", example="dss provider available")
def available(connection: Connection, listing: Listing, names: ServiceNames = None) -> None:
    """List services with tickets to claim, without claiming any."""
    from dss.provider import Provider

    with connection.open() as session:
        provider = Provider(session)
        found = provider.available(_chosen(provider, names)[0])
    if found is None:
        raise Refused("the server is too old to tell which tickets wait: claim instead")
    listing.show([as_record(service) for service in found], ("name", "ready", "hash"))


@command(app, "claim", example="dss provider claim RegistrationExample --wait 600")
def claim(
    connection: Connection,
    listing: Listing,
    names: ServiceNames = None,
    lab: Annotated[
        str | None,
        typer.Option(
            "--provider",
            metavar="NAME",
            help="As which provider, where you belong to several.",
            show_default=False,
        ),
    ] = None,
    instance: Annotated[
        str, typer.Option(metavar="NAME", help="Name of this worker, for the ticket's log.")
    ] = "instance_1",
    wait: Annotated[
        float,
        typer.Option(parser=seconds, metavar="TIME", help="How long to wait for a ticket to come."),
    ] = "0s",  # type: ignore[assignment] # which the parser reads
    interval: Interval = "5s",  # type: ignore[assignment]
) -> None:
    """Claim the oldest ticket that waits; print its number.

    Exit 1 if none waits. A claimed ticket is yours until you report success or failure: the server
    gives it to nobody else.
    """
    from dss.provider import Provider

    with connection.open() as session:
        provider = Provider(session)
        hashes, labs = _chosen(provider, names, lab)
        if len(labs) != 1:
            raise Refused(f"choose a --provider: {', '.join(labs) or 'you belong to none'}")
        found = provider.wait_for_claim(hashes, labs[0], instance, timeout=wait, interval=interval)
    if found is None:
        raise Refused("no ticket waits to be claimed" + (f", nor came in {wait:g} s" * bool(wait)))
    with not_unheard(f"ticket {found.ticket} is claimed"):
        if listing.json:
            render.as_json(as_record(found))
        else:
            render.result(str(found.ticket))


@command(app, "download", example="dss provider download 1 work/")
def download(
    ticket: TicketNumber,
    folder: Folder,
    connection: Connection,
    listing: Listing,
    parallel: Parallel = 1,
    max_size: MaxSize = None,
) -> None:
    """Fetch the input of a ticket; print its workspace.

    The ticket has to have one workspace; files that it does not name are not fetched. The workspace
    appears last, after its files. After a failure, run the same command again: it fetches the
    missing files.
    """
    from dss.provider import Provider

    with connection.open() as session:
        result = Provider(session).download(ticket, folder, parallel=parallel, max_size=max_size)
    listing.show_lines([str(result)])


@command(app, "status", example="dss provider status 1")
def status(ticket: TicketNumber, connection: Connection, listing: Listing) -> None:
    """Print the status of a ticket, claimed or not."""
    from dss.provider import Provider

    with connection.open() as session:
        found = Provider(session).status(ticket)
    if listing.json:
        render.as_json({"ticket": ticket, "status": found})
    else:
        render.result(str(found))


@command(app, "log", example='dss provider log 1 "Affine registration"')
def log(
    ticket: TicketNumber,
    message: Annotated[str, typer.Argument(metavar="TEXT", help="Text for the user.")],
    connection: Connection,
    category: Annotated[
        Literal["info", "warning", "error"], typer.Option(help="Category of the line.")
    ] = "info",
) -> None:
    """Add a line to a ticket's log, for its user."""
    from dss.provider import Provider

    with connection.open() as session:
        number = Provider(session).log(ticket, category, message)
    render.note(f"ticket {ticket}: added line {number} to the log")


@command(app, "attach", example='dss provider attach 1 affine.mat "Affine matrix"')
def attach(
    ticket: TicketNumber,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to attach.")],
    description: Annotated[str, typer.Argument(metavar="TEXT", help="Description for the user.")],
    connection: Connection,
    mime_type: Annotated[
        str, typer.Option("--mime-type", help="Type of the file.")
    ] = "application/octet-stream",
) -> None:
    """Attach a file to the next line of a ticket's log.

    The user sees the file only with that line. The file's own name is not sent. Anybody who has the
    URL of an attachment can read the file without a login.
    """
    from dss.provider import Provider

    with connection.open() as session:
        number = Provider(session).attach(ticket, description, file, mime_type)
    render.note(f"ticket {ticket}: attachment {number} shows with the next line of the log")


@command(app, "progress", example="dss provider progress 1 0.5")
def progress(
    ticket: TicketNumber,
    value: Annotated[
        float, typer.Argument(metavar="VALUE", min=0, max=1, help="How much of it is done.")
    ],
    connection: Connection,
    start: Part = 0.0,
    end: Part = 1.0,
) -> None:
    """Set the progress of the work, or of a part of the work.

    Keep to one division into parts. A VALUE of 0 without a part removes all parts.
    """
    from dss.provider import Provider

    if start >= end:
        raise typer.BadParameter("a part starts before its end")
    with connection.open() as session:
        Provider(session).progress(ticket, value, start=start, end=end)
    part = "" if (start, end) == (0, 1) else f" of the part from {start:g} to {end:g}"
    render.note(f"ticket {ticket}: {value:.0%}{part}")


@command(app, "upload", example="dss provider upload 1 work/result.itksnap")
def upload(
    ticket: TicketNumber, workspace: WorkspaceFile, options: Upload, connection: Connection
) -> None:
    """Send a workspace as the result of a ticket.

    The command sends an archive that names no person. After a failure, run the same command again:
    it sends the missing files.
    """
    from dss.provider import Provider

    with connection.open() as session:
        opened = Workspace.open(workspace)
        remark_texts(opened, options.privacy)
        render.outside(opened)
        Provider(session).upload(
            ticket,
            opened,
            privacy=options.privacy,
            verify=options.verify,
            sent=show_sent,
        )
    render.note(f"ticket {ticket}: {workspace} is sent; report success when all is done")


@command(app, "success", example="dss provider success 1")
def success(ticket: TicketNumber, connection: Connection) -> None:
    """Report a ticket as success, after its result was sent."""
    from dss.provider import Provider

    with connection.open() as session:
        provider = Provider(session)
        _refuse_over(provider, ticket)
        if not any(
            file.name.lower().endswith(".itksnap") for file in provider.files(ticket, "results")
        ):
            raise WrongState(f"ticket {ticket} has no result yet: upload it first")
        provider.succeed(ticket)
    render.note(f"ticket {ticket}: success")


@command(app, "fail", example='dss provider fail 1 "No layer has the tag Target"')
def fail(
    ticket: TicketNumber,
    reason: Annotated[str, typer.Argument(metavar="TEXT", help="Why, for the user.")],
    connection: Connection,
) -> None:
    """Report a ticket as failed, and say why."""
    from dss.provider import Provider

    if not reason.strip():
        raise typer.BadParameter("say why: the user reads nothing else")
    with connection.open() as session:
        provider = Provider(session)
        _refuse_over(provider, ticket)
        provider.fail(ticket, reason)
    render.note(f"ticket {ticket}: failed")


command(
    app,
    "dashboard",
    example="dss provider dashboard --watch",
    more="howto/scale-a-service.md",
)(dashboard)


def _refuse_over(provider: Provider, ticket: int) -> None:
    """Refuse to report a ticket that has ended: the server would turn a success into a failure."""
    status = provider.status(ticket)
    if status.final and status != "deleted":
        raise WrongState(f"ticket {ticket} is {status} already")


def _chosen(
    provider: Provider, names: Sequence[str] | None, lab: str | None = None
) -> tuple[list[str], list[str]]:
    """Return the hashes of services, and the providers that offer them."""
    rows = [row for row in provider.services() if lab in (None, row.provider)]
    hashes = [find_service(name, rows) for name in names or [row.hash for row in rows]]
    if not hashes:
        raise Refused("you provide no service" + (f" for {lab}" if lab else ""))
    labs = [lab] if lab else sorted({row.provider for row in rows if row.hash in hashes})
    return list(dict.fromkeys(hashes)), labs
