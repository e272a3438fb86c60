"""The `snapws` command.

Start-up counts: scripts call ``snapws wt`` dozens of times, so it is told apart before the library
for command lines is loaded.
"""

from __future__ import annotations

import sys

from snapws import console


def main() -> int:
    """Run the command line of the process, and give the exit code."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["wt"]:
        from snapws.wt import main as wt

        return wt(arguments[1:])
    from snapws.cli.app import app

    return console.run(lambda: app(arguments, prog_name="snapws"))
