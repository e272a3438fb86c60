"""``dss tickets report``: a ticket as a page."""

from __future__ import annotations

import base64
import io
import re
import zlib
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from lxml import html
from PIL import Image

import dss.report
from dss import Client, NetworkFailed, NotLoggedIn
from dss.errors import ServerFailed
from dss.records import Attachment, LogEntry
from snapws.report import slices


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Draw small pictures: what tests look at is not in them."""
    monkeypatch.setattr(slices, "SIZE", 32)


@pytest.fixture
def page(user, tmp_path):
    """Gives the page of a ticket."""

    def made(ticket: int) -> html.HtmlElement:
        target = tmp_path / "ticket.html"
        result = user(["tickets", "report", str(ticket), "-o", str(target)])
        assert (result.stdout, result.stderr) == ("", f"dss: saved {target}\n")
        return html.document_fromstring(target.read_bytes())

    return made


@pytest.fixture
def attach(provider, tmp_path):
    """Attaches bytes to a ticket's log."""

    def attached(ticket: int, data: bytes, description: str, kind: str) -> None:
        (tmp_path / "attached").write_bytes(data)
        provider.attach(ticket, description, tmp_path / "attached", kind)
        provider.log(ticket, "info", f"here is {description}")

    return attached


def rows(page, section: str) -> list[list[str]]:
    (found,) = (one for one in page.iter("section") if one.find("h2").text == section)
    return [[cell.text_content() for cell in row] for row in found.iter("tr")][1:]


def text(page, section: str) -> str:
    (found,) = (one for one in page.iter("section") if one.find("h2").text == section)
    return found.text_content()


def png(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "#2a6").save(file, "PNG")
    return file.getvalue()


def drawn(page) -> list[Image.Image]:
    """Return the attached pictures as a page shows them."""
    addresses = page.xpath("//figure[@class='attached']/img/@src")
    head = "data:image/webp;base64,"
    return [Image.open(io.BytesIO(base64.b64decode(one.removeprefix(head)))) for one in addresses]


def noise(side: int) -> bytes:
    """Return a picture that no format makes small."""
    file = io.BytesIO()
    values = np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def jpeg(further_scans: int) -> bytes:
    """Return a progressive JPEG, its last scan once more so many times."""
    file = io.BytesIO()
    Image.new("L", (64, 64), 99).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * further_scans + data[-2:]


@pytest.fixture
def said(monkeypatch, claimed):
    """Has the server say something of a ticket that it would not say by itself."""
    detail = Client.detail

    def say(**changes: object) -> None:
        monkeypatch.setattr(Client, "detail", lambda *given: replace(detail(*given), **changes))

    return say


def test_a_finished_ticket(page, client, provider, claimed, attach, workspace):
    provider.log(claimed, "warning", "two\nlines\x1b[31m <script>x</script>\u202e")
    attach(claimed, png((300, 200)), "Overview <b>", "image/png")
    attach(claimed, b"1 0 0", "matrix", "text/plain")
    provider.upload(claimed, workspace)
    provider.succeed(claimed)
    found = page(claimed)
    assert found.findtext(".//h1") == f"Ticket {claimed}"
    ticket = text(found, "Ticket")
    for part in ("ServiceRegistration", "Statussuccess", "Done100%", "Files, results3"):
        assert part in ticket
    assert re.search(r"First log entry\d{4}-\d\d-\d\d \d\d:\d\d:\d\dLast log entry\d{4}", ticket)
    log = {row[2]: row for row in rows(found, "Log")}
    assert log["two\nlines�[31m <script>x</script>�"][1] == "warning"
    numbers = [str(one.id) for entry in client.log(claimed) for one in entry.attachments]
    assert log["here is Overview <b>"][3] == numbers[0]
    assert rows(found, "Attachments") == [
        [numbers[0], "Overview <b>", "image/png", str(len(png((300, 200))))],
        [numbers[1], "matrix", "text/plain", "5"],
    ]
    (shown,) = found.xpath("//figure[@class='attached']/img")
    assert shown.get("alt") == f"Attachment {numbers[0]}, Overview <b>"
    assert shown.get("src").startswith("data:image/webp;base64,")
    assert len(found.xpath("//figure[@class='view']")) == 3
    assert [row[4].partition("_")[0] for row in rows(found, "Layers")] == ["layer", "layer"]
    assert len(list(found.iter("script"))) == 1


