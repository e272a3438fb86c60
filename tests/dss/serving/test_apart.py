"""What keeps tickets apart, from each other and from the machine."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy
import psutil
import pytest

from dss import CommandFailed
from dss.serving.job import Attached, Job
from snapws import Workspace
from tests import warm
from tests.dss.serving.lab import Lab, until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills as POSIX does")


def test_a_function_that_changes_its_input_begins_anew_with_what_was_sent(lab: Lab) -> None:
    lab.write(
        f"""
        import os, signal, time
        import nibabel
        from dss import service

        @service(name="NAME", tags=["Target"])
        def add_one(job):
            path = job.workspace.layer(tag="Target").path
            image = nibabel.load(path)
            nibabel.save(nibabel.Nifti1Image(image.get_fdata() + 1, image.affine), path)
            job.workspace.save()
            if not os.path.exists({str(lab.folder / "killed")!r}):
                open({str(lab.folder / "killed")!r}, "w").close()
                os.kill(os.getppid(), signal.SIGKILL)
                time.sleep(600)
        """
    )
    ticket = lab.submit()
    assert lab.run("--once", **warm.OWN_CHILDREN).returncode == -9
    assert lab.run("--once").returncode == 0
    given = numpy.asarray(nibabel.load(lab.folder / "scan.nii.gz").dataobj)
    result = numpy.asarray(nibabel.load(lab.result(ticket).main.path).dataobj)
    assert numpy.array_equal(result, given + 1)


def test_temporary_files_are_the_tickets_own(lab: Lab) -> None:
    lab.write(
        """
        import os, subprocess, tempfile
        from dss import service

        @service(name="NAME", tags=["Target"])
        def leave_a_file(job):
            seen = os.listdir(tempfile.gettempdir())
            file = tempfile.NamedTemporaryFile(delete=False).name
            also = subprocess.run(["mktemp"], capture_output=True, text=True).stdout.strip()
            job.log(f"{len(seen)} {os.path.dirname(file) == os.path.dirname(also)}")
            assert os.path.dirname(file) == os.path.join(os.path.dirname(job.workdir), "tmp")
        """
    )
    tickets = [lab.submit(), lab.submit()]
    assert lab.run("--once", "--keep", "0s").returncode == 0
    for ticket in tickets:
        lab.result(ticket)
        assert lab.lines(ticket, "info")[-1].message == "0 True"


def test_a_process_with_an_environment_of_its_own_ends_with_its_job(lab: Lab) -> None:
    lab.write(
        f"""
        import os, subprocess
        from dss import service

        @service(name="NAME", tags=["Target"])
        def leave_a_process(job):
            left = subprocess.Popen(["sleep", "600"], env={{"PATH": os.environ["PATH"]}})
            with open({str(lab.folder / "left")!r}, "a") as file:
                file.write(f"{{left.pid}} ")
        """
    )
    lab.submit()
    assert lab.run("--once").returncode == 0
    (left,) = map(int, (lab.folder / "left").read_text().split())
    until(lambda: not psutil.pid_exists(left))


class Told:
    """Keeps what is attached."""

    def __init__(self) -> None:
        self.files: list[str] = []

    def attach(self, attached: Attached) -> None:
        self.files.append(attached.file.read_text(encoding="utf-8"))

    def log(self, category: str, message: str) -> None: ...

    def progress(self, value: float) -> None: ...


def test_the_output_of_a_failed_command_names_no_folder(tmp_path: Path) -> None:
    told = Told()
    job = Job(1, Workspace(), tmp_path, told)
    folder = tmp_path / "of Jane Doe" / "study"
    padding = "x" * 150  # so that what the message shows begins within the path
    with pytest.raises(CommandFailed, match="failed, exit code 3: ") as caught:
        job.run("sh", "-c", f"echo 'no such file: {folder}/{padding}.nii'; exit 3")
    for text in (str(caught.value), *told.files):
        assert f"{padding}.nii" in text
        assert "Jane" not in text
        assert tmp_path.name not in text
    assert len(told.files) == 1
