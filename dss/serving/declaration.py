"""How an author declares a service: a function of one job, under `service`."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dss.errors import ServiceError

if TYPE_CHECKING:
    from dss.serving.job import Job
    from snapws import Workspace

Function = Callable[["Job"], "Workspace | None"]


@dataclass(frozen=True)
class Service:
    """A service as its author declares it.

    Attributes:
        name: Its name, as in its description.
        function: What is done for a ticket.
        tags: Tags that a ticket's workspace has to have, each once; its description says more.
        resources: What a worker has to have, by name, as `{"gpu": 1}`; a scheduler heeds it.
        resumable: Whether the function may be run again after it broke off. If not, a ticket whose
            work was cut short fails.
    """

    name: str
    function: Function
    tags: tuple[str, ...] = ()
    resources: Mapping[str, float] = field(default_factory=dict)
    resumable: bool = True

    def __call__(self, job: Job) -> Workspace:
        """Do the work of the service; give the workspace of its result.

        A process that the function forks ends with the function: it must not go on with our work.

        Raises:
            ServiceError: The function gave something else than a workspace, or nothing.
            Exception: Whatever the function raises.
        """
        from snapws import Workspace

        process = os.getpid()
        try:
            result = self.function(job)
            if os.getpid() != process:
                _end_fork()
            job.show_attached()
        except BaseException as error:
            if os.getpid() != process:
                _end_fork(error)
            raise
        if result is None:
            return job.workspace
        if not isinstance(result, Workspace):
            raise ServiceError(f"the service gave {type(result).__name__} instead of a workspace")
        return result


def _end_fork(error: BaseException | None = None) -> NoReturn:
    """End a process that a function has forked as if it had been the function's own."""
    code = 1
    try:
        match error:
            case SystemExit(code=int(given)):
                code = given & 0xFF
            case SystemExit(code=None):
                code = 0
            case BaseException():
                traceback.print_exception(error)
    finally:
        os._exit(code)


def service(
    name: str,
    *,
    tags: Sequence[str] = (),
    resources: Mapping[str, float] | None = None,
    resumable: bool = True,
) -> Callable[[Function], Service]:
    """Declare a function of one `Job` a service.

    The function edits `job.workspace`, or returns another one. An exception fails the ticket: its
    message is what the user reads.

    Args:
        name: As for `Service`.
        tags: As for `Service`.
        resources: As for `Service`.
        resumable: As for `Service`.

    Raises:
        ServiceError: `tags` is one text.
    """
    if isinstance(tags, str):
        raise ServiceError(f"tags of {name}: give a list, not the text {tags!r}")
    return lambda function: Service(name, function, tuple(tags), resources or {}, resumable)


def load(path: Path) -> dict[str, Service]:
    """Import the file of a service; files beside it can be imported by it.

    Returns:
        The services that it declares, by name.

    Raises:
        ServiceError: There is no such file, it declares no service, or two of one name.
        Exception: Whatever the file raises.
    """
    if not path.is_file():
        raise ServiceError(f"there is no service file {path}")
    # Resolved: by its name the file is known in tracebacks.
    specification = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if specification is None or specification.loader is None:
        raise ServiceError(f"{path} is no Python file")
    folder = str(path.absolute().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = importlib.util.module_from_spec(specification)
    # A function that hands itself to a process pool is looked up by the module's name.
    sys.modules.setdefault(path.stem, module)
    specification.loader.exec_module(module)
    declared: dict[str, Service] = {}
    for one in vars(module).values():
        if isinstance(one, Service) and declared.setdefault(one.name, one) is not one:
            raise ServiceError(f"{path} declares two services named {one.name}")
    if not declared:
        raise ServiceError(f"{path} declares no service: put @dss.service(name=…) on a function")
    return declared
