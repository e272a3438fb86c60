"""This checkout next to an earlier installation of the project, run in turn.

Run: python benchmarks/earlier.py PYTHON [--runs N] [--only WORD]

PYTHON is the interpreter of an environment with the earlier version. Every measurement is a whole
process, imports included, in which a command is called; its time, its CPU time and its peak memory
are those of the process. Prints a Markdown table of medians and ratios.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from measure import machine, run

COMMAND = "import sys; from snapws.cli import main; sys.exit(main())"
CHECKOUT = Path(__file__).parents[1]
RUNS = 7
LARGE = ("300", "512")  # slices, and voxels along a side: 157 MB

#: What is measured: the workspace and the words of the command, in which OUT is a target.
CASES = {
    "archive, 157 MB, uncompressed": ("one", "archive {} OUT"),
    "archive, two layers of 157 MB, gzipped": ("two", "archive {} OUT"),
    "show, three gzipped layers": ("three", "show {} -o OUT.png"),
    "report, three gzipped layers": ("three", "report {} -o OUT.html"),
    "check, three gzipped layers": ("three", "check {}"),
    "layers list": ("three", "layers list {}"),
    "info": ("three", "info {}"),
}


class Figures(NamedTuple):
    """One run: seconds, CPU seconds, peak memory in MB."""

    wall: float
    cpu: float
    peak: float


def prepare(folder: Path) -> None:
    """Make the images and the workspaces."""
    import gzip

    from snapws import Workspace

    plain = folder / "plain.nii"
    run(str(CHECKOUT / "benchmarks" / "archive.py"), "write_volume", plain, *LARGE)
    zipped = [folder / f"scan{number}.nii.gz" for number in range(3)]
    with plain.open("rb") as source, gzip.open(zipped[0], "wb", 6) as target:
        shutil.copyfileobj(source, target, 1 << 20)
    for other in zipped[1:]:
        shutil.copy(zipped[0], other)
    for name, images in (("one", [plain]), ("two", zipped[:2]), ("three", zipped)):
        workspace = Workspace()
        workspace.set_main(images[0])
        for image in images[1:]:
            workspace.add_overlay(image).display.sticky = True
        workspace.save(folder / f"{name}.itksnap")


def measure(command: list[str], *, is_here: bool) -> Figures:
    """Run a process, and return its figures, with those of the processes that it ran.

    Args:
        command: The program and its words.
        is_here: Whether Python imports this checkout.
    """
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if is_here:
        environment["PYTHONPATH"] = str(CHECKOUT)
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=Path(sys.executable).anchor,  # no other checkout is imported from the current folder
    )
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        sys.exit(f"a process failed: {' '.join(command)[:500]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Figures(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * unit / 1e6)


def middle(runs: list[Figures]) -> Figures:
    """Return the medians of several runs."""
    return Figures(*(statistics.median(column) for column in zip(*runs, strict=True)))


def compare(folder: Path, case: str, earlier: str, runs: int) -> str:
    """Return the line of a case."""
    name, words = CASES[case]
    figures: dict[str, list[Figures]] = {earlier: [], sys.executable: []}
    for number in range(runs):
        for python in list(figures)[:: -1 if number % 2 else 1]:
            place = folder / "target"
            place.mkdir()
            given = {"{}": str(folder / f"{name}.itksnap"), "OUT": str(place / "out")}
            for mark, path in given.items():
                words = words.replace(mark, path)
            command = [python, "-c", COMMAND, *words.split()]
            figures[python].append(measure(command, is_here=python == sys.executable))
            shutil.rmtree(place)
    old, new = map(middle, figures.values())
    cells = [f"{old.wall:.2f}", f"{new.wall:.2f}", f"{new.wall / old.wall:.2f}"]
    cells += [f"{new.cpu / old.cpu:.2f}", f"{old.peak:.0f}", f"{new.peak:.0f}"]
    return f"| {case} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("earlier", metavar="PYTHON", help="an interpreter with an earlier version")
    parser.add_argument("--runs", metavar="N", type=int, default=RUNS, help="of each case")
    parser.add_argument("--only", metavar="WORD", default="", help="cases with a word in them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        print(machine())
        print()
        print("| what | earlier, s | now, s | ratio | CPU ratio | earlier, MB | now, MB |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for case in CASES:
            if options.only in case:
                print(compare(Path(name), case, options.earlier, options.runs), flush=True)


if __name__ == "__main__":
    main()
