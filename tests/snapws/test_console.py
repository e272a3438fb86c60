"""How commands end: SIGTERM and SIGHUP clean up as Ctrl-C does, and say which it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from snapws import Workspace
from tests import warm

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

SNAPWS = "from snapws.cli import main; raise SystemExit(main())"
WT = "from snapws.wt import main; raise SystemExit(main())"
SIGNALS = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose images take seconds to compress."""
    folder = tmp_path_factory.mktemp("large")
    voxels = np.random.default_rng(0).integers(0, 4000, (256, 256, 200)).astype("<i2")
    workspace = Workspace()
    for number in range(2):
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / f"{number}.nii")
        workspace.add_anatomical(folder / f"{number}.nii")
    return workspace.save(folder / "large.itksnap")


def begin(code: str, *words: object, **options: Any) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-c", code, *words]
    return warm.Process(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def until_there_are_files(folder: Path, child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 300
    while not any(path.stat().st_size for path in folder.glob(".appearing-*/new/layer_*")):
        assert child.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda one: one.name)
@pytest.mark.parametrize("program", ["snapws", "snapws-wt"])
def test_a_signal_leaves_no_copy_of_a_scan(large, tmp_path, program, number):
    out = tmp_path / "out"
    if program == "snapws":
        child = begin(SNAPWS, "archive", large, out)
    else:
        child = begin(WT, "-i", large, "-a", f"{out}/x.itksnap")
    with child:
        until_there_are_files(out, child)
        child.send_signal(number)
        if number != signal.SIGINT:  # a second one would break off the cleaning up
            child.send_signal(number)  # as a terminal and its shell both do
        _, errors = child.communicate(timeout=300)
    assert child.returncode == 128 + number
    assert b"Traceback" not in errors
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM], ids=lambda one: one.name)
def test_a_signal_that_is_ignored_stays_ignored(large, tmp_path, number):
    """As under nohup."""
    out = tmp_path / "out"
    code = f"import signal; signal.signal({int(number)}, signal.SIG_IGN); {SNAPWS}"
    with begin(code, "archive", large, out, "--level", 1) as child:
        until_there_are_files(out, child)
        child.send_signal(number)
        child.communicate(timeout=300)
    assert child.returncode == 0
    assert (out / "workspace.itksnap").exists()


def test_a_signal_removes_the_half_written_file(large, tmp_path):
    """`copy_image`, for one, writes for long beside the file that it replaces."""
    code = (
        "import sys; from snapws import Workspace, console; "
        "sys.exit(console.run(lambda: Workspace.open(sys.argv[1]).main.copy_image(sys.argv[2])))"
    )
    with begin(code, large, tmp_path / "copy.nii.gz") as child:
        end = time.monotonic() + 300
        while not any(path.stat().st_size for path in tmp_path.glob(".*.new")):
            assert child.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=300)
    assert child.returncode == 128 + signal.SIGTERM
    assert [*tmp_path.iterdir()] == []


#: Prints while another thread reads a PNG image, which discards what its decoder prints.
PRINTS = """
import sys, threading, SimpleITK
from pathlib import Path
from snapws import console
from snapws.images.itk import reading

reads, printed = threading.Event(), threading.Event()

class Reader:
    def Execute(self):
        reads.set()
        assert printed.wait(60)

reading._reader = lambda *_: Reader()

def command():
    reader = threading.Thread(target=reading.read, args=(Path("a.png"), "PNGImageIO"))
    reader.start()
    assert reads.wait(60)
    print("an error of another image", file=sys.stderr)
    printed.set()
    reader.join()

sys.exit(console.run(command))
"""


def test_what_is_printed_while_an_image_is_read_is_seen():
    done = warm.captured([sys.executable, "-c", PRINTS])
    assert (done.returncode, done.stderr) == (0, "an error of another image\n")
