"""The results of a case: fetch its workspace, log and attachments, and name the layers."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dss.errors import NotFound, Refused
from dss.transfer.attachments import file_name
from snapws.errors import InvalidValue

if TYPE_CHECKING:
    from dss.batch.journal import Case
    from dss.client import Client
    from dss.records import TicketDetail
    from snapws import Workspace
    from snapws.layers import Layer

RESULTS, FAILED = "results", "failed"
"""Folders of a batch: one with a folder for each result, one for each failed ticket."""

PATTERN = "{case}_{nickname}"
_UNDERWAY = ".fetching"
_IMAGES = (".nii.gz", ".nii")


def check_pattern(pattern: str) -> None:
    """Check a pattern for the names of layers, before anything is sent.

    Raises:
        Refused: The pattern is invalid.
    """
    from snapws.exporting import FIELDS

    fields = ("case", *FIELDS)
    rest = re.sub(r"\{([^{}]*)\}", lambda found: "" if found[1] in fields else "{", pattern)
    if set(rest) & set("{}/\\") or not pattern.strip():
        known = ", ".join(f"{{{field}}}" for field in fields)
        raise Refused(f"{pattern!r} is not a valid name for layers: made of text and {known}")


def refuse_replacing(folder: Path, cases: Iterable[str]) -> None:
    """Refuse new cases if a folder for their results already exists.

    Raises:
        Refused: A folder exists; the message names the first one.
    """
    for case in cases:
        if os.path.lexists(folder / RESULTS / case):
            raise Refused(
                f"{folder / RESULTS / case} already exists, and is not in the journal: move "
                "it, or give another --out"
            )


def fetch(
    client: Client, case: Case, folder: Path, pattern: str, *, max_size: int | None = None
) -> tuple[str, ...]:
    """Fetch the result of a case with its log and attachments, or continue to do so.

    The folder of the case appears only when all files are complete and verified, as by
    `Client.download`.

    Args:
        client: The login of the ticket's owner.
        case: The case.
        folder: The folder of the batch.
        pattern: Pattern for the names of layers: as for `snapws.exporting.export`, and ``{case}``.
        max_size: As for `Client.download`.

    Returns:
        The files, relative to the folder of the batch; the workspace is first.

    Raises:
        WrongState: The ticket has no result.
        TransferFailed: The result was not fetched completely.
        snapws.WorkspaceError: The result is not a valid workspace.
        OSError: The folder cannot be written.
    """
    ticket = _ticket(case)
    target = folder / RESULTS / case.name
    coming = folder / _UNDERWAY / f"{case.name}_{ticket}"
    naming = coming.with_name(f"{coming.name}.naming")
    if not target.exists():
        shutil.rmtree(naming, ignore_errors=True)  # left by a killed process
        target.parent.mkdir(parents=True, exist_ok=True)
        workspace = client.download(ticket, coming, max_size=max_size)
        keep_log(client, ticket, client.detail(ticket), coming / "log")
        coming.rename(naming)
        _name(naming / workspace.name, case.name, pattern)
        naming.rename(target)
        sync(target.parent)
        if not any(coming.parent.iterdir()):
            coming.parent.rmdir()
    first = target / f"{case.name}.itksnap"
    rest = sorted(path for path in target.rglob("*") if path.is_file() and path != first)
    return tuple(path.relative_to(folder).as_posix() for path in (first, *rest))


def fetch_log(client: Client, case: Case, folder: Path) -> tuple[str, ...]:
    """Save the log and the attachments of a failed ticket.

    Returns:
        The files, relative to the folder of the batch.
    """
    ticket = _ticket(case)
    target = folder / FAILED / f"{case.name}_{ticket}"
    keep_log(client, ticket, client.detail(ticket), target)
    return tuple(path.relative_to(folder).as_posix() for path in sorted(target.iterdir()))


def keep_log(client: Client, ticket: int, detail: TicketDetail, folder: Path) -> None:
    """Save the attachments of a ticket, and then its log.

    Raises:
        TransferFailed: An attachment was not fetched completely, or cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, Any]] = []
    for entry in detail.log:
        attached = []
        for one in entry.attachments:
            file = folder / file_name(one)
            try:
                client.fetch_attachment(one, file)
            except NotFound:  # the server does not have it any more
                attached.append({"description": one.description, "file": None})
            else:
                attached.append({"description": one.description, "file": file.name})
        lines.append(
            {
                "time": entry.time.isoformat(),
                "category": entry.category,
                "message": entry.message,
                "attachments": attached,
            }
        )
    from snapws.files import write_bytes

    text = json.dumps({"ticket": ticket, "status": detail.status.value, "log": lines}, indent=2)
    write_bytes(folder / "log.json", text.encode() + b"\n")


def reason(detail: TicketDetail) -> str:
    """Return why a ticket failed: the last error of its log."""
    return next((e.message for e in reversed(detail.log) if e.category == "error"), "")


def sync(folder: Path) -> None:
    """Flush the names in a folder to the disk, if the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _ticket(case: Case) -> int:
    assert case.ticket is not None  # noqa: S101 - a case whose ticket has ended
    return case.ticket


def _name(path: Path, case: str, pattern: str) -> None:
    """Rename a fetched workspace after its case, and its layers after a pattern."""
    from snapws import Workspace

    workspace = Workspace.open(path)
    layers = [one for one in workspace.layers() if _is_image_in(one, path.parent)]
    moved: dict[Path, Path] = {}
    for layer, name in zip(layers, _names(layers, case, pattern), strict=True):
        old = layer.path
        ending = next(end for end in _IMAGES if old.name.endswith(end))
        moved.setdefault(old, old.with_name(f"{name}{ending}"))
        layer.file = str(moved[old])
    _save(workspace, path, path.with_name(f"{case}.itksnap"))
    for old, new in moved.items():
        old.rename(new)


def _save(workspace: Workspace, old: Path, new: Path) -> None:
    workspace.save(new, force=True)
    if new != old:
        old.unlink()


def _is_image_in(layer: Layer, folder: Path) -> bool:
    return layer.path.samefile(folder / layer.path.name) and layer.path.name.endswith(_IMAGES)


def _names(layers: list[Layer], case: str, pattern: str) -> list[str]:
    """Return the names of layers; names that the pattern leaves equal get the layer's number."""
    from snapws.exporting import file_names

    meant = pattern.replace("{case}", case.replace("{", "_").replace("}", "_"))
    try:
        return file_names(layers, meant)
    except InvalidValue:
        return file_names(layers, meant + "_{number}")
