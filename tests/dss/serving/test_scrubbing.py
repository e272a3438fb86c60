"""What is taken out of what a failure says."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path

import pytest

from dss.serving.scrubbing import scrubbed as scrub


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("cannot read /home/jane/lab/scan.nii.gz", "cannot read scan.nii.gz"),
        ("cannot read '/home/jane doe/my scans/scan.nii'", "cannot read 'scan.nii'"),
        (r"cannot read C:\Users\jane\scan.nii", "cannot read scan.nii"),
        (r"cannot read C:\\Users\\jane\\scan.nii", "cannot read scan.nii"),
        (r"\\server\share\scan.nii is gone", "scan.nii is gone"),
        ('File "/usr/lib/python3/x.py", line 3', 'File "x.py", line 3'),
        ("/a/b/c:/d/e/f", "…:…"),
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
        ("no /lab, nor C:/lab", "no …, nor …"),
        ("[INFO]/patients/scan.nii", "[INFO]scan.nii"),
        ("[Errno 2]:/patients/scan.nii", "[Errno 2]:scan.nii"),
        ("\x1b[31m/patients/scan.nii", "\x1b[31mscan.nii"),
        (r"'no\n/patients/scan.nii'", r"'no\nscan.nii'"),
        (r"'no\nC:\patients\scan.nii'", r"'no\nscan.nii'"),
        (r"'no\n\patients\scan.nii'", r"'no\nscan.nii'"),
        (r'{"at":"\/patients\/scan.nii"}', '{"at":"scan.nii"}'),
        ('"/patients/O\'Brien_Jane/x.nii"', '"x.nii"'),
        ("/patients/O'Brien_Jane/x.nii", "x.nii"),
        ("'/patients/Doe, Jane (1980)/x.nii'", "'x.nii'"),
        ("b'/patients/Doe, Jane  (1980)/x.nii'", "b'x.nii'"),
        ("'patients of 2024-01-01T10:00:00/jane/x.nii'", "'x.nii'"),
        (r"'C:\\Users\\Doe, jane\\x.nii'", "'x.nii'"),
        (r"'patients\\Doe, jane\\x.nii'", "'x.nii'"),
        ("'Doe, jane/x.nii'", "'x.nii'"),
        ("no jane_doe/x.nii", "no x.nii"),
        ("no patients/jane_doe/1980", "no …"),
        (r"no patients\jane_doe\x.nii", "no x.nii"),
        ("no ./patients/x.nii", "no x.nii"),
        ("no ../patients/x.nii", "no x.nii"),
        ("no ~jane/patients/x.nii", "no x.nii"),
        ("no /patients/jane_doe: denied", "no …: denied"),
        ("-I/patients/x.nii", "x.nii"),
        ("x/patients/x.nii", "x.nii"),
        (r"b'\xff/patients/x.nii'", r"b'\xffx.nii'"),
        (r"'\udcf6/patients/x.nii'", r"'\udcf6x.nii'"),
        ("file://mri-7/patients/jane/x.nii", "x.nii"),
        ("sftp://jane:secret@mri-7/patients/x.nii", "x.nii"),
        ("s3://patients/jane/x.nii", "x.nii"),
        ("at https://jane:secret@dss.example.org/a?of=jane", "at https://…@dss.example.org/a?…"),
        ("born 01/02/1980", "born …"),
        ("C:\\patients of 2024\\of jane\\scan.nii", "scan.nii"),
        *(
            (line, None)
            for line in (
                "x = 1 / 0",
                "x = total/np.sum(x) * a/b/c",
                "no unit 'mm/s', no type 'text/plain', and/or 'a/b'",
                r"KeyError: 'one\ntwo\nthree' one\ntwo\nthree",
                "it can't, it isn't: 'x'",
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
    scrubbed = scrub(text)
    if left is None:
        assert scrubbed == text
    else:
        assert scrubbed.removeprefix("file://") == left
    assert "jane" not in scrubbed
    assert "patients" not in scrubbed


@pytest.mark.parametrize("host", ["mri-7", "mri-7.hospital.example"])
def test_names(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "jdoe")
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    monkeypatch.setattr(socket, "getfqdn", lambda: "mri-7.hospital.example")
    text = "jdoe@mri-7.hospital.example on mri-7: jdoes mri-70 (jdoe), JDoe at MRI-7, jdoe_tmp"
    scrubbed = scrub(text)
    assert "hospital" not in scrubbed
    assert scrubbed.endswith("on …: jdoes mri-70 (…), … at …, …_tmp")


def test_a_user_without_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setattr(Path, "home", homeless)
    assert scrub("a word") == "a word"


@pytest.mark.parametrize("word", ["a-", "a.", "-", "'", "~", "a:", "../", "ab/", "a b "])
def test_long_words_come_to_an_end(word: str) -> None:
    """A program may print a million signs without a blank; none may look at all that follow."""
    text = word * (2**19 // len(word))
    assert len(scrub(text)) <= len(text)
