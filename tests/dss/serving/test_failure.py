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
def test_a_reason_is_one_line_for_the_user(error: BaseException, said: str) -> None:
    assert failure.told(error) == said


def test_a_reason_is_made_of_any_exception() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise KeyError

    assert "Mute" in failure.told(Mute())
    full = failure.full(RuntimeError("a \ud800"), Path(__file__))
    for text in (failure.told(RuntimeError("a \udce9")), full):
        assert text.encode("utf-8")


def test_a_traceback_names_no_folders() -> None:
    try:
        Path("/home/jane/lab").joinpath("scan.nii").read_bytes()
    except OSError as error:
        text = failure.full(error, Path(__file__))
    assert text.startswith("Traceback (most recent call last):\n")
    assert 'File "test_failure.py", line' in text
    assert str(Path(__file__).parent) not in text
    assert "scan.nii" in text
    assert "/home/jane/lab/scan" not in text


def test_an_error_is_located_in_the_service_file(tmp_path: Path) -> None:
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
def test_the_end_of_a_process_is_described(code: int, said: str) -> None:
    if signal.SIGSEGV and hasattr(signal, "SIGKILL"):
        assert failure.ended(code) == said


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ("progress 1%\r" * 5000 + "no head", "progress 1%\r" * 2000 + "no head"),
        ("word " * 10_000 + "no head", "word " * 5000 + "no head"),
        ("word " * 10_000 + "no head\n", "word " * 5000 + "no head\n"),
        ("QUJD" * 10_000 + " no head", "QUJD" * 5000 + " no head"),
        ("QUJD" * 10_000 + " no head\n", "QUJD" * 5000 + " no head\n"),
        ("QUJD" * 10_000, "QUJD" * 5000),
        ("QUJD" * 10_000 + "\n", "QUJD" * 5000 + "\n"),
        ("a line\n" * 10_000 + "no head\n\n", "a line\n" * 4000 + "no head\n\n"),
    ],
    ids=["bar", "words", "a line", "one word", "and a line", "nothing else", "end", "lines"],
)
def test_the_end_of_much_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, kept: str
) -> None:
    """Whether or not it has lines."""
    monkeypatch.setattr("dss.serving.failure._READ", 2**15)
    output = tmp_path / "output.txt"
    output.write_bytes(before.encode())
    said = failure.printed(output)
    assert said.endswith(kept)
    assert len(said) <= 2**15


def test_much_output_begins_with_no_half_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that is cut in the middle nothing tells that it is one."""
    monkeypatch.setattr("dss.serving.failure._READ", 2**15)
    output = tmp_path / "output.txt"
    end = b" then\nall the rest"
    for cut in range(1, 40):
        path = b"/home/jane/Doe_Jane_1970/scan"
        rest = b"x" * (2**15 - cut - len(end))
        output.write_bytes(path + end + rest)
        assert "jane" not in failure.printed(output).lower()


def test_a_failed_command_is_its_own_reason() -> None:
    error = CommandFailed("greedy failed, exit code 1: no output", output=Path("x"))
    assert failure.told(error) == "greedy failed, exit code 1: no output"
