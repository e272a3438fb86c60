"""A drop-in for `itksnap-wt`: its command lines, its output, its exit codes.

`main` is the command; `snapws.wt.run` has the grammar and `snapws.wt.commands` the table of
commands. Start-up counts here (a script calls the command dozens of times), so that nothing is
imported before a command needs it.
"""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return the exit code: 0, or 255 after an error."""
    from snapws import console, leftovers
    from snapws.wt import commands
    from snapws.wt.run import Run

    run = Run(sys.argv[1:] if arguments is None else arguments, commands)
    # itksnap-wt prints UTF-8 whatever the terminal is set to.
    with leftovers.staying():  # as itksnap-wt, it removes nothing that it was not told to
        return console.run(run.execute, encoding="utf-8")
