"""``dss service``: write a service, before any server knows of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from dss.cli.shared import as_record, command, group, service_file
from snapws.cli import render
from snapws.cli.frame import Listing

HOWTO = "howto/write-a-service.md"

app = group("Write a service.", example="dss service init neckcut", more=HOWTO)


@command(app, "init", example="dss service init neckcut --name MRI-NeckCut", more=HOWTO)
def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to begin it; made if need be.")
    ] = Path(),
    name: Annotated[
        str | None,
        typer.Option("--name", help="Its name; that of the folder if none is given."),
    ] = None,
) -> None:
    """Begin a service: its description and its code.

    Writes service.json and my_service.py, a service that works, to be filled in. Nothing is
    replaced.
    """
    from dss.serving import description

    if name is None:
        own = re.sub("[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-")
        name = own[: description.NAME_LIMIT] or "my-service"
    told, code = description.begin(folder, name)
    render.note(f"wrote {told}: describe the service in it, then run dss service check {told}")
    render.note(f"wrote {code}: write in it how, then dss service test {code} WORKSPACE")


@command(app, "check", example="dss service check my_service/", more=HOWTO)
def check(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE-OR-DIR", help="A service.json, or its folder.", show_default=False
        ),
    ],
    listing: Listing,
) -> None:
    """List what is wrong with a description, service.json.

    Exit 1 if anything in it is an error; a note is worth a look only.
    """
    from dss.serving import description

    found = description.problems(path)
    if listing.json:
        render.as_json([as_record(problem) for problem in found])
    else:
        for problem in found:
            render.result(render.printable(f"{problem.severity}: {problem}"))
    if errors := sum(problem.severity == "error" for problem in found):
        file = path / description.FILE if path.is_dir() else path
        render.error(f"{file} cannot be used: {errors} {'errors' if errors > 1 else 'error'}")
        raise typer.Exit(1)
    code = (path if path.is_dir() else path.parent) / description.CODE
    then = f"; try its code: dss service test {code} WORKSPACE" if code.exists() else ""
    render.note(f"{path}: no errors{then}")


@command(app, "test", example="dss service test my_service.py study.itksnap -o result/", more=HOWTO)
def try_out(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="SERVICE.py", help="The service's code, or its folder.", show_default=False
        ),
    ],
    workspace: Annotated[
        Path,
        typer.Argument(metavar="WS", help="The workspace file to work on.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Where the result goes; a new temporary folder if none is given.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Which service, where the file declares several."),
    ] = None,
) -> None:
    """Run a service on a workspace, without a server.

    In a process of its own, as a ticket would have it; a crash is named. Prints the file of the
    resulting workspace, and what snapws check finds in it; exit 1 if that is an error.
    """
    from dss.serving import description, trial_process
    from snapws import Workspace
    from snapws.check import check_workspace

    file = service_file(file)
    result = trial_process.run(file, workspace, output, name=name, tell=render.note)
    render.result(str(result))
    found = check_workspace(Workspace.open(result))
    for problem in found:
        said = f"{problem.where}: {problem.message}"
        render.note(f"{problem.severity} of the result: {render.printable(said)}")
    if any(problem.is_error for problem in found):
        render.error("the code works, and ITK-SNAP does not show its result as it is")
        raise typer.Exit(1)
    if (told := file.with_name(description.FILE)).exists():
        render.note(f"the code works; look at its description: dss service check {told}")
    else:
        render.note(
            f"the code works; a server also needs its description, and there is no {told}: "
            f"dss service init in another folder writes one to be filled in"
        )
