"""What a runner costs: from claim to success of a service that does nothing, and when it is idle.

Run as ``python benchmarks/service.py``; it takes about a minute. The workspace has one small layer.
The time of a ticket is from the moment before its claim is sent to the moment at which its success
is in the journal. The memory is the resident set of the runner and its processes together, when no
ticket waits.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import numpy
import psutil

from dss import Admin, Client, Middleware
from dss.login import Credentials
from dss.middleware import ADMINISTRATOR
from dss.serving.journal import reading
from snapws import Workspace

TICKETS = 30
IDLE = 75.0  # seconds; a worker without work is kept for 60
SECONDS = 0.5
MEGABYTES = 60

SERVICE = """
from dss import service

@service(name="Nothing", tags=["Target"])
def nothing(job):
    pass
"""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="dss-benchmark-") as place:
        folder = Path(place)
        with Middleware(folder / "middleware") as middleware:
            seconds, idle = measure(middleware, folder)
    least, median, most = (f(seconds) * 1000 for f in (min, statistics.median, max))
    bar = f"(bar: {SECONDS * 1000:.0f})"
    print(f"{TICKETS} tickets, claim to success: {median:.0f} ms, {least:.0f} to {most:.0f} {bar}")
    print(f"runner, idle: {idle / 1e6:.0f} MB (bar: {MEGABYTES})")
    held = statistics.median(seconds) < SECONDS and idle < MEGABYTES * 1e6
    print("the bars hold" if held else "A BAR IS MISSED")
    return not held


def measure(middleware: Middleware, folder: Path) -> tuple[list[float], int]:
    """Return the seconds of each ticket, and the bytes of the runner when it is idle."""
    description = {"name": "Nothing", "version": "1.0.0", "shortdesc": "does nothing"}
    (folder / "service.json").write_text(json.dumps(description), encoding="utf-8")
    (folder / "nothing.py").write_text(SERVICE, encoding="utf-8")
    service = middleware.publish(folder, "lab")
    for email in ("user@localhost", "provider@localhost"):
        middleware.add_user(email, tier="xnat")
    with middleware.login(ADMINISTRATOR) as session:
        Admin(session).add_user("lab", "provider@localhost")
    home = folder / "home"
    home.mkdir()
    with middleware.login("provider@localhost") as session:
        Credentials(home).save(session)
    words = ["run", folder / "nothing.py", "--provider", "lab", "--workdir", folder / "work"]
    program = Path(sys.executable).with_name("dss")
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**kept, "HOME": str(home), "USERPROFILE": str(home)}
    with middleware.login("user@localhost") as session:
        user = Client(session)
        workspace = make_workspace(folder)
        for _ in range(TICKETS):
            user.submit(workspace, service)
        with subprocess.Popen([program, *words], env=environment, stderr=subprocess.DEVNULL) as it:
            try:
                while any(ticket.status != "success" for ticket in user.tickets()):
                    time.sleep(0.5)
                time.sleep(IDLE)
                idle = memory(it.pid)
            finally:
                it.terminate()
    with reading(folder / "work") as database:
        rows = database.execute(
            "select (select at from events e where e.ticket = t.ticket and step = 'finished') - "
            "(select at from claims where outcome = 'ticket ' || ticket) from tickets t"
        ).fetchall()
    return [row[0] for row in rows], idle


def memory(pid: int) -> int:
    runner = psutil.Process(pid)
    return sum(one.memory_info().rss for one in [runner, *runner.children(recursive=True)])


def make_workspace(folder: Path) -> Workspace:
    voxels = numpy.random.default_rng(1).integers(0, 99, (32, 32, 32), numpy.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, numpy.eye(4)), folder / "scan.nii.gz")
    workspace = Workspace()
    workspace.add_anatomical(folder / "scan.nii.gz", tags={"Target"})
    workspace.save(folder / "study.itksnap")
    return workspace


if __name__ == "__main__":
    sys.exit(main())
