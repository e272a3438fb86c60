"""What commands of a page are typed into: a shell, or what is quicker and needs none."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import ClassVar, Protocol

from typer.testing import CliRunner

from dss.cli.app import app as dss
from snapws.cli.app import app as snapws
from tests import standins

LIMIT = 300.0  # seconds for one command, or for the next line of a terminal


class Terminal(Protocol):
    """Something that takes one command after the other, and in which appears what they print."""

    def type(self, command: str, typed: tuple[str, ...] = ()) -> None:
        """Type a command, and what it asks for."""

    def next(self) -> str:
        """Return the next line; after the last comes `exit` and the exit code."""

    def interrupt(self) -> None:
        """Press Ctrl-C."""

    def close(self) -> None:
        """Close the window, with everything that runs in it."""


class Inside:
    """The programs of this project without a process each, which takes a tenth of the time."""

    PROGRAMS: ClassVar = {"snapws": snapws, "dss": dss}

    def __init__(self, home: Path) -> None:
        self._environment = {"HOME": str(home), "USERPROFILE": str(home)}
        self._appeared: deque[str] = deque()

    @classmethod
    def takes(cls, command: str) -> bool:
        """Whether a command line is one of these programs, and of nothing that a shell does.

        A runner is not for here: if it waits for what never comes, a shell can be given up.
        """
        if not re.fullmatch(r"(snapws|dss(?! run)) [^$|&;`*?~]*", command):
            return False
        words = shlex.split(command, comments=True)
        return not {"<", ">"} & set(words[:-2])

    def run(self, command: str, typed: tuple[str, ...] = ()) -> tuple[list[str], int]:
        """Run a command line, and give what appears, and its exit code."""
        words = shlex.split(command, comments=True)
        given, written = "".join(f"{line}\n" for line in typed), None
        if words[-2] == "<":
            given, words = Path(words[-1]).read_text(encoding="utf-8"), words[:-2]
        elif words[-2] == ">":
            written, words = Path(words[-1]), words[:-2]
        program = words.pop(0)
        result = CliRunner().invoke(
            self.PROGRAMS[program], words, prog_name=program, input=given, env=self._environment
        )
        shown = result.output
        if written:
            written.write_text(result.stdout, encoding="utf-8")
            shown = result.stderr
        return shown.splitlines(), result.exit_code

    def type(self, command: str, typed: tuple[str, ...] = ()) -> None:
        shown, code = self.run(command, typed)
        self._appeared.extend([*shown, f"exit {code}"])

    def next(self) -> str:
        return self._appeared.popleft()

    def interrupt(self) -> None:
        raise AssertionError("nothing runs on in here")

    def close(self) -> None:
        pass


class Shell:
    """A shell, and what appears in its window."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._shell = subprocess.Popen(
            ["sh"],
            cwd=folder,
            env=_environment(home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._prompt = secrets.token_hex(8)
        self._appeared: SimpleQueue[str] = SimpleQueue()
        self._interrupted = False
        self._window = threading.Thread(target=self._read, daemon=True)
        self._window.start()
        self._write("trap : INT\n")  # Ctrl-C is for the command, as in a shell with a person

    def type(self, command: str, typed: tuple[str, ...] = ()) -> None:
        answers = "".join(f"{line}\n" for line in typed)
        end = f"end_{self._prompt}"
        self._write(
            f"{{ {command}\n}} <<'{end}'\n{answers}{end}\nprintf '{self._prompt} %d\\n' $?\n"
        )

    def interrupt(self) -> None:
        """Press Ctrl-C; `next` presses it again where nothing comes of it."""
        self._interrupted = True
        os.killpg(self._shell.pid, signal.SIGINT)

    def next(self) -> str:
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            with suppress(Empty):
                line = self._appeared.get(timeout=1.0 if self._interrupted else LIMIT)
                # The command has ended when the shell has its prompt again.
                self._interrupted = self._interrupted and not line.startswith(self._prompt)
                return line.replace(self._prompt, "exit")
            if self._interrupted:
                os.killpg(self._shell.pid, signal.SIGINT)
        raise AssertionError(f"nothing came for {LIMIT:.0f} s")

    def close(self) -> None:
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


def _environment(home: Path) -> dict[str, str]:
    """Return the environment of somebody who has just installed the project, and nothing else."""
    quick = [str(folder)] if (folder := standins.folder()) else []
    scripts = (str(Path(sys.executable).parent), sysconfig.get_path("scripts"), os.defpath)
    programs = (*quick, *scripts)
    foreign = re.compile("DSS_.*|ITKSNAP_.*|GIT_.*|.*_proxy|.*_PROXY|ENV|BASH_ENV|.*_COLOR")
    return {
        **{name: text for name, text in os.environ.items() if not foreign.fullmatch(name)},
        "HOME": str(home),
        "PATH": os.pathsep.join((*programs, os.environ.get("PATH", ""))),
    }
