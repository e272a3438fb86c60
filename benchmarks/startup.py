"""How long the drop-in takes to list files, against the import of lxml.etree alone.

Run in an environment where snapws is installed: ``python benchmarks/startup.py``. Both commands run
in turn, 30 times each; the medians and their ratio are printed. The bar is a ratio of 1.6.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

RUNS = 30
BAR = 1.6


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def write_workspace(folder: Path) -> Path:
    from snapws import Workspace

    image = Path(__file__).parents[1] / "fixtures" / "brain" / "target.nii.gz"
    workspace = Workspace()
    for number in range(5):
        workspace.add_anatomical(image, nickname=f"Image {number}", tags={"Target", f"T{number}"})
    return workspace.save(folder / "five.itksnap")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        workspace = write_workspace(Path(folder))
        script = Path(sysconfig.get_path("scripts")) / "snapws-wt"
        ours = [str(script), "-P", "-i", str(workspace), "-llf", "Target"]
        lxml = [sys.executable, "-c", "import lxml.etree"]
        times: dict[str, list[float]] = {"ours": [], "lxml": []}
        for command in (ours, lxml):
            seconds(command)
        for _ in range(RUNS):
            times["ours"].append(seconds(ours))
            times["lxml"].append(seconds(lxml))
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratio = medians["ours"] / medians["lxml"]
    print(f"snapws-wt -P -i WS -llf TAG: {1000 * medians['ours']:.1f} ms (median of {RUNS})")
    print(f"import lxml.etree:           {1000 * medians['lxml']:.1f} ms")
    print(f"ratio:                       {ratio:.2f} (bar: {BAR})")
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
