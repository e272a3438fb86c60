"""Names of users and machines that this machine knows, and the patterns of addresses."""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

#: Names that stand for nobody, and are words besides.
COMMON = frozenset(
    re.split(
        r"\s+",
        """admin all backup bin broadcasthost conda container data debian default demo docker dss
        files ftp games gateway git group guest home host images input internal ip6-allnodes
        ip6-allrouters ip6-localhost ip6-loopback irc job jovyan kubernetes list local localdomain
        localhost log login lost+found mail man news nfsnobody nobody node none opt output proxy
        public python result results root runner scratch server service shared snap software src
        sync sys system temp test tests the tmp ubuntu user users usr var vagrant work worker
        workspace www www-data""",
    )
)

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ENDS = "com|org|net|edu|gov|mil|int|eu|de|uk|fr|nl|ch|at|es|se|dk|be|ca|au|cn|jp|kr|br|us|example"
_OURS = "local|localdomain|lan|intern|internal|intra|intranet|corp|home"

#: Matches user@host, IP addresses, and host names.
ADDRESSES = re.compile(
    r"(?<![\w.+-])[\w.+-]{2,64}@[\w-]{2,63}(?:\.[\w-]{1,63})*"
    r"|(?<![\w.])(?!(?:127\.0\.0\.1|0\.0\.0\.0)(?!\w))(?:\d{1,3}\.){3}\d{1,3}(?![\w.]?\d)"
    r"|(?<![\w:])(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}(?![\w:])"
    r"|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}(?![\w:])|(?<![\w:])fe80::[0-9a-fA-F:]+"
    rf"|(?<![\w.@/-])(?:{_LABEL}\.){{1,6}}(?:{_ENDS})(?![\w.-]\w)"
    rf"|(?<![\w.@/-])(?=[\w-]*[\d-]|[\w-]+\.[\w-]+\.)(?:{_LABEL}\.){{1,6}}(?:{_OURS})(?![\w.-]\w)"
    r"|(?<=connect to host )\S+|(?<=resolve host: )\S+|(?<=resolve hostname )[^\s:]+"
    r"|(?<=host=)[\w.-]+|(?<=hostname=)[\w.-]+|(?<=hostname: )[\w.-]+"
)


def names_here() -> set[str]:
    """Return the names of this machine and its user, and of other known machines and users."""
    machine = {socket.gethostname(), socket.getfqdn()}
    names = machine | {name.partition(".")[0] for name in machine}
    with suppress(OSError, KeyError, ImportError):  # a user without a name
        names.add(getpass.getuser())
    with suppress(OSError, RuntimeError):  # or without a home
        names.add(Path.home().name)
    return names | _others()


@cache
def _others() -> frozenset[str]:
    """Return the names of other users (accounts and people) and of other machines."""
    found = {*_accounts(Path("/etc/passwd")), *_hosts(Path("/etc/hosts"))}
    for homes in (Path("/home"), Path("/Users")):
        with suppress(OSError):  # not there, or not to be listed
            found |= {home.name for home in homes.iterdir() if home.is_dir()}
    return frozenset(found)


def _accounts(file: Path) -> Iterator[str]:
    """Yield the names of people in a passwd file. Accounts of programs have a uid below 1000."""
    for line in _lines(file):
        fields = line.split(":")
        if len(fields) > 5 and fields[2].isdecimal() and 1000 <= int(fields[2]) < 65534:
            yield fields[0]
            yield Path(fields[5]).name
            person = fields[4].partition(",")[0].strip()
            if " " in person:
                yield person


def _hosts(file: Path) -> Iterator[str]:
    for line in _lines(file):
        for name in line.partition("#")[0].split()[1:]:
            yield name
            yield name.partition(".")[0]


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # another system has none
        return []
