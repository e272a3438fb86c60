"""Many providers at once: every ticket is worked off once, and none is lost."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dss import Session
from tests.faults.sites import LAB, LINE, Site, Truth

PROVIDERS = 20
TICKETS = 200


def test_many_providers(place: Site, capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as stack:
        place.middleware.add_user("load@example.org", tier="xnat")
        user = stack.enter_context(place.middleware.login("load@example.org"))
        started = time.monotonic()
        tickets = [_submit(place, user) for _ in range(TICKETS)]
        submitted = time.monotonic()
        reports = _provide(place, [stack.enter_context(_provider(place)) for _ in range(PROVIDERS)])
        finished = time.monotonic()

        # None twice, none left, says each side.
        assert sorted(ticket for report in reports for ticket in report["tickets"]) == tickets
        truth = Truth(place, user)
        assert truth.tickets() == dict.fromkeys(tickets, "success")
        for ticket in tickets:
            messages = Counter(truth.messages(ticket))
            assert messages[LINE] == 1
            assert sum(n for m, n in messages.items() if m.startswith("Ticket claimed")) == 1
            assert truth.names(ticket, "results") == list(place.expected(ticket, "results"))
        for ticket in tickets[::10]:
            assert truth.files(ticket, "results") == place.expected(ticket, "results")

    claims = sorted(seconds for report in reports for seconds in report["claims"])
    shares = sorted(len(report["tickets"]) for report in reports)
    assert len(claims) == TICKETS + PROVIDERS
    with capsys.disabled():
        sys.stdout.write(
            f"\n{TICKETS} tickets by one user in {submitted - started:.1f} s; "
            f"worked off by {PROVIDERS} provider processes in {finished - submitted:.1f} s, "
            f"{TICKETS / (finished - submitted):.0f} a second, {shares[0]} to {shares[-1]} each; "
            f"a claim takes {statistics.median(claims) * 1000:.0f} ms (median), "
            f"{claims[-1] * 1000:.0f} ms (longest)\n"
        )


def _submit(place: Site, user: Session) -> int:
    ticket = int(place.ask(user, "api/tickets", {"githash": place.hash}))
    for file in place.expected(ticket, "input").items():
        place.ask(user, f"api/tickets/{ticket}/files/input", file=file)
    place.ask(user, f"api/tickets/{ticket}/status", {"status": "ready"})
    return ticket


def _provider(place: Site) -> Session:
    """Logs in as a new user who provides the service."""
    session = place.new_user()
    email = re.fullmatch(r"logged in as (\S+) \n", place.ask(session, "api/login").decode())
    assert email is not None
    place.ask(place.admin, f"api/admin/providers/{LAB}/users", {"email": email[1]})
    return session


def _provide(place: Site, sessions: list[Session]) -> list[dict[str, Any]]:
    what = {
        "url": place.middleware.url,
        "hash": place.hash,
        "provider": LAB,
        "line": LINE,
        "folder": str(place.folder),
        "cookies": [session.cookie and session.cookie.value for session in sessions],
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.providers"],
        cwd=Path(__file__).parents[2],
        input=json.dumps(what),
        capture_output=True,
        encoding="utf-8",
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
