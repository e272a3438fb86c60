"""Every row of the table of faults, against the real middleware."""

from __future__ import annotations

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


def test_table() -> None:
    """No row stands twice, and there is no fault, and nothing to do, that no row has."""
    assert len({str(scenario) for scenario in SCENARIOS}) == len(SCENARIOS) >= 60
    faults = {f.partition(":")[0] for s in SCENARIOS for f in s.fault.split(" & ")}
    assert faults == set(FAULTS)
    assert {scenario.flow for scenario in SCENARIOS} == set(FLOWS)
