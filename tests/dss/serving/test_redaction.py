"""What is taken out of what a failure says."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path

import pytest

from dss.serving.redaction import known_names
from dss.serving.redaction import scrubbed as scrub


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
def test_paths_are_redacted(text: str, left: str | None) -> None:
    scrubbed = scrub(text)
    if left is None:
        assert scrubbed == text
    else:
        assert scrubbed.removeprefix("file://") == left
    assert "jane" not in scrubbed
    assert "patients" not in scrubbed


@pytest.mark.parametrize("host", ["mri-7", "mri-7.hospital.example"])
def test_names_of_user_and_host_are_redacted(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "jdoe")
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    monkeypatch.setattr(socket, "getfqdn", lambda: "mri-7.hospital.example")
    text = "jdoe@mri-7.hospital.example on mri-7: jdoes mri-70 (jdoe), JDoe at MRI-7, jdoe_tmp"
    scrubbed = scrub(text)
    assert "hospital" not in scrubbed
    assert scrubbed.endswith("on …: jdoes mri-70 (…), … at …, …_tmp")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("no folder /home/jane.doe", "no folder …"),
        ("no /home/jane.nii, no /Users/jane.txt", "no …, no …"),
        (r"no C:\Users\jane.doe", "no …"),
        ("no '/home/jane.doe'", "no '…'"),
        ("no /patients/doe.jane, no /patients/doe.jane/x.nii", "no …, no x.nii"),
        ("libfoo.so.1: no /usr/lib/libfoo.so.1", "libfoo.so.1: no libfoo.so.1"),
    ],
)
def test_a_folder_of_a_user_is_no_file(text: str, left: str) -> None:
    assert scrub(text) == left


def test_other_users_and_machines_that_this_one_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    known = frozenset(("jroe", "Jane Roe", "mri-7", "data"))
    monkeypatch.setattr(known_names, "_others", lambda: known)
    text = "jroe (Jane Roe) on mri-7: no data, jroes mri-70"
    assert scrub(text) == "… (…) on …: no data, jroes mri-70"


def test_accounts_of_people_and_hosts_are_known(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nsynth:x:105:105::/var/synth:/bin/false\n"
        "jroe:x:1001:1001:Jane Roe,Ward 7:/home/j.roe:/bin/sh\nbroken line\n"
    )
    (tmp_path / "hosts").write_text("# a remark\n10.0.0.7 mri-7.clinic.example mri-7 # seven\n")
    found = {*known_names._accounts(tmp_path / "passwd"), *known_names._hosts(tmp_path / "hosts")}
    assert found == {"jroe", "j.roe", "Jane Roe", "mri-7.clinic.example", "mri-7"}
    assert list(known_names._hosts(tmp_path / "missing")) == []


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("mail of jane.doe@clinic.example", "mail of …"),
        ("rsync roe@mri-7:x failed", "rsync …:x failed"),
        ("ssh: connect to host mri-7 port 22: refused", "ssh: connect to host … port 22: refused"),
        ("Could not resolve host: mri-7", "Could not resolve host: …"),
        ("Pool(host='pacs.clinic.example', port=4)", "Pool(host='…', port=4)"),
        ("10.4.7.12:104 refused, 127.0.0.1 not", "…:104 refused, 127.0.0.1 not"),
        ("card 00:1b:44:11:3a:b7", "card …"),
        ("no mri-7.ward.local here", "no … here"),
        *(
            (line, None)
            for line in (
                "version 1.2.3, UID 1.2.840.10008.5.1.4",
                "threading.local() of np.linalg.norm, torch.nn.Module",
                "x = A @ B; @dss.service",
            )
        ),
    ],
)
def test_addresses_are_redacted(text: str, left: str | None) -> None:
    assert scrub(text) == (text if left is None else left)


DUMP = (
    "HOME=/home/doe\nUSER=doe\nPATH=/bin:/usr/bin\nFULL_NAME=Jane Doe of Ward 7\nproxy=http://h\n"
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (DUMP, "HOME=…\nUSER=…\nPATH=…\nFULL_NAME=…\nproxy=…\n"),
        (" ".join(DUMP.split("\n")), "HOME=… USER=… PATH=… FULL_NAME=… proxy=http://h "),
        ("A1=x y\nB2=y\nC3=z\nD4=Jane Doe\nE5=1\n", "A1=…\nB2=…\nC3=…\nD4=…\nE5=…\n"),
        (
            "environ({'X': 'a', 'http_proxy': \"it's\", 'N': 3})",
            "environ({'X': '…', 'http_proxy': \"…\", 'N': …})",
        ),
        ('{"USER": "doe", "api_key": "k", "size": 3}', '{"USER": "…", "api_key": "…", "size": 3}'),
        ("password: hunter2 was wrong", "password: … was wrong"),
        ("curl --token abcdef -o x", "curl --token … -o x"),
        ("curl --token=abcdef -o x", "curl --token=… -o x"),
        ("export SECRET_KEY='a b' && run", "export SECRET_KEY='…' && run"),
        ('declare -x AWS_SECRET_ACCESS_KEY="z"', 'declare -x AWS_SECRET_ACCESS_KEY="…"'),
        ("Authorization: Basic YWJjOmRlZg== sent", "Authorization: …"),
        ("got Bearer abcdefghij there", "got Bearer … there"),
        ("Cookie: a=b; c=d", "Cookie: …"),
        ("session_id = 'abc' in f()", "session_id = '…' in f()"),
        ("ghp_0123456789abcdef", "…"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----.", "…."),
        *(
            (line, None)
            for line in (
                "SIZE=512 is too large, MODE: fast",
                "KeyError: 'token'",
                "tokenize.TokenError: ('EOF in multi-line statement', (2, 0))",
                "author: somebody, tokenizer=fast",
                "if token == other: pass",
            )
        ),
    ],
)
def test_values_of_variables_and_secrets_are_redacted(
    monkeypatch: pytest.MonkeyPatch, text: str, left: str | None
) -> None:
    for name in ("A1", "SIZE", "MODE", "X", "N"):
        monkeypatch.delenv(name, raising=False)
    assert scrub(text) == (text if left is None else left)


def test_variables_of_this_process_have_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_TOKEN", "5up3rs3cret")
    monkeypatch.setenv("ward_of", "seven and eight")
    assert scrub("got 5up3rs3cret, ward_of=seven and eight!") == "got …, ward_of=…!"


def test_a_user_without_name_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setattr(Path, "home", homeless)
    assert scrub("a word") == "a word"


@pytest.mark.parametrize(
    "word",
    [*("a-", "a.", "-", "'", "~", "a:", "../", "ab/", "a b ", "a=", "A=x ", "'a':", "--a "), "aa@"],
)
def test_long_words_come_to_an_end(word: str) -> None:
    """A program may print a million signs without a blank; none may look at all that follow."""
    text = word * (2**18 // len(word))
    assert len(scrub(text)) <= len(text)
