"""The workers of a runner: when they are started, kept, and given up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dss.errors import ServiceError
from dss.serving.messages import Order, ProcessExited, Ready, WorkerEvent
from dss.serving.runner.executors import Worker
from dss.serving.runner.workers import WorkerPool


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Hand:
    """A worker that does what the test says."""

    def __init__(self, heard: Callable[[WorkerEvent], None]) -> None:
        self.say = heard
        self.told: list[str] = []

    def order(self, order: Order) -> None:
        self.told.append("order")

    def answer(self, number: int) -> None:
        self.told.append("answer")

    def cancel(self) -> None:
        self.told.append("cancel")

    def kill(self) -> None:
        self.told.append("kill")


class Hands:
    """An executor of such, which may be out of workers."""

    gpus = None

    def __init__(self) -> None:
        self.started: list[Hand] = []
        self.away = False

    def start(self, heard: Callable[[WorkerEvent], None], gpus: tuple[str, ...] = ()) -> Worker:
        if self.away:
            raise ServiceError("no worker today")
        self.started.append(Hand(heard))
        return self.started[-1]

    def close(self) -> None:
        pass


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("dss.serving.runner.workers.time", made)
    return made


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "service.py"
    file.write_text("one", encoding="ascii")
    return file


@pytest.fixture
def pool(hands: Hands, file: Path) -> WorkerPool:
    return WorkerPool(hands, file)


def receive(pool: WorkerPool) -> None:
    """Do with what was said what the runner does."""
    for slot, said in pool.receive(0.0):
        if isinstance(said, Ready):
            pool.mark_ready(slot)


def get_ready(pool: WorkerPool, hands: Hands, number: int) -> None:
    pool.start(number)
    for hand in hands.started[-number:]:
        hand.say(Ready(()))
    receive(pool)


def test_workers_that_had_nothing_to_do_end_and_others_start_at_once(
    pool: WorkerPool, hands: Hands, clock: Clock
) -> None:
    get_ready(pool, hands, 8)
    for slot in pool:
        pool.retire_idle(slot)
    assert all(slot.ready for slot in pool)  # not yet
    clock.now += 61
    for slot in pool:
        pool.retire_idle(slot)
    assert [hand.told for hand in hands.started] == [["cancel"]] * 8
    assert not any(slot.ready for slot in pool)  # for an order would be lost on them
    for hand in hands.started[:7]:
        hand.say(ProcessExited(None))
    hands.started[7].say(ProcessExited("its process was ended by SIGKILL"))  # it was slow to go
    receive(pool)
    assert len(pool) == 0
    pool.start(1)
    assert len(pool) == 1


@pytest.mark.parametrize("why", [None, "exit code 1"], ids=["as it should, saying why", "not"])
def test_workers_that_never_get_ready_are_started_ever_less_often(
    pool: WorkerPool, hands: Hands, clock: Clock, why: str | None
) -> None:
    for pause in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        pool.start(1)
        assert len(pool) == 1
        hands.started[-1].say(ProcessExited(why))
        receive(pool)
        clock.now += pause - 0.1
        pool.start(1)
        assert len(pool) == 0
        clock.now += 0.2


def test_one_that_gets_ready_ends_the_pauses(pool: WorkerPool, hands: Hands, clock: Clock) -> None:
    hands.away = True
    for _ in range(9):
        pool.start(1)
        clock.now += 31
    hands.away = False
    get_ready(pool, hands, 1)
    hands.away = True
    pool.start(1)
    hands.away = False
    pool.start(1)
    assert len(pool) == 1
    clock.now += 0.6
    pool.start(1)
    assert len(pool) == 2


def test_of_one_that_was_given_up_nothing_is_heard(
    pool: WorkerPool, hands: Hands, clock: Clock
) -> None:
    get_ready(pool, hands, 1)
    (slot,) = pool
    slot.ticket = 7
    assert pool.busy() == [slot]
    assert pool.idle() == []
    pool.give_up(slot)
    hands.started[0].say(ProcessExited("its process was ended by SIGKILL"))
    assert list(pool.receive(0.0)) == []
    assert hands.started[0].told == ["kill"]


def test_workers_without_a_ticket_are_of_the_file_as_it_is(
    pool: WorkerPool, hands: Hands, clock: Clock, file: Path
) -> None:
    get_ready(pool, hands, 2)
    pool.start(1)  # one that is not ready yet
    busy, *_ = pool
    busy.ticket = 7
    pool.replace_outdated()
    assert len(pool) == 3
    file.write_text("another", encoding="ascii")
    pool.replace_outdated()
    assert list(pool) == [busy]
    assert [hand.told for hand in hands.started] == [[], ["kill"], ["kill"]]


def test_a_file_that_was_mended_is_tried_at_once(
    pool: WorkerPool, hands: Hands, clock: Clock, file: Path
) -> None:
    for _ in range(9):
        pool.start(1)
        for hand in hands.started[-1:]:
            hand.say(ProcessExited("exit code 1"))
        receive(pool)
        clock.now += 31
    pool.start(1)
    hands.started[-1].say(ProcessExited("exit code 1"))
    receive(pool)
    pool.start(1)
    assert len(pool) == 0
    file.write_text("mended", encoding="ascii")
    pool.replace_outdated()
    pool.start(1)
    assert len(pool) == 1


def test_a_worker_that_does_not_get_ready_is_remarked_once(
    pool: WorkerPool, hands: Hands, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    pool.start(1)
    for seconds, times in [(119, 0), (2, 1), (600, 1)]:
        clock.now += seconds
        pool.replace_outdated()
        assert caplog.text.count("is not ready after 2 minutes") == times
    hands.started[0].say(Ready(()))
    receive(pool)
    clock.now += 600
    pool.replace_outdated()
    assert caplog.text.count("is not ready") == 1
