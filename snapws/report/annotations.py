"""The annotations of a workspace as a table of a report: their texts and places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snapws import geometry
from snapws.annotations import Landmark, read, to_markups
from snapws.errors import WorkspaceError
from snapws.report.document import MOST_ROWS, Cell, Element, paragraph, table, typed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from snapws.annotations import Annotation
    from snapws.workspace import Workspace


def annotation_table(workspace: Workspace) -> list[Element]:
    """Return the table of the annotations, with places in RAS mm; empty without annotations."""
    try:
        found = read(workspace.registry)
    except WorkspaceError as error:
        return [paragraph(f"The annotations cannot be read: {error}", class_="bad")]
    if not found:
        return []
    affine = _affine(workspace)
    rows = [_row(number, one, affine) for number, one in enumerate(found[:MOST_ROWS])]
    columns = ("Annotation", "Kind", "Text", "Place, RAS mm")
    return [table("Annotations", columns, rows, len(found))]


def _affine(workspace: Workspace) -> npt.NDArray[np.float64] | None:
    try:
        workspace.main.existing()
        return geometry.affine(workspace.main.header())
    except WorkspaceError:
        return None


def _row(number: int, one: Annotation, affine: npt.NDArray[np.float64] | None) -> list[Cell]:
    text = one.text if isinstance(one, Landmark) else ""
    return [str(number), typed(one.kind), typed(text), _place(one, affine)]


def _place(one: Annotation, affine: npt.NDArray[np.float64] | None) -> str:
    """Return the points of an annotation, the ends of a line after each other."""
    if affine is None:
        return "unknown: the main image cannot be read"
    try:
        markups = to_markups([one], affine)
    except WorkspaceError as error:
        return str(error)
    points = (point for markup in markups for point in markup.points)
    return "; ".join(" ".join(f"{value:g}" for value in point) for point in points)
