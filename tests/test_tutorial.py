"""The tutorial, docs/tutorial.md: typed in from beginning to end, in terminals of its own.

How its source is read:

- A `console` block is typed into a shell: command lines after ``$``, and what they print. A line
  that is nothing but a token is typed in, too. ``...`` stands for any lines, and ``^C`` for Ctrl-C.
- `<!-- file: NAME -->` before a block: the reader's editor saves it as that file.
- `<!-- terminal: NAME -->` before a block: it is another terminal than the reader's first. What is
  shown there without a command is what goes on appearing.
- `<!-- not run: REASON -->` before a block: it is not typed in.

What differs from run to run is compared by its form: see `VARYING`.
"""

from __future__ import annotations

import ast
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest

from dss import demo

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "tutorial.md").read_text(encoding="utf-8")
SERVICE = Path(demo.__file__).parent / "examples" / "registration"

#: What the page calls the reader's home, the checkout's images, and the middleware's port.
HOME, IMAGES, PORT = "/home/jane", "/home/jane/snapws/fixtures/brain", "8080"
TOKEN = "[0-9a-f]{48}"

#: What differs from run to run, and what it is compared as. Numbers with a fraction are times,
#: sizes, and what a registration finds, which differs a little from processor to processor.
VARYING = (
    (rf"(?<![0-9a-f]){TOKEN}(?![0-9a-f])", "TOKEN"),
    (r"(?<![0-9a-f])([0-9a-f]{40}|[0-9a-f]{32})(?![0-9a-f])", "HASH"),
    (r"\([0-9a-f]{8}\)", "(HASH)"),
    (r"127\.0\.0\.1:(?!8080\b)\d+", "127.0.0.1:PORT"),
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\b\d\d:\d\d:\d\d", "TIME"),
    (r"-?\b\d+\.\d+", "NUMBER"),
    (r"\bthreads: \d+$", "threads: ALL"),
    (r"\brunner_[0-9a-f]{6}\b", "INSTANCE"),
    (r"^.*\bKilled\b.*$", "Killed"),  # each shell has its own words for it
    (r"\s+", " "),  # columns are as wide as what is in them
)

LIMIT = 60.0  # seconds for one command, or for the next line of a terminal


@dataclass(frozen=True)
class Block:
    """A block of the page, its language, and what the comment before it says of it."""

    number: int
    language: str
    mark: str
    said: str
    text: str


def blocks() -> list[Block]:
    pattern = r"(?:^<!-- (file|terminal|not run): ([^>]*?) -->\n+)?^```(\w*)\n(.*?)^```$"
    return [
        Block(number, found[3], found[1] or "", found[2] or "", found[4])
        for number, found in enumerate(re.finditer(pattern, PAGE, re.DOTALL | re.MULTILINE), 1)
    ]


@dataclass(frozen=True)
class Line:
    """A command line of the page, what is typed after it, and what is shown then.

    Without a command it is only what is shown.
    """

    command: str
    typed: tuple[str, ...]
    shown: tuple[str, ...]


def lines(text: str) -> Iterator[Line]:
    first, *rest = re.split(r"^\$ ((?:.*\\\n)*.*)\n", text, flags=re.MULTILINE)
    for command, after in [("", first), *zip(rest[::2], rest[1::2], strict=True)]:
        if command or after:
            after = after.splitlines()
            typed = tuple(line for line in after if re.fullmatch(TOKEN, line))
            yield Line(command, typed, tuple(line for line in after if line not in typed))


class Terminal:
    """A shell that takes one command after the other, and what appears in its window."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._shell = subprocess.Popen(
            ["sh"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._prompt = secrets.token_hex(8)
        self._appeared: SimpleQueue[str] = SimpleQueue()
        self._window = threading.Thread(target=self._read, daemon=True)
        self._window.start()
        self._write("trap : INT\n")  # Ctrl-C is for the command, as in a shell with a person

    def type(self, command: str, typed: tuple[str, ...] = ()) -> None:
        """Type a command, and what it asks for."""
        answers = "".join(f"{line}\n" for line in typed)
        end = f"end_{self._prompt}"
        self._write(
            f"{{ {command}\n}} <<'{end}'\n{answers}{end}\nprintf '{self._prompt} %d\\n' $?\n"
        )

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.killpg(self._shell.pid, signal.SIGINT)

    def next(self) -> str:
        """Wait for the next line; with the prompt comes `exit` and the exit code."""
        try:
            line = self._appeared.get(timeout=LIMIT)
        except Empty:
            raise AssertionError(f"nothing came for {LIMIT:.0f} s") from None
        return line.replace(self._prompt, "exit")

    def close(self) -> None:
        """Close the window, with everything that runs in it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._window.join(LIMIT)
        with self._shell:
            pass

    def _write(self, text: str) -> None:
        assert self._shell.stdin
        self._shell.stdin.write(text)
        self._shell.stdin.flush()

    def _read(self) -> None:
        assert self._shell.stdout
        for line in self._shell.stdout:
            self._appeared.put(line.rstrip("\n"))


