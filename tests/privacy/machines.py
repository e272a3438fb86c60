"""Machines and people at them: what programs are told of both, and of the time."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.privacy.marking import Marks

# Run by Python before anything else: the clock and the names of another machine.
_SITE = """
import datetime, getpass, os, platform, socket, time, uuid

user, host, seconds = {user!r}, {host!r}, {seconds!r}
clocks = {{name: getattr(time, name) for name in ("time", "time_ns", "gmtime", "localtime")}}
time.time = lambda: clocks["time"]() + seconds
time.time_ns = lambda: clocks["time_ns"]() + seconds * 10**9
time.gmtime = lambda at=None: clocks["gmtime"](time.time() if at is None else at)
time.localtime = lambda at=None: clocks["localtime"](time.time() if at is None else at)
real = datetime.datetime


class Later(real):
    @classmethod
    def now(cls, tz=None):
        return real.now(tz) + datetime.timedelta(seconds=seconds)

    @classmethod
    def utcnow(cls):
        return cls.now(datetime.timezone.utc).replace(tzinfo=None)


datetime.datetime = Later
names = platform.uname()._replace(node=host)
getpass.getuser = os.getlogin = lambda: user
socket.gethostname = platform.node = lambda: host
socket.getfqdn = lambda name="": host
uuid.getnode = lambda: seconds + 12345
platform.uname = lambda: names
if hasattr(os, "uname"):
    kernel = os.uname()
    os.uname = lambda: os.uname_result((kernel[0], host, *kernel[2:]))
"""


@dataclass(frozen=True)
class Machine:
    """A machine, somebody at it, and the time there.

    Attributes:
        folder: its disk.
        person: its environment variables.
    """

    folder: Path
    person: dict[str, str]

    def run(self, script: str, *words: str | Path) -> str:
        """Run a Python script with the words after it, and give what it prints."""
        ended = subprocess.run(
            [sys.executable, "-c", script, *words],
            env=self.person,
            cwd=self.person["PWD"],
            capture_output=True,
            timeout=300,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr.decode(errors="replace")
        return ended.stdout.decode()


def environment(folder: Path, mark: Marks) -> dict[str, str]:
    """Return an environment, and make a folder to work in, that name a person everywhere."""
    temporary = folder / mark("TMPDIR")
    temporary.mkdir(parents=True)
    home = f"/home/{mark('HOME')}"
    user, host = mark("USER"), mark("HOSTNAME")
    names = dict.fromkeys(("USER", "LOGNAME", "LNAME", "USERNAME"), user)
    names |= dict.fromkeys(("HOSTNAME", "COMPUTERNAME", "HOST"), host)
    names |= dict.fromkeys(("HOME", "USERPROFILE", "XDG_CONFIG_HOME"), home)
    names |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    return {**os.environ, **names, "EMAIL": mark("EMAIL"), "PWD": str(temporary)}


def machine(folder: Path, mark: Marks, seconds: int, zone: str, locale: str) -> Machine:
    """Make a machine on whose disk is `folder`, whose clock is `seconds` ahead."""
    person = environment(folder / "elsewhere", mark)
    site = folder / "site"
    site.mkdir()
    text = _SITE.format(user=mark("getpass.getuser"), host=mark("gethostname"), seconds=seconds)
    (site / "sitecustomize.py").write_text(text, encoding="utf-8")
    person |= {"TZ": zone, "LC_ALL": locale, "LANG": locale, "PYTHONHASHSEED": str(seconds + 1)}
    first = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    return Machine(folder, {**person, "PYTHONPATH": first})
