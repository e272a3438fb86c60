"""When a runner searches for its services."""

from __future__ import annotations

from pathlib import Path

from dss.serving.runner.services import Services
from dss.serving.settings import Settings

HASH = "a" * 40


def test_a_service_that_is_declared_during_a_search_is_searched_for_at_once() -> None:
    services = Services(Settings("lab", Path()), {"Neck"})
    assert services.due
    services.search()
    services.serve({HASH: "Neck"})
    assert not services.due
    services.search()
    services.declare({"Neck", "Brain"})  # a worker has read the edited file meanwhile
    services.serve({HASH: "Neck"})
    assert services.due
