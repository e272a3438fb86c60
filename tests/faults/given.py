"""How a ticket gets to where a flow begins: all of it sent to the server directly."""

from __future__ import annotations

from collections.abc import Callable

from dss import Session
from tests.faults.sites import ATTACHED, INSTANCE, LAB, LINE, Site


def _nothing(site: Site, owner: Session) -> int:
    return 0


def _init(site: Site, owner: Session) -> int:
    return int(site.ask(owner, "api/tickets", {"githash": site.hash}))


def _begun(site: Site, owner: Session) -> int:
    ticket = _init(site, owner)
    _send(site, owner, f"api/tickets/{ticket}/files/input", site.expected(ticket, "input"), 1)
    return ticket


def _filled(site: Site, owner: Session) -> int:
    ticket = _init(site, owner)
    _send(site, owner, f"api/tickets/{ticket}/files/input", site.expected(ticket, "input"))
    return ticket


def _ready(site: Site, owner: Session) -> int:
    ticket = _filled(site, owner)
    site.ask(owner, f"api/tickets/{ticket}/status", {"status": "ready"})
    return ticket


def _claimed(site: Site, owner: Session) -> int:
    ticket = _ready(site, owner)
    form = {"services": site.hash, "provider": LAB, "code": INSTANCE}
    answer = site.ask(site.provider, "api/pro/services/claims", form).decode()
    assert answer.startswith(f"{ticket},"), answer
    return ticket


def _delivered(site: Site, owner: Session) -> int:
    ticket = _claimed(site, owner)
    area = f"api/pro/tickets/{ticket}/files/results"
    _send(site, site.provider, area, site.expected(ticket, "results"))
    return ticket


def _done(site: Site, owner: Session) -> int:
    ticket = _delivered(site, owner)
    own = f"api/pro/tickets/{ticket}"
    form = {"desc": "A matrix", "mime_type": "text/plain"}
    site.ask(site.provider, f"{own}/attachments", form, ("matrix", ATTACHED))
    site.ask(site.provider, f"{own}/info", {"message": LINE})
    site.ask(site.provider, f"{own}/status", {"status": "success"})
    return ticket


def _failed(site: Site, owner: Session) -> int:
    ticket = _claimed(site, owner)
    site.ask(site.provider, f"api/pro/tickets/{ticket}/status", {"status": "failed"})
    return ticket


def _send(
    site: Site, session: Session, area: str, files: dict[str, bytes], number: int | None = None
) -> None:
    for file in list(files.items())[:number]:
        site.ask(session, area, file=file)


GIVEN: dict[str, Callable[[Site, Session], int]] = {
    "nothing": _nothing,
    "init": _init,
    "begun": _begun,
    "filled": _filled,
    "ready": _ready,
    "claimed": _claimed,
    "delivered": _delivered,
    "done": _done,
    "failed": _failed,
}
