"""Scripts that take the output of the drop-in apart, as published ones do, in a real shell."""

from __future__ import annotations

import os
import shlex
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dss import Admin, Client, Credentials, Middleware, Provider
from dss.middleware import ADMINISTRATOR
from dss.transfer.uploads import archived, upload_files
from snapws import Workspace
from snapws.registry import xml_format
from tests import standins
from tests.conformance import replay

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no POSIX shell on Windows")

WT = (standins.folder() or Path(sysconfig.get_path("scripts"))) / "snapws-wt"
EMAIL = "worker@example.org"

Shell = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def sh(tmp_path: Path) -> Shell:
    """Run a script of the shell among the recorded inputs, the drop-in being `itksnap-wt`."""
    replay.place_inputs(tmp_path / "inputs")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "itksnap-wt").symlink_to(WT)
    home = tmp_path / "home"
    home.mkdir()

    def run(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        paths = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": paths, "HOME": str(home), **variables}
        return subprocess.run(
            ["sh", "-c", script],
            cwd=tmp_path / "inputs",
            env=environment,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )

    return run


@pytest.mark.parametrize(
    ("script", "printed"),
    [
        # The matrix of the quick start, and three ways to cut off the number of the command.
        (
            "$WT -lpbt Source2 -pgt | grep '3>' | sed 's/3> //'",
            "1 0 -0 -0\n0 1 -0 -0\n-0 -0 1 0\n0 0 0 1\n",
        ),
        (
            "$WT -lpbt Source2 -pgt | grep '^3>' | cut -d ' ' -f 2-",
            "1 0 -0 -0\n0 1 -0 -0\n-0 -0 1 0\n0 0 0 1\n",
        ),
        ("$WT -lpbt Source2 -pgt | sed -n 's/^3> //p' | awk 'NR==3 {print $3}'", "1\n"),
        ("$WT -lpbt Source2 -pgf | awk '/^3>/ {print $2}'", "DIR/b.nii.gz\n"),
        ("$WT -lpbt Source2 -prg Role | grep '3>' | awk '{print $2}'", "OverlayRole\n"),
        # Columns of the table: those in front of a nickname with blanks, and from the end.
        ("$WT -ll | grep '2>' | awk '{print $4}' | head -2", "Nickname\nT1\n"),
        ("$WT -ll | awk '$3 == \"Segmentation\" {print $(NF-1)}'", "DIR/s.nii.gz\n"),
        ("$WT -P -ll | awk '{print $1, $2}'", "INFO"),
        ("$WT -layers-list | grep Segmentation | wc -l | tr -d ' '", "1\n"),
        ("$WT -llf Source2 | sed -e 's/^2> //'", "DIR/b.nii.gz\n"),
        ("$WT -P -llf Nobody | wc -w | tr -d ' '", "0\n"),
        ("$WT -P -llf Source | wc -w | tr -d ' '", "2\n"),
        ("for f in $($WT -P -llf Source); do basename $f; done", "b.nii.gz\ns.nii.gz\n"),
        ("$WT -p 'layers: ' -ll | grep -c '^layers: '", "5\n"),
        ("$WT -lp 1 -lp 9 >/dev/null 2>&1 || echo failed", "failed\n"),
        (
            "$WT -las s.nii.gz -psn 'New one' -ll -o out.itksnap"
            " | sed -n 's/^4> //p' | tail -1 | awk '{print $1}'",
            "004\n",
        ),
        (
            "$WT -laa b.nii.gz | sed -n 's/INFO: picked layer Layers.Layer.\\([0-9]*\\).$/\\1/p'",
            "004\n",
        ),
        ("$WT -dump | grep Role | wc -l | tr -d ' '", "4\n"),
        (
            'ERR=$($WT -lp 1 -prf c.nii.gz 2>&1 >/dev/null); test -z "$ERR" && echo silent',
            "silent\n",
        ),
    ],
)
def test_output_is_taken_apart(sh: Shell, tmp_path: Path, script: str, printed: str) -> None:
    base = tmp_path / "inputs" / "base.itksnap"
    workspace = Workspace.open(base)
    workspace.layers()[1].add_tag("Source2")
    workspace.save()
    done = sh(script.replace("$WT", "itksnap-wt -i base.itksnap"))
    assert done.stderr == ""
    if printed == "INFO":  # no line of the table bears a number
        lines = done.stdout.splitlines()
        assert lines[:2] == ["Layer Role", "000 Main"]
        assert not any(">" in line for line in lines)
    else:
        assert done.stdout == printed.replace("DIR", (tmp_path / "inputs").as_posix())


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("itksnap-wt -i base.itksnap -o out.itksnap", 0),
        ("itksnap-wt -i nofile.itksnap -ll", 255),
        ("itksnap-wt -i base.itksnap -llf Nobody", 0),
        ("itksnap-wt -i base.itksnap -lpbt Nobody", 255),
        ("itksnap-wt -i base.itksnap -lpbt Source", 255),
        ("itksnap-wt -i base.itksnap -nonsense", 255),
        ('itksnap-wt -i base.itksnap -o "$UNSET"', 255),
        ("itksnap-wt -i gui.itksnap -timepoints-pick-by-name Nobody", 255),
        ("itksnap-wt", 255),
    ],
)
def test_a_script_with_set_e_goes_on_or_ends(sh: Shell, line: str, code: int) -> None:
    done = sh(f"set -e\n{line} >/dev/null 2>&1\necho went on")
    assert (done.returncode, done.stdout) == (code, "" if code else "went on\n")


