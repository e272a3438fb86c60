"""The provider in shell of the documentation, with the drop-in under the name of `itksnap-wt`."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest

from dss import Client, Middleware, Provider, demo
from dss.login import user
from snapws import Role, Workspace
from tests import standins, warm

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no POSIX shell on Windows")

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "registration.sh"
WT = warm.script("snapws-wt")
QUICK_WT = (standins.folder() or WT.parent) / WT.name
LIMIT = 300

GREEDY = f"""exec {shlex.quote(sys.executable)} -m dss.greedy "$*"\n"""
#: Reads the word that a command fails at, if the ticket of this folder has one.
FAULT = """\
fault=$(cat "$HOME/${PWD##*/}" 2>/dev/null) || fault=none
"""
FAULTY_WT = f"""{FAULT}
case " $* " in *" $fault "*) exit 255 ;; esac
exec {shlex.quote(str(QUICK_WT))} "$@"
"""
#: In place of a registration: the matrix that it starts from, and copies of the target.
COPIES = """\
case " $* " in *" -ia initial.mat "*) cp initial.mat affine.mat ;; esac
for one in warp resliced resliced_seg combined_warp; do cp layer_000_*.nii.gz $one.nii.gz; done
"""
#: Stops with an error, or does nothing without a word, as greedy may.
FAULTY_GREEDY = f"""{FAULT}
echo "greedy $*"
case " $fault $* " in
    *" -a "*" -a "*) exit 1 ;;
    *" -rf "*" -rf "*) exit 0 ;;
