"""What a server or a provider says and attaches, on the user's terminal and disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dss.cli.shared import warn_if_readable
from dss.records import Attachment
from dss.transfer.attachments import file_name
from tests.dss.downloads import naming
from tests.dss.raw_server import answer, listing, sent

WARNING = "is talked to over http://, not encrypted"
CONTROL = "x\x1b[31m\x07\x9b\u202ey\x7f"

ENDINGS = {
    "text/html": ".txt",
    "TEXT/HTML; charset=utf-8": ".txt",
    "application/xhtml+xml": ".txt",
    "image/svg+xml": ".txt",
    "application/xml": ".txt",
    "text/xml": ".txt",
    "text/xsl": ".txt",
    "text/javascript": ".txt",
    "application/javascript": ".txt",
    "text/x-python": ".txt",
    "text/x-sh": ".txt",
    "application/x-sh": ".bin",
    "application/hta": ".bin",
    "application/x-ms-shortcut": ".bin",
    "application/x-desktop": ".bin",
    "application/x-msdownload": ".bin",
    "application/java-archive": ".bin",
    "application/vnd.ms-excel": ".bin",
    "application/octet-stream": ".bin",
    "x/y": ".bin",
    "": ".bin",
    "text/plain": ".txt",
    "text/csv": ".csv",
    "application/json": ".json",
    "image/png": ".png",
    "image/jpeg": ".jpg",
}


@pytest.mark.parametrize("kind", ENDINGS)
def test_attachment_is_saved_with_an_ending_that_nothing_runs(kind: str) -> None:
    one = Attachment(7, "run me.html", kind, "http://x/blobs/00000000")
    assert file_name(one) == f"attachment_7_run-me-html{ENDINGS[kind]}"


def test_page_that_is_attached_is_saved_as_text(user, claimed, provider, tmp_path):
    (tmp_path / "page").write_text("<script>alert(1)</script>")
    for kind in ("text/html", "image/svg+xml"):
        provider.attach(claimed, "page", tmp_path / "page", kind)
    provider.log(claimed, "info", "see there")
    result = user(["tickets", "attachments", str(claimed), "--download", str(tmp_path / "files")])
    assert [Path(line).suffix for line in result.stdout.splitlines()] == [".txt", ".txt"]
    assert {file.suffix for file in (tmp_path / "files").iterdir()} == {".txt"}


def test_attachments_have_a_limit(user, claimed, provider, tmp_path):
    (tmp_path / "file").write_bytes(bytes(1000))
    for name in ("one", "two"):
        provider.attach(claimed, name, tmp_path / "file", "x/y")
    provider.log(claimed, "info", "see there")
    words = f"tickets attachments {claimed} --download {tmp_path / 'files'} --max-size"
    user.fails(f"{words} 1500", "more than the 500 bytes that a download may have")
    assert len(list((tmp_path / "files").iterdir())) == 1
    user(f"{words} 2K")


def test_download_has_a_limit(stranger, raw, tmp_path, monkeypatch):
    names = listing("l.stl", "w.itksnap")
    with raw.session() as session:
        keep_login(stranger, session, raw)
    raw.answers = [names, naming("l.stl"), sent("l.stl", bytes(5000)), names]
    monkeypatch.chdir(tmp_path)
    stranger.fails("tickets download 1 out --max-size 2K", "more than the 2 kB", "--max-size")
    assert not Path("out").exists()
    raw.answers = [names, naming("l.stl"), sent("l.stl", bytes(5000)), names]
    stranger.fails("provider download 1 out --max-size 2K", "more than the 2 kB", "--max-size")
    assert not Path("out").exists()


def test_files_that_do_not_come_are_named_in_a_remark(stranger, raw, tmp_path):
    names = listing("x.lnk", "w.itksnap", "old.nii.gz")
    with raw.session() as session:
        keep_login(stranger, session, raw)
    for more in ("", "--json"):
        raw.answers = [names, naming(), names]
        result = stranger(f"tickets download 1 {tmp_path / 'out'} {more}")
        assert result.stderr == (
            "dss: 2 files that the workspace does not name are not fetched: x.lnk, old.nii.gz\n"
        )
    raw.answers = [names, naming(), names]
    assert stranger(f"tickets download 1 {tmp_path / 'out'} --quiet").stderr == ""


def keep_login(account, session, raw) -> None:
    """Keep a login to a server that answers what a test says."""
    from dss import Credentials

    raw.answers = [answer(b"x", "Set-Cookie: webpy_session_id=0123; HttpOnly; Path=/")]
    session.get_text("api/x")
    Credentials(account.home).save(session)


LISTS = {
    "whoami": f"logged in as {CONTROL}",
    "admin providers list": f"{CONTROL}\r\n",
    "admin users list lab": f"1,{CONTROL},0\r\n",
    "admin services list lab": f"{CONTROL},1,{'0' * 40},{CONTROL}\r\n",
    "admin tickets list": f"1,{CONTROL},{CONTROL},init,1.0\r\n",
    "services list": f"{CONTROL},{'0' * 40},{CONTROL},{CONTROL}\r\n",
    "provider services": f"{CONTROL},{CONTROL},{'0' * 40},{CONTROL}\r\n",
    "tickets list": f"1,{CONTROL},init\r\n",
    "tickets log 1": json.dumps(
        {
            "result": {
                "status": "ready",
                "progress": 0,
                "log": [
                    {
                        "id": 1,
                        "atime": 1,
                        "category": CONTROL,
                        "message": CONTROL,
                        "attachments": [
                            {"id": 1, "description": CONTROL, "mime_type": CONTROL, "url": CONTROL}
                        ],
                    }
                ],
            }
        }
    ),
}
LISTS["tickets attachments 1"] = LISTS["tickets log 1"]


@pytest.mark.parametrize("line", LISTS)
def test_words_of_a_server_leave_the_terminal_alone(stranger, raw, line):
    with raw.session() as session:
        keep_login(stranger, session, raw)
    # Of a provider, the server is asked first whether there is one.
    first = [answer(b"lab\r\n")] if line.endswith(" lab") else []
    raw.answers = [*first, answer(LISTS[line].encode())]
    printed = stranger(line).output.replace("\n", "")
    assert printed.isprintable()
    assert "x" in printed
    raw.answers = [*first, answer(LISTS[line].encode())]
    found = stranger([*line.split(), "--json"]).stdout
    assert found.replace("\n", "").isprintable()
    assert found.isascii()
    json.loads(found)
    raw.answers = [answer(LISTS[line].encode(), status="400 Bad Request")]
    result = stranger([*line.split(), "--verbose"], 1)
    assert result.output.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("server", "warns"),
    [
        ("http://dss.example.org", True),
        ("HTTP://dss.example.org:8080/x", True),
        ("http://127.0.0.1.example.org", True),
        ("http://localhost.example.org", True),
        ("http://10.0.0.1", True),
        ("http://[2001:db8::1]:80", True),
        ("https://dss.example.org", False),
        ("http://localhost:8080", False),
        ("http://127.0.0.1:8080", False),
        ("http://127.1.2.3", False),
        ("http://[::1]:8080", False),
        (None, False),
    ],
)
def test_server_without_encryption_is_warned_of(capsys, server, warns):
    warn_if_readable(server)
    assert (WARNING in capsys.readouterr().err) is warns


@pytest.mark.parametrize("line", ["whoami", "tickets list", "login http://dss.example.org"])
def test_command_warns_once_of_a_server_without_encryption(stranger, raw, monkeypatch, line):
    """The server is reached through a proxy on this machine."""
    from dss import Credentials, Session

    monkeypatch.setenv("http_proxy", raw.url)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("DSS_TOKEN", "token")
    with Session("http://dss.example.org", cookie="0123") as session:
        Credentials(stranger.home).save(session)
    raw.answers = [answer(b"", status="400 Bad Request")]
    result = stranger(line, 1)
    assert result.stderr.count(WARNING) == 1
    assert len(raw.requests) == 1
    assert stranger(f"{line} --quiet", 1).stderr.count(WARNING) == 0