def test_a_failing_command_ends_a_script_within_a_substitution(sh: Shell) -> None:
    script = "set -e\nFILE=$(itksnap-wt -P -i base.itksnap -lpbt Nobody -pgf 2>/dev/null)\necho on"
    assert (sh(script).returncode, sh(script).stdout) == (255, "")


def test_an_error_and_output_go_to_streams_of_their_own(sh: Shell) -> None:
    done = sh("itksnap-wt -i base.itksnap -lp 0 -pgf -lp 77 2>err.txt | grep '3>'; cat err.txt >&2")
    assert done.stdout.startswith("3> ")
    assert len(done.stderr.splitlines()) == 1
    assert "for command -lp : " in done.stderr


# ---------------------------------------------------------------------------- the service


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Middleware]:
    folder = tmp_path_factory.mktemp("parsing")
    (folder / "service.json").write_text(
        '{"name": "Copy", "version": "1.0.0", "shortdesc": "Copies", "tags": []}'
    )
    with Middleware(folder / "middleware") as running:
        running.publish(folder, "testlab")
        running.add_user(EMAIL, tier="xnat")
        with running.login(ADMINISTRATOR) as session:
            Admin(session).add_user("testlab", EMAIL)
        yield running


#: A provider as in the quick start: what it claims, downloads and delivers it reads from lines.
PROVIDER = """
set -e
hash=$(itksnap-wt -P -dssp-services-list | awk '{print $3}')
itksnap-wt -dssp-services-claim $hash testlab instance_1 >claim.txt
ticket=$(cat claim.txt | grep '1>' | awk '{print $2}')
test "$(grep '1>' claim.txt | awk '{print $4}')" = claimed
mkdir work
itksnap-wt -dssp-tickets-download $ticket work >files.txt
workspace=$(grep '^1>' files.txt | grep itksnap | sed -e 's/^1> //')
itksnap-wt -dssp-tickets-log $ticket info "Ticket successfully downloaded"
target=$(itksnap-wt -P -i $workspace -llf Target)
itksnap-wt -i $workspace -layers-pick-by-tag Target -props-get-transform |
    grep '3>' | sed -e 's/3> //' >affine.mat
test $(cat affine.mat | wc -w) = 16
itksnap-wt -i $workspace -layers-add-seg $target -tags-add Result -o work/result.itksnap >/dev/null
itksnap-wt -i work/result.itksnap -dssp-tickets-upload $ticket >/dev/null
itksnap-wt -dssp-tickets-set-progress $ticket 0 1 1 >/dev/null
itksnap-wt -dssp-tickets-success $ticket | grep -q success
echo $ticket
"""

#: A user's: the number of the ticket, its end, its result.
USER = """
set -e
hash=$(itksnap-wt -P -dss-services-list | grep Copy | awk '{print $2}')
ticket=$(itksnap-wt -i base.itksnap -dss-tickets-create $hash | grep '2> ' | awk '{print $2}')
test "$(itksnap-wt -P -dss-tickets-list | awk -v t=$ticket '$1 == t {print $3}')" = ready
echo $ticket
"""


def test_a_user_and_a_provider_of_shell(sh: Shell, server: Middleware, tmp_path: Path) -> None:
    with server.login(EMAIL) as session:
        Credentials(tmp_path / "home").save(session)
        asked = sh(USER)
        assert (asked.returncode, asked.stderr) == (0, "")
        served = sh(PROVIDER)
        assert (served.returncode, served.stderr) == (0, ""), served.stdout
        assert served.stdout == asked.stdout
        ticket = int(served.stdout)
        assert Provider(session).status(ticket) == "success"
        result = Client(session).download(ticket, tmp_path / "result")
    assert Workspace.open(result).layer(tag="Result").path.is_file()
    found = sh(f"itksnap-wt -P -dss-tickets-download {ticket} got | grep -c itksnap")
    assert found.stdout == "1\n"
    nothing = sh("set -e; itksnap-wt -dssp-services-claim 0123 testlab instance_1; echo on")
    assert nothing.returncode != 0
    assert shlex.split(nothing.stdout) == []


def test_a_mesh_that_was_never_sent_is_a_warning_on_stderr(
    sh: Shell, server: Middleware, tmp_path: Path
) -> None:
    with server.login(EMAIL) as session:
        Credentials(tmp_path / "home").save(session)
        client = Client(session)
        ticket = client.create(client.services()[0].hash)
        with archived(tmp_path / "inputs" / "base.itksnap", "standard") as files:
            for file in files:
                if file.suffix == ".itksnap":
                    key = "MeshLayers.Layer[000].MeshTimePoints.TimePoint[001].PolyData[000]"
                    sent = Workspace.open(file)
                    sent.registry[f"{key}.AbsolutePath"] = "/home/jane/cortex.vtk"
                    file.write_bytes(xml_format.to_bytes(sent.registry))
                area = f"api/tickets/{ticket}/files/input"
                upload_files(session, area, [(file, file.name)])
        client.make_ready(ticket)
        hash_ = client.services()[0].hash
        done = sh(
            f"set -e; itksnap-wt -dssp-services-claim {hash_} testlab instance_1 >/dev/null\n"
            f"itksnap-wt -P -dssp-tickets-download {ticket} work | grep -c nii.gz"
        )
    assert (done.returncode, done.stdout) == (0, "4\n")
    (line,) = done.stderr.splitlines()
    assert line.endswith("the workspace goes on without: mesh:0 (cortex.vtk)")
