"""Time and the client's peak memory for one large layer, up and down, against the real middleware.

Run: python benchmarks/transfer.py [megabytes]

Each transfer runs in a process of its own, so that its peak is its own. The bar is 80 MB at any
size of the file.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

from dss import Admin, Client, Middleware, Provider, Session
from dss.middleware import ADMINISTRATOR
from dss.transfer import download_archive, upload_files

BAR = 80
USER, WORKER = "user@example.org", "worker@example.org"


def write_layer(file: Path, megabytes: int) -> None:
    """Writes gzip that does not shrink, in the memory of one piece."""
    squeeze = zlib.compressobj(1, zlib.DEFLATED, 31)
    with file.open("wb") as out:
        for _ in range(megabytes):
            out.write(squeeze.compress(os.urandom(1 << 20)))
        out.write(squeeze.flush())


def transfer(direction: str, server: str, cookie: str, area: str, folder: str) -> None:
    """The measured process: one transfer, then its figures as JSON."""
    start = time.perf_counter()
    with Session(server, cookie=cookie) as session:
        if direction == "up":
            files = [Path(folder) / name for name in ("layer.nii.gz", "workspace.itksnap")]
            upload_files(session, area, [(file, file.name) for file in files])
        else:
            download_archive(session, area, Path(folder), "workspace.itksnap")
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    megabytes = peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    print(json.dumps({"seconds": seconds, "peak": megabytes}))


def measure(what: str, session: Session, direction: str, area: str, folder: Path) -> bool:
    assert session.cookie is not None
    words = [direction, session.server, str(session.cookie.value), area, str(folder)]
    run = [sys.executable, __file__, *words]
    path = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(run, check=True, capture_output=True, text=True, env=path)
    figures = json.loads(done.stdout)
    print(f"{what:34} {figures['seconds']:6.2f} s   peak {figures['peak']:6.1f} MB")
    return bool(figures["peak"] < BAR)


def main(megabytes: int) -> int:
    with tempfile.TemporaryDirectory() as name, Middleware() as middleware:
        folder = Path(name)
        write_layer(folder / "layer.nii.gz", megabytes)
        (folder / "workspace.itksnap").write_text("<registry>\n</registry>\n")
        service = '{"name": "Benchmark", "version": "1", "shortdesc": ""}'
        (folder / "service.json").write_text(service)
        made = middleware.publish(folder, "lab")
        middleware.add_user(USER)
        middleware.add_user(WORKER)
        with middleware.login(ADMINISTRATOR) as session:
            Admin(session).add_user("lab", WORKER)
        with middleware.login(USER) as user, middleware.login(WORKER) as worker:
            ticket = Client(user).create(made)
            theirs, ours = (f"api/{kind}tickets/{ticket}/files/input" for kind in ("", "pro/"))
            print(f"one file of {megabytes} MB")
            good = measure("upload", user, "up", theirs, folder)
            good &= measure("download, by its owner", user, "down", theirs, folder / "a")
            Client(user).make_ready(ticket)
            assert Provider(worker).claim([made], "lab", "benchmark") is not None
            good &= measure("download, by its provider", worker, "down", ours, folder / "b")
        original = (folder / "layer.nii.gz").stat().st_size
        assert all((folder / way / "layer.nii.gz").stat().st_size == original for way in "ab")
        print(f"bar: less than {BAR} MB: {'met' if good else 'NOT MET'}")
        return 0 if good else 1


if __name__ == "__main__":
    if len(sys.argv) > 2:
        transfer(*sys.argv[1:])
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) == 2 else 300))
