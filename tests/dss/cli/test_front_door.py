"""The console script, its help, and what it loads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from dss.cli.app import app

SCRIPT = Path(sysconfig.get_path("scripts")) / "dss"
EVERYTHING = """
    login, logout, whoami, submit, run, demo, middleware,
    batch submit, batch status,
    service init, service check, service test,
    services list, services show, services stats,
    tickets list, tickets show, tickets log, tickets wait, tickets download, tickets delete,
    tickets retry, tickets attachments, tickets report,
    provider services, provider available, provider claim, provider download, provider status,
    provider log, provider attach, provider progress, provider upload, provider success,
    provider fail, provider dashboard,
    admin providers list, admin providers add, admin providers delete,
    admin users list, admin users add, admin users delete,
    admin services list, admin services add, admin services delete,
    admin tickets list, admin tickets purge
"""


def commands(group, path=()):
    """Yield every subcommand as its words and the command itself."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_all_commands_are_there():
    assert set(COMMANDS) == {one.strip() for one in EVERYTHING.split(",")}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_one_line_and_an_example(stranger, name):
    text = stranger([*name.split(), "--help"]).output
    summary = COMMANDS[name].get_short_help_str(60)
    assert len(summary) <= 60
    assert not summary.endswith("...")
    assert re.search(r"Example:\n    \$ (.*)\n", text)[1].startswith(f"dss {name}")


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in COMMANDS
        if name.split()[0] not in ("logout", "demo", "middleware", "service")
        and name not in ("provider dashboard", "batch status")
    ],
)
def test_all_that_talk_to_a_server_take_the_same_options(name):
    options = {option for one in COMMANDS[name].params for option in one.opts}
    assert {"--ca-bundle", "--insecure", "--patience", "--verbose", "--quiet"} <= options
    assert ("--server" in options) == (name != "login")
    shows = name.split()[-1] in ("list", "show", "stats", "log", "wait", "whoami", "status")
    assert "--json" in options or not shows or name == "provider log"


@pytest.mark.parametrize("words", [["--help"], ["tickets", "--help"], ["submit", "--help"]])
def test_help_loads_neither_the_network_nor_arrays(words):
    code = (
        f"import sys; sys.argv = ['dss', *{words!r}]\n"
        "from dss.cli import main\n"
        "code = main()\n"
        "print(code, *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    code, *names = done.stdout.splitlines()[-1].split()
    assert code == "0"
    assert not set(names) & {"rich", "requests", "urllib3", "numpy", "nibabel", "SimpleITK"}


def run(account, *words: str, **options):
    return subprocess.run(
        [SCRIPT, *words],
        stderr=subprocess.PIPE,
        timeout=300,
        env={**os.environ, **account.environment(), "PYTHONIOENCODING": "cp1251"},
        **options,
    )


def test_the_script(user, service):
    done = run(user, "services", "list", stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"Gr\xf6\xdfe" in done.stdout  # the alphabet of cp1251 has no such letters
    done = run(user, "tickets", "show", "999999", stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (1, b"", 1)
    done = run(user, "--version", stdout=subprocess.PIPE)
    assert done.stdout.decode().split() == ["dss", version("snapws")]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_a_closed_pipe_is_quiet(user):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = run(user, "services", "list", stdout=closed)
    assert (done.returncode, done.stderr) == (1, b"")
