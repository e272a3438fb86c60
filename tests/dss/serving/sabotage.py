"""Holds the process of a job at a moment that a test wants, until it is killed or let go.

A service's file that imports this is held before and after what its process does for a ticket.
Each ticket is held once. Its calls are not patient, so that a test need not be.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import snapws.archive
from dss.http.session import Session
from dss.provider import Provider

_HERE = Path(__file__).parent


def hold(ticket: int, moment: str) -> None:
    """Stay here if the test wants this ticket held at this moment."""
    plan, held = _HERE / "moments.json", _HERE / f"held_{ticket}"
    if (
        not plan.exists()
        or held.exists()
        or json.loads(plan.read_text()).get(str(ticket)) != moment
    ):
        return
    aside = held.with_suffix(".new")
    aside.write_text(str(os.getpid()))
    aside.replace(held)
    while not (_HERE / "go_on").exists():
        time.sleep(0.05)


def _surround(owner: object, name: str, ticket_of: Callable[..., int]) -> None:
    call = getattr(owner, name)

    def surrounded(*args: Any, **more: Any) -> Any:
        ticket = ticket_of(*args)
        hold(ticket, f"before {name}")
        if name == "send":
            sent = more["sent"]
            more["sent"] = lambda file: (sent(file), hold(ticket, "after a file"))
        answer = call(*args, **more)
        hold(ticket, f"after {name}")
        return answer

    setattr(owner, name, surrounded)


def _ticket_of(_provider: Provider, ticket: int, *_more: object) -> int:
    return ticket


def _session(*args: Any, **more: Any) -> Session:
    return Session(*args, **{**more, "retry_for": 0.5})


for _name in ("download", "send", "set_status"):
    _surround(Provider, _name, _ticket_of)
_surround(snapws.archive, "archive", lambda _workspace, folder, **_: int(folder.parent.name[7:]))
# The program that imports this: `python -m dss.serving.worker`.
sys.modules["__main__"].Session = _session
