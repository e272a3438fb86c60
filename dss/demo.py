"""The demonstration: one ticket from its submission to its result, with the real middleware.

A user submits a workspace with real brain images. A runner claims the ticket, runs an example
service and delivers the result. The user fetches the result, which is compared with the truth.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dss.admin import Admin
from dss.client import Client
from dss.errors import DemoFailed
from dss.middleware import ADMINISTRATOR, Middleware
from dss.serving.runner import Runner
from dss.serving.settings import Settings
from snapws import Workspace, labels
from snapws.extras import install_hint

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_log = logging.getLogger(__name__)

USER = "user@localhost"
PROVIDER_USER = "provider@localhost"
PROVIDER = "testlab"

REQUIRED_OVERLAP = 0.85
"""Minimum overlap (Dice, 0 to 1) of each propagated label with the truth."""

_WAIT = 300.0
_LOOK = 0.5
_HEIGHT, _MARGIN = 180.0, 10.0  # mm: the height that is kept, and its part above the head


@dataclass(frozen=True)
class Example:
    """An example service, a workspace for it, and a check of its result.

    Attributes:
        folder: The folder of `service.py` and its description.
        check: Raises `DemoFailed` if the service lacks a program or package on this machine.
        make_workspace: Returns the user's workspace, not saved yet.
        judge: Returns findings about a result, in lines; raises `DemoFailed` if it is wrong.
    """

    folder: Path
    check: Callable[[], None]
    make_workspace: Callable[[], Workspace]
    judge: Callable[[Workspace], list[str]]


@dataclass(frozen=True)
class DemoResult:
    """The result of the demonstration.

    Attributes:
        workspace: The result as the user fetched it.
        findings: Findings about the result, in lines.
        seconds: Duration of the demonstration.
    """

    workspace: Path
    findings: tuple[str, ...]
    seconds: float


def run(folder: Path, tell: Callable[[str], None], service: str = "registration") -> DemoResult:
    """Run the demonstration.

    Args:
        folder: The folder for all files, created if it does not exist.
        tell: Called with a line for each step.
        service: Name of one of `EXAMPLES`.

    Raises:
        MiddlewareFailed: The middleware is not installed or did not start.
        DemoFailed: The service lacks a program or package on this machine, the ticket failed, or
            its result is wrong.
    """
    begin = time.monotonic()
    folder = folder.resolve()
    example = EXAMPLES[service]
    example.check()
    tell("starting the middleware")
    with Middleware(folder / "middleware") as middleware:
        middleware.add_user(USER)
        with (
            serving(middleware, service, folder / "work", max_tickets=1) as hash_,
            middleware.login(USER) as session,
        ):
            tell(f"{middleware.url} offers {_name_of(example)} ({hash_[:8]})")
            user = Client(session)
            ticket = user.submit(make_workspace(folder / "study", service), hash_)
            tell(f"the user submitted a workspace: ticket {ticket}")
            _follow(user, ticket, tell)
            if user.status(ticket) != "success":
                raise DemoFailed(f"the ticket is {user.status(ticket)}; look into {folder}/work")
            result = user.download(ticket, folder / "result")
            tell("the user fetched the result")
    findings = example.judge(Workspace.open(result))
    return DemoResult(result, tuple(findings), time.monotonic() - begin)


def images() -> Path:
    """Return the folder with the images of the demonstration."""
    installed = Path(__file__).parent / "brain"
    return installed if installed.exists() else Path(__file__).parents[1] / "fixtures" / "brain"


def make_workspace(folder: Path, service: str = "registration") -> Workspace:
    """Write `study.itksnap`, the workspace that a user submits to an example service."""
    workspace = EXAMPLES[service].make_workspace()
    folder.mkdir(parents=True, exist_ok=True)
    workspace.save(folder / "study.itksnap")
    return workspace


@contextmanager
def serving(
    middleware: Middleware, service: str, folder: Path, max_tickets: int | None = None
) -> Iterator[str]:
    """Offer an example service, and serve it with a runner in this process.

    Args:
        middleware: A middleware that runs.
        service: Name of one of `EXAMPLES`.
        folder: The runner's work folder.
        max_tickets: Number of tickets to serve; by default all until the block ends.

    Yields:
        The hash of the service.

    Raises:
        DemoFailed: The service lacks a program or package on this machine.
        DssError: The runner failed.
    """
    example = EXAMPLES[service]
    example.check()
    hash_ = middleware.publish(example.folder, PROVIDER)
    middleware.add_user(PROVIDER_USER)
    with middleware.login(ADMINISTRATOR) as session:
        Admin(session).add_user(PROVIDER, PROVIDER_USER)
    runner = Runner(
        example.folder / "service.py",
        lambda: middleware.login(PROVIDER_USER),
        Settings(PROVIDER, folder, max_tickets=max_tickets, interval=1.0, grace=10.0),
    )
    with ThreadPoolExecutor(1) as thread:
        work = thread.submit(runner.run)
        work.add_done_callback(_tell_failure)
        try:
            yield hash_
        except Exception as error:
            # If the runner ended first, that is why the block failed.
            if work.done() and (failure := work.exception()):
                raise failure from error
            raise
        finally:
            runner.stop()
        work.result()


def _tell_failure(work: Future[Any]) -> None:
    if error := work.exception():
        _log.error("the runner has ended: %s", error)


def _follow(user: Client, ticket: int, tell: Callable[[str], None]) -> None:
    for news in user.wait(ticket, timeout=_WAIT, interval=_LOOK):
        for entry in news.log:
            files = "".join(f" [{one.description}]" for one in entry.attachments)
            tell(f"{news.progress:4.0%} {entry.message}{files}")


def _name_of(example: Example) -> str:
    text = (example.folder / "service.json").read_text(encoding="utf-8")
    return str(json.loads(text)["name"])


def _check_registration() -> None:
    needed = {"greedy": "picsl_greedy", "Pillow": "PIL"}
    if lacking := [name for name, module in needed.items() if find_spec(module) is None]:
        raise DemoFailed(
            f"the registration lacks {' and '.join(lacking)}; {install_hint('demo')}; "
            "the neck cut needs neither: dss demo --service neckcut"
        )


def _make_registration() -> Workspace:
    """Return a workspace of three layers with the tags of the service, and the label table."""
    brain = images()
    workspace = Workspace()
    workspace.add_anatomical(brain / "target.nii.gz", nickname="Template", tags={"Target"})
    workspace.add_overlay(brain / "source.nii.gz", nickname="Subject", tags={"Source"})
    workspace.add_overlay(
        brain / "source_labels.nii.gz", nickname="Subject's tissues", tags={"SourceSeg"}
    )
    table = labels.read_file(brain / "labels.txt")
    workspace.labels = tuple(label for label in table if label.index)
    return workspace


def _judge_registration(result: Workspace) -> list[str]:
    """Return the overlap (Dice) of each propagated label with the truth."""
    found = _voxels(result.layer(tag="Result").path)
    truth = _voxels(images() / "target_labels.nii.gz")
    findings = []
    for label in result.labels:
        a, b = found == label.index, truth == label.index
        overlap = float(2 * (a & b).sum() / (a.sum() + b.sum()))
        findings.append(f"{label.name}: overlap with the truth (Dice) {overlap:.3f}")
        if overlap < REQUIRED_OVERLAP:
            raise DemoFailed(f"{findings[-1]}, less than {REQUIRED_OVERLAP}: {result.path}")
    return findings


def _make_neck_cut() -> Workspace:
    workspace = Workspace()
    workspace.add_anatomical(images() / "target.nii.gz", nickname="Template", tags={"T1-MRI"})
    return workspace


def _judge_neck_cut(result: Workspace) -> list[str]:
    """Return the height that was kept, and its part above the head (here: the brain)."""
    import numpy as np

    whole, trimmed = result.main.path, result.layer(tag="Trimmed").path
    low, high = _extent(trimmed)
    brain = _voxels(whole)
    slices = np.flatnonzero((brain > brain.max() / 4).any((0, 1)))
    step = np.diff(_extent(whole))[0] / brain.shape[2]
    top = _extent(whole)[0] + step * (slices[-1] + 1)
    finding = f"kept {high - low:.0f} mm, {high - top:.0f} mm of them above the head"
    if abs(high - low - _HEIGHT) > step or abs(high - top - _MARGIN) > step:
        raise DemoFailed(f"{finding}, not {_HEIGHT:.0f} and {_MARGIN:.0f}: {result.path}")
    return [finding]


EXAMPLES = {
    "registration": Example(
        Path(__file__).parent / "examples" / "registration",
        _check_registration,
        _make_registration,
        _judge_registration,
    ),
    "neckcut": Example(
        Path(__file__).parent / "examples" / "neckcut",
        lambda: None,
        _make_neck_cut,
        _judge_neck_cut,
    ),
}
"""The example services by their names in the demonstration."""


def _voxels(path: Path) -> npt.NDArray[np.generic]:
    import numpy as np
    from nibabel.nifti1 import Nifti1Image

    return np.asarray(Nifti1Image.from_filename(path).dataobj)


def _extent(path: Path) -> tuple[float, float]:
    """Return the lowest and highest z of an image of the template, in mm (RAS)."""
    from snapws.geometry import affine
    from snapws.images.reading import read_header

    header = read_header(path)
    to_ras = affine(header)
    # The template's third axis runs to superior.
    low = to_ras[2, 3] - to_ras[2, 2] / 2
    return low, low + to_ras[2, 2] * header.shape[2]
