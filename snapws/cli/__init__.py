"""The `snapws` command.

Scripts call ``snapws wt`` dozens of times and need a short start-up. `main` therefore recognises
that command before it loads the library for command lines.
"""

from __future__ import annotations

import sys

from snapws import console


def main() -> int:
    """Run the command line of the process, and return the exit code."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["wt"]:
        from snapws.wt import main as wt

        return wt(arguments[1:])
    from snapws.cli.app import app_for

    return console.run(lambda: app_for(arguments)(arguments, prog_name="snapws"))
