"""The code that is shared by commands that read one workspace, or many in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from snapws import cohort
from snapws.cli import render

T = TypeVar("T")

WorkspaceFiles = Annotated[
    list[Path],
    typer.Argument(
        metavar="WORKSPACE...",
        help="The .itksnap files, or folders or patterns of such files.",
        show_default=False,
    ),
]


def show_each(
    workspaces: Sequence[Path],
    work: Callable[[Path], T],
    show: Callable[[T], None],
    *,
    data: Callable[[T], Any],
    key: str,
    alone: bool,
    as_json: bool = False,
    is_bad: Callable[[T], bool] = lambda _: False,
    threads: int | None = None,
) -> None:
    """Process one workspace and show the result, or many and show each result when it is ready.

    With many workspaces, one that cannot be read does not stop the others, and a last line counts
    the errors. The JSON of many workspaces has one line per workspace.

    Args:
        workspaces: The workspace files, or the folders of archives.
        work: Reads a workspace; called in several threads.
        show: Prints a result.
        data: Converts a result to values of JSON.
        key: The name of `data` in a line of JSON; empty if `data` is itself a record.
        alone: Whether the command line names one workspace, not a folder or a pattern.
        as_json: Whether to print JSON.
        is_bad: Returns whether a result contains an error.
        threads: The number of workspaces at a time; by default the number of cores.

    Raises:
        typer.Exit: With 1, if a result contains an error, or one of many workspaces failed.
        WorkspaceError: A workspace that was named alone cannot be read.
    """
    if alone:
        result = work(workspaces[0])
        if as_json:
            render.as_json(data(result))
        else:
            show(result)
        if is_bad(result):
            raise typer.Exit(1)
        return
    bad = failed = 0
    for outcome in outcomes(workspaces, work, as_json=as_json, threads=threads):
        failed += outcome.error is not None
        for value in outcome.values:
            bad += is_bad(value)
            if as_json:
                record = {key: data(value)} if key else data(value)
                name = {"workspace": str(outcome.path)}
                render.as_json_line({**name, **record, **name})  # first, and as typed
            else:
                render.result(render.printable(f"{outcome.path}:"))
                show(value)
                render.result("")
    summary(len(workspaces), bad=bad, failed=failed)


def outcomes(
    workspaces: Sequence[Path],
    work: Callable[[Path], T],
    *,
    as_json: bool = False,
    threads: int | None = None,
) -> Iterator[cohort.Outcome[T]]:
    """Yield the outcome of the work on each workspace, and print errors and progress.

    Args:
        workspaces: As for `show_each`, as all other arguments.
        work: Reads a workspace.
        as_json: Whether to print an error as a line of JSON, too.
        threads: The number of workspaces at a time.
    """
    for number, outcome in enumerate(cohort.each(workspaces, work, threads=threads), 1):
        if outcome.error:
            message = render.message(outcome.error)
            if as_json:
                render.as_json_line({"workspace": str(outcome.path), "error": message})
            is_named = str(outcome.path) in message
            render.error(message if is_named else f"{outcome.path}: {message}")
        yield outcome
        render.passing(f"{number} of {len(workspaces)} workspaces")


def summary(count: int, *, bad: int = 0, failed: int = 0) -> None:
    """Print the last line of a command on many workspaces.

    Raises:
        typer.Exit: With 1, if a workspace has errors or failed.
    """
    parts = [f"{count} workspaces"]
    if bad:
        parts.append(f"errors in {bad}")
    if failed:
        parts.append(f"{failed} failed")
    render.note(", ".join(parts) if bad or failed else f"{parts[0]}, all well", always=True)
    if bad or failed:
        raise typer.Exit(1)
