"""The registry: the tree of keys in a workspace file, its file formats, and typed fields."""

from snapws.registry.tree import Registry

__all__ = ["Registry"]
