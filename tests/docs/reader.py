"""Somebody who does what a page says, and holds what appears against what the page shows."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import TOKEN, Block, Line, lines
from tests.docs.terminals import Inside, Shell, Terminal

#: What differs from run to run, and what it is compared as. Numbers with a fraction are times,
#: sizes, and what a registration finds, which differs a little from processor to processor.
VARYING = (
    (rf"(?<![0-9a-f]){TOKEN}(?![0-9a-f])", "TOKEN"),
    (r"(?<![0-9a-f])([0-9a-f]{40}|[0-9a-f]{32})(?![0-9a-f])", "HASH"),
    (r"\([0-9a-f]{8}\)", "(HASH)"),
    (r"/blobs/[0-9a-f]+", "/blobs/NUMBER"),
    (r"127\.0\.0\.1:(?!8080\b)\d+", "127.0.0.1:PORT"),
    (r"\b(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d(,\d+)?", "TIME"),
    (r"\b(\d+ min )?(\d+|\d+\.\d+) (s|ms|bytes|kB|MB)\b", r"SO \3"),
    (r"(last heard|mean duration): [\d.e-]+", r"\1: NUMBER"),
    (r"(success|failed|ready) +[\d.e-]+$", r"\1 NUMBER"),
    (r"-?\b\d+\.\d+", "NUMBER"),
    (r"\bthreads: \d+$", "threads: ALL"),
    (r"\bprocess \d+", "process NUMBER"),
    (r"\brunner_[0-9a-f]{6}\b", "INSTANCE"),
    (r"^.*\bKilled\b.*$", "Killed"),  # each shell has its own words for it
    (r"\s+", " "),  # columns are as wide as what is in them
)


class Reader:
    """Somebody who sits at terminals in one folder.

    Attributes:
        folder: the folder.
        shown: what is here, and what the pages call it; folders, addresses.
        varying: what differs from run to run; see `VARYING`.
        inside: whether commands that need no shell run in this process.
        meanwhile: what happens elsewhere before a command line, or before Ctrl-C (`^C`).
        namespace: that of the page's Python.
    """

    def __init__(
        self,
        folder: Path,
        *,
        shown: Mapping[str, str],
        varying: tuple[tuple[str, str], ...] = (),
        inside: bool = True,
        home: Callable[[str, str], Path] | None = None,
        start: Path | None = None,
    ) -> None:
        self.folder, self.shown, self.varying, self.inside = folder, dict(shown), varying, inside
        self.meanwhile: dict[str, Callable[[], None]] = {}
        self.namespace: dict[str, object] = {}
        self._home = home or (lambda mark, said: folder)
        self._start = start or folder  # of the first terminal
        self._terminals: dict[tuple[str, str, bool], Terminal] = {}
        self._stopped: set[Terminal] = set()  # by Ctrl-C
        self._tokens: dict[str, str] = {}  # what the page calls a token, and what it is

    def close(self) -> None:
        for terminal in self._terminals.values():
            terminal.close()

    def finish(self) -> None:
        """Hold that nothing came, after what is shown, of what was stopped."""
        for terminal in self._stopped:
            line = terminal.next()
            assert line.startswith("exit "), f"{line!r} is not shown"

    def do(self, block: Block) -> None:
        """Do what a block says, by its language; there are no others."""
        if block.mark in {"not run", "output"}:
            return
        if block.mark == "file":
            self.save(block)
        LANGUAGES[block.language.partition(" ")[0]](self, block)

    def save(self, block: Block) -> None:
        (self.folder / block.said).write_text(block.text, encoding="utf-8")

    def run(self, block: Block) -> None:
        """Run Python as it stands, but for a file, which a command runs."""
        if block.mark != "file":
            with redirect_stdout(io.StringIO()) as printed:
                exec(self._meant(block.text), self.namespace)
            assert self._told(printed.getvalue()) == block.prints, f"block {block.number}"

    def type(self, block: Block) -> None:
        stays = block.mark == "terminal"
        for line in lines(block.text):
            command = self._meant(line.command)
            terminal = self._terminal(block.mark, block.said, command)
            self.meanwhile.pop(line.command, lambda: None)()
            if command:
                self._stopped.discard(terminal)
                terminal.type(command, tuple(map(self._meant, line.typed)))
            try:
                self._compare(terminal, line, stays=stays)
            except AssertionError as error:
                where = f"block {block.number}, {line.command or 'what goes on'}"
                raise AssertionError(f"{where}: {error}") from None

    def _terminal(self, mark: str, said: str, command: str) -> Terminal:
        inside = self.inside and mark != "terminal" and Inside.takes(command)
        if not inside and os.name != "posix":
            pytest.skip("the page is written for a POSIX shell")
        who = (mark, said, inside)
        if who not in self._terminals:
            home = self._home(mark, said)
            folder = self.folder if mark else self._start
            self._terminals[who] = Inside(home) if inside else Shell(folder, home)
        return self._terminals[who]

    def _compare(self, terminal: Terminal, line: Line, *, stays: bool) -> None:
        skips = False
        for expected in [*line.shown, *([] if stays else [f"exit {line.code}"])]:
            if expected == "^C":
                self.meanwhile.pop(expected, lambda: None)()
                terminal.interrupt()
                self._stopped.add(terminal)
            elif expected == "...":
                skips = True
            else:
                found = [self._next(terminal, stays)]
                while skips and self._alike(found[-1]) != self._alike(expected):
                    assert not found[-1].startswith("exit "), f"no {expected!r} in {found}"
                    found.append(self._next(terminal, stays))
                skips = False
                same = self._alike(found[-1]) == self._alike(expected)
                assert same, f"{found[-1]!r}, not {expected!r}"
                pair = re.findall(TOKEN, expected), re.findall(TOKEN, found[-1])
                self._tokens.update(zip(*pair, strict=True))
        if not stays:
            assert not skips

    def _next(self, terminal: Terminal, stays: bool) -> str:
        """Return the next line, without the ends of commands where the page shows no prompt."""
        line = terminal.next()
        while stays and line.startswith("exit "):
            line = terminal.next()
        return self._told(line)

    def _meant(self, text: str) -> str:
        """Return what the reader types where the page has its own example of it."""
        for token, real in self._tokens.items():
            text = text.replace(token, real)
        for real, name in self.shown.items():
            text = text.replace(name, real)
        return text

    def _told(self, text: str) -> str:
        """Return what appears as the page has it."""
        for real, name in self.shown.items():
            text = text.replace(real, name)
        return text.replace("\\", "/") if os.name == "nt" else text

    def _alike(self, text: str) -> str:
        """Return a line without what differs from run to run."""
        for pattern, same in self.varying:
            text = re.sub(pattern, same, text)
        return text.strip() if self.varying else text


#: What is done with a block, by its language.
LANGUAGES: dict[str, Callable[[Reader, Block], object]] = {
    "console": Reader.type,
    "python": Reader.run,
    "json": lambda _, block: json.loads(block.text),
    "yaml": lambda _, block: yaml.safe_load(block.text),
    "sh": lambda _, block: subprocess.run(["sh", "-n"], input=block.text, text=True, check=True),
    "text": lambda _, block: None,  # a drawing
    # What the site is built from: the build runs these.
    **dict.fromkeys(
        ("{toctree}", "{include}", "{eval-rst}", "{image}", "{figure}"), lambda _, block: None
    ),
}
