"""Runs a scenario, asks the server what came of it, and judges."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from dss import DssError
from tests.faults.faults import Rule
from tests.faults.flows import FLOWS, Flow, Work
from tests.faults.given import GIVEN
from tests.faults.proxy import Proxy
from tests.faults.scenarios import Scenario
from tests.faults.sites import ATTACHED, Site, Truth


@dataclass(frozen=True)
class Result:
    """What came of a scenario.

    Attributes:
        ended: `complete`, or the name of the error.
        words: What the user is told: the error, and warnings that were logged.
        server: What the server says, asked directly.
        problems: What is not as it must be.
    """

    scenario: Scenario
    ended: str
    words: str
    server: str
    problems: tuple[str, ...]


def run(site: Site, scenario: Scenario) -> Result:
    """Prepares a ticket, does what the scenario says through the proxy, and asks the server."""
    flow = FLOWS[scenario.flow]
    faults, places = scenario.fault.split(" & "), scenario.at.split(" & ")
    rules = [Rule(*each) for each in zip(faults, places, strict=True)]
    ended, outcome, words = "complete", None, ""
    with ExitStack() as stack:
        stack.enter_context(mock.patch("dss.http.retry.FIRST_PAUSE", 0.02))
        owner = stack.enter_context(site.new_user())
        truth = Truth(site, owner)
        stack.callback(truth.delete_tickets)
        ticket = GIVEN[flow.given](site, owner)
        before = truth.tickets()
        folder = Path(stack.enter_context(TemporaryDirectory(dir=site.folder)))
        with Proxy(site.middleware, *rules) as proxy, _warnings() as warnings:
            work = Work(site, proxy, folder, scenario, ticket, owner, stack)
            try:
                outcome = flow.act(work)
            except DssError as error:
                ended, words = type(error).__name__, str(error)
            words = "; ".join([words, *warnings]).strip("; ")
        # From here on nothing is under way any more.
        server = flow.truth(work, truth)
        problems = [
            *_wrong_outcome(work, flow, ended, outcome),
            *_wrong_words(work, scenario, ended, words),
            *_left_without_a_word(truth, before, ended, words, scenario),
            *_half_files(work, ended),
            *(f"{rule} did not happen" for rule in rules if not rule.fired),
        ]
        expected = scenario.server or flow.goal
        if server != expected:
            problems.append(f"the server has: {server}; instead of: {expected}")
    return Result(scenario, ended, words, server, tuple(problems))


def _wrong_outcome(work: Work, flow: Flow, ended: str, outcome: object) -> Iterator[str]:
    if ended == "complete":
        try:
            flow.check(work, outcome)
        except AssertionError as error:
            yield f"the outcome is wrong: {outcome!r}: {error}"


def _wrong_words(work: Work, scenario: Scenario, ended: str, words: str) -> Iterator[str]:
    if ended != scenario.ends:
        yield f"ended with {ended} instead of {scenario.ends}: {words}"
    if ended != "complete" and not (words and words.isprintable()):
        yield f"no clear words: {words!r}"
    if scenario.says and not re.search(scenario.says, words):
        yield f"the words do not say {scenario.says!r}: {words}"
    if any(secret in words for secret in work.secrets):
        yield f"a login is in the words: {words}"


def _left_without_a_word(
    truth: Truth, before: dict[int, str], ended: str, words: str, scenario: Scenario
) -> Iterator[str]:
    """A ticket that came about, or changed hands, has to be told of."""
    if ended != "complete":
        for ticket, status in truth.tickets().items():
            told = re.search(rf"\b{ticket}\b", words) or scenario.says
            if before.get(ticket) != status and not told:
                yield f"ticket {ticket} is {status}, and nobody was told: {words}"


def _half_files(work: Work, ended: str) -> Iterator[str]:
    """Files are there whole or not at all; a workspace only with all of its layers."""
    if not work.results.exists():
        return
    *layers, (_, workspace) = work.site.archive.items()
    known = {**dict(layers), "attached.bin": ATTACHED}
    for file in work.results.iterdir():
        whole = workspace if file.suffix == ".itksnap" else known.get(file.name)
        if not file.is_file() or file.read_bytes() != whole:
            yield f"{file.name} is on the disk and should not be, or not like that"
        if ended != "complete" and file.suffix == ".itksnap":
            yield f"{file.name} is on the disk, as if all were well"
    if strangers := {f.name for f in work.folder.iterdir()} - {"results", "job", "attached.bin"}:
        yield f"on the disk are {strangers}"


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collects what is logged for people to read."""
    found: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler = Collector(logging.WARNING)
    logger = logging.getLogger("dss")
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)
