from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.sites import Site, open_site


@pytest.fixture(scope="session")
def place() -> Iterator[Site]:
    with open_site() as running:
        yield running
