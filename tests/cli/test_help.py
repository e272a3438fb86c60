"""What every help text says: in one line what, an example, and where one reads more."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dss.cli.app import app as dss
from snapws.cli.app import app as snapws

DOCS = Path(__file__).parents[2] / "docs"
APPS = {"snapws": snapws, "dss": dss}
PROGRAMS: dict[str, Any] = {name: typer.main.get_command(app) for name, app in APPS.items()}


def walk(command: Any, words: str) -> Iterator[tuple[str, Any]]:
    """Return a command as it is typed, and all commands below it."""
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, f"{words} {name}")


COMMANDS = {words: one for name in APPS for words, one in walk(PROGRAMS[name], name)}


def examples(text: str) -> list[str]:
    """Return the lines of the example that a text shows."""
    block = re.search(r"^ *Example:\n((?: *\$ .+\n)+)", text, re.MULTILINE)
    assert block, text
    return re.findall(r"\$ (.+)", block[1])


def page(text: str) -> str:
    """Return the page that a text names at its end."""
    return re.search(r"^ *More: docs/(\S+)\n*\Z", text, re.MULTILINE)[1]


def parse(line: str) -> tuple[str, dict[str, Any]]:
    """Parse a command line, redirections left out, as the program would; nothing is run.

    Gives the command as it is typed, and the values of its parameters.
    """
    words = shlex.split(re.split(" [<>|] ", line)[0])
    typed = words.pop(0)
    command = PROGRAMS[typed]
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words[0]]
        typed += f" {words.pop(0)}"
    return typed, command.make_context(typed, words).params


def printed(words: str) -> str:
    name, *rest = words.split()
    return CliRunner().invoke(APPS[name], [*rest, "--help"], prog_name=name).output


def test_a_line_that_is_wrong_does_not_parse():
    assert parse("snapws layers list a.itksnap > list.txt")[0] == "snapws layers list"
    for line in (
        "snapws layers list",
        "snapws layers list a.itksnap --nonsense",
        "dss provider progress 1 half",
        "snapws show a.itksnap --size wide",
    ):
        with pytest.raises(Exception, match=r"(?i)missing|no such option|a valid"):
            parse(line)


@pytest.mark.parametrize("words", COMMANDS)
def test_help_begins_with_one_line(words):
    what = COMMANDS[words].help.split("\n\n")[0].strip()
    assert "\n" not in what
    assert what.endswith(".")
    assert len(what) <= 60 or words in PROGRAMS


@pytest.mark.parametrize("words", COMMANDS)
def test_the_example_parses(words):
    for line in examples(f"{COMMANDS[words].epilog}\n"):
        typed, _ = parse(line)
        assert typed == words or typed.startswith(f"{words} ")
        assert not hasattr(COMMANDS[typed], "commands")


@pytest.mark.parametrize("words", [words for words in COMMANDS if words != "snapws wt"])
def test_help_prints_docstring_example_and_page(words):
    text = printed(words)
    assert text.split("\n\n")[1].strip() == COMMANDS[words].help.split("\n\n")[0].strip()
    assert examples(text) == examples(f"{COMMANDS[words].epilog}\n")
    assert page(text) == page(COMMANDS[words].epilog)
    assert "\b" not in text


def test_the_help_of_the_drop_in(study, snapws):
    text = snapws("wt --help").output
    (line,) = examples(text)
    program, *words = line.split()
    assert program == "snapws-wt"
    assert snapws(["wt", *words]).output == f"{(study / 't1.nii.gz').as_posix()}\n"
    assert page(text) == page(COMMANDS["snapws wt"].epilog)


@pytest.mark.parametrize("name", sorted({page(one.epilog) for one in COMMANDS.values()}))
def test_the_page_is_there(name):
    assert (DOCS / name).read_text(encoding="utf-8").startswith("# ")
