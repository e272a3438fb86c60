"""Looking at workspaces in a browser: the memory of the server, and the first picture.

Run: python benchmarks/viewer.py

Three layers of 157 MB (512x512x300 voxels of int16, gzipped), and one of 500 MB, are fetched from
``snapws view`` as the page does it, side by side, and thrown away; the peak is that of the server's
process. The first picture is that of two brain images and a segmentation on the page of a browser
without a graphics card that is running already, from the start of the command. Prints the bars; the
exit code is 1 if one is missed. Linux.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from measure import Bar, Call, child, machine, print_bars, run

RUNS = 5
SECONDS, MEGABYTES = 3.0, 120
BRAIN = Path(__file__).parents[1] / "fixtures" / "brain"


def prepare(folder: str) -> Call:
    """Prepare to make the workspaces."""
    from measure import write_volume
    from nibabel.nifti1 import Nifti1Image

    from snapws import Workspace

    place = Path(folder)

    def make() -> int:
        write_volume(str(place / "volume.nii"), "300", "512")()
        write_volume(str(place / "huge.nii"), "954", "512")()
        volume = Nifti1Image.from_filename(place / "volume.nii")
        three, one, brain = Workspace(), Workspace(), Workspace()
        for name in ("main", "second", "third"):
            volume.to_filename(place / f"{name}.nii.gz")
        three.set_main(place / "main.nii.gz")
        three.add_overlay(place / "second.nii.gz")
        three.add_overlay(place / "third.nii.gz")
        one.set_main(place / "huge.nii")
        brain.set_main(BRAIN / "target.nii.gz")
        brain.add_overlay(BRAIN / "source.nii.gz").display.sticky = True
        brain.add_segmentation(BRAIN / "target_labels.nii.gz")
        made = {"three": three, "one": one, "brain": brain}
        return sum(w.save(place / f"{n}.itksnap").stat().st_size for n, w in made.items())

    return make


@contextmanager
def viewer(workspace: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command; yields its process and the address."""
    code = "from snapws.cli import main; main()"
    command = [sys.executable, "-c", code, "view", str(workspace), "--no-browser"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.terminate()


def fetch(address: str) -> int:
    """Read an answer to its end, and return its size."""
    size = 0
    with urllib.request.urlopen(address, timeout=600) as reply:
        while piece := reply.read(1 << 20):
            size += len(piece)
    return size


def peak(workspace: Path, layers: int) -> tuple[float, float]:
    """Return the peak memory of the server in MB, and the seconds that all layers took."""
    with viewer(workspace) as (process, address):
        fetch(f"{address}w/0/contents.json")
        paths = [
            f"w/0/layer/{number}{rest}" for number in range(layers) for rest in (".nii", "/1.json")
        ]
        start = time.perf_counter()
        with ThreadPoolExecutor(6) as threads:  # as many as a browser asks for at a time
            list(threads.map(fetch, [address + path for path in [*paths, "w/0/cursor.json"]]))
        seconds = time.perf_counter() - start
        status = Path(f"/proc/{process.pid}/status").read_text()
        kilobytes = next(line.split()[1] for line in status.splitlines() if "VmHWM" in line)
    return int(kilobytes) * 1024 / 1e6, seconds


def first_pictures(workspace: Path) -> list[float]:
    """Return the seconds from the start of the command to the main image on the canvas."""
    from playwright.sync_api import sync_playwright

    found = []
    flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        for _ in range(RUNS):
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            start = time.perf_counter()
            with viewer(workspace) as (_process, address):
                page.goto(address)
                while not page.evaluate("document.body.dataset.drawn !== undefined"):
                    page.wait_for_timeout(20)
                found.append(time.perf_counter() - start)
                page.close()
        browser.close()
    return found


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run(__file__, "prepare", folder)
        three, seconds_three = peak(place / "three.itksnap", 3)
        one, seconds_one = peak(place / "one.itksnap", 1)
        pictures = sorted(first_pictures(place / "brain.itksnap"))
    print(machine())
    print(f"\nthree layers of 157 MB: {seconds_three:.1f} s; one of 500 MB: {seconds_one:.1f} s")
    print(f"first pictures, s: {', '.join(f'{one:.2f}' for one in pictures)}")
    bars = [
        Bar("peak memory of the server, three layers of 157 MB, MB", three, MEGABYTES),
        Bar("peak memory of the server, a layer of 500 MB, MB", one, MEGABYTES),
        Bar("first picture, median, s", pictures[len(pictures) // 2], SECONDS),
    ]
    return print_bars("Bars", bars)


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        child({"prepare": prepare}, sys.argv[2:])
    else:
        sys.exit(main())
