"""Declaring a service: a function of one job, decorated with `service`."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
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
        name: Name of the service, as in its `service.json`.
        function: The function that does the work for a ticket.
        tags: Tags that the workspace of a ticket must have, each on one layer; `service.json`
            describes them.
        resources: Resources that a job needs, by name, as `{"gpu": 1}`: GPUs are given to it by the
            runner, all that a scheduler knows by these names by that.
        resumable: Whether the function may run again after it was interrupted. If not, a ticket
            whose work was interrupted fails.
    """

    name: str
    function: Function
    tags: tuple[str, ...] = ()
    resources: Mapping[str, float] = field(default_factory=dict)
    resumable: bool = True

    def __call__(self, job: Job) -> Workspace:
        """Run the function on a job, and return the workspace of the result.

        A process that the function forks ends where the function ends: it must not do the steps
        that follow.

        Raises:
            ServiceError: The function returned neither a workspace nor None.
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
            raise ServiceError(
                f"the service returned {type(result).__name__} instead of a workspace"
            )
        return result


def _end_fork(error: BaseException | None = None) -> NoReturn:
    """End a process that the function of a service has forked, with the exit code of its error."""
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
    """Declare that a function of one `Job` is a service.

    The function edits `job.workspace`, or returns another workspace. An exception fails the ticket,
    and the user reads its message.

    Args:
        name: As for `Service`.
        tags: As for `Service`.
        resources: As for `Service`.
        resumable: As for `Service`.

    Raises:
        ServiceError: `tags` is a string instead of a list.
    """
    if isinstance(tags, str):
        raise ServiceError(f"tags of {name}: give a list, not the text {tags!r}")
    return lambda function: Service(name, function, tuple(tags), resources or {}, resumable)


class _SourceLoader(SourceFileLoader):
    """Loads a module from its source, never from a compiled file.

    Python tells a compiled file from a newer source by the seconds of its time and by its size. So
    a file that was saved twice in a second would be taken for the earlier one.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def load(path: Path) -> dict[str, Service]:
    """Import the file of a service, which may import files beside it.

    Returns:
        The services that it declares, by name.

    Raises:
        ServiceError: The file does not exist, declares no service, or two of one name.
        Exception: Whatever the file raises.
    """
    if not path.is_file():
        raise ServiceError(f"there is no service file {path}: dss service init writes one")
    # Resolved, because tracebacks are searched for this path.
    specification = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if specification is None or specification.loader is None:
        raise ServiceError(f"{path} is not a Python file")
    if isinstance(specification.loader, SourceFileLoader):
        specification.loader = _SourceLoader(path.stem, str(path.resolve()))
    folder = str(path.absolute().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = importlib.util.module_from_spec(specification)
    # A process pool finds a pickled function by the name of its module.
    sys.modules.setdefault(path.stem, module)
    specification.loader.exec_module(module)
    declared: dict[str, Service] = {}
    for one in vars(module).values():
        if isinstance(one, Service) and declared.setdefault(one.name, one) is not one:
            raise ServiceError(f"{path} declares two services named {one.name}")
    if not declared:
        raise ServiceError(f"{path} declares no service: put @dss.service(name=…) on a function")
    return declared
