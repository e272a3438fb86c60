"""What a runner makes of the server's services, and of its own claims, as time goes by."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread

import pytest

from dss import Provider, TicketStatus
from dss.login import Credentials
from dss.serving.journal import Journal
from dss.serving.runner import Runner
from dss.serving.runner.lost_claims import LostClaims
from dss.serving.settings import Settings
from tests.dss.serving.lab import LAB, Lab, until


@contextmanager
def running(lab: Lab) -> Iterator[Runner]:
    """Have a runner in this process, whose constants a test can set."""
    settings = Settings(LAB, lab.workdir, min_free=0, interval=0.2)
    runner = Runner(lab.file, lambda: Credentials(lab.home).open_session(retry_for=0.0), settings)
    thread = Thread(target=runner.run)
    thread.start()
    try:
        yield runner
    finally:
        runner.stop()
        thread.join(300)


def test_a_version_that_is_added_meanwhile_is_served(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dss.serving.runner.services._PAUSE", 0.5)
    caplog.set_level("INFO")
    with running(lab):
        until(lambda: "serving" in caplog.text)
        file = lab.folder / f"description of {lab.name}" / "service.json"
        newer = {**json.loads(file.read_text(encoding="utf-8")), "version": "1.1.0"}
        file.write_text(json.dumps(newer), encoding="utf-8")
        hash_ = lab.middleware.publish(file.parent, LAB)
        assert hash_ != lab.hash
        ticket = lab.submit(service=hash_)
        until(lambda: lab.status(ticket) is TicketStatus.SUCCESS)


class Now:
    """Time that passes when the test says so, and a clock that is set."""

    def __init__(self) -> None:
        self.passed = 1000.0
        self.clock = time.time()

    def sleep(self, seconds: float) -> None:
        self.passed += seconds
        self.clock += seconds

    def monotonic(self) -> float:
        return self.passed

    def time(self) -> float:
        return self.clock


@pytest.mark.parametrize("ahead", [0.0, 365 * 86400.0], ids=["right", "of the future"])
def test_a_lost_claim_is_given_up_whatever_the_clock_was(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    """The clock has been put back since it was sent."""
    now = Now()
    monkeypatch.setattr("dss.serving.runner.lost_claims.time", now)
    monkeypatch.setattr("dss.serving.runner.lost_claims._GAP", 3)
    folder = tmp_path / "journal"
    folder.mkdir()
    with closing(Journal(folder)) as journal, lab.middleware.login(lab.email) as session:
        number = journal.begin_claim(lab.hash)
        journal.end_claim(number, "unknown")
        now.clock -= ahead
        lost = LostClaims(journal, adopt=True)
        assert lost.unsearched({lab.hash}) == lab.hash
        for _ in range(10):
            while lost.due:
                assert lost.found(lost.search()(Provider(session))) is None
            now.sleep(10.0)
        assert not lost.sought
        assert lost.unsearched({lab.hash}) is None
