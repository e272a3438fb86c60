"""The pages of the documentation, and how their source is read.

- A `console` block is typed into a shell: command lines after ``$``, and what they print. A line
  that is nothing but a token is typed in, too. ``...`` stands for any lines, ``^C`` for Ctrl-C; a
  command line's end ``# exit 1`` states an exit code other than 0.
- A `python` block is run, all of a page in one namespace. What it prints is shown in the `text`
  block that follows it at once.
- `<!-- file: NAME -->` before a block: the reader's editor saves it as that file.
- `<!-- terminal: NAME -->` before a block: it is another terminal than the reader's first. What is
  shown there without a command is what goes on appearing.
- `<!-- person: NAME -->` before a block: somebody else types it, with a login of their own.
- `<!-- not run: REASON -->` before a block: it is not typed in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
TOKEN = "[0-9a-f]{48}"
MARKS = "file|terminal|person|not run"


def names() -> list[str]:
    """Return the pages, as paths from the folder of the documentation."""
    made = DOCS / "_generated"
    pages = [page for page in DOCS.rglob("*.md") if made not in page.parents]
    return sorted(page.relative_to(DOCS).as_posix() for page in pages)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, its language, and what the comment before it says of it.

    Of a block of Python, `prints` is what the page shows of its output; that block has the mark
    `output` itself.
    """

    number: int
    language: str
    mark: str
    said: str
    text: str
    prints: str = ""


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page's text, in order."""
    pattern = rf"(?:^<!-- ({MARKS}): ([^>]*?) -->\n+)?^```(.*)\n((?:(?!```).*\n)*)```$"
    found: list[Block] = []
    end = 0
    for match in re.finditer(pattern, page, re.MULTILINE):
        mark, said, language, content = match.groups(default="")
        at_once = found and not page[end : match.start()].strip()
        if at_once and language == "text" and not mark and found[-1].language == "python":
            found[-1], mark = replace(found[-1], prints=content), "output"
        found.append(Block(len(found) + 1, language, mark, said, content))
        end = match.end()
    return found


@dataclass(frozen=True)
class Line:
    """A command line of a page, what is typed after it, and what is shown then.

    Without a command it is only what is shown.
    """

    command: str
    typed: tuple[str, ...]
    shown: tuple[str, ...]

    @property
    def code(self) -> int:
        """The exit code that the page states."""
        stated = re.search(r"# exit (\d+)$", self.command)
        return int(stated[1]) if stated else 0


def lines(text: str) -> Iterator[Line]:
    """Return the command lines of a console block."""
    first, *rest = re.split(r"^\$ ((?:.*\\\n)*.*)\n", text, flags=re.MULTILINE)
    for command, after in [("", first), *zip(rest[::2], rest[1::2], strict=True)]:
        if command or after:
            shown = after.splitlines()
            typed = tuple(line for line in shown if re.fullmatch(TOKEN, line))
            yield Line(command, typed, tuple(line for line in shown if line not in typed))
