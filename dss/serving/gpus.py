"""The GPUs of this machine: which there are, and how much of their memory a job takes."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Variable of the environment that says which GPUs a program may use."""

GIVEN = "DSS_GPUS"
"""Variable of a job's environment with the GPUs that the runner has given to it alone."""

_TOOL = "nvidia-smi"
_TOOL_LIMIT = 30.0
_LOOK = 5.0  # seconds between two looks at a job's memory

_NAME = re.compile(r"[0-9]+|(GPU|MIG)-[0-9A-Za-z/-]+")
_LISTED = re.compile(r"GPU ([0-9]+):")
_PART = re.compile(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)")


def needed(resources: Mapping[str, float]) -> int:
    """Return how many GPUs a job of a service takes; a part of one is a whole one."""
    return max([0, *(math.ceil(n) for name, n in resources.items() if name.lower() == "gpu")])


def parse(text: str) -> tuple[str, ...]:
    """Return the GPUs of a list such as ``0,1``; an empty one has none.

    Raises:
        ValueError: One is not the number or UUID of a GPU, or is there twice.
    """
    names = tuple(name.strip() for name in text.split(",")) if text.strip() else ()
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the number or UUID of a GPU")
    if len(set(names)) < len(names):
        raise ValueError(f"a GPU is there twice in {text!r}")
    return names


def present() -> tuple[str, ...]:
    """Return the GPUs that this process may use: by CUDA_VISIBLE_DEVICES, else by nvidia-smi."""
    visible = os.environ.get(VISIBLE)
    if visible is None:
        return _listed(_ask("-L"))
    names: list[str] = []
    for name in visible.split(","):
        if not _NAME.fullmatch(name.strip()) or name.strip() in names:
            break  # so does CUDA: what follows an invalid one does not count
        names.append(name.strip())
    return tuple(names)


def environment(devices: tuple[str, ...]) -> dict[str, str]:
    """Return the variables of a job that has some GPUs to itself; none where it has none."""
    if not devices:
        return {}
    names = ",".join(devices)
    # Else CUDA numbers them by their speed, and nvidia-smi does not.
    order = {"CUDA_DEVICE_ORDER": os.environ.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")}
    return {VISIBLE: names, GIVEN: names, **order}


@contextmanager
def memory_told(tell: Callable[[str], None]) -> Iterator[None]:
    """Look at the memory of the GPUs that this job was given, and say at the end how much it was.

    Nothing is said where there are none, or no nvidia-smi.
    """
    devices = os.environ.get(GIVEN)
    if not devices or not _memory(devices):
        yield
        return
    most: dict[str, tuple[int, int]] = {}
    over = threading.Event()

    def look() -> None:
        for name, (used, of) in _memory(devices).items():
            most[name] = max(most.get(name, (0, 0)), (used, of))

    def watch() -> None:
        look()
        while not over.wait(_LOOK):
            look()

    watching = threading.Thread(target=watch, name="gpus", daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
        look()
        for name, (used, of) in most.items():
            tell(f"GPU {name}: at most {used} of {of} MiB of its memory were in use")


def _listed(text: str) -> tuple[str, ...]:
    """Return the GPUs that ``nvidia-smi -L`` lists; of one that is divided, its parts."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if gpu := _LISTED.match(line):
            found.append([gpu[1]])
        elif (part := _PART.match(line)) and found:
            found[-1].append(part[1])
    return tuple(name for gpu, *parts in found for name in (parts or [gpu]))


def _memory(devices: str) -> dict[str, tuple[int, int]]:
    """Return MiB in use and in all, by GPU."""
    query = "--query-gpu=index,memory.used,memory.total"
    found = {}
    for line in _ask(query, "--format=csv,noheader,nounits", f"--id={devices}").splitlines():
        with suppress(ValueError):  # a part of a GPU has no figures of its own
            name, used, of = line.split(",")
            found[name.strip()] = (int(used), int(of))
    return found


def _ask(*words: str) -> str:
    """Return what nvidia-smi prints; nothing where it is missing, fails or hangs."""
    tool = shutil.which(_TOOL)
    if tool is None:
        return ""
    try:
        said = subprocess.run(  # noqa: S603 - our own words only
            [tool, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TOOL_LIMIT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout
