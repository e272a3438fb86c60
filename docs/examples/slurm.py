"""Serve tickets on the nodes of a Slurm cluster.

It is started on the login node, in screen or as a unit of systemd:

    python slurm.py slurm 4 dss run my_service.py --provider testlab --workdir /shared/dss-work

With `local` instead of `slurm` the four workers are processes of this machine: to try it out.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any


def slurm(workers: int) -> Any:
    """Ask Slurm for one job for each worker; edit this to your cluster."""
    from dask_jobqueue import SLURMCluster

    cluster = SLURMCluster(
        queue="gpu",
        cores=1,  # threads of a Dask worker: it does one ticket at a time
        job_cpu=4,  # and this is what the ticket's job has of the node
        memory="16GB",
        walltime="2-00:00:00",
        job_extra_directives=["--gres=gpu:1"],
        job_script_prologue=["export OMP_NUM_THREADS=4"],
        # What the service asks for: @service(…, resources={"gpu": 1}).
        worker_extra_args=["--resources", "gpu=1"],
        # Where jobs work if the nodes do not have the runner's work folder.
        local_directory="/tmp",  # noqa: S108
        interface="ib0",
    )
    cluster.scale(workers)
    return cluster


def local(workers: int) -> Any:
    """Start workers on this machine."""
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        resources={"gpu": 1},
        host="127.0.0.1",
        dashboard_address=None,
    )


def main(kind: str, workers: str, *command: str) -> int:
    """Start a cluster, and a runner until it ends."""
    with {"slurm": slurm, "local": local}[kind](int(workers)) as cluster:
        place = ["--executor", "dask", "--scheduler", cluster.scheduler_address]
        runner = subprocess.Popen([*command, *place, "--workers", workers])  # noqa: S603
        # Ctrl-C reaches the runner by itself; what a service manager says is passed on.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: runner.terminate())
        return runner.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
