"""Compare two workspaces."""

from snapws.comparison.differences import (
    TOLERANCE,
    Difference,
    Differences,
    compare_workspaces,
    draw_comparison,
)

__all__ = ["TOLERANCE", "Difference", "Differences", "compare_workspaces", "draw_comparison"]
