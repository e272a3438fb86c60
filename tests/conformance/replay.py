"""Run one recorded command line through the drop-in and hold the result against it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import warm

RECORDINGS = Path(__file__).parents[2] / "fixtures" / "recordings"
SCRIPT = warm.script("snapws-wt")


@dataclass
class Result:
    """What a command line did, its folder written as ``{DIR}``."""

    folder: Path
    rc: int
    stdout: str
    stderr: str
    files: dict[str, str | None] = field(default_factory=dict)

    def differences(self, row: dict[str, Any]) -> list[str]:
        """Return how this differs from the recording."""
        found = []
        if (self.rc == 0) != (row["rc"] == 0):
            found.append(f"exit {self.rc}, recorded {row['rc']}: {self.stderr}")
        if lines(self.stdout) != lines(row["stdout"]):
            found.append(f"stdout\n{self.stdout}\nrecorded\n{row['stdout']}")
        if sorted(self.files) != sorted(row["files"]):
            found.append(f"files {sorted(self.files)}, recorded {sorted(row['files'])}")
        for name, text in row["files"].items():
            if text is not None and self.files.get(name) not in (text, None):
                found.append(f"{name}\n{self.files[name]}\nrecorded\n{text}")
        return found


def lines(text: str) -> list[str]:
    """Return the lines of an output with runs of blanks collapsed."""
    return [" ".join(line.split()) for line in text.splitlines()]


def place_inputs(folder: Path) -> None:
    """Copy the recorded inputs to a new folder and put its name into them."""
    shutil.copytree(RECORDINGS / "inputs", folder)
    (folder / "ar").mkdir()
    for workspace in folder.rglob("*.itksnap"):
        data = workspace.read_bytes().replace(b"{DIR}", folder.as_posix().encode())
        workspace.write_bytes(data)


def run(row: dict[str, Any], folder: Path, extra: Path | None = None) -> Result:
    """Run a recorded command line in a new folder with the inputs and perhaps one more file."""
    place_inputs(folder)
    if extra:
        shutil.copy(extra, folder)
    before = set(folder.rglob("*"))
    done = warm.run("snapws-wt", *row["argv"], cwd=folder)

    def unplaced(text: str) -> str:
        return text.replace(folder.as_posix(), "{DIR}")

    result = Result(folder, done.returncode, unplaced(done.stdout), unplaced(done.stderr))
    for path in set(folder.rglob("*")) - before:
        if path.is_file():
            data = path.read_bytes()
            text = None if data.startswith(b"\x1f\x8b") else unplaced(data.decode())
            result.files[path.relative_to(folder).as_posix()] = text
    return result
