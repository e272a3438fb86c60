"""``dss admin``: providers, their users and services, and everybody's tickets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from dss.cli.shared import (
    Connection,
    ServiceName,
    as_record,
    command,
    find_service,
    group,
    show_words,
)
from dss.errors import NotFound, ServiceError
from snapws.cli import render
from snapws.cli.frame import Listing

app = group("What an administrator does.", example="dss admin tickets list")
providers = group("Providers of services.", example="dss admin providers add testlab")
users = group(
    "Who may provide services for a provider.",
    example="dss admin users add testlab jane@example.org",
)
services = group("The services that a provider offers.", example="dss admin services list testlab")
tickets = group(
    "The tickets of all users.", example="dss admin tickets purge completed --hours 720"
)
app.add_typer(providers, name="providers")
app.add_typer(users, name="users")
app.add_typer(services, name="services")
app.add_typer(tickets, name="tickets")

ProviderName = Annotated[
    str, typer.Argument(metavar="PROVIDER", help="The provider's name.", show_default=False)
]


@command(providers, "list", example="dss admin providers list")
def list_providers(connection: Connection, listing: Listing) -> None:
    """List the providers, deleted ones too."""
    from dss.admin import Admin

    with connection.open() as session:
        show_words(listing, Admin(session).providers())


@command(providers, "add", example="dss admin providers add testlab")
def add_provider(provider: ProviderName, connection: Connection) -> None:
    """Add a provider, or restore a deleted one."""
    from dss.admin import Admin

    with connection.open() as session:
        Admin(session).add_provider(provider)
    render.note(f"added provider {provider}")


@command(providers, "delete", example="dss admin providers delete testlab")
def delete_provider(provider: ProviderName, connection: Connection) -> None:
    """Delete a provider, and withdraw its services."""
    from dss.admin import Admin

    with connection.open() as session:
        Admin(session).delete_provider(provider)
    render.note(f"deleted provider {provider}")


@command(users, "list", example="dss admin users list testlab")
def list_users(provider: ProviderName, connection: Connection, listing: Listing) -> None:
    """List the users who may provide services for a provider."""
    from dss.admin import Admin

    with connection.open() as session:
        found = [as_record(user) for user in Admin(session).users(provider)]
    listing.show(found, ("id", "email", "admin"))


@command(users, "add", example="dss admin users add testlab jane@example.org")
def add_user(
    provider: ProviderName,
    email: Annotated[
        str, typer.Argument(metavar="EMAIL", help="Address of the user.", show_default=False)
    ],
    connection: Connection,
) -> None:
    """Let a user provide services for a provider.

    The server knows users that have been on its pages once.
    """
    from dss.admin import Admin

    with connection.open() as session:
        Admin(session).add_user(provider, email)
    render.note(f"{email} may provide services for {provider}")


@command(users, "delete", example="dss admin users delete testlab jane@example.org")
def delete_user(
    provider: ProviderName,
    user: Annotated[
        str,
        typer.Argument(metavar="USER", help="Address or number of the user.", show_default=False),
    ],
    connection: Connection,
) -> None:
    """Remove a user from a provider."""
    from dss.admin import Admin

    with connection.open() as session:
        admin = Admin(session)
        known = admin.users(provider)
        number = next((one.id for one in known if user in (one.email, str(one.id))), None)
        if number is None:
            emails = ", ".join(one.email for one in known) or "none"
            raise NotFound(f"{provider} has no user {user!r}; users: {emails}")
        admin.delete_user(provider, number)
    render.note(f"{user} no longer provides services for {provider}")


@command(services, "list", example="dss admin services list testlab")
def list_services(provider: ProviderName, connection: Connection, listing: Listing) -> None:
    """List the services that a provider offers."""
    from dss.admin import Admin

    with connection.open() as session:
        found = [as_record(service) for service in Admin(session).services(provider)]
    listing.show(found, ("name", "version", "description", "hash"))


@command(services, "add", example="dss admin services add testlab https://example.org/service.git")
def add_service(
    provider: ProviderName,
    repository: Annotated[
        str,
        typer.Argument(
            metavar="URL", help="A git repository with a service.json.", show_default=False
        ),
    ],
    connection: Connection,
    listing: Listing,
    ref: Annotated[str, typer.Option(help="Branch, tag or full hash of a commit.")] = "HEAD",
) -> None:
    """Make a provider offer a service; print its hash.

    A service is a commit of a git repository, described by the service.json in it.
    """
    from dss.admin import Admin
    from dss.serving.description import FILE

    if (folder := Path(repository)).is_dir():
        repository = str(folder.absolute())  # from here, not from where the server is
        told = folder.absolute() / FILE
        if ref == "HEAD" and (folder / ".git").exists() and not told.exists():
            raise ServiceError(
                f"there is no {FILE} at the top of the repository {folder.absolute()}, by which "
                "the server would know the service: dss service init in another folder writes "
                "one; fill it in, and commit it here"
            )
    with connection.open() as session:
        show_words(listing, [Admin(session).add_service(provider, repository, ref)])


@command(services, "delete", example="dss admin services delete testlab RegistrationExample")
def delete_service(provider: ProviderName, service: ServiceName, connection: Connection) -> None:
    """Withdraw a service from a provider.

    Other providers of it are not touched.
    """
    from dss.admin import Admin

    with connection.open() as session:
        admin = Admin(session)
        hash_ = find_service(service, admin.services(provider))
        admin.delete_service(provider, hash_)
    render.note(f"{provider} no longer offers {service}")


@command(tickets, "list", example="dss admin tickets list")
def list_tickets(connection: Connection, listing: Listing) -> None:
    """List the tickets of all users, with their age."""
    from dss.admin import Admin

    with connection.open() as session:
        found = [as_record(ticket) for ticket in Admin(session).tickets()]
    listing.show(found, ("id", "email", "service", "status", "minutes"))


@command(tickets, "purge", example="dss admin tickets purge completed --hours 720")
def purge(
    which: Annotated[
        Literal["completed", "all"],
        typer.Argument(
            metavar="completed|all", help="Those that are over, or all.", show_default=False
        ),
    ],
    hours: Annotated[
        float,
        typer.Option(
            "--hours",
            metavar="HOURS",
            min=0,
            help="Their least age, from when they were made.",
        ),
    ],
    connection: Connection,
) -> None:
    """Delete old tickets of all users, and their files."""
    from dss.admin import Admin

    with connection.open() as session:
        number = Admin(session).purge(which, hours=hours)
    render.note(f"deleted tickets: {number}")
