"""The registry: the tree of keys in a workspace file.

A folder holds entries (key and text) and folders. Dots in a key separate folders:
``Layers.Layer[000].Role`` is the entry ``Role`` of the folder ``Layer[000]`` of the folder
``Layers``. An entry and a folder may have the same name.

>>> registry = Registry()
>>> registry["Layers.Layer[000].Role"] = "MainRole"
>>> registry.folder("Layers.Layer[000]")["Role"]
'MainRole'
>>> list(registry.walk())
[('Layers.Layer[000].Role', 'MainRole')]
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from snapws.errors import RegistryError

#: The greatest depth of elements in a file, including the root and the innermost entry. XML parsers
#: refuse deeper files, so none is written.
MAX_LEVELS = 256

#: The greatest length of a key, including the folders above. Without a limit, the long name of one
#: folder would be repeated for each of its million entries.
MAX_KEY = 4096

_NOT_IN_XML = "[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"


class Registry:
    """A folder of the registry, with the tree below it."""

    __slots__ = ("_entries", "_folders", "_length", "_level")

    def __init__(self, _level: int = 1, _length: int = 0) -> None:
        self._entries: dict[str, str] = {}
        self._folders: dict[str, Registry] = {}
        self._level = _level
        self._length = _length  # the length of its own key and a dot

    @property
    def entries(self) -> Mapping[str, str]:
        """The entries directly in this folder, by the last part of their key, in no order."""
        return MappingProxyType(self._entries)

    @property
    def folders(self) -> Mapping[str, Registry]:
        """The folders directly in this folder, by the last part of their key, in no order."""
        return MappingProxyType(self._folders)

    def get(self, key: str, default: str = "") -> str:
        """Return the value of the entry `key`, or `default` if it does not exist."""
        folder, name = self._parent(key)
        return default if folder is None else folder._entries.get(name, default)

    def __contains__(self, key: str) -> bool:
        """Return whether the entry `key` exists."""
        folder, name = self._parent(key)
        return folder is not None and name in folder._entries

    def __getitem__(self, key: str) -> str:
        """Return the value of the entry `key`.

        Raises:
            RegistryError: The entry does not exist.
        """
        folder, name = self._parent(key)
        if folder is None or name not in folder._entries:
            raise RegistryError(f"there is no registry entry {key!r}")
        return folder._entries[name]

    def __setitem__(self, key: str, value: str) -> None:
        """Set the entry `key`. Missing folders are made.

        Raises:
            RegistryError: Key or value has a character that XML cannot store, or the key is too
                deep or too long.
        """
        path, dot, name = key.rpartition(".")
        _refuse_unwritable(f"the value of {key!r}", value)
        _refuse_unwritable("a key", name)
        folder = self.make_folder(path) if dot else self
        folder._refuse_beyond(key, name)
        folder._entries[name] = value

    def __delitem__(self, key: str) -> None:
        """Remove the entry `key`. A missing entry is no error."""
        folder, name = self._parent(key)
        if folder is not None:
            folder._entries.pop(name, None)

    def folder(self, key: str) -> Registry | None:
        """Return the folder `key`, or None if it does not exist."""
        found: Registry | None = self
        for name in key.split("."):
            if found is None:
                return None
            found = found._folders.get(name)
        return found

    def make_folder(self, key: str) -> Registry:
        """Return the folder `key`, made if it does not exist.

        Raises:
            RegistryError: The key has a character that XML cannot store, or is too deep or long.
        """
        found = self
        for name in key.split("."):
            inner = found._folders.get(name)
            if inner is None:
                _refuse_unwritable("a key", name)
                found._refuse_beyond(key, name)
                inner = Registry(found._level + 1, found._length + len(name) + 1)
                found._folders[name] = inner
            found = inner
        return found

    def remove_folder(self, key: str) -> None:
        """Remove the folder `key` with its content. A missing folder is no error."""
        folder, name = self._parent(key)
        if folder is not None:
            folder._folders.pop(name, None)

    def clear(self) -> None:
        """Remove all entries and folders of this folder."""
        self._entries.clear()
        self._folders.clear()

    def rename_folder(self, key: str, new_name: str) -> None:
        """Rename the last part of the folder `key`. A folder of the new name is replaced.

        Raises:
            RegistryError: The folder does not exist, or XML cannot store the new name.
        """
        folder, name = self._parent(key)
        if folder is None or name not in folder._folders:
            raise RegistryError(f"there is no registry folder {key!r}")
        _refuse_unwritable("a key", new_name)
        folder._folders[new_name] = folder._folders.pop(name)

    def update(self, other: Registry) -> None:
        """Merge a copy of all entries and folders of `other` into this folder; `other` wins."""
        for key, value in other._entries.items():
            self[key] = value
        for key, folder in other._folders.items():
            self.make_folder(key).update(folder)

    def copy(self) -> Registry:
        """Return an independent copy of the tree."""
        twin = Registry()
        twin.update(self)
        return twin

    def walk(self) -> Iterator[tuple[str, str]]:
        """Yield every entry of the tree as its full key and value, in canonical order."""
        # Nested generators would be slow: they pass each entry up through all levels.
        waiting = [("", self)]
        while waiting:
            prefix, folder = waiting.pop()
            for name, value in sorted(folder._entries.items()):
                yield prefix + name, value
            inner = sorted(folder._folders.items(), key=lambda item: item[0], reverse=True)
            waiting += [(f"{prefix}{name}.", one) for name, one in inner]

    def __eq__(self, other: object) -> bool:
        """Return whether both trees have the same entries and folders, also empty folders."""
        if not isinstance(other, Registry):
            return NotImplemented
        # Comparing dictionaries of folders would recurse too deeply for deep trees.
        pairs = [(self, other)]
        while pairs:
            ours, theirs = pairs.pop()
            if ours._entries != theirs._entries or ours._folders.keys() != theirs._folders.keys():
                return False
            pairs += [(folder, theirs._folders[name]) for name, folder in ours._folders.items()]
        return True

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Registry: {len(self._entries)} entries, {len(self._folders)} folders>"

    def _refuse_beyond(self, key: str, name: str) -> None:
        if self._level >= MAX_LEVELS:
            raise RegistryError(f"the key {key[:60]!r} lies deeper than {MAX_LEVELS} levels")
        if self._length + len(name) > MAX_KEY:
            raise RegistryError(
                f"the key that begins with {key[:60]!r} is longer than {MAX_KEY} characters"
            )

    def _parent(self, key: str) -> tuple[Registry | None, str]:
        path, dot, name = key.rpartition(".")
        return (self.folder(path) if dot else self), name


def _refuse_unwritable(name: str, text: str) -> None:
    if text.isprintable():
        return  # the usual case; compiling the pattern would double the time of start-up
    found = re.search(_NOT_IN_XML, text)
    if found:
        raise RegistryError(
            f"{name} holds the character {found.group()!r} at position {found.start()}, "
            "which no XML file can hold: remove it"
        )
