"""Every recorded DSS command, replayed in its order through the drop-in and the middleware.

The recording is one run of the reference: a login, an administrator's set-up, a user's tickets and
a provider's work on them. Its user was the first of the middleware and an administrator; here that
is `ADMINISTRATOR`. A row is equal to the recording, or it stands in `DEVIATIONS`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dss import Middleware
from dss.middleware import ADMINISTRATOR
from tests import warm
from tests.conformance import replay
from tests.conformance.deviations import Deviation, Row
from tests.conformance.replay import Result

RECORDED = json.loads((replay.RECORDINGS / "dss_commands.json").read_text(encoding="utf-8"))
COMMANDS = [row for row in RECORDED if "argv" in row]
FILES = {row["file"].split("_")[0]: row for row in RECORDED if "file" in row}
USER = "test@example.com"
SERVICE = next(row for row in COMMANDS if "-dss-services-detail" in row["argv"])
LEFT_OVER = "prefix: "


def _prints_no_left_over(result: Result, row: Row) -> None:
    assert result.rc == row["rc"]
    recorded = [line for line in comparable(row) if not line.startswith(LEFT_OVER)]
    assert replay.lines(result.stdout) == recorded


_LEFT_OVER = Deviation("a left-over of the reference's debugging", _prints_no_left_over)

#: By the command.
DEVIATIONS: dict[str, Deviation] = {
    "-dssa-providers-add": _LEFT_OVER,
    "-dssa-providers-users-add": _LEFT_OVER,
    "-dssa-providers-services-add": _LEFT_OVER,
    "-dssa-providers-services-delete": _LEFT_OVER,
    "-dssa-providers-users-delete": _LEFT_OVER,
    "-dssa-providers-delete": _LEFT_OVER,
}


def comparable(row: Row) -> list[str]:
    """Return the lines of a recorded output as `Run` writes its own."""
    return in_order(row["argv"], replay.lines(without_chance(row["stdout"])))


def without_chance(text: str) -> str:
    """Write out of a text what differs from run to run: times, sizes, addresses of attachments."""
    text = re.sub(r"\b1[0-9]{9}\b", "{TIME}", text)
    text = re.sub(r"/blobs/[0-9a-f]+", "/blobs/{ID}", text)
    text = re.sub(r"\(\d+\.\d Mb in \d+\.\d s\)", "({SIZE} Mb in {SECONDS} s)", text)
    return re.sub(r"(?m)^(Exported workspace to|Upload) \S+[/\\]", r"\1 {TMP}/", text)


def in_order(argv: list[str], lines: list[str]) -> list[str]:
    """Sort the lines about files, whose order is the server's; all others stay where they are."""
    about_files = [line for line in lines if re.search(r"\.(itksnap|nii\.gz)\b", line)]
    if not any(re.search("-download|-upload|-create", word) for word in argv):
        return lines
    ordered = iter(sorted(about_files))
    return [next(ordered) if line in about_files else line for line in lines]


class Replay:
    """The whole recording, run once."""

    def __init__(self, folder: Path, server: Middleware) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self._folder = folder / "run"
        replay.place_inputs(self._folder)
        self._places = {
            "{URL}": server.url,
            "{SERVICE_REPO}": str(repository(folder / "service")),
            "{TOKEN}": server.add_user(ADMINISTRATOR, admin=True, tier="poweruser"),
            "{DIR}": self._folder.as_posix(),
            USER: ADMINISTRATOR,
        }
        self.results = [self._run(row) for row in COMMANDS]

    def _run(self, row: Row) -> Result:
        environment = {**os.environ, "HOME": str(self.home), "USERPROFILE": str(self.home)}
        environment.pop("ITKSNAP_WT_DSS_SERVER", None)
        done = warm.run(
            "snapws-wt",
            *map(self._placed, row["argv"]),
            given=self._placed(row["stdin"] or ""),
            cwd=self._folder,
            environment=environment,
        )
        if "-dssa-providers-services-add" in row["argv"]:
            self._places["{HASH}"] = done.stdout.split()[-1]
        out = in_order(row["argv"], without_chance(self._unplaced(done.stdout)).splitlines())
        return Result(self._folder, done.returncode, "\n".join(out), self._unplaced(done.stderr))

    def _placed(self, text: str) -> str:
        for place, value in self._places.items():
            text = text.replace(place, value)
        return text

    def _unplaced(self, text: str) -> str:
        for place, value in self._places.items():
            text = text.replace(value, place)
        return text


def repository(folder: Path) -> Path:
    """Make the git repository of the recorded service, on its branch."""
    folder.mkdir()
    (folder / "service.json").write_text(SERVICE["stdout"].partition("> ")[2])
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    for words in (
        ["init", "--quiet", "--template="],
        ["symbolic-ref", "HEAD", "refs/heads/master"],
        ["add", "service.json"],
        [*who, "commit", "--quiet", "--no-verify", "-m", "Describe the service"],
    ):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    folder = tmp_path_factory.mktemp("dss_commands")
    with Middleware(folder / "middleware") as server:
        return Replay(folder, server)


@pytest.mark.parametrize("number", range(len(COMMANDS)))
def test_dss_command(number: int, replayed: Replay, count: Callable[[str, str], None]) -> None:
    row, result = COMMANDS[number], replayed.results[number]
    count("dss_commands.json", "recorded")
    equal = (result.rc, replay.lines(result.stdout)) == (row["rc"], comparable(row))
    deviation = next((DEVIATIONS[word] for word in row["argv"] if word in DEVIATIONS), None)
    if deviation is None:
        assert replay.lines(result.stdout) == comparable(row), result.stderr
        assert result.rc == row["rc"], result.stderr
        count("dss_commands.json", "equal")
    else:
        assert not equal, "the row is equal: take it off the list of deviations"
        deviation.check(result, row)
        count("dss_commands.json", "deviating")
    # An error is one line that names its command, as the recording does; without one, no word.
    command = re.search(r"for command (\S+) : ", row["stderr"])
    if command:
        assert result.stderr.startswith(f"snapws-wt: error for command {command[1]} : ")
        assert len(result.stderr.splitlines()) == 1
    else:
        assert result.stderr == row["stderr"]


def test_every_deviation_is_a_recorded_command() -> None:
    assert set(DEVIATIONS) <= {word for row in COMMANDS for word in row["argv"]}


def test_the_login_is_kept_where_the_reference_keeps_it(replayed: Replay) -> None:
    kept = replayed.home / ".alfabis"
    server = (kept / "server").read_text()
    assert replayed._unplaced(server) == FILES["server"]["text"]
    digest = hashlib.md5(server.encode(), usedforsecurity=False).hexdigest()
    assert {path.name for path in kept.iterdir()} == {"server", f"cookie_{digest}.jar"}
    ours = (kept / f"cookie_{digest}.jar").read_text().splitlines()
    theirs = FILES["cookie"]["text"].splitlines()
    assert ours[0] == theirs[0]
    assert ours[-1].split("\t")[:-1] == theirs[-1].split("\t")[:-1]
    if sys.platform != "win32":
        # On purpose not 0644 as the reference: it is a login.
        assert {path.stat().st_mode & 0o777 for path in kept.iterdir()} == {0o600}
