"""``dss services``: the services that tickets can be made for."""

from __future__ import annotations

from dss.cli.shared import Connection, ServiceName, as_record, command, find_service, group
from snapws.cli import render
from snapws.cli.frame import Listing

app = group("Services that tickets can be made for.", example="dss services list")


@command(app, "list", example="dss services list")
def list_(connection: Connection, listing: Listing) -> None:
    """List the services."""
    from dss.client import Client

    with connection.open() as session:
        found = [as_record(service) for service in Client(session).services()]
    listing.show(found, ("name", "version", "description", "hash"))


@command(app, "show", example="dss services show RegistrationExample")
def show(service: ServiceName, connection: Connection, listing: Listing) -> None:
    """Show what a service does and which layers it needs."""
    from dss.client import Client

    with connection.open() as session:
        client = Client(session)
        hash_ = find_service(service, client.services())
        found = {"hash": hash_, **as_record(client.service_detail(hash_))}
    del found["json"]  # a copy of the other fields, as the author wrote them
    if listing.json:
        render.as_json(found)
        return
    render.fields(found, ("name", "version", "hash", "description", "long_description", "url"))
    render.result("")
    render.table(found["tags"], ("name", "type", "required", "hint"))


@command(app, "stats", example="dss services stats RegistrationExample")
def stats(service: ServiceName, connection: Connection, listing: Listing) -> None:
    """Show how busy a service is; times are seconds."""
    from dss.client import Client

    with connection.open() as session:
        client = Client(session)
        hash_ = find_service(service, client.services())
        found = {"hash": hash_, **as_record(client.service_stats(hash_))}
    if listing.json:
        render.as_json(found)
    else:
        render.fields(found, tuple(found))
