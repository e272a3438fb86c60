from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dss.batch.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site whose provider refuses the cases 3 and 7."""
    with Site(tmp_path, refused=(3, 7)) as opened:
        yield opened
