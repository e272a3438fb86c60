"""Console blocks of documents: command lines after ``$``, and what they print.

A line's end ``# exit 1`` states an exit code other than 0; ``> FILE`` writes what is printed there.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from snapws.cli.app import app

#: The folder that documents speak of.
SHOWN_FOLDER = "/data/study"


@dataclass(frozen=True)
class Example:
    """One command line of a document, and what it is shown to print."""

    line: str
    output: str

    def run(self, folder: Path) -> str:
        """Run it in a folder, hold its exit code, and give what it prints as documents show it."""
        words = shlex.split(self.line.replace(SHOWN_FOLDER, folder.as_posix()), comments=True)
        target = None
        if ">" in words:
            words, target = words[: words.index(">")], words[-1]
        assert words.pop(0) == "snapws", self.line
        result = CliRunner().invoke(app, words, prog_name="snapws")
        stated = re.search(r"# exit ([0-9]+)$", self.line)
        assert result.exit_code == int(stated[1] if stated else 0), result.output
        shown = result.output
        if target:
            Path(target).write_text(result.stdout, encoding="utf-8")
            shown = result.stderr
        for name in (folder.as_posix(), str(folder)):
            shown = shown.replace(name, SHOWN_FOLDER)
        return shown.replace("\\", "/") if os.name == "nt" else shown


def blocks(text: str) -> list[list[Example]]:
    """Give the console blocks of a document."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)[1:]
        found.append([Example(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)])
    return found
