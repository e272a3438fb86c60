"""Every recorded command line, replayed through the drop-in.

All rows of ``commands.json`` are covered: each runs the library through its command. A row is equal
to the recording, or it stands in `deviations` with its reason and a check of its own.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conformance import deviations, replay

COMMANDS = json.loads((replay.RECORDINGS / "commands.json").read_text(encoding="utf-8"))
SHARED = Path(__file__).parents[3] / "shared"
CORPUS_RECORDING = SHARED / "recordings" / "corpus.json"
CORPUS = (
    json.loads(CORPUS_RECORDING.read_text(encoding="utf-8")) if CORPUS_RECORDING.exists() else {}
)


@pytest.mark.parametrize("name", COMMANDS)
def test_command(name, tmp_path, count):
    row = COMMANDS[name]
    count("commands.json", "recorded")
    result = replay.run(row, tmp_path / "run")
    deviation = deviations.COMMANDS.get(name)
    if deviation is None:
        assert result.differences(row) == []
        count("commands.json", "equal")
    else:
        assert result.differences(row), "the row is equal: take it off the list of deviations"
        deviation.check(result, row)
        count("commands.json", "deviating")
    if row["rc"] != 0 and result.rc != 0 and row["stderr"]:
        # An error names its command, as the recording does.
        command = re.search(r"for command (\S+) : ", row["stderr"])
        if command:
            assert f"for command {command[1]} : " in result.stderr


def test_every_deviation_is_a_recorded_row():
    assert set(deviations.COMMANDS) <= set(COMMANDS)


@pytest.mark.skipif(not CORPUS, reason="the corpus of other people's files is not on this machine")
@pytest.mark.parametrize("name", CORPUS)
def test_corpus(name, tmp_path, count):
    recorded = CORPUS[name]
    row = {**recorded, "files": {}}
    if recorded["out.itksnap"] is not None:
        row["files"]["out.itksnap"] = recorded["out.itksnap"]
    count("corpus.json", "recorded")
    result = replay.run(row, tmp_path / "run", SHARED / "corpus" / name)
    text = result.files.get("out.itksnap")
    if text is not None and recorded["out.itksnap"] is not None:
        # The reference drops the header comment; the project keeps it.
        result.files["out.itksnap"] = re.sub(r"<!--.*?-->\n", "", text, flags=re.DOTALL)
    deviation = next(
        (value for key, value in deviations.CORPUS.items() if name.startswith(key)), None
    )
    if deviation is None:
        assert result.differences(row) == []
        count("corpus.json", "equal")
    else:
        deviation.check(result, row)
        count("corpus.json", "deviating")
