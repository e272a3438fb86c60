"""How long a job waits for a server that fails."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dss.errors import DssError, NetworkFailed, ServerFailed
from dss.serving.channel import Channel
from dss.serving.declaration import Service
from dss.serving.journal import Step
from dss.serving.messages import Order
from dss.serving.steps import Work
from dss.session import Session

HOUR = 3600.0


class Clock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Pause(threading.Event):
    """The end of the work, which does not come: each wait for it takes an hour."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.now += HOUR
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("dss.serving.steps.time", made)
    return made


@pytest.fixture
def said() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
def work(tmp_path: Path, clock: Clock, said: io.BytesIO) -> Iterator[Work]:
    order = Order(
        ticket=1,
        service="Any",
        hash="0" * 40,
        step=Step.CLAIMED,
        reason="",
        folder=tmp_path,
        server="http://127.0.0.1:9",
        cookie="",
        verify=True,
        patience=0.0,
        privacy="standard",
    )
    channel = Channel(io.BytesIO(), said)
    channel.cancelled = Pause(clock)
    with Session(order.server) as session:
        yield Work(Service("Any", print), tmp_path / "my_service.py", order, session, channel)


class Server:
    """One that fails, each hour in the way that the test says, and is well afterwards."""

    def __init__(self, *failures: DssError) -> None:
        self._failures = list(failures)

    def answer(self) -> str:
        if self._failures:
            raise self._failures.pop(0)
        return "well"


def test_a_server_that_fails_is_given_a_day(work: Work, clock: Clock) -> None:
    failed = ServerFailed("500")
    assert work._insist(Server(*[failed] * 24).answer) == "well"
    with pytest.raises(ServerFailed, match="500"):
        work._insist(Server(*[failed] * 26).answer)


def test_a_server_that_is_away_is_waited_for_and_has_a_day_again(
    work: Work, said: io.BytesIO
) -> None:
    """While it was away it did not fail: a day of one failure is meant, not a part of each."""
    failed, away = ServerFailed("500"), NetworkFailed("no answer")
    failures = [*[failed] * 20, *[away] * 100, *[failed] * 20]
    assert work._insist(Server(*failures).answer) == "well"
    lines = said.getvalue().splitlines()
    assert len(lines) == len(failures)
    assert b"no answer (for 72000 s)" in lines[20]