esac
{COPIES}rm resliced_seg.nii.gz
case " $* " in *" -rf "*) cp layer_000_*.nii.gz resliced_seg.nii.gz ;; esac
"""
#: Tells its number, and waits for a word, or for its end.
WAITS = """\
echo $$ >"$HOME/pid"
while [ ! -e "$HOME/go on" ]; do sleep 0.1; done
"""
WT_WAITS = f"""\
case " $* " in *" -dssp-services-claim "*) {WAITS} ;; esac
exec {shlex.quote(str(QUICK_WT))} "$@"
"""


#: Words of command lines, and what the user is told when these commands fail.
FAULTS = {
    "-llf": "The workspace cannot be read",
    "-dssp-tickets-log": "The server takes no reports",
    "-a": "Affine registration failed",
    "-rf": "Reslicing failed",
    "-dssp-tickets-upload": "The result cannot be uploaded",
    "-dssp-tickets-success": "The success cannot be reported",
}
MOVED = [[0.96, -0.28, 0, 5.25], [0.28, 0.96, 0, -3], [0, 0, 1, 0.125], [0, 0, 0, 1]]


@dataclass
class Lab:
    """A provider's machine: a home folder of its own, and its programs in a folder on the PATH."""

    folder: Path
    service: str

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def work(self) -> Path:
        """The work folder; with a blank, which a script must bear."""
        return self.folder / "work of the lab"

    def install(self, name: str, lines: str) -> None:
        program = self.folder / "bin" / name
        program.unlink(missing_ok=True)
        program.write_text(f"#!/bin/sh\n{lines}", encoding="utf-8")
        program.chmod(0o755)

    def link(self, name: str, program: Path) -> None:
        (self.folder / "bin" / name).unlink(missing_ok=True)
        (self.folder / "bin" / name).symlink_to(program)

    def environment(self) -> dict[str, str]:
        """Return the environment: on the PATH are the lab's programs and those of the system."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.defpath}"
        ours = {"PATH": path, "HOME": str(self.home), "TMPDIR": str(self.folder / "tmp")}
        others = ("ITKSNAP_WT_DSS_SERVER", "CDPATH", "ENV", "BASH_ENV")
        return {**{name: text for name, text in os.environ.items() if name not in others}, **ours}

    @contextmanager
    def start(self, *words: object, shell: str = "sh") -> Iterator[subprocess.Popen[bytes]]:
        """Start the script; in the end nothing of it is left running."""
        with (self.folder / "output.txt").open("ab") as output:
            process = subprocess.Popen(
                [shell, SCRIPT, self.service, "testlab", "shell_1", *map(str, words)],
                env=self.environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(LIMIT)

    def run(self, *words: object) -> int:
        with self.start(*words) as process:
            return process.wait(LIMIT)

    def printed(self) -> str:
        return (self.folder / "output.txt").read_text(encoding="utf-8")

    def leftovers(self) -> list[str]:
        """What is in the folders that have to be empty when no ticket is worked on."""
        return [file.name for part in (self.work, self.folder / "tmp") for file in part.iterdir()]


@pytest.fixture
def lab(tmp_path: Path, middleware: Middleware, provider: Provider, service: str) -> Lab:
    """A lab that is logged in, its greedy not installed yet."""
    lab = Lab(tmp_path / "lab", service)
    for name in ("bin", "home", "tmp"):
        (lab.folder / name).mkdir(parents=True)
    lab.link("itksnap-wt", QUICK_WT)
    done = subprocess.run(
        ["itksnap-wt", "-dss-auth", middleware.url],
        executable=lab.folder / "bin" / "itksnap-wt",
        env=lab.environment(),
        input=f"{middleware.add_user(user(provider.session))}\n",
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
    return lab


@pytest.fixture
def study(tmp_path: Path) -> Workspace:
    return demo.make_workspace(tmp_path / "study")


def told(client: Client, ticket: int) -> list[tuple[str, str, list[str]]]:
    """Return the log, after the two lines of the server: category, message, attachments."""
    return [
        (entry.category, entry.message, [one.description for one in entry.attachments])
        for entry in client.log(ticket)[2:]
    ]


def failure(client: Client, ticket: int) -> str:
    """Return the reason why a ticket failed, its last word."""
    assert client.status(ticket) == "failed"
    category, reason, _ = told(client, ticket)[-1]
    assert category == "error"
    return reason


def overlap(found: Path, truth: Path, label: int) -> float:
    """Return the overlap (Dice) of a label in two images."""
    a, b = (np.asarray(nibabel.load(path).dataobj) == label for path in (found, truth))
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def wait_for(file: Path) -> str:
    """Return what a program writes into a file, once it does."""
    end = time.monotonic() + LIMIT
    while not (file.exists() and (text := file.read_text())):
        assert time.monotonic() < end, f"no {file.name}"
        time.sleep(0.02)
    return text


def test_a_ticket_from_claim_to_result(lab: Lab, client: Client, study: Workspace, tmp_path: Path):
    lab.install("greedy", GREEDY)
    lab.link("itksnap-wt", WT)
    ticket = client.submit(study, lab.service)
    assert lab.run(lab.work, 1) == 0, lab.printed()
    assert client.status(ticket) == "success"
    assert client.progress(ticket) == 1
    assert told(client, ticket) == [
        ("info", "Ticket downloaded", []),
        ("info", "Affine registration done", ["Affine matrix"]),
        ("info", "Deformable registration done", []),
        ("info", "Reslicing done", []),
    ]
    result = Workspace.open(client.download(ticket, tmp_path / "result"))
    assert [(layer.role, layer.nickname, layer.tags) for layer in result.layers()] == [
        (Role.MAIN, "Template", ("Target",)),
        (Role.OVERLAY, "Subject", ("Source",)),
        (Role.OVERLAY, "Subject's tissues", ("SourceSeg",)),
        (Role.OVERLAY, "Resliced source", ()),
        (Role.OVERLAY, "Deformation field", ()),
        (Role.SEGMENTATION, "Resliced segmentation", ()),
    ]
    assert [layer.display.color_map for layer in result.layers()] == ["", "", "", "", "Jet", ""]
    segmentation = result.layers()[5].path
    assert [label.name for label in result.labels] == ["Grey matter", "White matter"]
    for label in result.labels:
        reached = overlap(segmentation, demo.images() / "target_labels.nii.gz", label.index)
        assert reached >= demo.REQUIRED_OVERLAP
    assert lab.leftovers() == []


def test_every_failure_has_its_reason(lab: Lab, client: Client, study: Workspace, tmp_path: Path):
    """Two instances share a work folder; one of the tickets succeeds."""
    lab.install("itksnap-wt", FAULTY_WT)
    lab.install("greedy", FAULTY_GREEDY)
    tickets = {"The workspace cannot be downloaded": client.create(lab.service)}
    client.make_ready(tickets["The workspace cannot be downloaded"])

    study.layer(tag="Source").transform = np.array(MOVED)
    for word, reason in FAULTS.items():
        tickets[reason] = client.submit(study, lab.service)
        (lab.home / f"ticket_{tickets[reason]}").write_text(word)
    good = client.submit(study, lab.service)
    study.layer(tag="Target").add_tag("Source")
    tickets["More than one layer has the tag Source"] = client.submit(study, lab.service)
    study.layer(tag="SourceSeg").remove_tag("SourceSeg")
    study.layer(tag="Target").remove_tag("Source")
    tickets["No layer has the tag SourceSeg"] = client.submit(study, lab.service)

    left = lab.work / f"ticket_{good}"  # by a power cut
    left.mkdir(parents=True)
    (left / "warp.nii.gz").touch()
    with lab.start(lab.work, "--once") as one, lab.start(lab.work, "--once") as other:
        assert (one.wait(LIMIT), other.wait(LIMIT)) == (0, 0), lab.printed()
    assert {reason: failure(client, ticket) for reason, ticket in tickets.items()} == {
        reason: reason for reason in tickets
    }
    for reason, ticket in tickets.items():
        assert f"ticket {ticket}: failed: {reason}\n" in lab.printed()
    for step in ("Affine registration", "Reslicing"):
        (_, _, attached) = told(client, tickets[f"{step} failed"])[-1]
        assert attached == ["Output of greedy"]
    assert lab.leftovers() == []

    assert client.status(good) == "success"
    (matrix,) = (one for entry in client.log(good) for one in entry.attachments)
    assert matrix.mime_type == "text/plain"
    start = np.loadtxt(client.fetch_attachment(matrix, tmp_path / "affine.mat"))
    assert np.array_equal(start, MOVED), "it starts where the user left the source"


def test_a_ticket_that_its_user_deletes(lab: Lab, client: Client, study: Workspace):
    lab.install("greedy", WAITS + COPIES)
    deleted = client.submit(study, lab.service)
    empty = client.create(lab.service)
    client.make_ready(empty)
    with lab.start(lab.work, 2) as process:
        wait_for(lab.home / "pid")
        client.delete(deleted)
        (lab.home / "go on").touch()
        assert process.wait(LIMIT) == 0
    assert f"ticket {deleted}: the failure cannot be reported" in lab.printed()
    assert client.status(deleted) == "deleted"
    assert client.status(empty) == "failed"
    assert lab.leftovers() == []


@pytest.mark.parametrize(("shell", "send"), [("sh", os.kill), ("bash", os.killpg)])
def test_a_signal(
    lab: Lab, client: Client, study: Workspace, shell: str, send: Callable[[int, int], None]
):
    """To the script alone, as by hand, and to all that it started, as by a terminal."""
    if shutil.which(shell, path=os.defpath) is None:
        pytest.skip(f"there is no {shell} on this machine")
    lab.install("greedy", WAITS)
    ticket = client.submit(study, lab.service)
    with lab.start(lab.work, shell=shell) as process:
        greedy = int(wait_for(lab.home / "pid"))
        send(process.pid, signal.SIGTERM)
        assert process.wait(LIMIT) == 128 + signal.SIGTERM
        with pytest.raises(ProcessLookupError):
            os.kill(greedy, 0)
    assert failure(client, ticket) == "The provider was stopped (signal 15)"
    assert lab.leftovers() == []


def test_a_signal_while_it_claims(lab: Lab, client: Client, study: Workspace):
    """The claim goes on; the ticket that it brings is not begun, nor lost."""
    lab.install("itksnap-wt", WT_WAITS)
    ticket = client.submit(study, lab.service)
    with lab.start(lab.work) as process:
        wait_for(lab.home / "pid")
        os.killpg(process.pid, signal.SIGTERM)
        (lab.home / "go on").touch()
        assert process.wait(LIMIT) == 128 + signal.SIGTERM
    assert client.status(ticket) == "failed"
    assert told(client, ticket) == [("error", "The provider was stopped (signal 15)", [])]
    assert lab.leftovers() == []


def test_where_nothing_is_to_be_done(lab: Lab):
    assert lab.run("--once") == 0
    assert lab.printed() == "Timed out waiting for available tickets\n"
    assert list((lab.folder / "dss-work").iterdir()) == []
    (lab.home / ".alfabis" / "server").unlink()
    assert lab.run() == 1, "without a login there is no reason to wait"
    assert "-dssp-services-claim" in lab.printed()


@pytest.mark.parametrize(
    "words", ["", "hash testlab", "hash testlab i --twice", "hash testlab i -1"]
)
def test_a_command_line_that_is_not_understood(words: str):
    done = subprocess.run(
        ["sh", SCRIPT, *words.split()], capture_output=True, text=True, timeout=LIMIT
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: registration.sh HASH PROVIDER INSTANCE ")


@pytest.mark.parametrize("checker", ["sh -n", "dash -n", "bash -n", "shellcheck"])
def test_the_script_is_clean(checker: str):
    words = checker.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"there is no {words[0]} on this machine")
    done = subprocess.run([*words, SCRIPT], capture_output=True, text=True, timeout=LIMIT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
