"""A real browser, without a window and without a network."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

#: Where pictures of the pages go, for people to look at.
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"

#: Milliseconds that a loaded machine may take for whatever a page does.
_PATIENCE = 300_000

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_QUIET = (
    # WebGL by the processor: no graphics card is needed, and all machines draw the same.
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-gpu-rasterization",  # only WebGL needs what stands for a graphics card
    "--disable-gpu-compositing",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)


# Not for the session: while it runs, no other test could run a loop of asyncio.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip(f"no browser is installed here: none of {', '.join(_NAMES)} is found")
    expect.set_options(timeout=_PATIENCE)
    as_root = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=found, args=[*_QUIET, *as_root], timeout=_PATIENCE
        )
        yield running
        running.close()


def _axe() -> str:
    """Read axe's script; not by importing its package, which reads it in the system's encoding."""
    package = find_spec("axe_core_python")
    assert package
    assert package.origin
    return (Path(package.origin).parent / "axe.min.js").read_text(encoding="utf-8")


def note_what_is_said(page: Page, said: list[str]) -> None:
    """Note what a page writes on the console, errors that nobody catches, and windows it opens.

    What the browser says of the speed of its own WebGL is not of the page: it does so when a
    picture is taken on a loaded machine.
    """

    def console(message: ConsoleMessage) -> None:
        if "GL Driver Message (OpenGL, Performance" not in message.text:
            said.append(message.text)

    page.on("console", console)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("popup", lambda popup: said.append(f"popup {popup.url}"))


class Visit:
    """A page that is open, and what it did that a page should not.

    Attributes:
        page: The page.
        said: What it wrote on the console, errors that nobody caught, and windows that it opened.
        asked: The addresses that it asked for, besides its own file.
    """

    def __init__(self, page: Page, file: Path) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        note_what_is_said(page, self.said)
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(file.as_uri())
        self.asked = [
            url for url in self.asked if not url.startswith("data:") and url != file.as_uri()
        ]

    def complaints(self) -> list[str]:
        """Return what axe finds wrong for people who do not see or use a mouse."""
        self.page.evaluate(_axe())
        found = self.page.evaluate("axe.run()")
        assert found["passes"]
        return [
            f"{one['impact']}: {one['id']}: {node['html']}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    def until(self, expression: str) -> None:
        """Wait, at most two minutes, until an expression of JavaScript is true.

        Playwright's own ``wait_for_function`` looks again from within the page, where the
        report's policy forbids to evaluate a text: it works only if the first look succeeds.
        """
        end = time.monotonic() + 120
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, f"not true within two minutes: {expression}"
            self.page.wait_for_timeout(20)

    def keep(self, name: str) -> None:
        """Keep a picture of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """Opens the file of a page, for somebody who likes it dark, narrow, without JavaScript …"""
    contexts = []

    def open_one(file: Path, *, width: int = 1280, **manner: object) -> Visit:
        size = {"width": width, "height": 900}
        contexts.append(browser.new_context(viewport=size, offline=True, **manner))
        contexts[-1].set_default_timeout(_PATIENCE)
        return Visit(contexts[-1].new_page(), file)

    yield open_one
    for context in contexts:
        context.close()
