"""Nothing of the machine and the day is in an archive: elsewhere, later, it has the same bytes."""

from __future__ import annotations

import os

import pytest

from tests.privacy import markers
from tests.privacy.machines import Machine, machine
from tests.privacy.marking import Marks

DAY = 86_400

PROBE = """
import datetime, getpass, gzip, platform, socket, time
print(getpass.getuser(), socket.gethostname(), platform.node())
print(gzip.compress(b"").hex(), datetime.datetime.now(), time.gmtime().tm_yday, time.tzname)
"""


@pytest.fixture
def marks() -> Marks:
    """Markers that say who is at which machine, apart from those of the study."""
    return Marks(first=900)


@pytest.fixture
def machines(tmp_path, marks) -> tuple[Machine, Machine]:
    """Two machines, a day apart."""
    return (
        machine(tmp_path / "one", marks, 0, "UTC0", "C"),
        machine(tmp_path / "two", marks, DAY, "XYZ-14", "C.UTF-8"),
    )


ARCHIVE = """
import sys
from snapws import Workspace
from snapws.archive import archive

for privacy in ("standard", "strict"):
    archive(Workspace.open(sys.argv[1]), f"{sys.argv[2]}/{privacy}", privacy=privacy)
"""


def test_the_machines_differ(machines):
    first, second = (one.run(PROBE) for one in machines)
    assert not set(first.split()) & set(second.split())


def test_an_archive_is_the_same_on_another_machine_on_another_day(machines, leaks, marks):
    pytest.importorskip("SimpleITK", reason="needs the extra 'formats'")
    written = []
    for number, one in enumerate(machines):
        study = markers.build(one.folder / f"study {number}")
        if number:
            for path in study.folder.rglob("*"):
                os.utime(path)
        out = one.folder / "out"
        out.mkdir()
        one.run(ARCHIVE, study.workspace, out)
        assert leaks(out, marks, ()) == set()
        files = (path for path in out.rglob("*") if path.is_file())
        written.append({path.relative_to(out).as_posix(): path.read_bytes() for path in files})
    assert written[0].keys() == written[1].keys()
    assert [name for name, data in written[0].items() if data != written[1][name]] == []
