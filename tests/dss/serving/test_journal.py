"""The journal: what was written is there, whatever happens next."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dss.errors import JournalError
from dss.serving.journal import NAME, Journal, Outcome, Step, reading
from tests.dss.serving.lab import until


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path)) as opened:
        yield opened


def test_a_ticket_from_claim_to_end(journal: Journal) -> None:
    number = journal.begin_claim("h")
    assert [lost.number for lost in journal.lost_claims()] == [number]
    journal.add_claimed(12, "Service", "h", number)
    assert journal.lost_claims() == []
    assert journal.newest() == 12
    entry = journal.entry(12)
    assert entry
    assert (entry.service, entry.hash, entry.step, entry.outcome) == (
        "Service",
        "h",
        Step.CLAIMED,
        None,
    )
    assert [one.ticket for one in journal.open_entries()] == [12]
    assert journal.record(12, Step.DOWNLOADED, moved=34) >= 0
    journal.sent(12, "a.gz", 5)
    journal.sent(12, "a.gz", 6)
    journal.remark(12, "waiting", "the server is away")
    journal.record(12, Step.FAILING, reason="no head")
    journal.record(12, Step.FINISHED, outcome=Outcome.FAILED)
    entry = journal.entry(12)
    assert entry
    assert (entry.step, entry.outcome, entry.reason) == (Step.FINISHED, Outcome.FAILED, "no head")
    assert journal.open_entries() == []
    with reading(journal.file.parent) as database:
        events = database.execute("select step, bytes, note from events order by id").fetchall()
        files = database.execute("select ticket, name, size from files").fetchall()
    assert events == [
        ("claimed", None, ""),
        ("downloaded", 34, ""),
        ("waiting", None, "the server is away"),
        ("failing", None, "no head"),
        ("finished", None, "failed"),
    ]
    assert files == [(12, "a.gz", 6)]


def test_attempts_are_of_a_step(journal: Journal) -> None:
    journal.add_claimed(1, "S", "h")
    assert [journal.begin(1), journal.begin(1)] == [1, 2]
    journal.record(1, Step.PROCESSING)
    assert journal.begin(1) == 1
    journal.record(1, Step.PROCESSING)
    assert journal.begin(1) == 2


def test_claims_without_an_answer_are_lost_claims(journal: Journal) -> None:
    first, second, third = (journal.begin_claim(name) for name in ("a", "a,b", "b"))
    journal.end_claim(first, "none")
    journal.end_claim(second, "unknown")
    lost = journal.lost_claims()
    assert [(one.number, one.hashes) for one in lost] == [(second, "a,b"), (third, "b")]
    journal.end_claim(third, "not found")
    journal.add_claimed(5, "S", "a", second)
    assert journal.lost_claims() == []


def test_a_ticket_that_is_queued_again_starts_afresh(journal: Journal) -> None:
    journal.add_claimed(1, "S", "h")
    journal.sent(1, "a.gz", 5)
    journal.record(1, Step.FAILING, reason="no head")
    journal.record(1, Step.FINISHED, outcome=Outcome.FAILED)
    journal.removed(1)
    journal.add_claimed(1, "S", "h")
    entry = journal.entry(1)
    assert entry
    assert (entry.step, entry.outcome, entry.reason, entry.removed) == (
        Step.CLAIMED,
        None,
        "",
        False,
    )
    with reading(journal.file.parent) as database:
        assert database.execute("select count(*) from files").fetchone() == (0,)


def test_finished_tickets_expire(journal: Journal) -> None:
    for ticket, outcome in enumerate(Outcome, 1):
        journal.add_claimed(ticket, "S", "h")
        journal.record(ticket, Step.FINISHED, outcome=outcome)
    journal.add_claimed(9, "S", "h")
    gone = {3, 4}  # deleted, released
    assert {one.ticket for one in journal.expired(0.0)} == gone
    assert {one.ticket for one in journal.expired(time.time() + 1)} == {1, 2, *gone}
    journal.removed(1)
    journal.removed(3)
    assert {one.ticket for one in journal.expired(time.time() + 1)} == {2, 4}


def test_a_journal_is_bound_to_one_server(journal: Journal) -> None:
    journal.bind(server="https://one", provider="lab")
    journal.bind(server="https://one", provider="lab")
    with pytest.raises(JournalError, match="work folder for server https://one, not for https://t"):
        journal.bind(server="https://two")
    assert journal.value("instance", lambda: "made up") == "made up"
    assert journal.value("instance", lambda: "again") == "made up"


def test_entries_survive_closing_the_journal(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.add_claimed(3, "S", "h")
    with closing(Journal(tmp_path)) as journal:
        assert [one.ticket for one in journal.open_entries()] == [3]


def test_a_missing_or_foreign_file_is_no_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal in"), reading(tmp_path):
        pass
    (tmp_path / NAME).touch()  # as that of a runner which starts
    with pytest.raises(JournalError, match="there is no journal in"), reading(tmp_path):
        pass
    (tmp_path / NAME).write_bytes(b"no database" * 1000)
    with pytest.raises(JournalError, match="cannot be used: file is not a database"):
        Journal(tmp_path)
    with pytest.raises(JournalError, match="cannot be read"), reading(tmp_path) as database:
        database.execute("select * from tickets")


#: What reads or writes, of all that a runner does with its journal.
USES: dict[str, Callable[[Journal], object]] = {
    "bind": lambda journal: journal.bind(server="https://one"),
    "value": lambda journal: journal.value("instance", lambda: "made up"),
    "begin_claim": lambda journal: journal.begin_claim("h"),
    "lost_claims": Journal.lost_claims,
    "add": lambda journal: journal.add_claimed(2, "S", "h"),
    "record": lambda journal: journal.record(1, Step.DOWNLOADED),
    "remark": lambda journal: journal.remark(1, "waiting", "x"),
    "begin": lambda journal: journal.begin(1),
    "entry": lambda journal: journal.entry(1),
    "open_entries": Journal.open_entries,
    "expired": lambda journal: journal.expired(0.0),
    "newest": Journal.newest,
}


@pytest.mark.parametrize("use", USES)
def test_a_corrupt_journal_is_refused(tmp_path: Path, use: str) -> None:
    """All but its first page, which says what tables there are, is nonsense."""
    with closing(Journal(tmp_path)) as journal:
        journal.add_claimed(1, "S", "h")
    with journal.file.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(JournalError, match=r"journal\.sqlite3 cannot be .*malformed"):  # noqa: SIM117
        with closing(Journal(tmp_path)) as journal:
            USES[use](journal)


@pytest.mark.parametrize(("column", "use"), [("step", "open_entries"), ("outcome", "entry")])
def test_a_journal_of_another_version_is_refused(journal: Journal, column: str, use: str) -> None:
    """What is not known is not guessed at."""
    journal.add_claimed(1, "S", "h")
    with closing(sqlite3.connect(journal.file)) as database, database:
        database.execute(f"update tickets set {column} = 'archived'")
    said = r"journal\.sqlite3 cannot be read: 'archived' is not .*another version"
    with pytest.raises(JournalError, match=said):
        USES[use](journal)


def test_a_reader_that_takes_its_time_is_waited_for(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dss.serving.journal._BUSY", 0.1)

    def add() -> None:
        with closing(Journal(journal.file.parent)) as writer:
            writer.add_claimed(1, "S", "h")

    with closing(sqlite3.connect(journal.file, isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select count(*) from tickets").fetchall()
        adding = threading.Thread(target=add)
        adding.start()
        until(lambda: "is locked" in caplog.text)
        assert adding.is_alive()
    adding.join(300)
    assert [one.ticket for one in journal.open_entries()] == [1]
    assert caplog.text.count("is locked") == 1


def test_what_another_has_for_itself_is_waited_for(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dss.serving.journal._BUSY", 0.1)
    journal.add_claimed(1, "S", "h")
    found: list[int] = []

    def read() -> None:
        with closing(Journal(journal.file.parent)) as other:
            opened.set()
            begun.wait(300)
            found.extend(one.ticket for one in other.open_entries())

    opened, begun = threading.Event(), threading.Event()
    looking = threading.Thread(target=read)
    looking.start()
    assert opened.wait(300)
    with closing(sqlite3.connect(journal.file, isolation_level=None)) as backup:
        backup.execute("begin exclusive")
        begun.set()
        until(lambda: "is locked" in caplog.text)
        assert found == []
    looking.join(300)
    assert found == [1]


def test_a_reader_is_waited_for_no_longer_than_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dss.serving.journal._BUSY", 0.1)
    turns = iter([True, True, False])
    with closing(Journal(tmp_path, lambda: next(turns))) as journal:
        with closing(sqlite3.connect(journal.file, isolation_level=None)) as reader:
            reader.execute("begin")
            reader.execute("select count(*) from tickets").fetchall()
            with pytest.raises(JournalError, match="is locked"):
                journal.add_claimed(1, "S", "h")
        assert journal.open_entries() == []
    assert list(turns) == []


def test_a_reader_cannot_write(journal: Journal) -> None:
    folder = journal.file.parent
    with pytest.raises(JournalError, match="readonly"), reading(folder) as database:
        database.execute("delete from tickets")


def test_reader_and_writer_do_not_stop_one_another(journal: Journal) -> None:
    """A reader in the middle of reading does not stop the writer, nor the other way."""
    for ticket in range(200):
        journal.add_claimed(ticket, "S" * 100, "h")
    with reading(journal.file.parent) as database:
        rows = database.execute("select ticket from tickets")
        assert rows.fetchone() == (0,)
        rows.close()
        journal.record(0, Step.DOWNLOADED)
        steps = database.execute("select step from tickets where ticket = 0").fetchall()
        assert steps == [("downloaded",)]


READ = """
import sys
from pathlib import Path
from dss.serving.journal import reading
seen = set()
while len(seen) < 5:
    with reading(Path(sys.argv[1])) as database:
        counts = database.execute(
            "select (select count(*) from tickets), (select count(*) from events)"
        ).fetchone()
    assert counts[0] == counts[1], counts
    seen.add(counts)
