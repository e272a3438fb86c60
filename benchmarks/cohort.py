"""Many workspaces in one command, next to a loop of an earlier version's commands.

Run: python benchmarks/cohort.py PYTHON [--counts N …] [--runs N]

PYTHON is the interpreter of an environment with the earlier version, which takes one workspace at a
time. Each workspace has a main image of 20 MB, gzipped, and a segmentation of it. All have links to
the same two files: the disk is read once, by neither side. Every measurement is a whole command, or
a whole loop of them, imports included. Prints a Markdown table of medians, and the bars for 100
workspaces; the exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import sys
import tempfile
from pathlib import Path

from earlier import CHECKOUT, COMMAND, Figures, measure, middle
from measure import Bar, machine, print_bars, run

VOLUME = ("64", "512")  # slices, and voxels along a side: 34 MB, gzipped 20
COUNTS = (10, 100, 1000)
LOOPED = 100  # workspaces of the longest loop; that of more takes as long for each
RATIO, MEGABYTES = 0.3, 400.0
COMMANDS = {"check": ["check"], "report": ["report", "-o", "page.html"]}

# One command for each workspace, as in the loop of a shell script.
LOOP = """
import subprocess, sys
python, command, count, *words = sys.argv[1:]
for workspace in words[:int(count)]:
    subprocess.run([python, "-c", command, *words[int(count):], workspace], check=True)
"""


def prepare(folder: Path, count: int) -> list[Path]:
    """Make the workspaces, each in a folder of its own with links to the images."""
    import numpy as np
    from nibabel.nifti1 import Nifti1Image

    from snapws import Workspace

    plain, scan, labels = folder / "plain.nii", folder / "scan.nii.gz", folder / "labels.nii.gz"
    run(str(CHECKOUT / "benchmarks" / "archive.py"), "write_volume", plain, *VOLUME)
    with plain.open("rb") as source, gzip.open(scan, "wb", 6) as target:
        shutil.copyfileobj(source, target, 1 << 20)
    depth, side = map(int, VOLUME)
    voxels = np.zeros((side, side, depth), np.uint8)
    for label in range(1, 7):
        voxels[60 * label : 60 * label + 50, 100:400, 10:50] = label
    Nifti1Image(voxels, np.diag([0.5, 0.5, 1.0, 1.0])).to_filename(labels)
    names = {label: f"Label {label}" for label in range(1, 7)}
    made = []
    for number in range(count):
        case = folder / f"case{number:04d}"
        case.mkdir()
        for image in (scan, labels):
            os.link(image, case / image.name)
        workspace = Workspace()
        workspace.set_main(case / scan.name)
        workspace.add_segmentation(case / labels.name, labels=names)
        made.append(workspace.save(case / "study.itksnap"))
    return made


def compare(folder: Path, words: list[str], count: int, earlier: str, runs: int) -> list[Figures]:
    """Return the medians of the loop, up to its longest, and of the one command."""
    chosen = [str(folder / f"case{number:04d}" / "study.itksnap") for number in range(count)]
    words = [word.replace("page.html", str(folder / "page.html")) for word in words]
    commands = [[sys.executable, "-c", COMMAND, *words, *chosen]]
    if count <= LOOPED:
        loop = [sys.executable, "-c", LOOP, earlier, COMMAND, str(count), *chosen, *words]
        commands.insert(0, loop)
    figures: list[list[Figures]] = [[] for _ in commands]
    for number in range(runs):
        for place in list(range(len(commands)))[:: -1 if number % 2 else 1]:
            is_here = commands[place][2] == COMMAND
            figures[place].append(measure(commands[place], is_here=is_here))
    return [middle(each) for each in figures]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("earlier", metavar="PYTHON", help="an interpreter with an earlier version")
    parser.add_argument("--counts", metavar="N", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--runs", metavar="N", type=int, default=1, help="of each command")
    options = parser.parse_args()
    bars = []
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), max(options.counts))
        print(machine())
        print()
        print("| command | workspaces | loop, s | one, s | ratio | CPU ratio | one, MB |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for command, words in COMMANDS.items():
            for count in options.counts:
                *looped, one = compare(Path(name), words, count, options.earlier, options.runs)
                cells = ["", f"{one.wall:.1f}", "", "", f"{one.peak:.0f}"]
                for loop in looped:
                    ratio = one.wall / loop.wall
                    cells[0] = f"{loop.wall:.1f}"
                    cells[2:4] = [f"{ratio:.2f}", f"{one.cpu / loop.cpu:.2f}"]
                    if count == LOOPED:
                        bars.append(Bar(f"{command} of {count}, of the loop's time", ratio, RATIO))
                if count == LOOPED:
                    text = f"{command} of {count}, peak memory in MB"
                    bars.append(Bar(text, one.peak, MEGABYTES))
                print(f"| {command} | {count} | {' | '.join(cells)} |", flush=True)
    return print_bars("Bars", bars)


if __name__ == "__main__":
    sys.exit(main())
