"""``dss batch``: many workspaces through a service, as many at a time as the server allows."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dss.cli.follow import Waiting
from dss.cli.remarks import remarking
from dss.cli.shared import (
    Connection,
    MaxSize,
    ServiceName,
    Submission,
    command,
    find_service,
    group,
    show_sent,
)
from dss.cli.submit import refuse_missing_tags
from dss.errors import NotFound, Refused
from snapws import Workspace
from snapws.cli import render
from snapws.cli.frame import Listing

if TYPE_CHECKING:
    from dss.batch.cases import Named
    from dss.batch.journal import Case, Content, Journal
    from dss.batch.run import Settings
    from dss.client import Client

_MORE = "howto/send-a-cohort.md"
_MOST_NAMED = 10  # of the files from outside

app = group(
    "Many workspaces through a service.",
    example="dss batch submit cases.tsv RegistrationExample --out results/",
    more=_MORE,
)


@command(
    app,
    "submit",
    example="dss batch submit cases.tsv RegistrationExample --out results/",
    more=_MORE,
)
def submit(
    workspaces: Annotated[
        list[Path],
        typer.Argument(
            metavar="MANIFEST|WORKSPACE...",
            help="A .tsv with columns case and workspace; or .itksnap files, folders, patterns.",
            show_default=False,
        ),
    ],
    service: ServiceName,
    *,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            help="The batch's folder: journal, results, table.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str, typer.Option("--name", metavar="PATTERN", help="Names of the layers of results.")
    ] = "{case}_{nickname}",
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Submit the cases that did not succeed again.")
    ] = False,
    keep_tickets: Annotated[
        bool,
        typer.Option(
            "--keep-tickets",
            help="Leave fetched tickets on the server; they count towards the limit.",
        ),
    ] = False,
    trust: Annotated[
        bool,
        typer.Option("--trust-out", help="Use DIR although it was moved or restored."),
    ] = False,
    max_size: MaxSize = None,
    waiting: Waiting,
    upload: Submission,
    connection: Connection,
    listing: Listing,
) -> None:
    """Send each workspace as a ticket, and fetch each result.

    The command keeps as many tickets open as the server allows. It deletes a ticket once its result
    is here and checked, and a failed ticket once its log and attachments are here. Before it sends
    the first case, it checks every case as dss submit does, and lists the texts and the outside
    files of all. After an interruption, also by kill -9, run the same command again: no case is
    sent twice. It prints a table of the cases, which is also saved in DIR. Exit 1 if a case did not
    succeed.
    """
    from dss.batch import journal, results
    from dss.batch.cases import named
    from dss.batch.run import Settings
    from dss.client import Client
    from dss.login import user
    from dss.serving.lock import locked

    results.check_pattern(name)
    with connection.open() as session, _problems_line_by_line():
        cases = named(workspaces)
        email, client = user(session), Client(session)
        content = journal.read(out, missing_ok=True)
        settings = Settings(
            *_service(client, content, service),
            privacy=upload.privacy,
            verify=upload.verify,
            pattern=name,
            keep_tickets=keep_tickets,
            max_size=max_size,
            interval=waiting.interval,
            timeout=waiting.timeout,
        )
        unsent = [case for case in cases if content.is_unsent(case.name, again=retry_failed)]
        results.refuse_replacing(out, [case.name for case in unsent])
        _ask_consent(client, unsent, settings, yes=upload.yes, anyway=upload.anyway)
        owner = f"another dss batch (process {os.getpid()})"
        with locked(out, owner, trusted=trust, use=journal.USE), journal.opened(out) as opened:
            opened.bind(
                server=session.server,
                user=email,
                service=settings.service_name,
                hash=settings.service,
                privacy=settings.privacy,
            )
            for case in cases:
                opened.add(case.name, _absolute(case.workspace))
            _run(client, opened, settings, {case.name for case in cases}, again=retry_failed)
            ended = opened.cases
    _show(ended, listing)
    _end(ended)


@command(app, "status", example="dss batch status results/", more=_MORE)
def status(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The --out of the batch.", show_default=False),
    ],
    listing: Listing,
) -> None:
    """Show how far each case of a batch is; no server is asked.

    The journal in DIR says so. With --json, the files that are here of each case, too.
    """
    from dss.batch.journal import read

    _show(read(folder).cases.values(), listing)


@contextmanager
def _problems_line_by_line() -> Iterator[None]:
    """Print the problems of cases, a line each, and exit with 1."""
    from dss.batch.cases import BadCases

    try:
        yield
    except BadCases as error:
        for problem in error.problems:
            render.error(problem)
        render.error(f"{error}: nothing was sent now")
        raise typer.Exit(1) from None


def _service(client: Client, content: Content, service: str) -> tuple[str, str]:
    """Return the hash and the name of the service of a batch.

    A batch goes on with the version that it was begun with, also if another one is offered now.
    """
    known = content.batch
    if service in (known.get("service"), known.get("hash")):
        return known["hash"], known["service"]
    offered = client.services()
    hash_ = find_service(service, offered)
    names = [one.name for one in offered if one.hash == hash_]
    if not names:
        raise NotFound(f"no service has the hash {hash_}: dss services list")
    return hash_, names[0]


def _ask_consent(
    client: Client, cases: list[Named], settings: Settings, *, yes: bool, anyway: bool
) -> None:
    """Check cases, say once what all of them would say, and ask about files from outside."""
    from dss.batch.cases import examine
    from snapws import sources

    if not cases:
        return
    detail = None if anyway else client.service_detail(settings.service)

    def check(workspace: Workspace) -> None:
        if detail is not None:
            refuse_missing_tags(workspace, detail)

    consent = examine(cases, settings.privacy, check)
    render.kept_texts(consent.texts)
    asks = not yes and sys.stdin.isatty() and sys.stderr.isatty()
    for line in consent.instead:
        render.note(f"warning: {line}", always=asks)
    lines = [f"{name}: {line}" for name, found in consent.outside for line in sources.told(found)]
    for line in lines[:_MOST_NAMED]:
        render.note(line, always=asks)
    if more := lines[_MOST_NAMED:]:
        render.note(f"{len(more)} more from outside, of {len(consent.outside)} cases", always=asks)
    if lines and asks and not typer.confirm("Send these files, too?", err=True):
        raise Refused("nothing was sent, and no ticket was made: --yes sends them unasked")


def _run(
    client: Client, journal: Journal, settings: Settings, wanted: set[str], *, again: bool
) -> None:
    """Take the cases to their end; the table is written in any case."""
    from dss.batch import table
    from dss.batch.run import Batch

    batch = Batch(client, journal, settings, wanted, tell=render.note, sent=show_sent)
    if again:
        render.note(f"{batch.retry_failed()} cases begin anew")
    try:
        with remarking("dss.batch", logging.WARNING):
            batch.run()
    finally:
        render.note(f"saved {table.write(journal.folder, journal.cases)}")


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - not through links


def _show(cases: Iterable[Case], listing: Listing) -> None:
    from dss.batch import table

    found = table.records(cases)
    if not listing.json:
        for record in found:
            seconds = record["seconds"]
            record["seconds"] = None if seconds is None else f"{seconds:.1f}"
    listing.show(found, table.COLUMNS[:-1])


def _end(cases: Sequence[Case]) -> None:
    """Print the last line of a batch.

    Raises:
        typer.Exit: With 1, if a case did not succeed.
    """
    failed = sum(case.shown_status != "success" for case in cases)
    if failed:
        render.error(
            f"{failed} of {len(cases)} cases did not succeed: --retry-failed submits them anew"
        )
        raise typer.Exit(1)
    render.note(f"{len(cases)} cases, all successful")
