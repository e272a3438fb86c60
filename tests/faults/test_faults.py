"""Every row of the table of faults, against the real middleware."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.faults import FAULTS
from tests.faults.flows import FLOWS
from tests.faults.run import run
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.sites import Site


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_fault(place: Site, scenario: Scenario) -> None:
    result = run(place, scenario)
    assert not result.problems, "\n".join(result.problems)


def test_the_page_has_every_row() -> None:
    """Its last columns were true when the page was made; `test_fault` holds them each time."""
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "reliability.md").read_text(
        encoding="utf-8"
    )
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")]
    found = {
        f"{cells[0].strip('| ')}: {cells[1]} at {cells[2]}".replace("`", ""): cells[3].strip("`")
        for cells in rows
        if len(cells) == 6
    }
    for head in ("What is done: Fault at At", "---: --- at ---"):
        del found[head]
    assert found == {str(scenario): scenario.ends for scenario in SCENARIOS}


def test_table() -> None:
    """No row stands twice, and there is no fault, and nothing to do, that no row has."""
    assert len({str(scenario) for scenario in SCENARIOS}) == len(SCENARIOS) >= 60
    faults = {f.partition(":")[0] for s in SCENARIOS for f in s.fault.split(" & ")}
    assert faults == set(FAULTS)
    assert {scenario.flow for scenario in SCENARIOS} == set(FLOWS)
