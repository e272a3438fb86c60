"""What a journal says, written by the real one; and while another process writes it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dss.errors import JournalError
from dss.serving import journal as journal_module
from dss.serving.journal import Journal, Outcome, Step
from dss.serving.monitoring.overview import Period, overview
from dss.serving.workdir import folder_of

HASH = "0" * 40

# Holds a work folder as a runner does, says so, and ends when its input does.
HOLDER = """
import sys
from pathlib import Path
from dss.serving.lock import locked
with locked(Path(sys.argv[1]), "lab_7f, process 4711", trusted=True):
    print("held", flush=True)
    sys.stdin.read()
"""

# Works off ticket after ticket until a file appears: never is there more than one that is open.
WRITER = """
import sys
from itertools import count
from pathlib import Path
from dss.serving.journal import Journal, Outcome, Step
folder = Path(sys.argv[1])
journal = Journal(folder)
for ticket in count(1):
    if (folder / "stop").exists():
        break
    journal.add_claimed(ticket, "Neck", "0" * 40, journal.begin_claim("0" * 40))
    journal.record(ticket, Step.DOWNLOADED, moved=10)
    journal.sent(ticket, "layer", 7)
    journal.record(ticket, Step.FINISHED, outcome=Outcome.SUCCESS)
journal.close()
"""


class Clock:
    """The clock of the journal."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(journal_module, "time", clock)
    return clock


@pytest.fixture
def journal(tmp_path):
    with closing(Journal(tmp_path)) as journal:
        yield journal


@contextmanager
def a_runner(folder):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline().strip() == b"held"
        yield
        holder.stdin.close()
        assert holder.wait(300) == 0


def at(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc)


