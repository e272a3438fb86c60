"""This checkout next to an earlier installation of the project, run in turn.

Run: python benchmarks/earlier.py PYTHON [--runs N] [--only WORD]

PYTHON is the interpreter of an environment with the earlier version. A measurement is a whole
process, imports included, in which a command is called; its time, its CPU time and its peak memory
are those of the process. The lines named "the call" archive an open workspace, imports done: their
time and CPU time are those of the call alone. Prints a Markdown table of medians and ratios.

Python reads compiled files on both sides: `python -m compileall -q snapws dss` in this checkout
first.
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

#: Archive, and print the seconds and the CPU seconds of the call. Both versions have these names.
CALL = """
import os, sys, time
cores = int(sys.argv[3])
if cores:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
from snapws import Workspace
from snapws.archive import archive
workspace, folder = Workspace.open(sys.argv[1]), sys.argv[2]
wall, cpu = time.perf_counter(), time.process_time()
archive(workspace, folder)
print(time.perf_counter() - wall, time.process_time() - cpu)
"""
CHECKOUT = Path(__file__).parents[1]
RUNS = 7
LARGE = ("300", "512")  # slices, and voxels along a side: 157 MB
GIGABYTE = ("1907", "512")

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

#: The calls that are measured: the workspace, and the number of cores that the process may use,
#: 0 for all of them.
CALLS = {
    "the call, 157 MB, uncompressed": ("one", 0),
    "the call, 157 MB, uncompressed, on one core": ("one", 1),
    "the call, 1 GB, uncompressed": ("giga", 0),
    "the call, 1 GB, uncompressed, on one core": ("giga", 1),
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
    giga = folder / "giga.nii"
    run(str(CHECKOUT / "benchmarks" / "archive.py"), "write_volume", giga, *GIGABYTE)
    made = {"one": [plain], "two": zipped[:2], "three": zipped, "giga": [giga]}
    for name, images in made.items():
        workspace = Workspace()
        workspace.set_main(images[0])
        for image in images[1:]:
            workspace.add_overlay(image).display.sticky = True
        workspace.save(folder / f"{name}.itksnap")


def measure(command: list[str], *, is_here: bool, is_call: bool) -> Figures:
    """Run a process, and return its figures, with those of the processes that it ran.

    Args:
        command: The program and its words.
        is_here: Whether Python imports this checkout.
        is_call: Whether the process prints its own seconds and CPU seconds.
    """
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if is_here:
        environment["PYTHONPATH"] = str(CHECKOUT)
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd=Path(sys.executable).anchor,  # no other checkout is imported from the current folder
    )
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    wall, cpu = time.perf_counter() - start, used.ru_utime + used.ru_stime
    if status:
        sys.exit(f"a process failed: {' '.join(command)[:500]}: {printed}")
    if is_call:
        wall, cpu = map(float, printed.split())
    unit = 1 if sys.platform == "darwin" else 1024
    return Figures(wall, cpu, used.ru_maxrss * unit / 1e6)


def middle(runs: list[Figures]) -> Figures:
    """Return the medians of several runs."""
    return Figures(*(statistics.median(column) for column in zip(*runs, strict=True)))


def compare(folder: Path, case: str, earlier: str, runs: int) -> str:
    """Return the line of a case."""
    figures: dict[str, list[Figures]] = {earlier: [], sys.executable: []}
    place = folder / "target"
    if is_call := case in CALLS:
        name, cores = CALLS[case]
        words = [CALL, str(folder / f"{name}.itksnap"), str(place / "out"), str(cores)]
    else:
        name, line = CASES[case]
        given = {"{}": str(folder / f"{name}.itksnap"), "OUT": str(place / "out")}
        for mark, path in given.items():
            line = line.replace(mark, path)
        words = [COMMAND, *line.split()]
    for number in range(runs):
        for python in list(figures)[:: -1 if number % 2 else 1]:
            place.mkdir()
            command = [python, "-c", *words]
            is_here = python == sys.executable
            figures[python].append(measure(command, is_here=is_here, is_call=is_call))
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
        for case in [*CASES, *CALLS]:
            if options.only in case:
                print(compare(Path(name), case, options.earlier, options.runs), flush=True)


if __name__ == "__main__":
    main()
