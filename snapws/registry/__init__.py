"""The registry: the tree of keys that a workspace file holds, its forms, and typed fields."""

from snapws.registry.tree import Registry

__all__ = ["Registry"]
