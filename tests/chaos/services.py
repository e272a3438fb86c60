"""The services that are tried: a little of everything, for up to two seconds, on the record.

The first voxels of a ticket's scan say what is to happen. What the functions do is written down in
the folder `CHAOS_RECORD`, outside of what the runner knows: one line in `runs.jsonl` for each begin
and end. Two locks for each ticket tell if it is worked on twice at once, or if a command of an
earlier run still runs; the system takes them from a process that is killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from pathlib import Path

import nibabel
import numpy

from dss import Job, service

WORKS, RAISES, COMMAND_FAILS = range(3)
PURPOSE = "this ticket fails on purpose"
EXIT_CODE = 3

# The median of the bytes of a file, slowly.
_COMMAND = """
import fcntl, sys, time
raw, lock, seconds, code = sys.argv[1:]
with open(lock, "w") as held:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("an earlier command of this ticket still runs")
        open("overlap", "w").close()
        sys.exit(1)
    time.sleep(float(seconds))
    with open(raw, "rb") as file:
        values = sorted(file.read())
    if int(code):
        print("the command fails on purpose")
        sys.exit(int(code))
    with open("median.txt", "w") as file:
        file.write(str(values[len(values) // 2]))
"""


def _work(job: Job) -> None:
    folder = Path(os.environ["CHAOS_RECORD"])
    run = f"{os.getpid()}-{time.time_ns()}"

    def record(what: str) -> None:
        line = json.dumps({"ticket": job.ticket, "run": run, "at": time.time(), "what": what})
        # One write at the end of the file: no line is cut or lost, whoever is killed.
        file = os.open(folder / "runs.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{line}\n".encode())
        os.close(file)

    record("start")
    with (folder / f"{job.ticket}.lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            record("overlap")
        if any(job.workdir.iterdir()):
            record("dirty")
        try:
            _compute(job, run, folder / f"{job.ticket}.command.lock")
        finally:
            if Path("overlap").exists():
                record("overlap")
        record("end")


def _compute(job: Job, run: str, lock: Path) -> None:
    image = nibabel.load(job.workspace.layer(tag="Target").path)
    voxels = numpy.asarray(image.dataobj)
    seconds, mode = float(voxels[0, 0, 0]) / 100, int(voxels[0, 0, 1])
    Path("notes.txt").write_text(run, encoding="ascii")
    job.log(f"Begun, run {run}", attach=(f"Notes of {run}", "notes.txt"))
    with job.phase(f"Median, run {run}", 0.0, 0.4):
        Path("voxels.raw").write_bytes(voxels.astype("u1").tobytes())
        code = EXIT_CODE if mode == COMMAND_FAILS else 0
        words = (sys.executable, "-I", "-S", "-c", _COMMAND, "voxels.raw", lock, seconds / 2, code)
        median = int(job.run(*words, makes="median.txt").read_text(encoding="ascii"))
    if mode == RAISES:
        raise ValueError(PURPOSE)
    with job.phase(f"Labels, run {run}", 0.4, 0.9) as phase:
        for part in range(5):
            time.sleep(seconds / 10)
            phase.progress(part / 5)
        labels = (voxels > median).astype("u1")
        nibabel.save(nibabel.Nifti1Image(labels, image.affine), "labels.nii.gz")
        tripled = 3 * voxels.astype("i2")
        nibabel.save(nibabel.Nifti1Image(tripled, image.affine), "tripled.nii.gz")
    job.workspace.add_segmentation("labels.nii.gz", nickname="Labels", tags={"Labels"})
    job.workspace.add_overlay("tripled.nii.gz", nickname="Tripled", tags={"Tripled"})
    job.attach(f"Median of {run}", "median.txt")
    job.log(f"Done, run {run}")


@service(name="ChaosAgain", tags=["Target"])
def again(job: Job) -> None:
    """May be run again after it broke off."""
    _work(job)


@service(name="ChaosOnce", tags=["Target"], resumable=False)
def once(job: Job) -> None:
    """May not."""
    _work(job)
