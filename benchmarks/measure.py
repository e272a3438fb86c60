"""What the benchmarks share: measured processes, the peer, the machine, tables and bars.

Each measurement is a process of its own. A benchmark starts itself again with the words
``measure NAME ARGUMENTS``; the function of that name prepares (imports, opens what is small) and
gives the call to measure. The file therefore imports the standard library alone at its top: the
peer's Python runs it too. MB are 10^6 bytes. Linux and macOS.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TypeVar

PEER = "itksnap-dss==0.2.0"

T = TypeVar("T")

#: What is measured; it gives the size of what it made, in bytes.
Call = Callable[[], int]


@dataclass(frozen=True)
class Figures:
    """One measurement.

    Attributes:
        seconds: around the call alone.
        whole: seconds of the whole process, its start and its imports included.
        peak: the largest memory of the process, in MB.
        size: of what was made, in MB.
    """

    seconds: float
    whole: float
    peak: float
    size: float


class Row:
    """The measurements of one thing, which a line of the table sums up."""

    def __init__(self) -> None:
        self.runs: list[Figures] = []

    @property
    def seconds(self) -> float:
        """Median over the runs."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def peak(self) -> float:
        """Largest of the runs, in MB."""
        return max(run.peak for run in self.runs)

    @property
    def size(self) -> float:
        """In MB; the same in each run."""
        return self.runs[-1].size

    def cells(self, *, memory: bool = True) -> list[str]:
        """Return the cells of the table: time, its range, the whole process, peak, size."""
        times = [run.seconds for run in self.runs]
        whole = statistics.median(run.whole for run in self.runs)
        return [
            _shown(self.seconds),
            f"{_shown(min(times))}–{_shown(max(times))}" if len(times) > 1 else "one run",
            _shown(whole),
            f"{self.peak:.0f}" if memory else "",
            f"{self.size:.1f}" if self.size else "",
        ]


def _shown(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds >= 0.1 else f"{seconds:.4f}"


HEADINGS = ["time, s", "range, s", "whole process, s", "peak memory, MB", "size, MB"]


@dataclass(frozen=True)
class Bar:
    """A figure and what it has to be."""

    text: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure is on the right side of its limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        side = "at least" if self.at_least else "at most"
        mark = "ok" if self.met else "MISSED"
        return f"- {mark}: {self.text}: {self.value:.2f} ({side} {self.limit:g})"


def in_turn(rows: Mapping[T, Row], runs: int) -> Iterator[tuple[T, Row]]:
    """Yield what is compared, every other round backwards: none always follows the same."""
    for number in range(runs):
        yield from list(rows.items())[:: -1 if number % 2 else 1]


def child(calls: Mapping[str, Callable[..., Call]], words: Sequence[str]) -> None:
    """Be the measured process: prepare, call, and print the figures as the last line."""
    name, *arguments = words
    call = calls[name](*arguments)
    start = time.perf_counter()
    size = call()
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak": _peak() / 1e6, "size": size / 1e6}))


def run(script: str, *words: str | Path, python: str = sys.executable) -> Figures:
    """Measure in a process of its own.

    Args:
        script: the benchmark's own file.
        words: the name of what to measure, and its arguments.
        python: the interpreter to run it with.
    """
    command = [python, script, "measure", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    whole = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return Figures(whole=whole, **json.loads(done.stdout.splitlines()[-1]))


def _peak() -> int:
    """Return the largest memory of this process and of those it ran, in bytes.

    Linux counts what the parent held when it started a process to that one's ``ru_maxrss``; its
    ``VmHWM`` begins anew.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        own = int(status.partition("VmHWM:")[2].split()[0])
    return unit * max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def peer_python(given: str | None, folder: Path) -> str:
    """Return the Python that has the peer: the one that was given, or of a new environment."""
    if given:
        return given
    venv.create(folder / "peer", with_pip=True)
    python = str(folder / "peer" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", PEER], check=True)
    return python


def write_volume(image: str, slices: str, side: str) -> Call:
    """Prepare to write an uncompressed NIfTI file of int16 voxels, slice by slice.

    Smooth, as an image of a body is, plus noise of the size that a scanner's has: so it shrinks to
    about 60 %, as they do.
    """
    import numpy as np
    from nibabel.nifti1 import Nifti1Header

    def write() -> int:
        depth, width = int(slices), int(side)
        header = Nifti1Header(endianness="<")
        header.set_data_dtype(np.int16)
        header.set_data_shape((width, width, depth))
        header["vox_offset"] = 352
        header.set_qform(np.diag([0.5, 0.5, 1.0, 1.0]), code="scanner")
        header.set_sform(np.diag([0.5, 0.5, 1.0, 1.0]), code="scanner")
        random = np.random.default_rng(1)
        x = np.linspace(-1, 1, width, dtype=np.float32)
        y = x[:, np.newaxis]
        waves = 1 + 0.3 * np.sin(9 * x) * np.cos(7 * y)
        with Path(image).open("wb") as file:
            file.write(header.binaryblock.ljust(352, b"\0"))
            for z in np.linspace(-1, 1, depth):
                smooth = 1000 * waves * np.exp(-3 * (x**2 + y**2 + z**2))
                noise = 20 * random.standard_normal((width, width), dtype=np.float32)
                file.write((smooth + noise).astype("<i2").tobytes())
        return Path(image).stat().st_size

    return write


def write_workspace(workspace: str, *images: str) -> Call:
    """Prepare to write a workspace of images, the first its main one."""
    from snapws import Workspace

    made = Workspace()
    made.set_main(images[0])
    for image in images[1:]:
        made.add_overlay(image)
    return lambda: made.save(workspace).stat().st_size


def machine(peer: str | None = None) -> str:
    """Name the machine, the system and the libraries, in a paragraph; the peer's, too, if any."""
    cores = os.cpu_count()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    mine = {name: metadata.version(name) for name in ("isal", "nibabel", "numpy")}
    ask = (
        "import importlib.metadata as m, platform as p; print('CPython ' + p.python_version(), "
        "*(f'{n} {m.version(n)}' for n in ('itksnap-dss', 'simpleitk')), sep=', ')"
    )
    theirs = ""
    if peer:
        done = subprocess.run([peer, "-c", ask], check=True, capture_output=True, text=True)
        theirs = f" Peer: {done.stdout.strip()}."
    versions = ", ".join(f"{name} {version}" for name, version in mine.items())
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return (
        f"Machine: {_processor()}, {cores} cores, {pages / 1e9:.0f} GB of memory, {_system()}; "
        f"{python}, {versions}.{theirs} {_load()} MB are 10^6 bytes."
    )


def _load() -> str:
    """Return the other load of the machine; the measurements themselves are at most 2."""
    return f"Load over the last 15 minutes: {os.getloadavg()[2]:.1f}."


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        name = "macOS" if sys.platform == "darwin" else platform.system()
    return f"{name}, kernel {platform.release()}"


def print_table(first: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table; its last columns are `HEADINGS`."""
    headings = [*first, *HEADINGS]
    print(f"| {' | '.join(headings)} |")
    print(f"|{' --- |' * len(first)}{' ---: |' * len(HEADINGS)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def print_bars(title: str, bars: Sequence[Bar]) -> int:
    """Print the bars, and give the exit code: 1 if one is missed."""
    print(f"\n{title}:\n")
    for bar in bars:
        print(bar)
    return 0 if all(bar.met for bar in bars) else 1