class Reader:
    """Somebody who does what the page says, in a home folder of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.folder = self.home / "dss-tutorial"
        self._terminals: dict[str, Terminal] = {}
        self._tokens: dict[str, str] = {}  # what the page calls a token, and what it is
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port = str(listener.getsockname()[1])
        programs = (str(Path(sys.executable).parent), sysconfig.get_path("scripts"), os.defpath)
        foreign = re.compile("DSS_.*|ITKSNAP_.*|GIT_.*|.*_proxy|.*_PROXY|ENV|BASH_ENV|.*_COLOR")
        self._environment = {
            **{name: text for name, text in os.environ.items() if not foreign.fullmatch(name)},
            "HOME": str(self.home),
            "PATH": os.pathsep.join((*programs, os.environ.get("PATH", ""))),
        }

    def close(self) -> None:
        for terminal in self._terminals.values():
            terminal.close()

    def do(self, block: Block) -> None:
        """Do what a block says, and hold what appears against it."""
        if block.mark == "file":
            (self.folder / block.said).write_text(block.text, encoding="utf-8")
        elif block.mark != "not run" and block.language == "console":
            terminal = self._terminal(block.said)
            for line in lines(block.text):
                if line.command:
                    terminal.type(self._meant(line.command), tuple(map(self._meant, line.typed)))
                try:
                    self._compare(terminal, line, stays=block.mark == "terminal")
                except AssertionError as error:
                    where = f"block {block.number}, {line.command or 'what goes on'}"
                    raise AssertionError(f"{where}: {error}") from None

    def _terminal(self, name: str) -> Terminal:
        if name not in self._terminals:
            folder = self.folder if name else self.home
            self._terminals[name] = Terminal(folder, self._environment)
        return self._terminals[name]

    def _compare(self, terminal: Terminal, line: Line, *, stays: bool) -> None:
        stated = re.search(r"# exit (\d+)$", line.command)
        shown = [*line.shown, *([] if stays else [f"exit {stated[1] if stated else 0}"])]
        skips = False
        for expected in shown:
            if expected == "^C":
                terminal.interrupt()
            elif expected == "...":
                skips = True
            else:
                found = [self._next(terminal, stays)]
                while skips and alike(found[-1]) != alike(expected):
                    assert not found[-1].startswith("exit "), f"no {expected!r} in {found}"
                    found.append(self._next(terminal, stays))
                skips = False
                assert alike(found[-1]) == alike(expected), f"{found[-1]!r}, not {expected!r}"
                pair = re.findall(TOKEN, expected), re.findall(TOKEN, found[-1])
                self._tokens.update(zip(*pair, strict=True))
        if not stays:
            assert not skips

    def _next(self, terminal: Terminal, stays: bool) -> str:
        """Give the next line, without the ends of commands where the page shows no prompt."""
        line = terminal.next()
        while stays and line.startswith("exit "):
            line = terminal.next()
        return self._told(line)

    def _meant(self, text: str) -> str:
        """Give what the reader types where the page has its own example of it."""
        for token, real in self._tokens.items():
            text = text.replace(token, real)
        return re.sub(rf"\b{PORT}\b", self._port, text)

    def _told(self, text: str) -> str:
        """Give what appears as the page has it."""
        text = text.replace(str(demo.images()), IMAGES).replace(str(self.home), HOME)
        return text.replace(f"127.0.0.1:{self._port}", f"127.0.0.1:{PORT}")


def alike(text: str) -> str:
    """Give a line without what differs from run to run."""
    for pattern, same in VARYING:
        text = re.sub(pattern, same, text)
    return text.strip()


@pytest.fixture
def reader(tmp_path):
    found = Reader(tmp_path)
    yield found
    found.close()


@pytest.mark.skipif(os.name != "posix", reason="the page is written for a POSIX shell")
def test_the_page_from_beginning_to_end(reader):
    for block in blocks():
        reader.do(block)


def test_what_is_not_run_says_why():
    left_out = [block for block in blocks() if block.mark == "not run"]
    assert [block.text.splitlines()[0] for block in left_out] == ["$ python3 -m venv .venv"]
    assert all(len(block.said.split()) > 5 for block in left_out)
    # And nothing else escapes: every block is a transcript, or a file that is written.
    assert not [block for block in blocks() if block.language != "console" and block.mark != "file"]


def test_the_service_is_the_example():
    files = {block.said: block.text for block in blocks() if block.mark == "file"}
    for shown, file in {"service.json": "service.json", "my_service.py": "service.py"}.items():
        assert files[f"registration/{shown}"] == (SERVICE / file).read_text(encoding="utf-8")


def test_25_lines_do_something():
    """Neither blank lines, nor comments, nor docstrings; a statement counts each line it takes."""
    text = (SERVICE / "service.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    idle = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef)) and ast.get_docstring(node):
            said = node.body[0]
            idle |= set(range(said.lineno, said.end_lineno + 1))
    working = [
        line
        for number, line in enumerate(text.splitlines(), 1)
        if number not in idle and line.strip() and not line.strip().startswith("#")
    ]
    assert 10 < len(working) <= 25
