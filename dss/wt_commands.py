"""The commands of the drop-in for `itksnap-wt` that talk to the DSS: `-dss*`, `-dssp*`, `-dssa*`.

Each command makes a call of `Client`, `Provider` or `Admin` and prints the result. `snapws-wt`
finds the table `COMMANDS` by an entry point when it meets a command that is not its own. Each
command imports the modules for the network itself, so that other commands start fast.

Texts from a server are printed without control characters, and a log message on one line. So no
text of a stranger moves the cursor, or looks like a line of its own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import dss
from dss.errors import DssError, Refused, WrongState
from dss.text import printable
from snapws.errors import WorkspaceError
from snapws.wt.run import Command, Run, UsageError, number, whole_number

if TYPE_CHECKING:
    from dss.admin import Admin
    from dss.client import Client
    from dss.provider import Provider
    from dss.records import FileEntry, LogEntry
    from dss.transfer.uploads import Sent

COMMANDS: list[Command] = []

_USER = "Distributed Segmentation Service: users"
_PROVIDER = "Distributed Segmentation Service: providers"
_ADMINISTRATOR = "Distributed Segmentation Service: administrators"

_TIMED_OUT = 1
_CLAIM_INTERVAL = 15.0
_BAR_WIDTH = 78

Function = Callable[..., None]


@contextmanager
def _failing_in_a_line() -> Iterator[None]:
    """Convert errors to those that the drop-in reports."""
    try:
        yield
    except DssError as error:
        raise WorkspaceError(str(error)) from error
    except BrokenPipeError:
        raise  # the reader of the output has ended: no error to report
    except OSError as error:
        raise WorkspaceError(f"{error.filename}: {error.strerror}") from error


def _command(group: str, caller: str, name: str, parameters: str = "") -> Callable[..., Function]:
    """Add a command, whose function gets a `caller` with the stored login."""

    def add(function: Function) -> Function:
        def call(run: Run, *words: str) -> None:
            with _failing_in_a_line(), dss.Credentials().open_session() as session:
                function(run, getattr(dss, caller)(session), *words)

        COMMANDS.append(Command((name,), group, parameters, function.__doc__ or "", call))
        return function

    return add


_user = partial(_command, _USER, "Client")
_provider = partial(_command, _PROVIDER, "Provider")
_administrator = partial(_command, _ADMINISTRATOR, "Admin")


# ------------------------------------------------------------------------------ users


def _auth(_: Run, server: str) -> None:
    """Ask for a token, log in with it, and store the login for later commands."""
    from dss.login import login

    server = server.rstrip("/")
    _tell(f"Paste this link into your browser to obtain a token:  {server}/token")
    _tell("  Enter the token: ", end="")
    with _failing_in_a_line(), login(server, sys.stdin.readline()) as session:
        dss.Credentials().save(session)
        _tell(f"Success: logged in as {_line(session.user or '')}")


COMMANDS.append(Command(("-dss-auth",), _USER, "<url>", _auth.__doc__ or "", _auth))


@_user("-dss-services-list")
def _services_list(run: Run, client: Client) -> None:
    """Print a table of the services: name, hash, version, description."""
    services = client.services()
    _print_table(run, [(one.name, one.hash, one.version, one.description) for one in services])


@_user("-dss-services-detail", "<hash>")
def _services_detail(run: Run, client: Client, service: str) -> None:
    """Print the description of a service as JSON, with the tags that it needs."""
    import json

    run.print(json.dumps(client.service_detail(service).json))


@_user("-dss-tickets-create", "<service>")
def _tickets_create(run: Run, client: Client, service: str) -> None:
    """Submit the workspace as a new ticket to a service (name or hash); print the number."""
    sent: list[Sent] = []
    ticket = client.submit(run.workspace, service, sent=sent.append)
    _tell(f"Created new ticket ({ticket})")
    for one in sent:
        _tell_sent(one)
    _tell("Changed ticket status to (ready)")
    run.print(str(ticket))


@_user("-dss-tickets-list")
def _tickets_list(run: Run, client: Client) -> None:
    """Print a table of your tickets: number, service, status."""
    _print_table(run, [(str(one.id), one.service, one.status) for one in client.tickets()])


@_user("-dss-tickets-log", "<ticket>")
def _tickets_log(_: Run, client: Client, ticket: str) -> None:
    """Print the log of a ticket: seconds of the epoch, category, message; `@` an attachment."""
    number = whole_number(ticket)
    # This call returns an empty log if an administrator asks for a missing ticket. The call
    # behind `Client.log` would make the server fail.
    if not client.session.get_text(f"api/tickets/{number}/log"):
        return
    for entry in client.log(number):
        _tell(f"{_seconds(entry)}  {entry.category:<7}  {_line(entry.message)}")
        _tell_attachments(entry)


@_user("-dss-tickets-progress", "<ticket>")
def _tickets_progress(run: Run, client: Client, ticket: str) -> None:
    """Print the progress of a ticket, 0 to 1."""
    run.print(str(client.progress(whole_number(ticket))))


@_user("-dss-tickets-wait", "<ticket> [seconds]")
def _tickets_wait(run: Run, client: Client, ticket: str) -> None:
    """Print the log of a ticket until the ticket ends, or until the timeout; 0 is no timeout."""
    timeout = _take_number(run)
    draws = sys.stdout.isatty()
    _tell("")
    try:
        for now in client.wait(whole_number(ticket), timeout=timeout or None):
            if draws:
                _tell(" " * len(_bar(1.0)), end="\r")  # to erase the bar
            for entry in now.log:
                _tell(f"{_seconds(entry):>20} {entry.category:>10} {_line(entry.message)}")
                _tell_attachments(entry)
            if now.status.final:
                _tell(f"{_bar(now.progress)}\n\nTicket completed with status: {now.status}")
            elif draws:
                _tell(_bar(now.progress), end="\r")
    except dss.TimedOut as error:
        _end_without(str(error))


@_user("-dss-tickets-download", "<ticket> <folder>")
def _tickets_download(run: Run, client: Client, ticket: str, folder: str) -> None:
    """Fetch the result of a ticket into a folder; print the files."""
    workspace = client.download(whole_number(ticket), folder)
    _print_fetched(run, workspace, client.files(whole_number(ticket), "results"))


@_user("-dss-tickets-delete", "<ticket>")
def _tickets_delete(run: Run, client: Client, ticket: str) -> None:
    """Delete a ticket and its files."""
    client.delete(whole_number(ticket))
    run.print("deleted")


# -------------------------------------------------------------------------- providers


@_provider("-dssp-services-list")
def _provided_list(run: Run, provider: Provider) -> None:
    """Print a table of the services that you provide: name, version, hash, provider."""
    services = provider.services()
    _print_table(run, [(one.name, one.version, one.hash, one.provider) for one in services])


@_provider("-dssp-services-claim", "<hash,..> <provider> <instance> [seconds]")
def _claim(run: Run, provider: Provider, hashes: str, name: str, instance: str) -> None:
    """Wait for a ticket of these services and claim it; print number, hash, status."""
    timeout = _take_number(run) or 0.0
    wanted = [one for one in hashes.split(",") if one]
    if not wanted:
        raise UsageError(f"{hashes!r} names no service")
    claim = provider.wait_for_claim(
        wanted, name, instance, timeout=timeout, interval=_CLAIM_INTERVAL
    )
    if claim is None:
        _end_without("Timed out waiting for available tickets")
    _print_table(run, [(str(claim.ticket), claim.hash, claim.status)])


@_provider("-dssp-tickets-download", "<ticket> <folder>")
def _claimed_download(run: Run, provider: Provider, ticket: str, folder: str) -> None:
    """Fetch the input of a ticket that you claimed into a folder; print the files."""
    workspace = provider.download(whole_number(ticket), folder)
    _print_fetched(run, workspace, provider.files(whole_number(ticket)))


@_provider("-dssp-tickets-fail", "<ticket> <message>")
def _fail(run: Run, provider: Provider, ticket: str, message: str) -> None:
    """Report a ticket as failed, with the reason; refused after success."""
    which = whole_number(ticket)
    status = ""
    with suppress(Refused):  # which the report itself says
        status = provider.status(which).value
    if status == "success":
        # By a script's late `trap`: the server would take the result from its user.
        raise WrongState(f"ticket {which} is success already: it stays so")
    provider.fail(which, message)
    run.print("failed")


@_provider("-dssp-tickets-success", "<ticket>")
def _succeed(run: Run, provider: Provider, ticket: str) -> None:
    """Report a ticket as done."""
    provider.succeed(whole_number(ticket))
    run.print("success")


@_provider("-dssp-tickets-status", "<ticket>")
def _status(run: Run, provider: Provider, ticket: str) -> None:
    """Print the status of a ticket."""
    run.print(provider.status(whole_number(ticket)))


@_provider("-dssp-tickets-set-progress", "<ticket> <start> <end> <value>")
def _set_progress(
    _: Run, provider: Provider, ticket: str, start: str, end: str, value: str
) -> None:
    """Set the progress of a part of the work, which lies between start and end; all 0 to 1."""
    part = whole_number(ticket), number(value), number(start), number(end)
    try:
        provider.progress(part[0], part[1], start=part[2], end=part[3])
    except ValueError as error:
        raise UsageError(str(error)) from error
    _tell("success")


@_provider("-dssp-tickets-log", "<ticket> <info|warning|error> <message>")
def _log(_: Run, provider: Provider, ticket: str, category: str, message: str) -> None:
    """Add a line to the log of a ticket."""
    try:
        provider.log(whole_number(ticket), category, message)  # type: ignore[arg-type]
    except ValueError as error:
        raise UsageError(str(error)) from error


@_provider("-dssp-tickets-attach", "<ticket> <description> <file> [mime-type]")
def _attach(run: Run, provider: Provider, ticket: str, description: str, file: str) -> None:
    """Attach a file to the next line of the log of a ticket."""
    mime_type = run.take_if(lambda word: not word.startswith("-"))
    given = {} if mime_type is None else {"mime_type": mime_type}
    provider.attach(whole_number(ticket), description, file, **given)


@_provider("-dssp-tickets-upload", "<ticket>")
def _upload(run: Run, provider: Provider, ticket: str) -> None:
    """Send the workspace as the result of a ticket."""
    provider.upload(whole_number(ticket), run.workspace, sent=_tell_sent)


# --------------------------------------------------------------------- administrators


@_administrator("-dssa-providers-list")
def _providers_list(run: Run, admin: Admin) -> None:
    """Print the names of all providers."""
    _print_table(run, [(name,) for name in admin.providers()])


@_administrator("-dssa-providers-add", "<provider>")
def _providers_add(run: Run, admin: Admin, name: str) -> None:
    """Add a provider."""
    admin.add_provider(name)
    run.print("success")


@_administrator("-dssa-providers-delete", "<provider>")
def _providers_delete(run: Run, admin: Admin, name: str) -> None:
    """Delete a provider."""
    admin.delete_provider(name)
    run.print("None")


@_administrator("-dssa-providers-users-list", "<provider>")
def _users_list(run: Run, admin: Admin, name: str) -> None:
    """Print a table of the users of a provider: number, e-mail, 1 for an administrator."""
    users = admin.users(name)
    _print_table(run, [(str(one.id), one.email, str(int(one.admin))) for one in users])


@_administrator("-dssa-providers-users-add", "<provider> <e-mail>")
def _users_add(run: Run, admin: Admin, name: str, email: str) -> None:
    """Add a user to a provider."""
    admin.add_user(name, email)
    run.print(f"Added user {email} to provider {name}")


@_administrator("-dssa-providers-users-delete", "<provider> <user-number>")
def _users_delete(run: Run, admin: Admin, name: str, user: str) -> None:
    """Remove a user from a provider."""
    admin.delete_user(name, whole_number(user))
    run.print("None")


@_administrator("-dssa-providers-services-list", "<provider>")
def _offered_list(run: Run, admin: Admin, name: str) -> None:
    """Print a table of the services of a provider: name, version, hash, description."""
    services = admin.services(name)
    _print_table(run, [(one.name, one.version, one.hash, one.description) for one in services])


@_administrator("-dssa-providers-services-add", "<provider> <git-repository> <ref>")
def _offered_add(run: Run, admin: Admin, name: str, repository: str, ref: str) -> None:
    """Make a provider offer the service that a git repository describes; print its hash."""
    run.print(_line(admin.add_service(name, repository, ref)))


@_administrator("-dssa-providers-services-delete", "<provider> <hash>")
def _offered_delete(run: Run, admin: Admin, name: str, service: str) -> None:
    """Withdraw a service from a provider."""
    admin.delete_service(name, service)
    run.print("success")


# ----------------------------------------------------------------------------- output


def _print_table(run: Run, rows: Sequence[Sequence[str]]) -> None:
    run.print_table([[_line(word) for word in row] for row in rows])


def _print_fetched(run: Run, workspace: Path, files: Sequence[FileEntry]) -> None:
    """Print the files of a fetched archive in the order of the server's list."""
    from dss.transfer.downloads import archive_names

    fetched = archive_names(workspace)
    for file in files:
        if file.name in fetched:
            run.print((workspace.parent / file.name).as_posix())


