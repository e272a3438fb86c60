"""``dss provider dashboard``: the state of the runner of a work folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dss.cli.shared import Interval, as_record
from dss.text import shown
from snapws.cli import render
from snapws.cli.frame import Listing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from dss.serving.monitoring.overview import OpenTicket, Overview
    from snapws.cli.render import Record

_CLEAR = "\x1b[2J\x1b[H"


def dashboard(
    listing: Listing,
    workdir: Annotated[
        Path, typer.Option("--workdir", metavar="DIR", help="The work folder of the runner.")
    ] = Path("dss-work"),
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again and again, until interrupted.")
    ] = False,
    interval: Interval = "2s",  # type: ignore[assignment] # which the parser reads
) -> None:
    """Show what a runner does: running, waiting, failed.

    It is read from the journal in the work folder, whether the runner is there or not; the server
    is not asked. With --watch --json, each look is a line of JSON.
    """
    from dss.serving.monitoring.overview import overview

    while True:
        found = overview(workdir)
        if not listing.json:
            if watch:
                typer.echo(_CLEAR, nl=False)  # typer removes this code if there is no terminal
            _show(found, workdir)
        elif watch:
            render.as_json_line(as_record(found))
        else:
            render.as_json(as_record(found))
        if not watch:
            return
        time.sleep(interval)


def _show(found: Overview, workdir: Path) -> None:
    runner = found.runner
    render.result(render.printable(f"{_moment(found.at)}  {workdir}"))
    state = "running" if runner.up else "not running"
    who = f"{runner.instance or '?'} of {runner.provider or '?'} at {runner.server or '?'}"
    render.result(render.printable(f"Runner: {who}, {state}"))
    if found.lost_claims:
        render.result(f"Claims without an answer: {found.lost_claims} (see dss run --adopt)")
    columns = (
        "ticket",
        "service",
        "step",
        "progress",
        "since",
        "for",
        "times_begun",
        "result_sent",
        "note",
    )
    _section("Running" if runner.up else "Open", _open(found.running), columns)
    _section("Waiting for the server", _open(found.waiting), columns)
    _section(
        "Last failures",
        [
            {
                **vars(row),
                "at": _moment(row.at),
                "files": row.folder,
                "reason": shown(row.reason),
            }
            for row in found.failures
        ],
        ("ticket", "service", "at", "files", "reason"),
    )
    _section(
        "Finished",
        [
            {
                **vars(row),
                "in_the_last": "hour" if row.hours == 1 else f"{row.hours} hours",
                "mean_time": _mean(row.mean_seconds),
            }
            for row in found.periods
        ],
        ("in_the_last", "success", "failed", "mean_time"),
    )
    _section(
        "Time to a step",
        [{**vars(row), "mean_time": _mean(row.mean_seconds)} for row in found.steps],
        ("service", "step", "count", "mean_time"),
    )
    render.result("")


def _section(title: str, rows: Sequence[Record], columns: Sequence[str]) -> None:
    render.result(f"\n{title}: {'' if rows else 'none'}".rstrip(" "))
    if rows:
        render.table(rows, columns)


def _open(tickets: Sequence[OpenTicket]) -> list[Record]:
    from dss.serving.monitoring.logs import duration, size

    return [
        {
            **vars(ticket),
            "step": ticket.step.value,
            "since": _moment(ticket.since),
            "for": duration(ticket.seconds),
            "progress": "" if ticket.progress is None else f"{ticket.progress:.0%}",
            "times_begun": ticket.attempts,
            "result_sent": _sent(size(ticket.bytes), ticket.files),
            "note": shown(ticket.note),
        }
        for ticket in tickets
    ]


def _sent(size: str, files: int) -> str:
    return f"{size} in {files} file{'s' if files > 1 else ''}" if files else ""


def _mean(seconds: float | None) -> str:
    from dss.serving.monitoring.logs import duration

    return "" if seconds is None else duration(seconds)


def _moment(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
