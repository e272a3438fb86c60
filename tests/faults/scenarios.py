"""The table of faults: what is done, what befalls it, and how it has to end.

A call that may be repeated ends `complete`, if the fault passes. One that must not, a claim, a new
ticket, a line of the log, an attachment, a login, ends in an error that says what is not known.
Either way the server has to have what the row says, and nothing twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Scenario:
    """A row of the table.

    Args:
        flow: A name of `tests.faults.flows.FLOWS`.
        fault: What happens, as a `tests.faults.faults.Rule` reads it.
        at: To which request, as a `Rule` reads it. Two faults, and their requests, have ` & `
            between them.
        ends: `complete`, or the name of the error.
        server: What the server has afterwards; the flow's goal where it is complete.
        says: What the words of the error say, as a regular expression.
        retry_for: Seconds for which calls are repeated.
    """

    flow: str
    fault: str
    at: str
    ends: str = "complete"
    server: str = ""
    says: str = ""
    retry_for: float = 300.0

    @property
    def timeout(self) -> tuple[float, float]:
        """Seconds to connect, and without a byte: few only where there is something to notice."""
        if "endless" in self.fault:
            # A slow answer of the other requests of a flow would end it another way.
            return (2.0, 2.0) if self.retry_for < 1 and self.flow != "services" else (0.3, 0.3)
        if not re.search("stall|late", self.fault):
            return 5.0, 30.0
        return 5.0, 2.0 if self.flow == "submit" else 0.2

    def __str__(self) -> str:
        return f"{self.flow}: {self.fault} at {self.at}"


def unknown(flow: str, fault: str, at: str, server: str, says: str) -> Scenario:
    """A row that ends in `OutcomeUnknown`."""
    return Scenario(flow, fault, at, "OutcomeUnknown", server, says)


def for_ever(flow: str, fault: str, at: str, ends: str, server: str, says: str = "") -> Scenario:
    """A row whose fault does not pass within the patience of the client."""
    return Scenario(flow, fault, at, ends, server, says, retry_for=0.1)


_LOGIN = "POST api/login"
_SERVICES = "GET api/services"
_CREATE = "POST api/tickets"
_INPUT = "POST api/tickets/*/files/input"
_LISTED = "GET api/tickets/*/files/input"
_STATUS = "POST api/tickets/*/status"
_CLAIM = "POST api/pro/services/claims"
_FETCH = "GET api/pro/tickets/*/files/input"
_LOG = "POST api/pro/tickets/*/info"
_ATTACH = "POST api/pro/tickets/*/attachments"
_PROGRESS = "POST api/pro/tickets/*/progress"
_RESULTS = "POST api/pro/tickets/*/files/results"
_PRO_STATUS = "POST api/pro/tickets/*/status"
_USERS = "POST api/admin/providers/*/users"
_GET = "GET api/tickets/*/files/results"

_TOKEN = "token may be used up"
_MADE = "ticket may have been made.*(list|last of) your tickets"
_TAKEN = "may have been claimed for testlab instance_1.*log"
_LINE = "line may be in the log"
_ATTACHED = "may be attached"

_DONE = "success, 1 claim, 1 line, 1 attachment, input whole, results whole"
_C = "claimed, 1 claim, input whole"

LOGINS = [
    unknown("login", "drop-answer", _LOGIN, "token used", _TOKEN),
    unknown("login", "cut-head:20", _LOGIN, "token used", _TOKEN),
    unknown("login", "stall-answer", _LOGIN, "token used", _TOKEN),
    unknown("login", "status:503", _LOGIN, "token unused", _TOKEN),
    unknown("login", "reset-request", _LOGIN, "token unused", _TOKEN),
    Scenario("login", "refuse:0.1", "start"),
    for_ever("login", "refuse", "start", "NetworkFailed", "token unused"),
    unknown("login", "portal", _LOGIN, "token unused", _TOKEN),
    Scenario("login", "status:503", "GET api/login#1-2"),
]

READING = [
    Scenario("services", "status:503", f"{_SERVICES}#1-5"),
    Scenario("services", "status:500", f"{_SERVICES}#1-2"),
    Scenario("services", "status:429", f"{_SERVICES}#1-2"),
    Scenario("services", "drop-request", f"{_SERVICES}#1-2"),
    Scenario("services", "drop-answer", _SERVICES),
    Scenario("services", "reset-answer", _SERVICES),
    Scenario("services", "cut-head:40", _SERVICES),
    Scenario("services", "cut-answer:20", _SERVICES),
    Scenario("services", "half-chunk", _SERVICES),
    Scenario("services", "no-length:-4", _SERVICES),
    Scenario("services", "delay:0.1", _SERVICES),
    Scenario("services", "trickle:9", _SERVICES),
    Scenario("services", "refuse:0.1", "start"),
    Scenario("services", "stall-answer", _SERVICES),
    Scenario("services", "stall-answer:20", _SERVICES),
    for_ever("services", "status:503", f"{_SERVICES}#1+", "ServerFailed", "no ticket", "503"),
    for_ever("services", "drop-answer", f"{_SERVICES}#1+", "NetworkFailed", "no ticket"),
    for_ever("services", "stall-request", f"{_SERVICES}#1+", "NetworkFailed", "no ticket"),
    for_ever("services", "refuse", "start", "NetworkFailed", "no ticket", "refused"),
    Scenario("services", "portal", _SERVICES, "InvalidResponse", "no ticket", "Guest network"),
    Scenario("status", "status-after:500", "GET api/tickets/*/status"),
    Scenario("status", "no-length:3", "GET api/tickets/*/status"),
    Scenario("follow", "drop-answer", "GET api/tickets/*/detail*#1-2"),
    for_ever("follow", "drop-answer", "GET api/tickets/*/detail*#1+", "NetworkFailed", _DONE),
    Scenario("follow", "half-chunk", "GET api/tickets/*/detail*"),
    Scenario("follow", "no-length:half", "GET api/tickets/*/detail*"),
]

CREATING = [
    unknown("create", "drop-answer", _CREATE, "init", _MADE),
    unknown("create", "reset-answer", _CREATE, "init", _MADE),
    unknown("create", "cut-head:30", _CREATE, "init", _MADE),
    unknown("create", "half-chunk", _CREATE, "init", _MADE),
    unknown("create", "no-length:1", _CREATE, "init", _MADE),
    unknown("create", "stall-answer", _CREATE, "init", _MADE),
    unknown("create", "status-after:500", _CREATE, "init", _MADE),
    unknown("create", "late", _CREATE, "init", _MADE),
    unknown("create", "status:503", _CREATE, "no ticket", _MADE),
    unknown("create", "drop-request", _CREATE, "no ticket", _MADE),
    unknown("create", "reset-request", _CREATE, "no ticket", _MADE),
    unknown("create", "cut-request:half", _CREATE, "no ticket", _MADE),
    unknown("create", "portal", _CREATE, "no ticket", _MADE),
    unknown("create", "portal-after", _CREATE, "init", _MADE),
    Scenario("create", "refuse:0.1", "start"),
    for_ever("create", "refuse", "start", "NetworkFailed", "no ticket"),
    unknown("submit", "drop-answer", _CREATE, "init", _MADE),
]

SENDING = [
    Scenario("submit", "cut-request:half", _INPUT),
    Scenario("submit", "cut-request:0", f"{_INPUT}#2"),
    Scenario("submit", "drop-request", f"{_INPUT}#2"),
    Scenario("submit", "drop-answer", f"{_INPUT}#2"),
    Scenario("submit", "drop-answer", f"{_INPUT}#3"),
    Scenario("submit", "reset-request", f"{_INPUT}#3"),
    Scenario("submit", "reset-answer", _INPUT),
    Scenario("submit", "status:503", f"{_INPUT}#1-3"),
    Scenario("submit", "status-after:500", f"{_INPUT}#3"),
    Scenario("submit", "cut-head:15", f"{_INPUT}#2"),
    Scenario("submit", "close-idle", f"{_INPUT}#1+"),
    Scenario("submit", "refuse:0.1", f"{_INPUT}#1"),
    Scenario("submit", "stall-request", f"{_INPUT}#2"),
    Scenario("submit", "stall-answer", f"{_INPUT}#3"),
    Scenario("submit", "late", f"{_INPUT}#3"),
    Scenario("submit", "status:503", f"{_LISTED}#2-3"),
    Scenario("submit", "half-chunk", f"{_LISTED}#2"),
    Scenario("submit", "no-length:half", f"{_LISTED}#2"),
    Scenario("submit", "portal", f"{_INPUT}#2", "InvalidResponse", "no ticket", "Guest network"),
    Scenario("submit", "portal", "* *#4+", "Unfinished", "init, input 1 of 3", "Guest network"),
    Scenario("submit", "drop-answer", _STATUS),
    Scenario("submit", "drop-request", _STATUS),
    for_ever("submit", "status:503", f"{_INPUT}#2+", "Unfinished", "init, input 1 of 3"),
    for_ever("submit", "drop-answer", f"{_INPUT}#3+", "Unfinished", "init, input whole"),
    for_ever("submit", "refuse", f"{_INPUT}#2", "Unfinished", "init, input 2 of 3"),
    for_ever("submit", "refuse", _CREATE, "Unfinished", "init"),
    Scenario(
        "submit",
        "portal & drop-answer",
        f"{_INPUT}#2 & GET api/tickets/*/delete",
        "InvalidResponse",
        "no ticket",
        "Guest network",
    ),
    Scenario("submit, verified", "cut-answer:half", "GET api/tickets/*/files/input/1"),
    Scenario("submit, verified", "drop-answer", "GET api/tickets/*/files/input/*#1-3"),
    Scenario("submit, verified", "flip-request:half", f"{_INPUT}#2"),
    Scenario("take up", "drop-answer", f"{_INPUT}#1-2"),
    Scenario("take up", "reset-request", f"{_INPUT}#2"),
    Scenario("take up", "half-chunk", _LISTED),
    Scenario("take up", "status:503", f"{_LISTED}#1-2"),
    Scenario(
        "take up",
        "status:404",
        _INPUT,
        "InvalidResponse",
        "init, input 1 of 3",
        "is there, in state",
    ),
    for_ever("take up", "refuse", _INPUT, "Unfinished", "init, input 2 of 3"),
    Scenario("submit in two", "drop-request", f"{_INPUT}#2"),
    Scenario("submit in two", "cut-request:half", f"{_INPUT}#3"),
    Scenario("submit in two", "status:503", f"{_LISTED}#2"),
    Scenario("deliver in two", "reset-request", f"{_RESULTS}#2"),
    Scenario("deliver", "cut-request:half", f"{_RESULTS}#1-2"),
    Scenario("deliver", "drop-answer", f"{_RESULTS}#3"),
    Scenario("deliver", "status-after:500", f"{_RESULTS}#2"),
    Scenario("deliver", "reset-answer", f"{_RESULTS}#1"),
    for_ever("deliver", "status:503", f"{_RESULTS}#3+", "ServerFailed", f"{_C}, results 2 of 3"),
]

STATES = [
    Scenario("make ready", "drop-answer", _STATUS),
    Scenario("make ready", "drop-request", _STATUS),
    Scenario("make ready", "reset-answer", _STATUS),
    Scenario("make ready", "half-chunk", _STATUS),
    Scenario("make ready", "status-after:500", _STATUS),
    Scenario("make ready", "status:503", f"{_STATUS}#1-2"),
    Scenario("make ready", "stall-answer", _STATUS),
    Scenario("make ready", "late", _STATUS),
    Scenario(
        "make ready",
        "drop-answer & status:503",
        f"{_STATUS} & GET api/tickets/*/status#1+",
        "OutcomeUnknown",
        "ready, input whole",
        "may be queued",
        retry_for=0.1,
    ),
    Scenario("make ready", "drop-answer & drop-answer", f"{_STATUS} & GET api/tickets/*/status"),
    for_ever("make ready", "refuse", "start", "NetworkFailed", "init, input whole"),
    Scenario("delete", "drop-answer", "GET api/tickets/*/delete"),
    Scenario("delete", "drop-request", "GET api/tickets/*/delete"),
    Scenario("retry", "drop-answer", "GET api/tickets/*/retry"),
    Scenario("retry", "drop-request", "GET api/tickets/*/retry"),
    Scenario("retry", "status-after:500", "GET api/tickets/*/retry"),
    Scenario("retry", "late", "GET api/tickets/*/retry"),
    Scenario("progress", "drop-answer", _PROGRESS),
    Scenario("progress", "status:503", f"{_PROGRESS}#1-2"),
    Scenario("progress", "reset-request", _PROGRESS),
    Scenario("progress", "late", _PROGRESS),
    Scenario("succeed", "drop-answer", _PRO_STATUS),
    Scenario("succeed", "status-after:500", _PRO_STATUS),
    Scenario("succeed", "reset-request", _PRO_STATUS),
    Scenario("succeed", "late", _PRO_STATUS),
    Scenario("succeed", "stall-answer", _PRO_STATUS),
    Scenario("fail", "drop-answer", _PRO_STATUS),
]

CLAIMING = [
    unknown("claim", "drop-answer", _CLAIM, _C, _TAKEN),
    unknown("claim", "reset-answer", _CLAIM, _C, _TAKEN),
    unknown("claim", "cut-head:25", _CLAIM, _C, _TAKEN),
    unknown("claim", "half-chunk", _CLAIM, _C, _TAKEN),
    unknown("claim", "no-length:1", _CLAIM, _C, _TAKEN),
    unknown("claim", "no-length:0", _CLAIM, _C, _TAKEN),
    unknown("claim", "short:1", _CLAIM, _C, _TAKEN),
    unknown("claim", "stall-answer", _CLAIM, _C, _TAKEN),
    unknown("claim", "late", _CLAIM, _C, _TAKEN),
    unknown("claim", "status-after:500", _CLAIM, _C, _TAKEN),
    unknown("claim", "status:503", _CLAIM, "ready, input whole", _TAKEN),
    unknown("claim", "drop-request", _CLAIM, "ready, input whole", _TAKEN),
    unknown("claim", "cut-request:half", _CLAIM, "ready, input whole", _TAKEN),
    unknown("claim", "portal", _CLAIM, "ready, input whole", _TAKEN),
    unknown("claim", "portal-after", _CLAIM, _C, _TAKEN),
    Scenario("claim", "refuse:0.1", "start"),
    for_ever("claim", "refuse", "start", "NetworkFailed", "ready, input whole"),
    Scenario("claim later", "close-idle", "GET api/pro/services"),
]

REPORTING = [
    unknown("log", "drop-answer", _LOG, "claimed, 1 claim, 1 line, input whole", _LINE),
    unknown("log", "reset-answer", _LOG, "claimed, 1 claim, 1 line, input whole", _LINE),
    unknown("log", "status-after:500", _LOG, "claimed, 1 claim, 1 line, input whole", _LINE),
    unknown("log", "stall-answer", _LOG, "claimed, 1 claim, 1 line, input whole", _LINE),
    unknown("log", "late", _LOG, "claimed, 1 claim, 1 line, input whole", _LINE),
    unknown("log", "status:503", _LOG, _C, _LINE),
    unknown("log", "drop-request", _LOG, _C, _LINE),
    unknown("log", "portal", _LOG, _C, _LINE),
    Scenario("log", "refuse:0.1", "start"),
    unknown(
        "attach", "drop-answer", _ATTACH, "claimed, 1 claim, 1 attachment, input whole", _ATTACHED
    ),
    unknown(
        "attach", "reset-answer", _ATTACH, "claimed, 1 claim, 1 attachment, input whole", _ATTACHED
    ),
    unknown(
        "attach", "cut-head:17", _ATTACH, "claimed, 1 claim, 1 attachment, input whole", _ATTACHED
    ),
    unknown("attach", "cut-request:half", _ATTACH, _C, _ATTACHED),
    unknown("attach", "status:503", _ATTACH, _C, _ATTACHED),
    for_ever("attach", "refuse", "start", "NetworkFailed", _C),
    unknown(
        "fail",
        "drop-answer",
        "POST api/pro/tickets/*/error",
        "failed, 1 claim, 1 line, input whole",
        f"{_LINE}; ticket \\d+ is reported as failed",
    ),
]

FETCHING = [
    Scenario("fetch", "cut-answer:half", f"{_FETCH}/1"),
    Scenario("fetch", "cut-answer:9", f"{_FETCH}/*#3"),
    Scenario("fetch", "half-chunk", f"{_FETCH}/0"),
    Scenario("fetch", "drop-answer", f"{_FETCH}/*#1-2"),
    Scenario("fetch", "reset-answer", f"{_FETCH}/2"),
    Scenario("fetch", "status:503", f"{_FETCH}/*#2-4"),
    Scenario("fetch", "status:500", f"{_FETCH}/1"),
    Scenario("fetch", "trickle:9", f"{_FETCH}/1"),
    Scenario("fetch", "stall-answer:500", f"{_FETCH}/1"),
    Scenario("fetch", "no-length", f"{_FETCH}/*#1+"),
    Scenario("fetch", "no-length:half", f"{_FETCH}/0"),
    Scenario("fetch", "no-length:-3", f"{_FETCH}/1"),
    Scenario("fetch", "no-length:half", f"{_FETCH}/2"),
    Scenario("fetch", "short:half", f"{_FETCH}/1"),
    Scenario("fetch", "short:0", f"{_FETCH}/1"),
    Scenario("fetch", "short:-20", f"{_FETCH}/2"),
    Scenario("fetch", "flip:half", f"{_FETCH}/1"),
    Scenario("fetch", "name:other.nii.gz", f"{_FETCH}/0"),
    Scenario("fetch", "name:../../escape", f"{_FETCH}/0"),
    Scenario("fetch", "no-name", f"{_FETCH}/1"),
    Scenario("fetch", "index:2", f"{_FETCH}/0"),
    Scenario("fetch", "swap:1", f"{_FETCH}/0"),
    Scenario("fetch", "swap:0", f"{_FETCH}/2"),
    Scenario("fetch", "half-chunk", _FETCH),
    Scenario("fetch", "no-length:half", _FETCH),
    Scenario("fetch", "short:0", f"{_FETCH}#1"),
    Scenario("fetch", "lost-line:0", _FETCH),
    Scenario("fetch", "lost-line:2", f"{_FETCH}#2"),
    Scenario("fetch", "refuse:0.1", f"{_FETCH}/0"),
    Scenario("fetch", "close-idle", f"{_FETCH}*#1+"),
    Scenario("fetch, 3 at once", "cut-answer:half", f"{_FETCH}/1"),
    Scenario("fetch, 3 at once", "status:503", f"{_FETCH}/*#1-4"),
    Scenario("fetch, 3 at once", "swap:1", f"{_FETCH}/0"),
    Scenario("fetch, 3 at once", "index:0", f"{_FETCH}/2"),
    Scenario("fetch in two", "drop-answer", f"{_FETCH}/1"),
    Scenario("fetch in two", "cut-answer:half", f"{_FETCH}/2"),
    for_ever("fetch", "name:other.nii.gz", f"{_FETCH}/0#1+", "TransferFailed", _C),
    for_ever("fetch", "no-name", f"{_FETCH}/*#1+", "TransferFailed", _C, "without its name"),
    for_ever("fetch", "swap:1", f"{_FETCH}/0#1+", "TransferFailed", _C, "layer_000"),
    for_ever("fetch", "cut-answer:half", f"{_FETCH}/1#1+", "TransferFailed", _C, "cut off"),
    for_ever("fetch", "short:half", f"{_FETCH}/1#1+", "TransferFailed", _C, "layer_001"),
    for_ever("fetch", "refuse", f"{_FETCH}/1", "NetworkFailed", _C),
    Scenario("download", "cut-answer:half", f"{_GET}/1"),
    Scenario("download", "cut-answer:-1", f"{_GET}/0"),
    Scenario("download", "half-chunk", f"{_GET}/1"),
    Scenario("download", "no-length:half", f"{_GET}/1"),
    Scenario("download", "short:half", f"{_GET}/0"),
    Scenario("download", "short:half", f"{_GET}/2"),
    Scenario("download", "swap:1", f"{_GET}/0"),
    Scenario("download", "index:1", f"{_GET}/0"),
    Scenario("download", "reset-answer", f"{_GET}/2"),
    for_ever("download", "status:503", f"{_GET}/2#1+", "ServerFailed", _DONE),
    Scenario("attachment", "drop-answer", "GET blobs/*"),
    Scenario("attachment", "half-chunk", "GET blobs/*"),
    Scenario("attachment", "cut-answer:half", "GET blobs/*"),
    for_ever("attachment", "no-length:half", "GET blobs/*#1+", "TransferFailed", _DONE),
]

KILLS = [
    unknown("create", "kill-before", _CREATE, "no ticket", _MADE),
    unknown("create", "kill-after", _CREATE, "init", _MADE),
    Scenario("submit", "kill-during", f"{_INPUT}#1"),
    Scenario("submit", "kill-after", f"{_INPUT}#2"),
    Scenario("submit", "kill-during", f"{_INPUT}#3"),
    Scenario("make ready", "kill-after", _STATUS),
    unknown("claim", "kill-before", _CLAIM, "ready, input whole", _TAKEN),
    unknown("claim", "kill-after", _CLAIM, _C, _TAKEN),
    Scenario("fetch", "kill-during-answer:half", f"{_FETCH}/1"),
    unknown("log", "kill-after", _LOG, "claimed, 1 claim, 1 line, input whole", _LINE),
    unknown("attach", "kill-during", _ATTACH, _C, _ATTACHED),
    unknown(
        "attach", "kill-after", _ATTACH, "claimed, 1 claim, 1 attachment, input whole", _ATTACHED
    ),
    Scenario("progress", "kill-after", _PROGRESS),
    Scenario("deliver", "kill-after", f"{_RESULTS}#3"),
    Scenario("succeed", "kill-before", _PRO_STATUS),
    Scenario("succeed", "kill-after", _PRO_STATUS),
]

ADMINISTERING = [
    unknown("add a user", "drop-answer", _USERS, "1 user", "the list tells"),
    unknown("add a user", "status:503", _USERS, "0 user", "the list tells"),
    Scenario("add a user", "refuse:0.1", "start"),
    Scenario("all tickets", "half-chunk", "GET api/admin/tickets"),
]

WHOLE = [
    Scenario("whole", "delay:0.02", "* *#1+"),
    Scenario("whole", "drop-answer", "GET *#1-3"),
    Scenario("whole", "status:503", "GET *#5-8"),
    Scenario("whole", "kill-during", f"{_RESULTS}#2"),
]

_WAYS = ("head", "heads", "continue", "body", "chunks")
# What may be repeated meets an answer without an end in each of the ways, then the right one.
_EACH = [
    ("services", _SERVICES),
    ("status", "GET api/tickets/*/status"),
    ("follow", "GET api/tickets/*/detail*"),
    ("take up", _INPUT),
    ("take up", _LISTED),
    ("make ready", "* *"),
    ("delete", "GET api/tickets/*/delete"),
    ("retry", "* *"),
    ("progress", _PROGRESS),
    ("fetch", _FETCH),
    ("fetch", f"{_FETCH}/*"),
    ("deliver", _RESULTS),
    ("succeed", "* *"),
    ("download", _GET),
    ("download", f"{_GET}/*"),
    ("attachment", "GET blobs/*"),
    ("all tickets", "GET api/admin/tickets"),
]
# What may not, ends with the first.
_ONCE = [
    ("login", _LOGIN, "token used", _TOKEN),
    ("create", _CREATE, "init", _MADE),
    ("claim", _CLAIM, _C, _TAKEN),
    ("log", _LOG, "claimed, 1 claim, 1 line, input whole", _LINE),
    ("attach", _ATTACH, "claimed, 1 claim, 1 attachment, input whole", _ATTACHED),
    ("add a user", _USERS, "1 user", "the list tells"),
]
ENDLESS = [
    *(Scenario(flow, "endless", f"{at}#1-{len(_WAYS)}") for flow, at in _EACH),
    *(
        unknown(flow, f"endless:{way}", at, server, says)
        for flow, at, server, says in _ONCE
        for way in _WAYS
    ),
    for_ever("services", "endless", f"{_SERVICES}#1+", "NetworkFailed", "no ticket", "timed out"),
    for_ever("fetch", "endless:body", f"{_FETCH}/1#1+", "NetworkFailed", _C, "less than 64 kB"),
    for_ever("deliver", "endless", f"{_RESULTS}#2+", "NetworkFailed", f"{_C}, results 2 of 3"),
]

GROUPS = {
    "Logging in": LOGINS,
    "Reading": READING,
    "Making a ticket": CREATING,
    "Sending files": SENDING,
    "States of a ticket": STATES,
    "Claiming": CLAIMING,
    "Log and attachments": REPORTING,
    "Fetching files": FETCHING,
    "The server killed and started again": KILLS,
    "Answers without an end": ENDLESS,
    "Administering": ADMINISTERING,
    "A whole ticket": WHOLE,
}
SCENARIOS = [scenario for group in GROUPS.values() for scenario in group]