def test_a_ticket_that_waits_and_one_that_is_gone(page, client, service):
    ticket = client.create(service)
    client.make_ready(ticket)
    found = page(ticket)
    assert "Place in the queue1" in text(found, "Ticket")
    assert "There is no result yet." in text(found, "Result")
    assert "Nothing is attached." in text(found, "Attachments")
    client.delete(ticket)
    found = page(ticket)
    assert "Statusdeleted" in text(found, "Ticket")
    assert "Servicenot listed any more" in text(found, "Ticket")
    assert "There is no result to show" in text(found, "Result")


def test_a_failed_ticket(page, provider, claimed):
    provider.fail(claimed, "no brain found")
    found = page(claimed)
    assert rows(found, "Log")[-1][1:3] == ["error", "no brain found"]
    assert f"There is no result to show: ticket {claimed} is failed" in text(found, "Result")


def bomb() -> bytes:
    """Return a small PNG that would be 40000 pixels wide and high."""
    data = bytearray(png((1, 1)))
    data[16:24] = (40000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: b"<svg onload=alert(1)>", "image/png"),
        (lambda: png((300, 200))[:-200], "image/png"),
        (bomb, "image/png"),
        (lambda: png((5000, 4000)), "image/png"),
        (lambda: png((30, 20)), "image/jpeg"),
        (lambda: png((30, 20)), "text/html"),
    ],
    ids=["no picture", "cut short", "bomb", "too large", "of another kind", "not said to be one"],
)
def test_what_is_no_small_picture_is_only_listed(page, claimed, attach, make, kind):
    data = make()
    attach(claimed, data, "thing", kind)
    found = page(claimed)
    assert rows(found, "Attachments")[0][1:] == ["thing", kind, f"{len(data):,}"]
    assert not list(found.iter("img"))


def test_many_pictures_leave_the_page_small(page, claimed, attach, monkeypatch, client):
    for number, data in enumerate([png((300, 200)), noise(300), png((200, 300)), png((9, 9))]):
        attach(claimed, data, f"picture {number}", "image/png")
    monkeypatch.setattr(dss.report, "_MOST_FETCHED", 3)
    found = page(claimed)
    assert [row[3] for row in rows(found, "Attachments")][3] == "not fetched"
    assert [one.size for one in drawn(found)] == [(300, 200), (300, 300), (200, 300)]
    assert "no room" not in text(found, "Attachments")
    monkeypatch.setattr(dss.report, "_PICTURES_BUDGET", 10_000)
    found = page(claimed)
    assert [one.size for one in drawn(found)] == [(300, 200), (200, 300)]
    numbers = [one.id for entry in client.log(claimed) for one in entry.attachments]
    left_out = f"The page has no room for the pictures of: {numbers[1]}."
    assert left_out in text(found, "Attachments")


def test_large_pictures_are_drawn_small(page, claimed, attach):
    attach(claimed, png((2048, 10)), "wide", "image/png")
    assert [one.size for one in drawn(page(claimed))] == [(1024, 5)]


def test_progressive_pictures(page, claimed, attach):
    attach(claimed, jpeg(0), "usual", "image/jpeg")
    attach(claimed, jpeg(20), "with more scans than usual", "image/jpeg")
    attach(claimed, jpeg(100), "made to keep a reader busy", "image/jpeg")
    assert len(drawn(page(claimed))) == 2


def test_pictures_of_16_bits(page, claimed, attach):
    file = io.BytesIO()
    values = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (64, 1))
    Image.fromarray(values).save(file, "PNG")
    attach(claimed, file.getvalue(), "ramp", "image/png")
    (shown,) = drawn(page(claimed))
    assert np.allclose(np.asarray(shown.convert("L"))[32], np.arange(256), atol=4)


def test_large_attachments_are_not_fetched_whole(page, claimed, attach, monkeypatch):
    data = png((300, 200))
    attach(claimed, data, "picture", "image/png")
    monkeypatch.setattr(dss.report, "_MOST_BYTES", len(data))
    assert len(drawn(page(claimed))) == 1
    monkeypatch.setattr(dss.report, "_MOST_BYTES", len(data) - 1)
    found = page(claimed)
    assert rows(found, "Attachments")[0][3] == f"more than {len(data) - 1:,}"
    assert not drawn(found)


