"""What is told of a failure, and what is not."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from dss.errors import CommandFailed, ServiceError
from dss.serving import failure


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no head"), "ValueError: no head"),
        (KeyError("Target"), "KeyError: 'Target'"),
        (RuntimeError("no head in this image"), "no head in this image"),
        (ServiceError("no head"), "no head"),
        (RuntimeError(), "RuntimeError"),
        (RuntimeError("  one\n\n two\t"), "one two"),
        (MemoryError("Unable to allocate 3 GiB"), "Unable to allocate 3 GiB"),
        (MemoryError(), "MemoryError"),
        (SystemExit(3), "SystemExit: 3"),
        (RuntimeError("a\x1b[31mb\x00c\u202ed"), "a [31mb c d"),
        (RuntimeError("x" * 9000), "x" * 500),
    ],
)
def test_told(error: BaseException, said: str) -> None:
    assert failure.told(error) == said


def test_told_of_anything() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise KeyError

    assert "Mute" in failure.told(Mute())
    full = failure.full(RuntimeError("a \ud800"), Path(__file__))
    for text in (failure.told(RuntimeError("a \udce9")), full):
        assert text.encode("utf-8")


def test_full() -> None:
    try:
        Path("/home/jane/lab").joinpath("scan.nii").read_bytes()
    except OSError as error:
        text = failure.full(error, Path(__file__))
    assert text.startswith("Traceback (most recent call last):\n")
    assert 'File "test_failure.py", line' in text
    assert str(Path(__file__).parent) not in text
    assert "scan.nii" in text
    assert "/home/jane/lab/scan" not in text


def test_located(tmp_path: Path) -> None:
    file = tmp_path / "service.py"
    file.write_text("\n\nraise ValueError('not here')\n", encoding="ascii")
    with pytest.raises(ValueError, match="not here") as raised:
        exec(compile(file.read_text(), str(file), "exec"))
    assert failure.located(raised.value, file) == "ValueError: not here (service.py, line 3)"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "its process ended with exit code 0"),
        (3, "its process ended with exit code 3"),
        (-signal.SIGSEGV, "its process was ended by SIGSEGV"),
        (-9, "its process was ended by SIGKILL: perhaps for want of memory"),
        (-63, "its process was ended by signal 63"),
    ],
)
def test_ended(code: int, said: str) -> None:
    if signal.SIGSEGV and hasattr(signal, "SIGKILL"):
        assert failure.ended(code) == said


def test_command_failed() -> None:
    error = CommandFailed("greedy failed, exit code 1: no word", output=Path("x"))
    assert failure.told(error) == "greedy failed, exit code 1: no word"
