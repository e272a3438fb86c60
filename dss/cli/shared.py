"""Code shared by several subcommands: the connection to the server, tickets, services, records."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dss.cli.remarks import talking
from dss.errors import DssError, NotFound, Refused
from snapws import Workspace, WorkspaceError
from snapws.cli import frame, render
from snapws.cli.frame import Listing

if TYPE_CHECKING:
    from dss.http.session import Session
    from dss.records import ProvidedService, Service
    from dss.transfer.uploads import Sent
    from snapws.privacy import Privacy

_LEAST_PAUSE = 0.1  # seconds
_SIZES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_MOST = 1e18  # bytes, more than any disk
_LONGEST = 3650 * 86400.0  # seconds: systems cannot wait for arbitrarily long times

#: The default page of the documentation of a subcommand, below docs/.
REFERENCE = "reference/dss.md"


def command(
    app: typer.Typer, name: str, *, example: str, more: str = REFERENCE
) -> Callable[[frame.Function], frame.Function]:
    """Make a function a subcommand; see `snapws.cli.frame.command`."""
    declare = frame.command(
        app, name, example=example, more=more, errors=(DssError, WorkspaceError)
    )

    def add(function: frame.Function) -> frame.Function:
        declare(talking()(function))
        return function

    return add


#: Makes a group of subcommands; see `snapws.cli.frame.group`.
group = functools.partial(frame.group, more=REFERENCE)


_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """Read a time: `90`, `90s`, `2m`, `1.5h`, `7d`."""
    form = re.fullmatch(r"(\d*\.?\d+(?:e\d+)?)\s*([smhd]?)", text.strip(), re.ASCII)
    if form is None:
        raise typer.BadParameter(
            f"{text!r} is not a valid time: expected a value like 90s, 2m, 1.5h or 7d"
        )
    if (time := float(form[1]) * _UNITS[form[2]]) > _LONGEST:
        raise typer.BadParameter(f"{text!r} is too long: at most {_LONGEST / _UNITS['d']:g}d")
    return time


def size(text: str) -> int:
    """Read a number of bytes: `500M`, `8G`, `1.5T`."""
    form = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if form is None:
        raise typer.BadParameter(f"{text!r} is not a valid size: expected a value like 500M or 8G")
    if (count := float(form[1]) * _SIZES[form[2].upper()]) > _MOST:
        raise typer.BadParameter(f"{text!r} is too much: at most {_MOST / _SIZES['T']:g}T")
    return int(count)


def _pause(text: str) -> float:
    if (pause := seconds(text)) < _LEAST_PAUSE:
        raise typer.BadParameter(f"{text!r} is too short: at least {_LEAST_PAUSE:g}s")
    return pause


Interval = Annotated[
    float,
    typer.Option("--interval", parser=_pause, metavar="TIME", help="Time between two looks."),
]


@dataclass
class Link:
    """Options of a subcommand that takes the server as an argument."""

    ca_bundle: Annotated[
        Path | None,
        typer.Option(
            "--ca-bundle",
            metavar="FILE",
            exists=True,
            help="The certificate authorities to trust, as PEM.",
            show_default=False,
        ),
    ] = None
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Do not check the server's certificate.")
    ] = False
    retry_for: Annotated[
        float,
        typer.Option(
            "--patience",
            parser=seconds,
            metavar="TIME",
            help="How long a request that failed is repeated, where that is safe.",
        ),
    ] = "60s"  # type: ignore[assignment] # which the parser reads

    @property
    def verify(self) -> bool | str:
        """How to check the server's certificate, as for `Session`; warns if it is not checked."""
        if self.insecure and self.ca_bundle:
            raise typer.BadParameter("--insecure checks no certificate: leave out --ca-bundle")
        if self.insecure:
            render.note(
                "warning: the server's certificate is not checked; whoever is in between can read "
                "and change everything, the login too"
            )
        return str(self.ca_bundle) if self.ca_bundle else not self.insecure


@dataclass
class Connection(Link):
    """Options of a subcommand that uses the stored login."""

    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="URL",
            help="The server, if not that of the last login.",
            show_default=False,
        ),
    ] = None

    def open(self) -> Session:
        """Open a session with the stored login. The session is a context manager."""
        from dss.login import Credentials

        verify = self.verify
        session = Credentials().open_session(self.server, verify=verify, retry_for=self.retry_for)
        warn_if_readable(session.server)
        return session


