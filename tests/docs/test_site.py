"""The site: it builds without a warning, its links lead somewhere, and it loads nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from lxml import html

from tests.docs.pages import DOCS, names

#: What a page loads by itself, as opposed to what somebody clicks.
LOADED = "//link[not(@rel='canonical')]/@href | //script/@src | //img/@src | //iframe/@src"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    words = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", DOCS, folder]
    built = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, html.HtmlElement]:
    return {path: html.parse(path).getroot() for path in site.rglob("*.html")}


def local(page: Path, address: str) -> tuple[Path, str]:
    """Return the file that an address on a page leads to, and the place in it."""
    parts = urlsplit(address)
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    return target, unquote(parts.fragment)


def is_elsewhere(address: str) -> bool:
    return bool(urlsplit(address).scheme or urlsplit(address).netloc)


def test_every_page_is_there(site):
    for name in names():
        assert (site / name).with_suffix(".html").is_file(), name


def test_every_link_leads_somewhere(pages):
    anchors = {
        path: {*page.xpath("//@id"), *page.xpath("//a/@name")} for path, page in pages.items()
    }
    checked = 0
    for path, page in pages.items():
        for address in page.xpath("//a/@href"):
            if is_elsewhere(address):
                continue
            target, place = local(path, address)
            assert target.is_file(), (path.name, address)
            assert not place or place in anchors[target], (path.name, address)
            checked += 1
    assert checked > 500


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for path, page in pages.items():
        for address in page.xpath(LOADED):
            assert not is_elsewhere(address), (path.name, address)
            assert local(path, address)[0].is_file(), (path.name, address)
    for sheet in site.rglob("*.css"):
        for address in addresses(sheet.read_text(encoding="utf-8")):
            assert not is_elsewhere(address) or address.startswith("data:"), (sheet.name, address)


def addresses(sheet: str) -> Iterator[str]:
    """Return what a style sheet loads."""
    for one, other in re.findall(r"""url\(\s*["']?([^"')]*)|@import\s+["']([^"']*)""", sheet):
        yield one or other


def test_every_picture_says_what_it_shows(pages):
    pictures = [
        picture
        for page in pages.values()
        for picture in page.xpath("//img[contains(@src, '_images/')]")
    ]
    assert len(pictures) >= 6
    for picture in pictures:
        assert len((picture.get("alt") or "").split()) >= 6, picture.get("src")
