"""A run of the drop-in's command line: its grammar, its state and its output.

Commands run from left to right on one workspace in memory. The output of a command begins with its
number in the command line, ``3> `` for example; `-p` replaces this prefix for the next command,
`-P` removes it for all.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from snapws.errors import InvalidValue, WorkspaceError
from snapws.layers import Layer
from snapws.meshes import MeshLayer
from snapws.workspace import Workspace

#: Packages add commands of their own by an entry point of this group: a `Command` table each.
ENTRY_POINTS = "snapws.wt_commands"


class UsageError(WorkspaceError):
    """A command line is invalid."""


class Command(NamedTuple):
    """One command.

    Attributes:
        names: The names of the command, the long name first.
        group: The heading of the command in the help.
        parameters: The parameters, each as ``<one>``; the function gets them as texts. The function
            takes optional parameters, written in ``[brackets]``, itself.
        help: The help, in one line.
        function: The function that runs the command.
    """

    names: tuple[str, ...]
    group: str
    parameters: str
    help: str
    function: Callable[..., None]


class Table(Protocol):
    """The commands that a command line may name."""

    def find(self, name: str) -> Command:
        """Return the command of a name, or raise `UsageError`."""

    def print_help(self) -> None:
        """Print all commands, by group."""


class Run:
    """A command line while it runs.

    Attributes:
        workspace: The workspace of the commands; replaced by `-i`.
        picked: The layer of the `-props` and `-tags` commands.
    """

    def __init__(self, arguments: Sequence[str], table: Table) -> None:
        self._table = table
        self.workspace = Workspace()
        self.picked: Layer | MeshLayer | None = None
        self._arguments = list(reversed(arguments))
        self._number = 0
        self._prefixed = True
        self._prefix: str | None = None
        self._next_prefix: str | None = None

    def execute(self) -> int:
        """Run all commands and return the exit code: 0, or 255 after an error (on stderr)."""
        if not self._arguments:
            self._table.print_help()
            return 255
        while self._arguments:
            name = self._arguments.pop()
            self._number += 1
            try:
                command = self._table.find(name)
                values = [self.take() for _ in range(command.parameters.count("<"))]
                self._prefix, self._next_prefix = self._next_prefix, None
                command.function(self, *values)
            except WorkspaceError as error:
                sys.stdout.flush()
                print(f"snapws-wt: error for command {name} : {error}", file=sys.stderr)
                return 255
        return 0

    # ------------------------------------------------------------------ arguments

    def take(self) -> str:
        """Return the next word of the command line, which must not begin with a dash."""
        word = self._take()
        if word.startswith("-"):
            raise UsageError(f"expected a value, got {word!r}, which begins with a dash")
        return word

    def _take(self) -> str:
        if not self._arguments:
            raise UsageError("too few arguments")
        return self._arguments.pop()

    def take_if(self, wanted: Callable[[str], bool]) -> str | None:
        """Return the next word if it exists and is wanted."""
        if self._arguments and wanted(self._arguments[-1]):
            return self._arguments.pop()
        return None

    def take_number(self) -> float:
        """Return the next word as a number, which may be negative."""
        return number(self._take())

    # --------------------------------------------------------------------- output

    def print(self, text: str) -> None:
        """Print a result, with the prefix that the command line asks for."""
        number = f"{self._number}> " if self._prefixed else ""
        print(f"{number if self._prefix is None else self._prefix}{text}")

    def print_table(self, rows: Sequence[Sequence[str]]) -> None:
        """Print rows of words in columns, each as wide as its widest word and two blanks."""
        widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
        for row in rows:
            self.print("".join(word.ljust(width) for word, width in zip(row, widths, strict=True)))

    def warn(self, text: str) -> None:
        """Print a warning to standard error; the command is carried out anyway."""
        sys.stdout.flush()
        print(f"snapws-wt: warning: {text}", file=sys.stderr)

    def inform(self, text: str) -> None:
        """Print a remark to standard output, always without a prefix."""
        print(f"INFO: {text}")

    def set_prefix(self, prefix: str) -> None:
        """Use another prefix for the next command."""
        self._next_prefix = prefix

    def drop_prefix(self) -> None:
        """Print no prefixes from here on."""
        self._prefixed = False

    # ------------------------------------------------------------------ picked layer

    def pick(self, picked: Layer | MeshLayer) -> None:
        """Make a layer the picked one, and say so."""
        self.picked = picked
        self.inform(f"picked layer {picked.key}")

    def picked_object(self) -> Layer | MeshLayer:
        """Return the picked layer or mesh layer."""
        if self.picked is None:
            raise InvalidValue("no layer is picked: pick one first, with -layers-pick for example")
        return self.picked

    def picked_layer(self) -> Layer:
        """Return the picked image layer."""
        picked = self.picked_object()
        if not isinstance(picked, Layer):
            raise InvalidValue(f"the picked object {picked.key} is a mesh layer, not an image")
        return picked

    def picked_mesh(self) -> MeshLayer:
        """Return the picked mesh layer."""
        picked = self.picked_object()
        if not isinstance(picked, MeshLayer):
            raise InvalidValue(f"the picked object {picked.key} is an image, not a mesh layer")
        return picked


def number(text: str) -> float:
    """Convert a word of the command line to a finite number; only ASCII digits are valid."""
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        value = float(text)
        if math.isfinite(value):
            return value
    raise UsageError(f"{text!r} is not a number")


def whole_number(text: str) -> int:
    """Convert a word of the command line to a whole number; only ASCII digits are valid."""
    if not is_whole_number(text):
        raise UsageError(f"{text!r} is not a whole number")
    return int(text)


def is_whole_number(text: str) -> bool:
    """Return whether a word of the command line is a whole number."""
    return re.fullmatch(r"[+-]?[0-9]{1,18}", text) is not None