def _tell(text: str, end: str = "\n") -> None:
    """Print a line at once, without a prefix."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def _tell_attachments(entry: LogEntry) -> None:
    for attachment in entry.attachments:
        _tell(f"  @ {_line(attachment.url)} : {_line(attachment.description)}")


def _tell_sent(sent: Sent) -> None:
    place = (sent.file.parent / sent.name).as_posix()
    if sent.name.endswith(".itksnap"):
        _tell(f"Exported workspace to {place}")
    _tell(f"Upload {place} ({sent.size / 2**20:.1f} Mb in {sent.seconds:.1f} s)")


def _end_without(reason: str) -> NoReturn:
    """Exit without a result, which is not an error."""
    sys.stdout.flush()
    sys.stderr.write(f"{reason}\n")
    raise SystemExit(_TIMED_OUT)


def _take_number(run: Run) -> float | None:
    word = run.take_if(lambda word: re.fullmatch(r"[0-9]+\.?[0-9]*|\.[0-9]+", word) is not None)
    return None if word is None else float(word)


def _line(text: str) -> str:
    """Return a server's text on one line without control characters."""
    return printable(text).rstrip()


def _seconds(entry: LogEntry) -> int:
    return int(entry.time.timestamp())


def _bar(progress: float) -> str:
    done = min(max(progress, 0.0), 1.0)
    return f"{'#' * round(_BAR_WIDTH * done):<{_BAR_WIDTH}} {done:.0%} "
