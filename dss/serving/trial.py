"""A trial: run a service on a workspace without a server, to develop the service."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dss.errors import ServiceError
from dss.parsing import read_service
from dss.records import ServiceTag
from dss.serving import description, failure
from dss.serving.declaration import load
from dss.serving.job import Job, from_elsewhere
from dss.serving.results import OriginalWorkspace
from dss.serving.worker.reports import ToldReports
from snapws import Workspace, leftovers
from snapws.archive import archive

if TYPE_CHECKING:
    from collections.abc import Iterator

_TICKET = 1
_OURS = ("work", "result", "attached")


@contextmanager
def _printing_aside() -> Iterator[None]:
    """Redirect standard output, that of child processes too, to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        with suppress(ValueError):  # the author's code may have closed it
            if sys.__stdout__:
                sys.__stdout__.flush()
        os.dup2(kept, 1)
        os.close(kept)


@_printing_aside()
def run(
    file: Path,
    workspace: Path,
    output: Path | None,
    *,
    name: str | None = None,
    tell: Callable[[str], None],
    given: Path | None = None,
) -> Path:
    """Run a service on a workspace in this process, as a worker would run it for a ticket.

    The function gets the archive of the workspace, as it would from a ticket. The tags that it
    declares are required, and those that a `service.json` beside its file requires. Whatever the
    function prints goes to standard error.

    Args:
        file: The service's file.
        workspace: The workspace that a user would submit.
        output: A folder for the result (`result`), the function's files (`work`) and the files
            that it attached (`attached`). Those of an earlier trial are removed. The folder must
            not contain anything else. By default a new temporary folder.
        name: Name of the service, if the file declares several.
        tell: Called with a line for each report of the job.
        given: An empty folder for the archive; by default a temporary one.

    Returns:
        The workspace of the result, as the user would download it.

    Raises:
        ServiceError: The file cannot be used, the workspace lacks a required tag, or the service
            failed. After a failure the function's files stay; the error names their folder.
        snapws.WorkspaceError: The workspace, or its result, cannot be archived.
    """
    source = file.resolve()  # before the current folder changes
    try:
        services = load(file)
    except (ServiceError, KeyboardInterrupt):
        raise
    except BaseException as error:  # exits, too: the runner would not start
        raise ServiceError(f"{file} cannot be used: {failure.located(error, source)}") from error
    if name is None and len(services) > 1:
        raise ServiceError(f"{file} declares {', '.join(services)}: choose one with --name")
    service = services.get(name or next(iter(services)))
    if service is None:
        raise ServiceError(f"{file} declares no service {name}; it declares {', '.join(services)}")
    if output is not None:
        _clear(output)
        output.mkdir(parents=True, exist_ok=True)
        leftovers.remember(output)
    with nullcontext(given) if given else leftovers.temporary("dss-") as folder:
        brought = Workspace.open(archive(Workspace.open(workspace), folder).workspace)
        lacking = description.missing(_tags(file, service.tags), brought)
        if lacking:
            raise ServiceError("; ".join(lacking))
        output = (output or Path(tempfile.mkdtemp(prefix="dss-service-"))).resolve()
        workdir = output / "work"
        workdir.mkdir(parents=True)
        before = OriginalWorkspace(brought)
        job = Job(_TICKET, brought, workdir, ToldReports(tell, output / "attached"))
        with _current_folder(workdir):
            try:
                result = service(job)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # exits, too: they would fail a ticket
                for line in failure.unredacted(error, source).splitlines():
                    tell(line)
                raise ServiceError(
                    f"the service failed; its user would read: {failure.told(error)}; "
                    f"its files are in {output}"
                ) from error
        for warning in before.warnings(result):
            tell(f"warning: {warning}")
        if foreign := from_elsewhere(result, Path(folder), output):
            tell(f"warning: {foreign}")
        return archive(result, output / "result").workspace


def _tags(file: Path, declared: tuple[str, ...]) -> list[ServiceTag]:
    beside = file.absolute().parent / description.FILE
    tags: list[ServiceTag] = []
    if beside.is_file():
        wrong = [one for one in description.problems(beside) if one.severity == "error"]
        if wrong:
            raise ServiceError(str(wrong[0]))
        tags += read_service(json.loads(beside.read_text(encoding="utf-8"))).tags
    known = {tag.name for tag in tags}
    return tags + [ServiceTag(tag, "", "", True) for tag in declared if tag not in known]


def _clear(output: Path) -> None:
    """Remove the files of an earlier trial from a folder."""
    left = list(output.iterdir()) if output.exists() else []
    for path in left:
        if path.name not in _OURS:
            raise ServiceError(f"{output} contains {path.name}: choose another folder")
    if left and not leftovers.is_remembered(output):
        raise ServiceError(
            f"{output} contains {left[0].name}, and nothing proves that an earlier trial of yours "
            "wrote it: choose another folder"
        )
    for path in left:
        shutil.rmtree(path)


@contextmanager
def _current_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
