"""Compare two workspaces."""

from snapws.comparison.differences import TOLERANCE, Difference, compare, picture

__all__ = ["TOLERANCE", "Difference", "compare", "picture"]