def test_a_folder_without_a_journal_is_refused(tmp_path):
    with pytest.raises(JournalError, match="there is no journal"):
        overview(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_journal_is_refused(tmp_path):
    (tmp_path / journal_module.NAME).write_bytes(b"not a database, " * 100)
    with pytest.raises(JournalError, match="cannot be read"):
        overview(tmp_path)


@pytest.mark.parametrize("table", ["tickets", "events"])
def test_a_journal_of_another_version_is_refused(journal, tmp_path, table):
    journal.add_claimed(1, "Neck", HASH)
    journal.record(1, Step.DOWNLOADED)
    with closing(sqlite3.connect(journal.file)) as database, database:
        database.execute(f"update {table} set step = 'archived'")
    with pytest.raises(JournalError, match="cannot be read: 'archived'"):
        overview(tmp_path)


def test_a_new_journal_says_nothing(journal, tmp_path):
    found = overview(tmp_path, now=5.0)
    assert found.at == at(5)
    assert asdict(found.runner) == {"server": "", "provider": "", "instance": "", "up": False}
    assert found.running == found.waiting == found.failures == found.steps == found.finished == ()
    assert found.periods == (Period(1, 0, 0, None), Period(24, 0, 0, None))
    assert found.lost_claims == 0


def test_the_runner_is_who_is_bound(journal, tmp_path):
    journal.bind(server="https://dss.example.org", provider="lab", login="jane", version="1")
    journal.value("instance", lambda: "lab_7f")
    assert asdict(overview(tmp_path).runner) == {
        "server": "https://dss.example.org",
        "provider": "lab",
        "instance": "lab_7f",
        "up": False,
    }


def test_a_runner_is_up_while_it_holds_its_folder(journal, tmp_path):
    with a_runner(tmp_path):
        assert overview(tmp_path).runner.up
    assert not overview(tmp_path).runner.up


def test_an_open_ticket_runs_since_its_last_step(clock, journal, tmp_path):
    start = clock.now
    journal.add_claimed(12, "Neck", HASH)
    clock.now += 3
    journal.record(12, Step.DOWNLOADED, moved=1000)
    journal.begin(12)
    journal.begin(12)
    journal.sent(12, "layer_1", 70)
    journal.sent(12, "layer_2", 30)
    (ticket,) = overview(tmp_path, now=start + 63).running
    assert asdict(ticket) == {
        "ticket": 12,
        "service": "Neck",
        "step": Step.DOWNLOADED,
        "claimed": at(start),
        "since": at(start + 3),
        "seconds": 60.0,
        "attempts": 2,
        "progress": None,
        "note": "",
        "files": 2,
        "bytes": 100,
    }


def test_a_clock_that_was_put_back_makes_no_negative_times(clock, journal, tmp_path):
    journal.add_claimed(1, "Neck", HASH)
    clock.now -= 3600
    journal.record(1, Step.DOWNLOADED)
    found = overview(tmp_path, now=clock.now - 5)
    assert found.running[0].seconds == 0
    assert found.steps[0].seconds == 0


def test_a_ticket_waits_until_it_comes_to_its_next_step(clock, journal, tmp_path):
    for ticket in (2, 1):
        journal.add_claimed(ticket, "Neck", HASH)
        clock.now += 1
    journal.record(2, Step.PACKAGED)
    journal.remark(2, "waiting", "the server is away: no route")
    journal.remark(1, "again", "begun again")
    found = overview(tmp_path)
    assert [ticket.ticket for ticket in found.running] == [1]
    assert [(ticket.ticket, ticket.note) for ticket in found.waiting] == [
        (2, "the server is away: no route")
    ]
    journal.record(2, Step.UPLOADED)
    found = overview(tmp_path)
    assert [(t.ticket, t.step, t.note) for t in found.running] == [
        (2, Step.UPLOADED, ""),
        (1, Step.CLAIMED, ""),
    ]
    assert found.waiting == ()


def test_a_ticket_whose_files_go_up_again_waits_no_more(clock, journal, tmp_path):
    journal.add_claimed(1, "Neck", HASH)
    journal.sent(1, "layer_1", 70)
    clock.now += 1
    journal.remark(1, "waiting", "the server is away")
    assert overview(tmp_path).running == ()
    clock.now += 1
    journal.sent(1, "layer_2", 70)
    (ticket,) = overview(tmp_path).running
    assert (ticket.files, ticket.note) == (2, "")


def test_a_ticket_that_fails_says_why(journal, tmp_path):
    journal.add_claimed(1, "Neck", HASH)
    journal.record(1, Step.FAILING, reason="no head")
    (ticket,) = overview(tmp_path).running
    assert (ticket.step, ticket.note) == (Step.FAILING, "no head")


def test_the_last_ten_failures_are_listed_newest_first(clock, journal, tmp_path):
    for ticket in range(1, 13):
        journal.add_claimed(ticket, "Neck", HASH)
        clock.now += 1
        journal.record(ticket, Step.FAILING, reason=f"reason {ticket}")
        journal.record(ticket, Step.FINISHED, outcome=Outcome.FAILED)
    journal.add_claimed(13, "Neck", HASH)
    journal.record(13, Step.FINISHED, outcome=Outcome.DELETED)
    folder_of(tmp_path, 12).mkdir()
    failures = overview(tmp_path).failures
    assert [failure.ticket for failure in failures] == list(range(12, 2, -1))
    assert asdict(failures[0]) == {
        "ticket": 12,
        "service": "Neck",
        "reason": "reason 12",
        "at": at(clock.now),
        "folder": str(folder_of(tmp_path, 12)),
    }
    assert failures[1].folder == ""


def test_rates_are_those_of_the_last_hour_and_day(clock, journal, tmp_path):
    for ticket, hours, seconds, outcome in (
        (1, 30, 1, Outcome.SUCCESS),
        (2, 20, 10, Outcome.SUCCESS),
        (3, 10, 20, Outcome.FAILED),
        (4, 0.9, 600, Outcome.SUCCESS),  # claimed before the last hour
        (5, 0.5, 50, Outcome.FAILED),
        (6, 0.2, 9999, Outcome.DELETED),
        (7, 0.1, 9999, Outcome.RELEASED),
    ):
        clock.now = 1_800_000_000 - hours * 3600 - seconds
        journal.add_claimed(ticket, "Neck", HASH)
        clock.now += seconds
        journal.record(ticket, Step.FINISHED, outcome=outcome)
    found = overview(tmp_path, now=1_800_000_000)
    assert found.periods == (
        Period(1, 1, 1, pytest.approx(325)),
        Period(24, 2, 2, pytest.approx(170)),
    )
    assert [(row.outcome.value, row.count, row.last) for row in found.finished] == [
        ("deleted", 1, at(1_800_000_000 - 0.2 * 3600)),
        ("failed", 2, at(1_800_000_000 - 0.5 * 3600)),
        ("released", 1, at(1_800_000_000 - 0.1 * 3600)),
        ("success", 3, at(1_800_000_000 - 0.9 * 3600)),
    ]


def test_steps_that_take_time_are_counted_by_service_in_their_order(clock, journal, tmp_path):
    for ticket, service, seconds in ((1, "Neck", 2), (2, "Neck", 4), (3, "Brain", 8)):
        journal.add_claimed(ticket, service, HASH)
        for step in (Step.DOWNLOADED, Step.PROCESSING, Step.PROCESSED):
            clock.now += seconds
            journal.record(ticket, step, moved=5 if step is Step.DOWNLOADED else None)
        journal.remark(ticket, "waiting", "away")
    rows = [(r.service, r.step, r.count, r.mean_seconds, r.bytes) for r in overview(tmp_path).steps]
    assert rows == [
        ("Brain", Step.DOWNLOADED, 1, 8, 5),
        ("Brain", Step.PROCESSED, 1, 8, 0),
        ("Neck", Step.DOWNLOADED, 2, 3, 10),
        ("Neck", Step.PROCESSED, 2, 3, 0),
    ]


def test_a_ticket_that_was_queued_again_keeps_the_end_it_had(journal, tmp_path):
    journal.add_claimed(1, "Neck", HASH)
    journal.record(1, Step.FAILING, reason="no head")
    journal.record(1, Step.FINISHED, outcome=Outcome.FAILED)
    before = overview(tmp_path)
    journal.add_claimed(1, "Neck", HASH)
    after = overview(tmp_path)
    assert after.finished == before.finished
    assert [ticket.ticket for ticket in after.running] == [1]
    assert after.failures == ()


def test_a_claim_on_its_way_is_not_lost(journal, tmp_path):
    journal.end_claim(journal.begin_claim(HASH), "none")
    journal.end_claim(journal.begin_claim(HASH), "unknown")
    journal.end_claim(journal.begin_claim(HASH), "not found")
    journal.add_claimed(1, "Neck", HASH, journal.begin_claim(HASH))
    journal.begin_claim(HASH)
    with a_runner(tmp_path):
        assert overview(tmp_path).lost_claims == 1
    assert overview(tmp_path).lost_claims == 2


def test_what_is_read_while_it_is_written_is_of_one_moment(journal, tmp_path):
    seen: Counter[int] = Counter()
    done = 0
    with subprocess.Popen([sys.executable, "-c", WRITER, tmp_path]) as writer:
        try:
            while done < 40 or not seen[1]:
                assert writer.poll() is None
                found = overview(tmp_path)
                ended = sum(row.count for row in found.finished)
                assert ended >= done
                done = ended
                # Whichever ticket is open, those before it have ended, and no other.
                assert [ticket.ticket for ticket in found.running] in ([], [done + 1])
                assert sum(row.count for row in found.steps if row.step is Step.FINISHED) == done
                assert found.periods[0].success == done
                seen[len(found.running)] += 1
        finally:
            (tmp_path / "stop").touch()
        assert writer.wait(300) == 0
    found = overview(tmp_path)
    assert found.running == ()
    assert found.finished[0].count >= done


Deed = st.sampled_from(["add", "waiting", "again", *Step, *Outcome])


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 3), Deed), max_size=12))
def test_every_open_ticket_runs_or_waits(deeds):
    with TemporaryDirectory() as folder, closing(Journal(Path(folder))) as journal:
        stands: dict[int, str] = {}
        ends: Counter[str] = Counter()
        for ticket, deed in deeds:
            if deed == "add":
                journal.add_claimed(ticket, "Neck", HASH)
                stands[ticket] = "running"
            elif stands.get(ticket, "ended") == "ended":
                continue
            elif isinstance(deed, Outcome):
                journal.record(ticket, Step.FINISHED, outcome=deed)
                stands[ticket] = "ended"
                ends[deed] += 1
            elif isinstance(deed, Step):
                if deed is not Step.FINISHED:
                    journal.record(ticket, deed)
                    stands[ticket] = "running"
            else:
                journal.remark(ticket, deed, "a note")
                stands[ticket] = "waiting" if deed == "waiting" else "running"
        found = overview(Path(folder))
    for state, rows in (("running", found.running), ("waiting", found.waiting)):
        assert {row.ticket for row in rows} == {t for t, name in stands.items() if name == state}
    assert {row.outcome: row.count for row in found.finished} == ends