def warn_if_readable(server: str | None) -> None:
    """Print a warning if the connection to a server is not encrypted and leaves this machine."""
    from urllib.parse import urlsplit

    from dss.http.session import is_loopback

    url = urlsplit(server or "")
    if url.scheme.lower() == "http" and not is_loopback(url.hostname or ""):
        render.note(
            f"warning: {url.hostname} is talked to over http://, not encrypted; whoever is in "
            "between can read and change everything, the login too"
        )


TicketNumber = Annotated[
    int, typer.Argument(metavar="TICKET", min=1, help="The ticket's number.", show_default=False)
]

TicketNumbers = Annotated[
    list[int],
    typer.Argument(metavar="TICKET", min=1, help="The tickets' numbers.", show_default=False),
]

ServiceName = Annotated[
    str,
    typer.Argument(metavar="SERVICE", help="The service's name or hash.", show_default=False),
]

Folder = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="Where to put the files; made if need be."),
]

Parallel = Annotated[
    int,
    typer.Option(
        "--parallel",
        min=1,
        help="How many files to fetch at once; the server holds each in memory.",
    ),
]


MaxSize = Annotated[
    int | None,
    typer.Option(
        "--max-size",
        parser=size,
        metavar="SIZE",
        help="How much a download may fetch.",
        show_default="nine tenths of the free disk",
    ),
]


@dataclass
class Upload:
    """Options of a subcommand that sends a workspace."""

    verify: Annotated[
        bool, typer.Option("--verify", help="Read the files back and compare them.")
    ] = False
    strict: Annotated[
        bool, typer.Option("--strict", help="Replace nicknames, label names, annotation texts.")
    ] = False

    @property
    def privacy(self) -> Privacy:
        """Which typed text the archive keeps."""
        return "strict" if self.strict else "standard"


@dataclass
class Submission(Upload):
    """Options of a subcommand that submits workspaces to a service."""

    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask about files outside of a workspace's folder."),
    ] = False
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway",
            help="Send workspaces even if their tags are not those that the service requires.",
        ),
    ] = False


def remark_texts(workspace: Workspace, privacy: Privacy) -> None:
    """Print the typed texts that the archive of a workspace keeps."""
    from snapws.privacy import kept_texts, scrubbed

    render.kept_texts(kept_texts(scrubbed(workspace, privacy).registry, privacy))


def show_words(listing: Listing, words: Sequence[str]) -> None:
    """Print texts of a server as a JSON array, or line by line without control characters."""
    listing.show_lines(words if listing.json else [render.printable(word) for word in words])


def service_file(path: Path) -> Path:
    """Return the file of a service; a folder means the file that `dss service init` wrote."""
    from dss.serving.description import CODE

    return path / CODE if path.is_dir() else path


@contextmanager
def not_unheard(what: str) -> Iterator[None]:
    """Print `what` was done as a note if the standard output cannot be written."""
    try:
        yield
        sys.stdout.flush()
    except OSError:
        render.note(what)
        raise


def show_sent(sent: Sent) -> None:
    """Show a sent file on a terminal."""
    render.passing(f"sent {sent.name}, {sent.size / 1e6:.1f} MB in {sent.seconds:.1f} s")


def find_service(wanted: str, offered: Iterable[Service | ProvidedService]) -> str:
    """Return the hash of the service with a given name or hash.

    Args:
        wanted: The name or hash. 40 hex digits are a hash, listed or not.
        offered: The services to search for a name.

    Raises:
        NotFound: No service has that name. The message lists the existing names.
        Refused: Several services have that name. The message lists their hashes.
    """
    if re.fullmatch("[0-9a-f]{40}", wanted):
        return wanted
    rows = list(offered)
    versions = {row.hash: row.version for row in rows if row.name == wanted}
    if not versions:
        names = ", ".join(sorted({row.name for row in rows})) or "none"
        raise NotFound(f"no service is named {wanted!r}; services: {names}")
    if len(versions) > 1:
        hashes = ", ".join(f"{hash_} (version {version})" for hash_, version in versions.items())
        raise Refused(f"{len(versions)} services are named {wanted!r}: choose a hash: {hashes}")
    return next(iter(versions))


def as_record(thing: Any) -> dict[str, Any]:
    """Return a record of the library as JSON values: times in ISO 8601, durations in seconds."""
    return {field.name: _as_json(getattr(thing, field.name)) for field in fields(thing)}


def _as_json(value: Any) -> Any:
    if is_dataclass(value):
        return as_record(value)
    if isinstance(value, tuple):
        return [_as_json(part) for part in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value
