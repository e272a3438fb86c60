"""What a runner and its processes say to each other, as lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dss.serving.journal import Outcome, Step
from dss.serving.messages import (
    Accepted,
    Ack,
    Cancel,
    Declared,
    Deleted,
    Delivered,
    ImportFailed,
    JobOver,
    Kill,
    Order,
    ProcessExited,
    Reached,
    Ready,
    RunnerMessage,
    Waiting,
    WorkerEvent,
    as_line,
    from_line,
)

ORDER = Order(
    ticket=1,
    service="Neck",
    hash="0" * 40,
    step=Step.FAILING,
    reason="no\nhead",
    folder=Path("/jobs/w\udce4rk"),
    server="https://dss.example.org",
    cookie="secret",
    verify="bundle.pem",
    retry_for=20.0,
    privacy="strict",
)

MESSAGES: list[WorkerEvent | RunnerMessage] = [
    Ready((Declared("Neck", {"gpu": 1}), Declared("Brain", {}))),
    ImportFailed("no such module"),
    Reached(Step.DOWNLOADED, moved=7, number=1),
    Reached(Step.FINISHED, Outcome.RELEASED, number=2),
    Delivered("layer", 10**12, 3),
    *(Waiting("…"), Deleted(), JobOver("login")),
    *(
        ProcessExited(None),
        ProcessExited("its time is up", "text\n", limit=True),
        ProcessExited("gone", lost=True),
    ),
    *(ORDER, Ack(3), Cancel(), Kill(), Accepted()),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_it_arrives_as_it_was_said(message: WorkerEvent | RunnerMessage) -> None:
    line = as_line(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    there = from_line(line)
    assert there == message
    assert [type(value) for value in vars(there).values()] == [
        type(value) for value in vars(message).values()
    ]
    json.loads(line)
    for cut in range(1, len(line) - 1):
        with pytest.raises(ValueError, match=r"line 1"):
            from_line(line[:cut])


def test_an_order_does_not_show_its_login() -> None:
    assert "secret" not in repr(ORDER)


@pytest.mark.parametrize(
    "line",
    [
        b"null",
        b"3",
        b"[]",
        b'"Answer"',
        b"{}",
        b'{"message": "Later"}',
        b'{"message": ["Answer"]}',
        b'{"message": "Answer"}',
        b'{"message": "Answer", "number": 3, "of a later version": true}',
        b'{"message": "Ready", "services": 3}',
        b'{"message": "Ready", "services": [{"name": "Neck"}]}',
        b'{"message": "Reached", "step": "a later one"}',
        b"\xff",
    ],
)
def test_what_is_no_message_is_a_value_error(line: bytes) -> None:
    """As whoever listens expects: a worker may be of another version."""
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        from_line(line)
