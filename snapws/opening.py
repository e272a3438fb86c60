"""Workspaces opened in ITK-SNAP, one after the other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snapws.errors import WorkspaceError
from snapws.workspace import Workspace

if TYPE_CHECKING:
    from snapws.comparison import Differences

#: Names of the program on the PATH, and where its installers put it on macOS.
NAMES = ("itksnap", "ITK-SNAP")
_ON_MACOS = "/Applications/ITK-SNAP.app/Contents/MacOS/ITK-SNAP"


def find_program(given: str | None = None) -> str:
    """Return the path of ITK-SNAP.

    Args:
        given: A path, or a name on the PATH, instead of the usual names.

    Raises:
        WorkspaceError: The program was not found.
    """
    names = (given,) if given else (*NAMES, *((_ON_MACOS,) if sys.platform == "darwin" else ()))
    for name in names:
        found: str | None = shutil.which(name)
        if found:
            return found
    raise WorkspaceError(
        f"{given or 'ITK-SNAP'} was not found on this machine: install it (itksnap.org), or name "
        "the program with --program"
    )


def open_and_compare(workspace: Path, program: Sequence[str]) -> Differences:
    """Open a workspace in ITK-SNAP, wait until the program ends, and return the differences.

    Args:
        workspace: The workspace file.
        program: The command that opens a workspace; its option ``-w`` is added.

    Returns:
        The differences between the workspace before (A) and after (B), voxels included.

    Raises:
        WorkspaceError: The workspace cannot be read, before or after; or the program failed.
        OSError: The program cannot be started.
    """
    from snapws.comparison.differences import compare_items
    from snapws.comparison.facts import compared_items

    before = compared_items(
        Workspace.open(workspace), {}
    )  # the user may overwrite files in ITK-SNAP
    command = [*program, "-w", os.path.abspath(workspace)]  # noqa: PTH100 - not through links
    code = subprocess.run(command, check=False).returncode  # noqa: S603 - what the user named
    if code:
        raise WorkspaceError(f"{workspace}: {program[0]} ended with exit code {code}")
    return compare_items(before, compared_items(Workspace.open(workspace), {}))
