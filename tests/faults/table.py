"""Runs the table of faults and prints it with what came of each row, as Markdown.

`python -m tests.faults.table > table.md`
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping

from tests.faults.faults import FAULTS
from tests.faults.run import Result, run
from tests.faults.scenarios import GROUPS, SCENARIOS, Scenario
from tests.faults.sites import open_site

HEAD = ("What is done", "Fault", "At", "It ends", "The server then has", "As it must")


def table(results: Mapping[Scenario, Result]) -> Iterator[str]:
    """Gives the lines: what the faults are, and a table for each group of scenarios."""
    yield from _rows(("Fault", "What happens"), _faults())
    for title, group in GROUPS.items():
        yield from ("", f"### {title}", "")
        yield from _rows(HEAD, (_cells(results[scenario]) for scenario in group))


def _faults() -> Iterator[tuple[str, ...]]:
    for name, fault in FAULTS.items():
        yield f"`{name}`", fault.__doc__ or ""


def _cells(result: Result) -> tuple[str, ...]:
    scenario = result.scenario
    held = "no: " + "; ".join(result.problems) if result.problems else "yes"
    faults = " & ".join(f"`{fault}`" for fault in scenario.fault.split(" & "))
    places = " & ".join(f"`{at}`" for at in scenario.at.split(" & "))
    ended = result.ended if result.ended == "complete" else f"`{result.ended}`"
    return scenario.flow, faults, places, ended, result.server, held


def _rows(head: tuple[str, ...], body: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for cells in (head, ("---",) * len(head), *body):
        yield "| " + " | ".join(cells) + " |"


def main() -> int:
    results: dict[Scenario, Result] = {}
    with open_site() as site:
        for scenario in SCENARIOS:
            results[scenario] = run(site, scenario)
            sys.stderr.write("F" if results[scenario].problems else ".")
            sys.stderr.flush()
    failed = sum(bool(result.problems) for result in results.values())
    sys.stderr.write(f"\n{len(results)} rows, {failed} not as they must\n")
    sys.stdout.write("\n".join(table(results)) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
