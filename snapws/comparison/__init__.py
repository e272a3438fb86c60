"""Compare two workspaces."""

from snapws.comparison.differences import TOLERANCE, Difference, compare_workspaces, draw_comparison

__all__ = ["TOLERANCE", "Difference", "compare_workspaces", "draw_comparison"]
