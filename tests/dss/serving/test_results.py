"""Layers that a service made: what ITK-SNAP does not open fails the ticket, not the rest."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from dss import TicketStatus, demo
from dss.errors import ServiceError
from dss.serving.trial import run
from snapws import Label, Workspace
from tests.dss.serving.lab import SERVICE, Lab

HEADER = """
import nibabel, numpy
from pathlib import Path
from dss import service
from snapws import Label

def image(name, shape, value=0, dtype="u1", affine=numpy.eye(4)):
    nibabel.save(nibabel.Nifti1Image(numpy.full(shape, value, dtype), affine), name)
    return name

"""

#: What a function does with a workspace whose main image has 9 x 8 x 7 voxels, and what is said.
REFUSED = {
    "size": (
        'ws.add_segmentation(image("s.nii", (9, 8, 6)), any_size=True)',
        "layer 002: its size is 9 x 8 x 6, that of the main image 9 x 8 x 7",
    ),
    "time points": (
        'ws.add_segmentation(image("s.nii", (9, 8, 7, 2)), any_size=True)',
        "layer 002: it has 2 time points, the main image 1",
    ),
    "added plainly": (
        'ws.add_segmentation(image("s.nii", (9, 8, 6)))',
        "its size is 9 x 8 x 6, that of the main image 9 x 8 x 7",
    ),
    "no image": ('Path("s.nii").write_text("no"); ws.add_overlay("s.nii")', "layer 002: .*s.nii"),
    "cut short": (
        'f = Path(image("s.nii", (9, 8, 7)))\n    f.write_bytes(f.read_bytes()[:-9])\n    '
        "ws.add_overlay(f)",
        "layer 002: .*cut short",
    ),
    "missing": ('ws.add_segmentation("none.nii")', "layer 002: its file .* is not there"),
    "main image": (
        'ws.add_segmentation(image("s.nii", (9, 8, 7)));ws.set_main(image("m.nii", (9, 8, 9)))',
        "layer 002: its size is 9 x 8 x 7, that of the main image 9 x 8 x 9",
    ),
    "changed role": (
        'ws.add_overlay(image("s.nii", (4, 4, 4))).registry["Role"] = "SegmentationRole"',
        "layer 002: its size is 4 x 4 x 4",
    ),
    "overwritten": (
        'image(ws.layers()[1].path, (2, 2)); ws.layers()[1].registry["Role"] = "SegmentationRole"',
        "layer 001: its size is 2 x 2 x 1",
    ),
}
WARNED = {
    "nothing": ("pass", ["the service added nothing: its result is the workspace as it came"]),
    "empty": (
        'ws.add_segmentation(image("s.nii", (9, 8, 7)))',
        ["layer 002: it is empty: no voxel has a label"],
    ),
    "labels without description": (
        'ws.add_segmentation(image("s.nii", (9, 8, 7), 5))',
        ["layer 002: its labels 5 are not in the label table"],
    ),
    "no labels": (
        'ws.labels = [Label(1, "a")]; ws.add_segmentation(image("s.nii", (9, 8, 7), 0.5, "f4"))',
        [
            "layer 002: its voxels hold 0.5, labels are whole numbers from 0 to 65535: ITK-SNAP "
            "casts them to such",
            "layer 002: it is empty: no voxel has a label",
        ],
    ),
    "elsewhere": (
        'ws.labels = [Label(1, "a")]\n    '
        'ws.add_segmentation(image("s.nii", (9, 8, 7), 1, affine=numpy.diag([-1, -1, 1, 1])))',
        [
            "layer 002: it lies up to 21.3 mm off the main image: its axes run LPS, those of the "
            "main image RAS. ITK-SNAP shows it voxel on voxel over the main image"
        ],
    ),
    "an overlay": ('ws.add_overlay(image("s.nii", (3, 3, 3), 1))', []),
    "labels alone": ('ws.labels = [Label(1, "a")]', []),
    "a tag alone": ('ws.layers()[1].add_tag("Seen")', []),
}


def tried(folder: Path, workspace: Workspace, body: str) -> list[str]:
    """Try a function; return the warnings that it is told."""
    file = folder / "made.py"
    text = f'@service(name="Made")\ndef made(job):\n    ws = job.workspace\n    {body}\n'
    file.write_text(HEADER + text, encoding="utf-8")
    lines: list[str] = []
    run(file, Path(workspace.path or ""), folder / "out", tell=lines.append)
    return [line.removeprefix("warning: ") for line in lines if line.startswith("warning: ")]


@pytest.mark.parametrize("what", REFUSED)
def test_a_layer_that_itksnap_does_not_open_is_refused(
    workspace: Workspace, tmp_path: Path, what: str
) -> None:
    body, said = REFUSED[what]
    with pytest.raises(ServiceError, match=said) as caught:
        tried(tmp_path, workspace, body)
    assert str(tmp_path / "out" / "work") not in str(caught.value).partition("what it made is")[0]
    assert not (tmp_path / "out" / "result").exists()


@pytest.mark.parametrize("what", WARNED)
def test_all_else_is_a_warning(workspace: Workspace, tmp_path: Path, what: str) -> None:
    body, said = WARNED[what]
    assert tried(tmp_path, workspace, body) == said
    assert (tmp_path / "out" / "result").exists()


def test_what_the_user_sent_is_not_the_services_fault(workspace: Workspace, tmp_path: Path) -> None:
    small = nibabel.Nifti1Image(np.ones((3, 3, 3), np.uint8), np.eye(4))
    small.to_filename(tmp_path / "small.nii")
    workspace.add_segmentation(tmp_path / "small.nii", any_size=True)
    workspace.save()
    assert tried(tmp_path, workspace, 'ws.add_overlay(image("s.nii", (3, 3, 3), 1))') == []


def test_a_runner_fails_the_ticket_and_sends_nothing(lab: Lab) -> None:
    wrong = SERVICE.replace("labels, image.affine", "labels[1:], image.affine").replace(
        'tags={"Result"}', 'tags={"Result"}, any_size=True'
    )
    assert wrong.count("any_size") == 1
    lab.write(wrong)
    ticket = lab.submit()
    lab.run("--once")
    assert lab.status(ticket) is TicketStatus.FAILED
    assert "ITK-SNAP cannot open the result of the service: layer " in lab.error(ticket)
    assert "its size is" in lab.error(ticket)
    assert not list((lab.workdir).rglob("result/*"))


def test_a_runner_warns_in_the_tickets_log(lab: Lab) -> None:
    lab.write(SERVICE.replace("> 0)", "> 1e9)"))
    ticket = lab.submit()
    lab.run("--once")
    assert lab.status(ticket) is TicketStatus.SUCCESS
    (line,) = lab.lines(ticket, "warning")
    assert line.message.endswith("it is empty: no voxel has a label")


def test_the_example_keeps_labels_beyond_int16(tmp_path: Path) -> None:
    pytest.importorskip("picsl_greedy", reason="needs the extra 'demo'")
    pytest.importorskip("PIL", reason="needs the extra 'demo'")
    grid = np.indices((24, 24, 24)).astype(float)
    ball = np.exp(-((grid - 12) ** 2).sum(0) / 40) * 200
    for name in ("target", "source"):
        nibabel.save(nibabel.Nifti1Image(ball.astype("i2"), np.eye(4)), tmp_path / f"{name}.nii")
    labels = np.where(ball > 60, 40000, 0).astype(np.uint16)
    nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), tmp_path / "labels.nii")
    study = Workspace()
    study.set_main(tmp_path / "target.nii").tags = ["Target"]
    study.add_overlay(tmp_path / "source.nii", tags=["Source"])
    study.add_overlay(tmp_path / "labels.nii", tags=["SourceSeg"])
    study.labels = [Label(40000, "far")]
    study.save(tmp_path / "study.itksnap")
    service = demo.EXAMPLES["registration"].folder / "service.py"
    result = run(service, tmp_path / "study.itksnap", tmp_path / "out", tell=str)
    found = nibabel.load(Workspace.open(result).layer(tag="Result").path)
    values, counts = np.unique(np.asarray(found.dataobj), return_counts=True)
    assert values.tolist() == [0, 40000]
    assert counts[1] > (labels > 0).sum() / 2
