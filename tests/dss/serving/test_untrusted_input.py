"""Tickets whose input was made to have the job open something else than what was checked."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy
import pytest

from dss import TicketStatus
from dss.serving.workdir import folder_of
from dss.transfer.uploads import archived, upload_files
from snapws import Workspace
from snapws.registry import xml_format
from tests.dss.serving.lab import Lab, until

SECRET = 77

#: A service that copies the scan, as one that reads its input does.
COPYING = """
    import sabotage
    import nibabel, numpy
    from dss import service

    @service(name="NAME", tags=["Target"])
    def copy(job):
        image = nibabel.load(job.workspace.layer(tag="Target").path)
        copied = numpy.asarray(image.dataobj).astype("u1")
        nibabel.save(nibabel.Nifti1Image(copied, image.affine), "labels.nii.gz")
        job.workspace.add_segmentation("labels.nii.gz", nickname="Result", tags={"Result"})
"""


def foreign_workspace(lab: Lab) -> Path:
    """Write a workspace whose layer is an image elsewhere on the provider's machine."""
    voxels = numpy.full((9, 8, 7), SECRET, "i2")
    nibabel.save(nibabel.Nifti1Image(voxels, numpy.eye(4)), lab.folder / "secret.nii.gz")
    made = Workspace()
    made.add_anatomical(lab.folder / "secret.nii.gz", tags={"Target"})
    return made.save(lab.folder / "foreign.itksnap")


def submit(lab: Lab, **more: Path) -> int:
    """Submit the lab's study and further files, named by keywords with `_` for the last dot."""
    ticket = lab.user.create(lab.hash)
    area = f"api/tickets/{ticket}/files/input"
    further = [(file, ".".join(name.rsplit("_", 1))) for name, file in more.items()]
    with archived(lab.folder / "study.itksnap", "standard") as files:
        own = f"ticket_{ticket:08d}.itksnap"
        sources = [(one, own if one.suffix == ".itksnap" else one.name) for one in files]
        upload_files(lab.user.session, area, [*further, *sources])
    lab.user.make_ready(ticket)
    return ticket


def voxels_of(workspace: Workspace) -> set[int]:
    image = nibabel.load(workspace.layer(tag="Result").path)
    return set(numpy.unique(numpy.asarray(image.dataobj)).tolist())


def test_ticket_with_two_workspaces_fails_and_its_user_is_told(lab: Lab) -> None:
    lab.write(COPYING)
    ticket = submit(lab, a_itksnap=foreign_workspace(lab))
    assert lab.run("--once").returncode == 1
    reason = lab.error(ticket)
    assert "2 workspace files in" in reason
    assert "a.itksnap" in reason


def test_files_that_the_workspace_does_not_name_are_not_in_the_work_folder(lab: Lab) -> None:
    lab.write(COPYING)
    (lab.folder / "own.py").write_text("raise SystemExit('taken for a library')\n")
    own = lab.folder / "own.py"
    ticket = submit(lab, nibabel_py=own, sitecustomize_py=own, x_lnk=own)
    assert lab.run("--once").returncode == 0
    assert voxels_of(lab.result(ticket)) == {0, 1, 2}
    names = {file.name for file in (folder_of(lab.workdir, ticket) / "input").iterdir()}
    assert len(names) == 2
    assert not names & {"nibabel.py", "sitecustomize.py", "x.lnk"}
    line = lab.lines(ticket, "warning")[0]
    words = "3 files that the workspace does not name are not fetched: "
    assert line.message == words + "nibabel.py, sitecustomize.py, x.lnk"


def test_ticket_with_a_mesh_that_was_never_sent_is_served(lab: Lab) -> None:
    """As ITK-SNAP sends one: the workspace names the mesh on the machine of its user."""
    lab.write(COPYING)
    (lab.folder / "mine.vtk").write_text("# vtk DataFile Version 3.0\n")
    ticket = lab.user.create(lab.hash)
    with archived(lab.folder / "study.itksnap", "standard") as files:
        for file in files:
            if file.suffix == ".itksnap":
                sent = Workspace.open(file)
                key = "MeshLayers.Layer[000].MeshTimePoints.TimePoint[001].PolyData[000]"
                sent.registry[f"{key}.AbsolutePath"] = (lab.folder / "mine.vtk").as_posix()
                file.write_bytes(xml_format.to_bytes(sent.registry))
            area = f"api/tickets/{ticket}/files/input"
            upload_files(lab.user.session, area, [(file, file.name)])
    lab.user.make_ready(ticket)
    assert lab.run("--once").returncode == 0
    result = lab.result(ticket)
    assert voxels_of(result) == {0, 1, 2}
    assert result.meshes() == []
    line = lab.lines(ticket, "warning")[0]
    assert line.message == (
        "a mesh that the workspace names was never sent, and the workspace goes on without: "
        "mesh:0 (mine.vtk)"
    )


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is of POSIX")
@pytest.mark.parametrize("moment", ["after download", "before archive"])
def test_job_that_is_begun_again_opens_the_workspace_that_it_has_checked(
    lab: Lab, moment: str
) -> None:
    """Whatever was put beside it meanwhile, under whatever name."""
    lab.write(COPYING)
    ticket = lab.submit()
    lab.hold({ticket: moment})
    with lab.running() as runner:
        until(lambda: lab.held(ticket))
        runner.kill()
        runner.wait()
    until(lambda: not lab.left())
    planted = foreign_workspace(lab).read_bytes()
    for folder in folder_of(lab.workdir, ticket).glob("*/"):
        if folder.name in ("input", "coming"):
            (folder / "a.itksnap").write_bytes(planted)
            (folder / f"ticket_{ticket:08d}.itksnap").write_bytes(planted)
    assert lab.run("--once").returncode == 0
    assert voxels_of(lab.result(ticket)) == {0, 1, 2}


def test_input_that_is_larger_than_it_may_be_fails_the_ticket(lab: Lab) -> None:
    ticket = lab.submit()
    assert lab.run("--once", "--max-size", "1K").returncode == 1
    assert "more than the 1 kB that a download may have here: see --max-size" in lab.error(ticket)
    assert lab.status(ticket) is TicketStatus.FAILED
