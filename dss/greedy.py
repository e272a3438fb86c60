"""Image registration by `greedy`, as a program: ``greedy -d 3 …``, ``python -m dss.greedy -d 3 …``.

The package picsl_greedy brings its own ITK, which does not share a process with another one,
prints past Python's streams, and holds the interpreter while it works.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from snapws.extras import install_hint

#: The words that begin a command line of greedy, for `Job.run`.
GREEDY = (sys.executable, "-m", "dss.greedy")


def main(words: Sequence[str]) -> int:
    """Run one greedy command.

    The package takes it as a line that it parts at blanks: paths that have them are given relative
    to the current folder, where they may have none.
    """
    try:
        from picsl_greedy import Greedy3D
    except ImportError:
        sys.stderr.write(f"greedy is not installed; {install_hint('demo')}\n")
        return 1
    relative = [os.path.relpath(word) if Path(word).is_absolute() else word for word in words]
    Greedy3D().execute(" ".join(relative))
    return 0


def run() -> int:
    """Run the command ``greedy``: the one of the extra `demo`, else another one on the PATH."""
    if find_spec("picsl_greedy") is None and (other := _another()):
        return subprocess.run([other, *sys.argv[1:]], check=False).returncode  # noqa: S603
    return main(sys.argv[1:])


def _another() -> str | None:
    """Return the next greedy on the PATH, which this command hides; None if no other exists."""
    own = Path(sys.argv[0]).resolve()
    for folder in os.get_exec_path():
        found = shutil.which("greedy", path=folder)
        if found and Path(found).resolve() != own:
            return found
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
