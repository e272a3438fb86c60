"""``dss tickets report``: a ticket as a page."""

from __future__ import annotations

import io
import re
import zlib
from pathlib import Path

import pytest
from lxml import html
from PIL import Image

import dss.report
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
    """Give a small PNG that would be 40000 pixels wide and high."""
    data = bytearray(png((1, 1)))
    data[16:24] = (40000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<svg onload=alert(1)>", "image/png"),
        (png((300, 200))[:-200], "image/png"),
        (bomb(), "image/png"),
        (png((5000, 4000)), "image/png"),
        (png((30, 20)), "image/jpeg"),
        (png((30, 20)), "text/html"),
    ],
    ids=["no picture", "cut short", "bomb", "too large", "of another kind", "not said to be one"],
)
def test_what_is_no_small_picture_is_only_listed(page, claimed, attach, data, kind):
    attach(claimed, data, "thing", kind)
    found = page(claimed)
    assert rows(found, "Attachments")[0][1:] == ["thing", kind, f"{len(data):,}"]
    assert not list(found.iter("img"))


def test_many_pictures_leave_the_page_small(page, claimed, attach, monkeypatch):
    for number in range(3):
        attach(claimed, png((300, 200)), f"picture {number}", "image/png")
    monkeypatch.setattr(dss.report, "_MOST_FETCHED", 2)
    found = page(claimed)
    assert [row[3] for row in rows(found, "Attachments")][2] == "not fetched"
    shown = found.xpath("//figure[@class='attached']/img/@src")
    assert len(shown) == 2
    monkeypatch.setattr(dss.report, "_PICTURES_BUDGET", len(shown[0]) + 1)
    assert len(page(claimed).xpath("//figure[@class='attached']")) == 1


def test_refusals(user, claimed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    user.fails("tickets report 999999 -o ticket.html", "999999")
    Path("mine.html").write_text("mine")
    user.fails(f"tickets report {claimed} -o mine.html", "mine.html is there and is no report")
    assert Path("mine.html").read_text() == "mine"
    user(f"tickets report {claimed} -o mine.txt", 2)
    assert not Path("ticket.html").exists()
