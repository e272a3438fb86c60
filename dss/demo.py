"""The demonstration: a ticket goes all the way, on two real brain images and the real middleware.

A user submits a workspace with a target image, a source image and the source's labels. A provider
claims it, registers the source to the target, carries the labels over and delivers the result. The
user fetches it, and the labels are held against the truth.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dss import greedy
from dss.admin import Admin
from dss.client import Client
from dss.errors import DemoFailed, TicketDeleted
from dss.middleware import ADMINISTRATOR, Middleware
from dss.provider import Provider
from snapws import Label, Workspace, labels

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

USER = "user@localhost"
PROVIDER_USER = "provider@localhost"
PROVIDER = "testlab"
INSTANCE = "instance_1"

#: The overlap (Dice, 0 to 1) that each label has to reach for the demonstration to count.
REQUIRED_OVERLAP = 0.90

SERVICE = {
    "name": "RegistrationExample",
    "version": "0.1.0",
    "shortdesc": "Deformable registration that carries labels over",
    "longdesc": "Registers a source image to a target image and maps the source's labels to it",
    "url": "",
    "keywords": ["registration", "label propagation"],
    "tags": [
        {
            "name": "Target",
            "type": "MainImage",
            "hint": "The image that the labels are carried to",
            "required": True,
        },
        {
            "name": "Source",
            "type": "OverlayImage",
            "hint": "The image that has labels",
            "required": True,
        },
        {
            "name": "SourceSeg",
            "type": "OverlayImage",
            "hint": "The labels of the source image",
            "required": True,
        },
    ],
}

_WAIT = 300.0
_LOOK = 0.5


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration gave.

    Attributes:
        workspace: the result as the user fetched it.
        overlaps: overlap (Dice, 0 to 1) of each warped label with the truth, by its name.
        seconds: how long all of it took.
    """

    workspace: Path
    overlaps: dict[str, float]
    seconds: float


def run(folder: Path, tell: Callable[[str], None]) -> DemoResult:
    """Run the demonstration.

    Args:
        folder: where all files go; made if need be.
        tell: is called with a line for each step.

    Raises:
        MiddlewareFailed: the middleware is not installed or did not start.
        GreedyFailed: greedy is not installed or failed.
        DemoFailed: a label's overlap is less than `REQUIRED_OVERLAP`.
    """
    begin = time.monotonic()
    folder = folder.resolve()
    tell("starting the middleware")
    with Middleware(folder / "middleware") as middleware:
        service = _publish(middleware, folder / "service")
        _add_users(middleware)
        tell(f"{middleware.url} offers {SERVICE['name']} ({service[:8]})")
        with (
            middleware.login(USER) as user_session,
            middleware.login(PROVIDER_USER) as provider_session,
            ThreadPoolExecutor(1) as worker,
        ):
            user, provider = Client(user_session), Provider(provider_session)
            ticket = user.submit(make_workspace(folder / "study"), service)
            tell(f"the user submitted a workspace: ticket {ticket}")
            if provider.claim([service], PROVIDER, INSTANCE) is None:
                raise DemoFailed("the provider found no ticket to claim")
            work = worker.submit(_work, provider, ticket, folder / "work")
            for news in user.wait(ticket, timeout=_WAIT, interval=_LOOK):
                for entry in news.log:
                    files = "".join(f" [{one.description}]" for one in entry.attachments)
                    tell(f"{news.progress:4.0%} {entry.message}{files}")
            work.result()
            result = user.download(ticket, folder / "result")
            tell("the user fetched the result")
    overlaps = _overlaps(Workspace.open(result))
    for name, overlap in overlaps.items():
        if overlap < REQUIRED_OVERLAP:
            raise DemoFailed(
                f"{name}: overlap {overlap:.3f}, less than {REQUIRED_OVERLAP}; look at {result}"
            )
    return DemoResult(result, overlaps, time.monotonic() - begin)


def images() -> Path:
    """Give the folder with the images of the demonstration."""
    installed = Path(__file__).parent / "brain"
    return installed if installed.exists() else Path(__file__).parents[1] / "fixtures" / "brain"


def make_workspace(folder: Path) -> Workspace:
    """Make the user's workspace: three layers tagged for the service, and the label table."""
    brain = images()
    workspace = Workspace()
    workspace.add_anatomical(brain / "target.nii.gz", nickname="Template", tags={"Target"})
    workspace.add_overlay(brain / "source.nii.gz", nickname="Subject", tags={"Source"})
    workspace.add_overlay(
        brain / "source_labels.nii.gz", nickname="Subject's tissues", tags={"SourceSeg"}
    )
    workspace.labels = _labels()
    folder.mkdir(parents=True, exist_ok=True)
    workspace.save(folder / "study.itksnap")
    return workspace


