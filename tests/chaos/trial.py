"""A trial: tickets are submitted, everything is killed again and again, and in the end judged."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from dss.serving import journal
from tests.chaos import services
from tests.chaos.judge import Verdict, judge
from tests.chaos.site import Site, Strike, Wish, wishes
from tests.chaos.watcher import MOMENTS, Watcher, ask

_TICK = 0.002
_VICTIMS = {"runner": 3, "middleware": 3, "worker": 3, "command": 1, "everything": 1}
ALWAYS = ("runner", "middleware", "worker")
"""Those that every trial kills, however short it is."""

_MOMENT_LIMIT = 3  # times the pace
_AIMS = 4  # moments of which the first that comes is taken
_STOP_LIMIT = 300.0


@dataclass
class Report:
    """What came of a trial.

    Attributes:
        seed: What its chances were drawn from.
        strikes: Who was killed.
        starts: How often the runner was started, and the middleware again.
        gave_up: How often the runner ended by itself.
        seconds: How long the killing took, and the work after it.
        verdicts: What became of the tickets.
        problems: What is not as it must be.
    """

    seed: int
    strikes: list[Strike] = field(default_factory=list)
    starts: Counter[str] = field(default_factory=Counter)
    gave_up: int = 0
    seconds: tuple[float, float] = (0.0, 0.0)
    verdicts: list[Verdict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def has_struck(self, victims: Collection[str]) -> bool:
        """Return whether each of these was killed once."""
        return {strike.victim for strike in self.strikes}.issuperset(victims)

    def __str__(self) -> str:
        kills = Counter(strike.victim for strike in self.strikes)
        aimed = sum(strike.moment != "at any time" for strike in self.strikes)
        outcomes = Counter(verdict.outcome for verdict in self.verdicts)
        runs = Counter(verdict.runs for verdict in self.verdicts)
        reasons = Counter(verdict.why for verdict in self.verdicts if verdict.why)
        lines = [
            f"seed {self.seed}: {self.seconds[0]:.0f} s of killing, {self.seconds[1]:.0f} s after",
            f"killed: {_listed(kills)}; {aimed} of {sum(kills.values())} at a chosen moment",
            f"started: {_listed(self.starts)}; {self.gave_up} runners found no server and ended",
            f"tickets: {_listed(outcomes)}",
            f"why failed: {_listed(reasons)}",
            f"runs of the function: {', '.join(f'{n} of {k}' for k, n in sorted(runs.items()))}",
            f"lost claims found again: {sum(v.found_again for v in self.verdicts)}; "
            f"lines not told: {sum(v.lines_lost for v in self.verdicts)} of "
            f"{sum(v.lines_due for v in self.verdicts)}; reasons told again: "
            f"{sum(v.reasons_again for v in self.verdicts)}",
            *(f"PROBLEM: {problem}" for problem in self.problems),
        ]
        # What a service says may have signs that not every terminal has.
        return "\n".join(lines).encode("ascii", "backslashreplace").decode("ascii")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


def trial(
    folder: Path,
    *,
    seed: int,
    seconds: float,
    tickets: int,
    workers: int = 4,
    pace: float = 1.0,
    limit: float = 300.0,
    tell: Callable[[str], None] = lambda line: None,
) -> Report:
    """Kill at random for some time, let the work be finished, and judge every ticket.

    Args:
        folder: An empty folder.
        seed: What chances are drawn from: who submits and deletes what and when, who is killed
            when. How far the work is then is not in its hands.
        seconds: How long to kill; longer, where some of `ALWAYS` have not been killed by then.
        tickets: How many tickets there are.
        workers: How many workers.
        pace: Seconds between two kills, on average, while there is something to do.
        limit: Seconds that the work may take after the killing.
        tell: Is called with a line for each kill.
    """
    site = Site(folder, workers)
    report = Report(seed, starts=site.starts)
    with ExitStack() as stack:
        stack.callback(site.close)
        site.open()
        watcher = Watcher(site.middleware.folder / "db.sqlite3", site.workdir)
        stack.callback(watcher.close)
        work = wishes(tickets, seed, seconds)
        chaos = _Chaos(site, report, watcher, random.Random(seed), pace, tell)
        begin = time.monotonic()
        users = _Users(site, work, begin)
        # On a slow machine it takes longer until somebody is there to be killed.
        while (now := time.monotonic()) < begin + seconds or (
            now < begin + seconds + limit and not report.has_struck(ALWAYS)
        ):
            site.keep_runner()
            users.act()
            chaos.act()
            time.sleep(_TICK)
        calm = time.monotonic()
        chaos.mend(at_once=True)
        while not (users.act() and _is_done(site)):
            site.keep_runner()
            if time.monotonic() > calm + limit:
                report.problems.append(f"not done {limit:.0f} s after the last kill")
                break
            watcher.watch_bars()
            time.sleep(0.2)
        report.seconds = (calm - begin, time.monotonic() - calm)
        report.gave_up = len(site.ended)
        code = site.stop_runner(_STOP_LIMIT)
        if code:
            report.problems.append(f"the runner ended with exit code {code}")
        # Of one that is queued again it begins anew.
        again = {wish.ticket for wish in work if wish.retried}
        report.problems += [
            f"the bar of ticket {ticket} went back: {how}"
            for ticket, how in watcher.bars_went_back
            if ticket not in again
        ]
        report.verdicts, problems = judge(site, work, report.strikes)
        report.problems += problems
    return report


class _Users:
    """Submit and delete tickets as planned, and queue some again, while there is a server."""

    def __init__(self, site: Site, work: list[Wish], begin: float) -> None:
        self._site = site
        self._begin = begin
        self._to_submit = list(work)
        self._to_delete: list[tuple[float, Wish]] = []
        self._to_retry: list[Wish] = []
        self._retry_at = 0.0

    def act(self) -> bool:
        """Do what is due; tell whether all is done."""
        now = time.monotonic() - self._begin
        if self._site.has_server:
            if self._to_submit and now >= self._to_submit[0].at:
                wish = self._to_submit.pop(0)
                self._site.submit(wish)
                if wish.deleted_after is not None:
                    self._to_delete.append((now + wish.deleted_after, wish))
                elif wish.mode == services.RAISES:
                    self._to_retry.append(wish)
            for entry in [entry for entry in self._to_delete if now >= entry[0]]:
                self._to_delete.remove(entry)
                self._site.delete(entry[1])
            if now >= self._retry_at:
                self._retry_at = now + 0.5
                for wish in self._to_retry:
                    self._site.retry(wish)
                self._to_retry = [wish for wish in self._to_retry if not wish.retried]
        return not (self._to_submit or self._to_delete or self._to_retry)


class _Chaos:
    """Kills at any time, or when something is seen to happen; starts the middleware again."""

    def __init__(
        self,
        site: Site,
        report: Report,
        watcher: Watcher,
        chances: random.Random,
        pace: float,
        tell: Callable[[str], None],
    ) -> None:
        self._site = site
        self._report = report
        self._watcher = watcher
        self._chances = chances
        self._pace = pace
        self._tell = tell
        self._begin = time.monotonic()
        self._mend_at: float | None = None
        # A short trial, too, befalls those that matter most.
        self._deck = chances.sample(ALWAYS, 3)
        self._bars_at = 0.0
        self._plan()

    def act(self) -> None:
        """Look, and kill where it is time to."""
        now = time.monotonic()
        self.mend()
        if now >= self._bars_at:
            self._bars_at = now + 0.1
            self._watcher.watch_bars()
        news = self._watcher.news()
        if now < self._at:
            return
        if not self._watcher.busy():
            # Put off until there is something to do, and then for a part of a ticket's time.
            self._at = now + self._chances.uniform(0.0, 1.0)
        elif seen := news & self._moments:
            time.sleep(self._late)
            self._strike(min(seen))
        elif not self._moments or now >= self._at + _MOMENT_LIMIT * self._pace:
            self._strike("at any time")

    def mend(self, *, at_once: bool = False) -> None:
        """Start the middleware again, some time after it was killed."""
        if self._site.has_server:
            return
        now = time.monotonic()
        if self._mend_at is None:
            self._mend_at = now + self._chances.choice([0.0, self._chances.uniform(1, 3)])
        if at_once or now >= self._mend_at:
            self._mend_at = None
            self._site.start_server()

    def _plan(self) -> None:
        """Choose who is next, and when."""
        chances = self._chances
        self._at = time.monotonic() + chances.uniform(0.1, 2 * self._pace - 0.1)
        if not self._deck:
            self._deck = [victim for victim, count in _VICTIMS.items() for _ in range(count)]
            chances.shuffle(self._deck)
        self._victim = self._deck.pop()
        aimed = chances.random() < 0.75
        self._moments = {*chances.sample(MOMENTS, _AIMS)} if aimed else set()
        self._late = chances.choice([0.0, chances.uniform(0, 0.03)])

    def _strike(self, moment: str) -> None:
        strikes = self._site.kill(self._victim, self._chances)
        if not strikes:  # there is none such now: a little later, and perhaps another one
            self._at = time.monotonic() + 0.1
            self._moments = set()
            self._deck.insert(0, self._victim)
            self._victim = self._deck.pop()
            return
        for strike in strikes:
            strike.at, strike.moment = time.time(), moment
            self._report.strikes.append(strike)
            when = time.monotonic() - self._begin
            about = f", at ticket {strike.ticket}" if strike.ticket else ""
            self._tell(f"{when:7.2f} s: {strike.victim} killed ({moment}{about})")
        self._plan()


def _is_done(site: Site) -> bool:
    """Whether no ticket waits or is worked on, as the server says and the journal."""
    query = "select 1 from tickets where status in ('init', 'ready', 'claimed') limit 1"
    if not site.has_server or ask(site.middleware.folder / "db.sqlite3", query):
        return False
    with suppress(sqlite3.Error):  # a runner that starts is mending it
        file = site.workdir / journal.NAME
        return not ask(file, "select 1 from tickets where step != 'finished' limit 1")
    return False
