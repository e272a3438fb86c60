from __future__ import annotations

from collections.abc import Iterator

import pytest

from dss import Middleware
from tests.dss.serving.lab import lab

__all__ = ["lab"]


@pytest.fixture(scope="session")
def middleware(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Middleware]:
    """A server of these tests alone: they leave tickets that wait, and others count these."""
    with Middleware(tmp_path_factory.mktemp("middleware")) as running:
        yield running