def register(provider: Provider, ticket: int, folder: Path) -> None:
    """Do a provider's work on a claimed ticket, as the tutorial of the service has it.

    Affine, then deformable registration of the layer tagged Source to the one tagged Target; image
    and labels resliced; the result delivered and the ticket reported as a success.
    """
    workspace = Workspace.open(provider.download(ticket, folder))
    target, source, source_labels = (
        workspace.layer(tag=tag).path.name for tag in ("Target", "Source", "SourceSeg")
    )
    _write_matrix(folder / "initial.mat", workspace.layer(tag="Source").transform)
    provider.log(ticket, "info", "Ticket downloaded")
    provider.progress(ticket, 0.1)

    output = greedy.run(
        f"-d 3 -a -m NCC 2x2x2 -n 40x40x20 -ia initial.mat -i {target} {source} -o affine.mat",
        folder,
        ["affine.mat"],
    )
    provider.attach(ticket, "Affine matrix", folder / "affine.mat", "text/plain")
    _report(provider, ticket, "Affine registration", output, folder)
    provider.progress(ticket, 0.4)

    output = greedy.run(
        f"-d 3 -m NCC 2x2x2 -n 40x40x20 -i {target} {source} -it affine.mat -o warp.nii.gz",
        folder,
        ["warp.nii.gz"],
    )
    _report(provider, ticket, "Deformable registration", output, folder)
    provider.progress(ticket, 0.8)

    resliced = ["resliced.nii.gz", "resliced_labels.nii.gz", "combined_warp.nii.gz"]
    output = greedy.run(
        f"-d 3 -rf {target} -rm {source} {resliced[0]} "
        f"-ri LABEL 0.2vox -rm {source_labels} {resliced[1]} "
        f"-rc {resliced[2]} -r warp.nii.gz affine.mat",
        folder,
        resliced,
    )
    _report(provider, ticket, "Reslicing", output, folder)
    provider.progress(ticket, 0.9)

    workspace.add_overlay(folder / resliced[0], nickname="Resliced subject")
    warp = workspace.add_overlay(folder / resliced[2], nickname="Deformation field")
    warp.display.color_map = "Jet"
    workspace.add_segmentation(folder / resliced[1], nickname="Resliced tissues", tags={"Result"})
    provider.upload(ticket, workspace)
    provider.progress(ticket, 1.0)
    provider.succeed(ticket)


def _work(provider: Provider, ticket: int, folder: Path) -> None:
    """Work on a ticket; if that fails, the ticket fails."""
    try:
        register(provider, ticket, folder)
    except TicketDeleted:
        raise
    except Exception as error:
        provider.fail(ticket, str(error))
        raise


def _add_users(middleware: Middleware) -> None:
    middleware.add_user(USER)
    middleware.add_user(PROVIDER_USER)
    with middleware.login(ADMINISTRATOR) as session:
        Admin(session).add_user(PROVIDER, PROVIDER_USER)


def _publish(middleware: Middleware, folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "service.json").write_text(json.dumps(SERVICE, indent=2), encoding="utf-8")
    return middleware.publish(folder, PROVIDER)


def _report(provider: Provider, ticket: int, step: str, output: str, folder: Path) -> None:
    """Attach what greedy printed, and log that the step is done, which shows the attachments."""
    file = folder / "greedy.txt"
    file.write_text(output, encoding="utf-8")
    provider.attach(ticket, "Output of greedy", file, "text/plain")
    provider.log(ticket, "info", f"{step} done")


def _write_matrix(file: Path, matrix: npt.NDArray[np.float64]) -> None:
    lines = [" ".join(f"{value:.17g}" for value in row) for row in matrix]
    file.write_text("\n".join(lines) + "\n", encoding="ascii")


def _labels() -> tuple[Label, ...]:
    return tuple(label for label in labels.read_file(images() / "labels.txt") if label.index)


def _overlaps(result: Workspace) -> dict[str, float]:
    """Compute the Dice overlap of each label of the result with the truth."""
    import numpy as np
    from nibabel.nifti1 import Nifti1Image

    found, truth = (
        np.asarray(Nifti1Image.from_filename(path).dataobj)
        for path in (result.layer(tag="Result").path, images() / "target_labels.nii.gz")
    )
    overlaps = {}
    for label in result.labels:
        a, b = found == label.index, truth == label.index
        overlaps[label.name] = float(2 * (a & b).sum() / (a.sum() + b.sum()))
    return overlaps
