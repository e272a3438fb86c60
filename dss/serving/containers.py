"""Programs in containers: the command line of the engine that this machine has."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dss.errors import ServiceError
from dss.serving import gpus

ENGINES = ("docker", "podman", "apptainer", "singularity")
"""Engines, in the order in which they are looked for."""

_INSIDE = "/work"


def command(
    image: str,
    words: Sequence[str],
    workdir: Path,
    *,
    name: str,
    env: Mapping[str, str],
    engine: str | None = None,
) -> tuple[list[str], list[str]]:
    """Return the words that run a program of an image, and those that end it.

    The work folder is the program's current folder, its files belong to the user of this process,
    and the GPUs that the job was given are there. Paths below the folder are as in the container.

    Args:
        image: The image, as the engine names it.
        words: The program and its words; paths of the work folder are replaced.
        workdir: The work folder.
        name: What the container is called.
        env: Variables that the program has.
        engine: Which of `ENGINES`; by default the first that is installed.

    Returns:
        The command, and one that ends the container; empty where it ends with the command.

    Raises:
        ServiceError: No engine is installed, or the image begins with a dash.
    """
    if image.startswith("-"):
        raise ServiceError(f"{image!r} is not the name of an image")
    program = engine or next((one for one in ENGINES if shutil.which(one)), None)
    if program is None:
        raise ServiceError(f"no engine for containers is installed: {', '.join(ENGINES)}")
    inside = [word.replace(str(workdir), _INSIDE) for word in words]
    devices = os.environ.get(gpus.GIVEN, "")
    if Path(program).name in ("docker", "podman"):
        variables = [f"--env={key}={value}" for key, value in env.items()]
        return [
            *(program, "run", "--rm", f"--name={name}", f"--volume={workdir}:{_INSIDE}"),
            *(f"--workdir={_INSIDE}", *_user(program), *_devices(program, devices), *variables),
            *(image, *inside),
        ], [program, "kill", name]
    variables = [f"--env={key}={value}" for key, value in env.items()]
    flags = ["--nv"] if devices else []
    return [
        *(program, "exec", "--containall", f"--bind={workdir}:{_INSIDE}", f"--pwd={_INSIDE}"),
        *(*flags, *([f"--env={gpus.VISIBLE}={devices}"] if devices else []), *variables),
        *(image, *inside),
    ], []


def _user(program: str) -> list[str]:
    """Return what makes files of the container those of this process's user."""
    if sys.platform == "win32":
        return []
    if Path(program).name == "podman":
        return ["--userns=keep-id"]
    return [f"--user={os.getuid()}:{os.getgid()}"]


def _devices(program: str, devices: str) -> list[str]:
    if not devices:
        return []
    if Path(program).name == "podman":
        return [f"--device=nvidia.com/gpu={one}" for one in devices.split(",")]
    return [f'--gpus="device={devices}"']
