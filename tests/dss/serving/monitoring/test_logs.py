"""How log records look: one line each, for people and for programs."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dss.serving.monitoring.logs import AsJson, Plain, duration, showing, size

LOG = logging.getLogger("dss.serving")
AT = 1_800_000_000.1234
CLOCK = f"{datetime.fromtimestamp(AT):%H:%M:%S}"
SAID = {"ticket": 12, "service": "MRI-NeckCut", "step": "downloaded", "seconds": 0.31}
SAID["bytes"] = 1_234_567


def record(message, *args, level=logging.INFO, error=None, **extra):
    exc_info = (type(error), error, error.__traceback__) if error else None
    made = LOG.makeRecord("dss.serving", level, "f.py", 1, message, args, exc_info, extra=extra)
    made.created = AT
    return made


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        (SAID, "ticket 12 MRI-NeckCut: downloaded in 0.3 s, 1.2 MB"),
        ({**SAID, "bytes": None}, "ticket 12 MRI-NeckCut: downloaded in 0.3 s"),
        ({**SAID, "seconds": None}, "ticket 12 MRI-NeckCut: downloaded, 1.2 MB"),
        ({"ticket": 12}, "ticket 12: downloaded"),
        ({"service": "MRI-NeckCut"}, "MRI-NeckCut: downloaded"),
        ({"seconds": 0.0, "bytes": 0}, "downloaded in 0.0 s, 0 bytes"),
        ({"unknown": 1}, "downloaded"),
    ],
)
def test_a_plain_line(extra, line):
    assert Plain().format(record("downloaded", **extra)) == f"{CLOCK} {line}"


def test_a_warning_says_that_it_is_one():
    warning = record("%s is away", "the server", level=logging.WARNING, ticket=12)
    assert Plain().format(warning) == f"{CLOCK} ticket 12: warning: the server is away"


def test_a_plain_line_ends_with_the_error():
    failed = record("stopped", level=logging.ERROR, error=ValueError("no\nhead"), ticket=12)
    assert Plain().format(failed) == f"{CLOCK} ticket 12: error: stopped: ValueError: no head"


def test_a_plain_line_leaves_the_terminal_as_it_is():
    line = Plain().format(record("a\x1b[2J\r\nb\u202ec", service="x\x07\u2028y"))
    assert line == f"{CLOCK} x y: a [2J b c"


@given(st.text(), st.text())
def test_a_plain_line_is_one(message, service):
    line = Plain().format(record("%s", message, service=service))
    assert line.isprintable()
    assert line.splitlines() == [line]


def test_a_json_line():
    assert json.loads(AsJson().format(record("%d files", 3, **SAID))) == {
        "time": "2027-01-15T08:00:00.123+00:00",
        "level": "info",
        "message": "3 files",
        **SAID,
    }


def test_a_json_line_leaves_out_what_is_not_said():
    line = json.loads(AsJson().format(record("idle", ticket=None, seconds=0.0, unknown=1)))
    assert line == {
        "time": "2027-01-15T08:00:00.123+00:00",
        "level": "info",
        "message": "idle",
        "seconds": 0.0,
    }


def test_a_json_line_has_the_error():
    try:
        raise ValueError("no head")
    except ValueError as error:
        line = AsJson().format(record("stopped", level=logging.ERROR, error=error))
    assert "\n" not in line
    found = json.loads(line)
    assert found["level"] == "error"
    assert found["error"].startswith("Traceback")
    assert found["error"].endswith("ValueError: no head")


@given(st.text(st.characters(codec=None)), st.text())
def test_a_json_line_is_one_in_ascii(message, service):
    line = AsJson().format(record("%s", message, service=service))
    assert line.isascii()
    assert line.isprintable()
    found = json.loads(line)
    assert (found["message"], found["service"]) == (message, service)
    assert datetime.fromisoformat(found["time"]).tzinfo == timezone.utc


@pytest.mark.parametrize("as_json", [False, True])
def test_the_log_is_shown_until_the_end_of_the_block(as_json):
    dss, stream = logging.getLogger("dss"), io.StringIO()
    before = (dss.level, list(dss.handlers))
    with showing(stream, as_json=as_json):
        LOG.debug("a detail")
        LOG.info("downloaded", extra=SAID)
        logging.getLogger("urllib3").error("not of ours")
    LOG.error("too late")
    (line,) = stream.getvalue().splitlines()
    if as_json:
        assert json.loads(line).items() >= SAID.items()
    else:
        assert re.fullmatch(r"\d\d:\d\d:\d\d ticket 12 MRI-NeckCut: downloaded in .*", line)
    assert (dss.level, list(dss.handlers)) == before


def test_details_are_shown_on_demand():
    stream = io.StringIO()
    with showing(stream, as_json=False, level=logging.DEBUG):
        LOG.debug("a detail")
    assert stream.getvalue().endswith(" a detail\n")


def test_a_terminal_that_is_gone_ends_nothing(monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    with showing(Gone(), as_json=False):
        LOG.info("downloaded")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.31, "0.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (312.4, "5 min 12 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (86400, "1 d 00 h"),
        (100 * 86400 + 4 * 3600, "100 d 04 h"),
    ],
)
def test_a_duration_for_people(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (1_234_567, "1.2 MB"),
        (5 * 10**9, "5.0 GB"),
        (3 * 10**15, "3000.0 TB"),
    ],
)
def test_a_size_for_people(count, text):
    assert size(count) == text
