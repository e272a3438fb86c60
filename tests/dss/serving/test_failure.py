"""What is told of a failure, and what is not."""

from __future__ import annotations

import getpass
import signal
import socket
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


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("cannot read /home/jane/lab/scan.nii.gz", "cannot read scan.nii.gz"),
        ("cannot read '/home/jane doe/my scans/scan.nii'", "cannot read 'scan.nii'"),
        (r"cannot read C:\Users\jane\scan.nii", "cannot read scan.nii"),
        (r"cannot read C:\\Users\\jane\\scan.nii", "cannot read scan.nii"),
        (r"\\server\share\scan.nii is gone", "scan.nii is gone"),
        ('File "/usr/lib/python3/x.py", line 3', 'File "x.py", line 3'),
        ("/a/b/c:/d/e/f", "c:f"),
        ("--out=/data/patients/x.nii", "--out=x.nii"),
        ("(/data/patients/x.nii)", "(x.nii)"),
        ("file:///data/patients/x.nii", "x.nii"),
        ("/data/patients/", "…"),
        ("3 mm/s and/or 1/2", "3 mm/s and/or 1/2"),
        ("no answer from https://dss.example.org/api/x", None),
        ("ratio a/b: 0.5", "ratio a/b: 0.5"),
        ("//server/share/patients/x.nii", "x.nii"),
        (r"'\\\\server\\share\\patients\\x.nii'", "'x.nii'"),
        (r"\\s\patients\x.nii", "x.nii"),
        (r"no \Users\jane\scan.nii", "no scan.nii"),
        ("no /.patients/-1/scan.nii", "no scan.nii"),
        ("no /lab, nor C:/lab", "no lab, nor lab"),
        ("[INFO]/patients/scan.nii", "[INFO]scan.nii"),
        ("[Errno 2]:/patients/scan.nii", "[Errno 2]:scan.nii"),
        ("\x1b[31m/patients/scan.nii", "\x1b[31mscan.nii"),
        (r"'no\n/patients/scan.nii'", r"'no\nscan.nii'"),
        (r"'no\nC:\patients\scan.nii'", r"'no\nscan.nii'"),
        (r"'no\n\patients\scan.nii'", r"'no\nscan.nii'"),
        (r'{"at":"\/patients\/scan.nii"}', '{"at":"scan.nii"}'),
        ("C:\\patients of 2024\\of jane\\scan.nii", "scan.nii"),
        *(
            (line, None)
            for line in (
                "x = 1 / 0",
                "x /= n // 2",
                "y = x //= 2",
                "(a + b)/2 - c[0]/d[1] * {1}/e",
                "mean = sum(values) / len(values)",
                r"text.split('\n') + '\\n\\t' + '\t' + \"\r\n\" + r'\d+'",
                "'/'.join(parts) or path.split('/')[1:]",
                "// a remark",
                "glob('**/*.nii') / 3",
                "the folder / is full; C:\\ is not",
            )
        ),
    ],
)
def test_paths(text: str, left: str | None) -> None:
    scrubbed = failure.scrubbed(text)
    if left is None:
        assert scrubbed == text
    else:
        assert scrubbed.removeprefix("file://") == left
    assert "jane" not in scrubbed
    assert "patients" not in scrubbed


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "jdoe")
    monkeypatch.setattr(socket, "gethostname", lambda: "mri-7")
    monkeypatch.setattr(socket, "getfqdn", lambda: "mri-7.hospital.example")
    text = "jdoe@mri-7.hospital.example on mri-7: jdoes mri-70 (jdoe)"
    scrubbed = failure.scrubbed(text)
    assert "hospital" not in scrubbed
    assert scrubbed.endswith("on …: jdoes mri-70 (…)")


def test_a_user_without_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setattr(Path, "home", homeless)
    assert failure.scrubbed("a word") == "a word"


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