@pytest.mark.parametrize("sign", ["a", "&", "\t", "\u00e4"])
def test_long_texts_leave_the_page_small(page, claimed, said, monkeypatch, sign):
    monkeypatch.setattr(dss.report, "_MOST_FETCHED", 0)
    long = sign * 10_000
    now = datetime.now(timezone.utc)
    log = tuple(
        LogEntry(i, now, "info", f"{i} {long}", (Attachment(i, long, long, "none"),))
        for i in range(1000)
    )
    said(log=log)
    found = page(claimed)
    assert len(html.tostring(found, encoding="utf-8")) < 1_000_000
    shown = [row[2].partition(" ")[0] for row in rows(found, "Log")]
    assert shown == [str(i) for i in range(1000 - len(shown), 1000)]
    assert f"the last {len(shown)} of 1,000 entries" in text(found, "Log")
    listed = len(rows(found, "Attachments"))
    assert f"the first {listed} of 1,000 attached" in text(found, "Attachments")
    assert listed > 0


def test_a_long_description_of_a_picture(page, claimed, attach):
    attach(claimed, png((9, 9)), "x" * 2000, "image/png")
    (alt,) = page(claimed).xpath("//figure[@class='attached']/img/@alt")
    assert 300 < len(alt) < 350


def test_the_last_entries_of_a_long_log(page, claimed, provider, monkeypatch):
    for number in range(4):
        provider.log(claimed, "info", f"entry {number}")
    monkeypatch.setattr(dss.report, "MOST_ROWS", 2)
    found = page(claimed)
    assert [row[2] for row in rows(found, "Log")] == ["entry 2", "entry 3"]
    assert re.search(r"the last 2 of \d entries", text(found, "Log"))


def test_progress_beyond_the_whole(page, claimed, said):
    said(progress=1.5)
    assert "Done100%" in text(page(claimed), "Ticket")


@pytest.mark.parametrize("error", [NetworkFailed("away"), ServerFailed("busy", status=503)])
def test_a_server_that_fails_is_not_asked_for_every_attachment(
    page, claimed, attach, monkeypatch, error
):
    for name in ("first", "second", "third"):
        attach(claimed, b"1", name, "text/plain")
    asked = []

    def fails(self, attachment, size):
        asked.append(attachment.description)
        raise error

    monkeypatch.setattr(Client, "start_of_attachment", fails)
    found = rows(page(claimed), "Attachments")
    assert [row[3] for row in found] == [str(error), "not fetched", "not fetched"]
    assert asked == ["first"]


@pytest.mark.parametrize("call", ["start_of_attachment", "download", "files"])
def test_without_a_login_there_is_no_page(
    user, claimed, provider, attach, monkeypatch, tmp_path, call
):
    attach(claimed, b"1", "thing", "text/plain")
    provider.fail(claimed, "no")

    def fails(*_given: object) -> None:
        raise NotLoggedIn("not logged in")

    monkeypatch.setattr(Client, call, fails)
    target = tmp_path / "ticket.html"
    user.fails(["tickets", "report", str(claimed), "-o", str(target)], "not logged in")
    assert not target.exists()


@pytest.mark.parametrize("call", ["download", "files"])
def test_without_the_server_there_is_no_page(user, claimed, provider, monkeypatch, tmp_path, call):
    provider.fail(claimed, "no")

    def fails(*_given: object) -> None:
        raise NetworkFailed("away")

    monkeypatch.setattr(Client, call, fails)
    target = tmp_path / "ticket.html"
    user.fails(["tickets", "report", str(claimed), "-o", str(target)], "away")
    assert not target.exists()


def test_refusals(user, claimed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    user.fails("tickets report 999999 -o ticket.html", "999999")
    Path("mine.html").write_text("mine")
    user.fails(f"tickets report {claimed} -o mine.html", "mine.html exists and is not a report")
    assert Path("mine.html").read_text() == "mine"
    user(f"tickets report {claimed} -o mine.txt", 2)
    assert not Path("ticket.html").exists()
