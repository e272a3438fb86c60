"""What a file says does not steer the terminal; programs get it as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

import pytest

from snapws import Workspace

# Clears the screen, turns what follows, and makes the next line.
STEERING = "a\x9b2Jb\u202ec\x7fd"
PLAIN = "a?2Jb?c?d"
WORDS = {
    "registry get": ["registry", "get", "study.itksnap", "Odd"],
    "layers files": ["layers", "files", "study.itksnap", "--tag", "Target"],
    "layers pick": ["layers", "pick", "study.itksnap", "M"],
}


@pytest.fixture
def odd(study):
    """The study, with a main image, a folder and an entry of such names."""
    opened = Workspace.open(study / "study.itksnap")
    opened.registry["Odd"] = STEERING
    if os.name != "nt":
        (study / f"{STEERING}.nii.gz").write_bytes((study / "t1.nii.gz").read_bytes())
        opened.main.file = str(study / f"{STEERING}.nii.gz")
    opened.save()
    return opened


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("registry set study.itksnap Odd x --dry-run", id="dry run"),
        pytest.param("info study.itksnap", id="info"),
        pytest.param("layers list study.itksnap", id="layers list"),
    ],
)
def test_what_people_read_is_without_control_characters(snapws, odd, line):
    shown = snapws(line).output
    assert not {"\x9b", "\u202e", "\x7f"} & {*shown}


def test_problems_are_told_without_control_characters(snapws, odd):
    odd.main.file = f"/none/{STEERING}.nii.gz"
    odd.save()
    assert f"/none/{PLAIN}.nii.gz" in snapws("check study.itksnap", 1).output


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names, nor terminals of this kind")
@pytest.mark.parametrize("command", WORDS)
def test_programs_get_values_and_names_as_they_are_and_terminals_do_not(odd, command):
    import pty

    code = "import sys; from snapws.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", code, *WORDS[command]]
    piped = subprocess.run(words, capture_output=True, check=True, encoding="utf-8")
    assert STEERING in piped.stdout
    ours, theirs = pty.openpty()
    with subprocess.Popen(words, stdout=theirs) as program:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # so Linux says that the other side has ended
            while piece := os.read(ours, 1000):
                shown += piece
        assert program.wait() == 0
    os.close(ours)
    assert PLAIN in shown.decode()
    assert STEERING not in shown.decode()
