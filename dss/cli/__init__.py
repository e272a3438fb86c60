"""The `dss` command: parse, one call, render."""

from __future__ import annotations

from snapws import console


def main() -> int:
    """Run the command line of the process, and give the exit code."""
    from dss.cli.app import app

    return console.run(lambda: app(prog_name="dss"))
