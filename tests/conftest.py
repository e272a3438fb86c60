from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import typer.main
from hypothesis import settings

from tests import warm

#: That many workers are thought to wait at any time: for a server, or for a process to end.
_WAITING = 4

# How long an example takes says more about the machine than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# The tests start far more than a thousand processes of this project. Where nothing compiled may be
# kept, each of them would compile what it loads, and each worker all tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# With each request a server waits for the disk, and with each step a journal. Where there is memory
# to spare, the files of tests lie there; those of a test that passed go at its end.
_MEMORY = Path("/dev/shm")
if (
    "TMPDIR" not in os.environ
    and os.access(_MEMORY, os.W_OK)
    and min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available) > 4 << 30
    and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC  # tests write programs, too
):
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None  # it is looked up again

# A shell without job control has what it starts in the background ignore interrupts, and so would
# every program that a test starts in order to interrupt it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Look for no garbage among the tests, which stay: the more there are, the longer it takes."""
    gc.disable()
    try:
        with _after_the_first(getattr(session.config, "workerinput", {})):
            return (yield)
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _after_the_first(worker: Mapping[str, Any]) -> Iterator[None]:
    """Let the first worker compile all tests, and the others wait: they would do it, too."""
    place = worker["warm"][0][2] if "warm" in worker else None
    if place is None:
        yield
        return
    compiled, end = Path(place).with_name("compiled"), time.monotonic() + 120
    while worker["workerid"] != "gw0" and not compiled.exists() and time.monotonic() < end:
        time.sleep(0.1)
    try:
        yield
    finally:
        compiled.touch()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run a test that is named by itself here, and all others in more workers than cores."""
    if all("::" in one for one in config.args):
        return 0
    return _WAITING + (os.cpu_count() or 1)


def pytest_configure(config: pytest.Config) -> None:
    """Start what forks once in a run, not in each of its workers."""
    warm.adopt(getattr(config, "workerinput", {}).get("warm", []))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker, before it starts, where the processes are that fork."""
    node.workerinput["warm"] = warm.share()


@pytest.fixture(scope="session", autouse=True)
def _notes_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Notes of what is on its way are kept in a folder of the tests, not in the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_middlewares() -> Iterator[None]:
    """Middlewares are forks of a process that has loaded what they load, which takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dss.middleware.Popen", partial(warm.Process, loaded="middleware"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _commands_built_once() -> Iterator[None]:
    """Each call of a command in a test would build all commands anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", cache(typer.main.get_command))
        yield