"""


def test_another_process_sees_whole_changes_only(journal: Journal) -> None:
    """It reads until it has seen five states, while there is always another to come."""
    words = [sys.executable, "-c", READ, str(journal.file.parent)]
    with subprocess.Popen(words, stderr=subprocess.PIPE) as reader:
        ticket = 0
        end = time.monotonic() + 120
        while reader.poll() is None and time.monotonic() < end:
            ticket += 1
            journal.add_claimed(ticket, "S", "h")
            time.sleep(0.01)  # whoever writes without a pause leaves no room for a reader
        reader.kill()
        assert reader.stderr
        assert reader.wait() == 0, reader.stderr.read()
    assert ticket >= 5


KILLED = """
import os, signal, sys
from pathlib import Path
from dss.serving.journal import Journal, Step
journal = Journal(Path(sys.argv[1]))
for ticket in range(1, 20):
    journal.add_claimed(ticket, "S", "h")
    journal.record(ticket, Step.DOWNLOADED)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is of POSIX")
def test_a_killed_writer_leaves_a_valid_journal(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    with closing(Journal(tmp_path)) as journal:
        assert [one.step for one in journal.open_entries()] == [Step.DOWNLOADED] * 19


FULL = """
import resource, signal, sys
from contextlib import suppress
from pathlib import Path
from dss.errors import JournalError
from dss.serving.journal import Journal, Step
folder = Path(sys.argv[1])
journal = Journal(folder)
journal.add_claimed(1, "S", "h")
with suppress(OSError), (folder / "much").open("wb", buffering=0) as file:
    while file.write(bytes(4096)):
        pass
journal.record(1, Step.FAILING, reason="it filled the disk")
assert not (folder / "journal.spare").exists()
with suppress(OSError), (folder / "more").open("wb", buffering=0) as file:
    while file.write(bytes(4096)):
        pass
try:
    for _ in range(1000):
        journal.remark(1, "waiting", "x" * 1000)
except JournalError as error:
    print(error)
(folder / "much").unlink()
(folder / "more").unlink()
assert journal.entry(1).step is Step.FAILING
journal.record(1, Step.FINISHED)
journal.keep_spare()
assert (folder / "journal.spare").stat().st_size == 4 << 20
"""


def test_a_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    """A file system of 6 MB, mounted where only the child sees it."""
    words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = 'mount -t tmpfs -o size=6m none "$0"'
    try:
        possible = subprocess.run([*words, mount, tmp_path], capture_output=True, timeout=300)
    except FileNotFoundError:
        pytest.skip("there is no unshare on this machine")
    if possible.returncode:
        pytest.skip("this machine lets nobody mount a file system")
    line = [*words, mount + ' && "$@" "$0"', tmp_path, sys.executable, "-c", FULL]
    done = subprocess.run(line, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    assert "cannot be written" in done.stdout
    assert "full" in done.stdout


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be used"):
        Journal(tmp_path / "nowhere")
