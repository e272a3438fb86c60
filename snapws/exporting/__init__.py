"""Export: layers' images under speaking names, and whole workspaces for other programs."""

from snapws.exporting.images import FIELDS, export, file_names

__all__ = ["FIELDS", "export", "file_names"]
