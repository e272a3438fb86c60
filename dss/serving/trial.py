"""A service run on a workspace without any server: the way to develop one."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dss.errors import ServiceError
from dss.records import ServiceTag, read_service
from dss.serving import description
from dss.serving.declaration import load
from dss.serving.job import Job
from dss.serving.reports import ToldReports
from snapws import Workspace
from snapws.archive import archive

if TYPE_CHECKING:
    from collections.abc import Iterator

_TICKET = 1


def run(
    file: Path,
    workspace: Path,
    output: Path,
    *,
    name: str | None = None,
    tell: Callable[[str], None],
) -> Path:
    """Do a service's work on a workspace, in this process, as the runner has it done.

    The function is given what a ticket would bring: the workspace's archive. Required tags are
    those that it declares, and those of a `service.json` beside its file.

    Args:
        file: The service's file.
        workspace: The workspace that a user would submit.
        output: A folder for the result, the function's files (`work`) and what it attached
            (`attached`); it has to be empty or not there.
        name: Which service, where the file declares several.
        tell: Is called with a line for whatever the job reports.

    Returns:
        The workspace of the result, as the user would download it.

    Raises:
        ServiceError: The file cannot be used, or the workspace is not what the service asks for.
        snapws.WorkspaceError: The workspace, or its result, cannot be archived.
        Exception: Whatever the service raises.
    """
    services = load(file)
    if name is None and len(services) > 1:
        raise ServiceError(f"{file} declares {', '.join(services)}: say which with --name")
    service = services.get(name or next(iter(services)))
    if service is None:
        raise ServiceError(f"{file} declares no service {name}; it declares {', '.join(services)}")
    if output.exists() and any(output.iterdir()):
        raise ServiceError(f"{output} is not empty: give another folder")
    output = output.resolve()
    workdir = output / "work"
    with tempfile.TemporaryDirectory(prefix="dss-") as folder:
        given = Workspace.open(archive(Workspace.open(workspace), Path(folder)).workspace)
        lacking = description.missing(_tags(file, service.tags), given)
        if lacking:
            raise ServiceError("; ".join(lacking))
        workdir.mkdir(parents=True)
        job = Job(_TICKET, given, workdir, ToldReports(tell, output / "attached"))
        with _current_folder(workdir):
            result = service(job)
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


@contextmanager
def _current_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
