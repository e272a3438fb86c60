"""Provider processes, each with its own login: all of them take tickets until none waits.

A program of its own, so that its processes begin with what is loaded already. It reads what to do
as JSON from its standard input, and writes what each process did, one line of JSON each.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Loaded here, once for all processes.
import snapws.archive  # noqa: F401
from dss import Provider, Session


def provide(order: tuple[dict[str, Any], str, str]) -> dict[str, Any]:
    """Works off tickets with the login `cookie`; gives their numbers, and the seconds of claims."""
    what, cookie, instance = order
    tickets: list[int] = []
    claims: list[float] = []
    with Session(what["url"], cookie=cookie) as session:
        provider = Provider(session)
        while True:
            started = time.monotonic()
            claim = provider.claim([what["hash"]], what["provider"], instance)
            claims.append(time.monotonic() - started)
            if claim is None:
                return {"instance": instance, "tickets": tickets, "claims": claims}
            with tempfile.TemporaryDirectory(dir=what["folder"]) as folder:
                workspace = provider.download(claim.ticket, Path(folder) / "job")
                provider.log(claim.ticket, "info", what["line"])
                provider.upload(claim.ticket, workspace)
            provider.succeed(claim.ticket)
            tickets.append(claim.ticket)


def main() -> None:
    what = json.load(sys.stdin)
    orders = [(what, cookie, f"instance_{i}") for i, cookie in enumerate(what["cookies"])]
    # Elsewhere a process that begins as a copy may not use the system's network libraries.
    how = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with how.Pool(len(orders)) as pool:
        for report in pool.imap_unordered(provide, orders, chunksize=1):
            sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
