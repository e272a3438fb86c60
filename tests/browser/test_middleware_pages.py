"""The pages of a local middleware in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from dss import Middleware

pytest.importorskip("itksnap_dss_server", reason="needs the extra 'middleware'")


def test_the_printed_address_logs_the_browser_in(browser: Browser, tmp_path: Path) -> None:
    with Middleware(tmp_path / "middleware") as server:
        server.add_user("user@localhost")
        context = browser.new_context()
        page = context.new_page()
        try:
            page.goto(f"{server.url}/services")
            expect(page.get_by_label("Key or token")).to_be_visible()
            page.goto(server.browser_url)
            assert page.url == f"{server.url}/"
            for place in ("/services", "/token"):
                page.goto(server.url + place)
                expect(page.get_by_role("link", name="Sign Out")).to_be_attached()
        finally:
            context.close()


def test_a_token_is_typed_into_the_page_that_asks(browser: Browser, tmp_path: Path) -> None:
    with Middleware(tmp_path / "middleware") as server:
        token = server.add_user("jane@localhost", admin=True)
        context = browser.new_context()
        page = context.new_page()
        try:
            page.goto(f"{server.url}/admin")
            page.get_by_label("Key or token").fill("wrong")
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_text("That is not a valid key")).to_be_visible()
            page.get_by_label("Key or token").fill(token)
            page.get_by_role("button", name="Log in").click()
            page.wait_for_url(f"{server.url}/admin")
            expect(page.get_by_role("heading", name="Administrator")).to_be_visible()
        finally:
            context.close()
