"""What became of every ticket: as the server has it, the journal, the disk, and its user.

What may be the end of a ticket depends on what befell it. One that nobody touched ends as its user
meant it. A worker or a command that is killed fails its ticket, since the runner cannot tell that
from a service that crashes; so does a runner, where the service cannot be run again.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import nibabel
import numpy

from dss import Client, DssError
from dss.records import LogEntry
from dss.serving import journal
from dss.serving.workdir import folder_of
from snapws import Workspace
from tests.chaos import services
from tests.chaos.site import LACKS, Site, Strike, Wish
from tests.chaos.watcher import Row, ask

_MEANT = {
    services.RAISES: services.PURPOSE,
    services.COMMAND_FAILS: f"exit code {services.EXIT_CODE}",
    LACKS: "Target",
}
_KILLED = r"its process was ended by SIGKILL|exit code -9"
_CUT_SHORT = r"the work was cut short, and this service cannot take it up again"
_OFTEN = r"the work was cut short 3 times"
_RESULT_FILES = 4  # the scan, the labels, the overlay, the workspace
_LINES = ("Begun", "Median", "Labels", "Done")
_ATTACHED = ("Notes", "Median")
_MARGIN = 1.0  # the server's clock gives whole seconds


@dataclass
class Verdict:
    """What became of a ticket.

    Attributes:
        outcome: `success`, `failed` or `deleted`.
        why: Why it failed, in general words.
        runs: How often the function was begun.
        found_again: Whether its claim was lost and found again.
        lines_due: How many lines its user should have been told, of a run that ended.
        lines_lost: How many of them were not.
        reasons_again: How often the reason of its failure was told again.
    """

    outcome: str
    why: str = ""
    runs: int = 0
    found_again: bool = False
    lines_due: int = 0
    lines_lost: int = 0
    reasons_again: int = 0


@dataclass
class _Known:
    """What everybody says of one ticket."""

    wish: Wish
    history: list[str]
    claims: int
    log: list[LogEntry]
    entry: Row | None
    events: list[tuple[str, float]]
    runs: list[dict[str, Any]]
    strikes: list[Strike]
    found_again: bool

    @property
    def end(self) -> str:
        return self.history[-1] if self.history else "nowhere"

    def at(self, step: str) -> list[float]:
        return [at for name, at in self.events if name == step]

    def count(self, what: str) -> int:
        return sum(line["what"] == what for line in self.runs)

    def struck(self, *victims: str) -> list[Strike]:
        """Return the kills of some kinds while it was worked on, of this ticket where known."""
        begin = min(self.at("claimed"), default=0.0) - _MARGIN
        end = max(self.at("finished"), default=begin) + _MARGIN
        return [
            one
            for one in self.strikes
            if begin < one.at < end
            and one.victim in victims
            and one.ticket in (None, self.wish.ticket)
        ]


def judge(site: Site, wishes: list[Wish], strikes: list[Strike]) -> tuple[list[Verdict], list[str]]:
    """Hold every ticket against what must be; give what became of it, and what is wrong."""
    verdicts, problems = [], []
    for known in _gather(site, wishes, strikes):
        found = [*_history(known), *_journal(known), *_end(known), *_runs(known), *_lines(known)]
        if known.end == "success":
            with _refused(found):
                _check_result(site.user, known.wish, site.folder / f"result_{known.wish.number}")
        if _outcome(known) == "deleted" and folder_of(site.workdir, known.wish.ticket).exists():
            found.append("its folder is still there, though it was deleted")
        about = f"ticket {known.wish.ticket} (mode {known.wish.mode}, {known.wish.service})"
        problems += [f"{about}: {problem}" for problem in found]
        verdicts.append(_verdict(known))
    return verdicts, [*problems, *_left(site)]


@contextmanager
def _refused(found: list[str]) -> Iterator[None]:
    try:
        yield
    except (AssertionError, DssError) as error:
        found.append(f"its result is wrong: {error}")


def _gather(site: Site, wishes: list[Wish], strikes: list[Strike]) -> Iterator[_Known]:
    server, written = site.middleware.folder / "db.sqlite3", site.workdir / journal.NAME
    history = _by_ticket(ask(server, "select ticket_id, status from ticket_history order by id"))
    claims = Counter(ticket for (ticket,) in ask(server, "select ticket_id from claim_history"))
    steps = "ticket, step, outcome, reason"
    found = "claims.outcome = 'ticket ' || ticket and claimed > at + 1"
    again = {
        ticket for (ticket,) in ask(written, f"select ticket from tickets, claims where {found}")
    }
    entries = {row[0]: row[1:] for row in ask(written, f"select {steps} from tickets")}
    events = _by_ticket(ask(written, "select ticket, step, at from events order by id"))
    runs = defaultdict(list)
    record = site.record / "runs.jsonl"
    for line in record.read_text(encoding="ascii").splitlines() if record.exists() else ():
        runs[json.loads(line)["ticket"]].append(json.loads(line))
    for wish in wishes:
        ticket = wish.ticket
        log = [*site.user.detail(ticket).log]
        statuses = [status for (status,) in history[ticket]]
        seen = [(step, at) for step, at in events[ticket]]
        entry = entries.get(ticket)
        yield _Known(
            wish, statuses, claims[ticket], log, entry, seen, runs[ticket], strikes, ticket in again
        )


def _by_ticket(rows: list[Row]) -> dict[int, list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[row[0]].append(row[1:])
    return found


# ---------------------------------------------------------------- what must be


def _history(known: _Known) -> Iterator[str]:
    """At the server: one end for one claim, once more if its user asked for it, or deleted."""
    told = [status for status in known.history if status != "deleted"]
    first = ["init", "ready", "claimed"]
    whole = [*first, "failed", *first[1:]] if known.wish.retried else first
    end = told[len(whole) :]
    right = told == [*whole[: len(told)], *end] and end in ([], ["success"], ["failed"])
    right = right and (known.end == "deleted" if known.wish.deleted else end != [])
    if not right:
        yield f"its history at the server is {known.history}"
    lines = sum("laimed by provider" in entry.message for entry in known.log)
    if not known.claims == lines == told.count("claimed"):
        yield f"{known.claims} claims, {lines} lines say so, history {known.history}"


def _journal(known: _Known) -> Iterator[str]:
    """The journal has each claim and each end once, and that end which the server has."""
    if known.entry is None:
        if known.claims and not known.wish.deleted:
            yield "it is not in the journal"
        return
    step, outcome, _ = known.entry
    allowed = {_outcome(known)}
    if known.wish.deleted:
        # Whether the end or the deletion was noted depends on who came first.
        allowed |= {"deleted"}
    if step != "finished" or outcome not in allowed:
        yield f"in the journal it is {step}, {outcome}; at the server {known.history}"
    claimed, finished = len(known.at("claimed")), len(known.at("finished"))
    # One that is queued again at once may be claimed again before its first end is noted.
    if claimed != known.claims or not known.claims - known.wish.retried <= finished <= claimed:
        yield f"of {known.claims} claims, the journal has {claimed}, and {finished} ends"


def _end(known: _Known) -> Iterator[str]:
    """Its end is the one that was meant, or one that a kill explains, and its user is told why."""
    errors = [entry.message for entry in known.log if entry.category == "error"]
    if known.end == "success":
        if known.wish.mode != services.WORKS:
            yield "it succeeded, though it was meant to fail"
        if errors:
            yield f"it succeeded, and its log has the error {errors[0]!r}"
    if known.end != "failed":
        return
    reason = known.entry[2] if known.entry else ""
    if errors[-1:] != [reason] or len({*errors}) > known.history.count("failed"):
        yield f"it failed; its log says {errors}; the journal {reason!r}"
    if len(errors) < known.history.count("failed"):
        yield f"it failed {known.history.count('failed')} times; its log says only {errors}"
    meant = _MEANT.get(known.wish.mode)
    if meant and meant in reason:
        return
    if re.search(_KILLED, reason):
        explained = bool(known.struck("worker", "command"))
    elif re.search(_CUT_SHORT, reason):
        explained = known.wish.service == "ChaosOnce" and bool(known.struck("runner"))
    elif re.search(_OFTEN, reason):
        explained = len(known.struck("runner")) >= 3
    else:
        explained = False
    if not explained:
        yield f"it failed for no reason that was meant or done: {reason!r}"


def _runs(known: _Known) -> Iterator[str]:
    """The function: never twice at once, never after it was done, never again if it must not."""
    for what in ("overlap", "dirty"):
        if known.count(what):
            yield f"its function met {what} {known.count(what)} times"
    starts = [line["at"] for line in known.runs if line["what"] == "start"]
    begins = [*known.at("claimed"), math.inf]
    for begin, end in pairwise(begins):
        done = known.at("processed") + known.at("failing") + known.at("finished")
        over = min((at for at in done if begin < at < end), default=end)
        if any(over < at < end for at in starts):
            yield "its function was run again after it was done"
    if len(starts) > len(known.at("processing")):
        yield f"its function was begun {len(starts)} times; journal: {known.events}"
    if known.wish.service == "ChaosOnce" and len(starts) > known.claims:
        yield f"its function was begun {len(starts)} times, and it must not be run again"
    if known.wish.mode == LACKS and starts:
        yield "its function was begun without the layer that it needs"
    if known.end == "success" and not known.count("end"):
        yield "it succeeded, and its function never ended"


def _lines(known: _Known) -> Iterator[str]:
    """Each line and each attachment of a run came at most once; each kill may cost one."""
    told = [entry.message for entry in known.log if ", run " in entry.message]
    attached = [
        one.description
        for entry in known.log
        for one in entry.attachments
        if one.description != "What went wrong"  # which belongs to the reason
    ]
    for what, found in (("line", told), ("attachment", attached)):
        for text, count in Counter(re.sub(r": done in .*", "", one) for one in found).items():
            if count > 1:
                yield f"the {what} {text!r} came {count} times"
    if known.end == "success":
        due = {*_lines_due(known), *(f"{one} of {_last_run(known)}" for one in _ATTACHED)}
        lost = [one for one in due if not any(one in text for text in told + attached)]
        kills = known.struck("runner", "worker", "command", "middleware")
        if len(lost) > len(kills):
            yield f"there were {len(kills)} kills, and its user was not told {lost}"


def _left(site: Site) -> Iterator[str]:
    """Nothing runs any more, and nothing lies about."""
    for process in site.left_over():
        yield f"still running: {process}"
    for file in site.workdir.glob(".starting_*"):
        yield f"still there: {file.name}"
    log = site.log.read_text(encoding="utf-8", errors="replace")
    if "Traceback" in log:
        yield f"the runner printed a traceback: {log[log.index('Traceback') :][:2000]}"
    for line in re.findall(r"^dss: error: .*", log, re.MULTILINE):
        # Whoever starts while there is no server, and has nothing to go on with, says so and ends.
        if "no answer from" not in line:
            yield f"the runner ended with: {line}"


def _check_result(user: Client, wish: Wish, folder: Path) -> None:
    """The result is what the service makes of the scan of this ticket."""
    listed = user.files(wish.ticket, "results")
    assert len(listed) == _RESULT_FILES, listed
    result = Workspace.open(user.download(wish.ticket, folder))
    median = numpy.sort(wish.voxels, axis=None)[wish.voxels.size // 2]
    expected = {
        "Target": wish.voxels,
        "Labels": wish.voxels > median,
        "Tripled": 3 * wish.voxels.astype(int),
    }
    for tag, voxels in expected.items():
        image = nibabel.load(result.layer(tag=tag).path)
        found = numpy.asarray(image.dataobj)
        assert found.shape == voxels.shape, f"{tag} has the shape {found.shape}"
        assert (found == voxels).all(), f"{tag} is not made from this scan"
        assert numpy.allclose(image.affine, wish.affine, atol=1e-4), f"{tag} lies elsewhere"


# ---------------------------------------------------------------- what it comes to


def _outcome(known: _Known) -> str:
    ends = [status for status in known.history if status in ("success", "failed")]
    return ends[-1] if ends else known.end


def _last_run(known: _Known) -> str:
    return next((str(line["run"]) for line in known.runs[::-1] if line["what"] == "end"), "")


def _lines_due(known: _Known) -> list[str]:
    """List the lines that the user should see of the run that made the result."""
    run = _last_run(known) if known.end == "success" else ""
    return [f"{line}, run {run}" for line in _LINES] if run else []


def _lines_lost(known: _Known) -> int:
    told = "\n".join(entry.message for entry in known.log)
    return sum(line not in told for line in _lines_due(known))


def _verdict(known: _Known) -> Verdict:
    reason = str(known.entry[2]) if known.entry else ""
    kinds = {
        "on purpose": "|".join(re.escape(text) for text in _MEANT.values()),
        "worker or command killed": _KILLED,
        "cut short, not to be run again": _CUT_SHORT,
        "cut short too often": _OFTEN,
    }
    why = next((kind for kind, form in kinds.items() if re.search(form, reason)), reason)
    errors = sum(entry.category == "error" for entry in known.log)
    return Verdict(
        outcome=known.end,
        why=why if known.end == "failed" else "",
        runs=known.count("start"),
        found_again=known.found_again,
        lines_due=len(_lines_due(known)),
        lines_lost=_lines_lost(known),
        reasons_again=max(0, errors - known.history.count("failed")),
    )
