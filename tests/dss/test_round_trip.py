"""A whole ticket, from the user's workspace to the provider's result and back."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy

from dss import Client, Provider, TicketStatus
from snapws import Workspace


def voxels(path: Path) -> numpy.ndarray:
    return numpy.asarray(nibabel.load(path).dataobj)


def test_workspace_to_result(
    client: Client, provider: Provider, service: str, workspace: Workspace, tmp_path: Path
) -> None:
    ticket = client.submit(workspace, service)
    assert client.status(ticket) is TicketStatus.READY
    names = [entry.name for entry in client.files(ticket, "input")]
    assert names[-1] == f"ticket_{ticket:08d}.itksnap"
    assert [name[:10] for name in names[:-1]] == ["layer_000_", "layer_001_"]

    available = provider.available([service])
    assert available is not None
    assert [(one.hash, one.ready) for one in available] == [(service, 1)]
    claim = provider.claim([service], "testlab", "instance_1")
    assert claim is not None
    assert (claim.ticket, claim.hash, claim.status) == (ticket, service, TicketStatus.CLAIMED)
    assert provider.claim([service], "testlab", "instance_1") is None

    job = Workspace.open(provider.download(ticket, tmp_path / "job"))
    target = job.layer(tag="Target")
    assert numpy.array_equal(voxels(target.path), voxels(workspace.main.path))
    assert job.layer(tag="Source").nickname == "Söurce"

    labels = tmp_path / "labels.nii.gz"
    nibabel.save(nibabel.Nifti1Image((voxels(target.path) > 500).astype("u1"), None), labels)
    (tmp_path / "affine.mat").write_text("1 0 0 0")
    provider.attach(ticket, "Affine matrix", tmp_path / "affine.mat", "text/plain")
    provider.log(ticket, "info", "Registration done")
    provider.progress(ticket, 0.4)
    assert client.detail(ticket).progress == 0.4
    job.add_segmentation(labels, nickname="Result", tags={"Result"})
    result_file = job.save(tmp_path / "job" / "result.itksnap")
    provider.upload(ticket, result_file)
    provider.succeed(ticket)

    *_, last = client.wait(ticket, timeout=60, interval=0.1)
    assert last.status is TicketStatus.SUCCESS
    assert last.progress == 1.0
    messages = {entry.message: entry for entry in last.log}
    assert "Ticket claimed by provider testlab instance instance_1" in messages
    (matrix,) = messages["Registration done"].attachments
    assert (matrix.description, matrix.mime_type) == ("Affine matrix", "text/plain")
    assert client.attachments(messages["Registration done"].id) == [matrix]

    path = client.download(ticket, tmp_path / "result")
    assert path.name == f"ticket_{ticket:08d}_results.itksnap"
    result = Workspace.open(path)
    assert numpy.array_equal(voxels(result.layer(tag="Result").path), voxels(labels))
    assert len(list((tmp_path / "result").iterdir())) == 4
    client.delete(ticket)
    assert client.tickets() == []


def test_path_is_submitted_as_well(client: Client, service: str, workspace: Workspace) -> None:
    assert workspace.path is not None
    ticket = client.submit(workspace.path, service)
    assert len(client.files(ticket, "input")) == 3
