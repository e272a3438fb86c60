"""`Registry` as of `itksnap-dss`: the tree of keys of a workspace, under that package's names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from snapws import files
from snapws.errors import WorkspaceError
from snapws.registry import Registry as Tree
from snapws.registry import text_format, xml_format

_TRUE = ("1", "true", "yes")


class RegistryValue:
    """The value of an entry; the entry may be missing.

    Args:
        value: The value of an entry that belongs to no registry.
    """

    def __init__(self, value: str | None = None) -> None:
        self._tree, self._key = Tree(), "Value"
        if value is not None:
            self.set(value)

    @classmethod
    def _of(cls, tree: Tree, key: str) -> RegistryValue:
        """Return the value of an entry of a tree, which may be missing."""
        value = cls()
        value._tree, value._key = tree, key
        return value

    def is_null(self) -> bool:
        """Return whether the entry is missing."""
        return self._key not in self._tree

    def get_string(self) -> str:
        """Return the value as text; empty if the entry is missing."""
        return self._tree.get(self._key)

    def get(self, default_value: Any = None) -> Any:
        """Return the value converted to the type of the default.

        This type may be text, a number, a boolean, or a list of these. If the entry is missing or
        its value is not a valid number, the default is returned.
        """
        if self.is_null():
            return default_value
        text = self.get_string()
        try:
            if isinstance(default_value, bool):
                return text.lower() in _TRUE
            if isinstance(default_value, (int, float)):
                return type(default_value)(text)
            if isinstance(default_value, (list, tuple)):
                kind = type(default_value[0]) if default_value else str
                return type(default_value)(kind(word) for word in text.split())
        except ValueError:
            return default_value
        return text

    __getitem__ = get

    def set(self, value: Any) -> None:
        """Set the value as text; the elements of a list are separated by blanks.

        Raises:
            RegistryError: The value contains a character that XML does not allow.
        """
        is_list = isinstance(value, (list, tuple))
        self._tree[self._key] = " ".join(map(str, value)) if is_list else str(value)

    def __eq__(self, other: object) -> bool:
        """Return whether both have the same text, or both are missing."""
        if not isinstance(other, RegistryValue):
            return NotImplemented
        return (self.is_null(), self.get_string()) == (other.is_null(), other.get_string())

    __hash__ = None  # type: ignore[assignment]


class Registry:
    """A folder of the registry, as `itksnap-dss` has it.

    The intended differences from that package:

    - To look at a missing entry does not create it.
    - `put_array` removes the further elements of a longer array.
    - `read_from_file` reads plain text, too. Writing a file is atomic.
    - A failure raises one of the errors of `snapws.errors`.

    Args:
        filename: A file to read.

    Raises:
        RegistryError: The file is corrupt.
        WorkspaceError: The file cannot be read.
    """

    def __init__(self, filename: str | None = None) -> None:
        self._tree = Tree()
        if filename is not None:
            self.read_from_file(filename)

    @classmethod
    def of(cls, tree: Tree) -> Registry:
        """Return a view of a tree of this project; changes to one show in the other."""
        registry = cls()
        registry._tree = tree
        return registry

    @property
    def tree(self) -> Tree:
        """The tree as this project has it."""
        return self._tree

    # ------------------------------------------------------------ entries and folders

    def entry(self, key: str) -> RegistryValue:
        """Return the entry of a key; `RegistryValue.set` creates a missing one."""
        return RegistryValue._of(self._tree, key)

    __getitem__ = entry

    def folder(self, key: str) -> Registry:
        """Return the folder of a key, created if it does not exist."""
        return Registry.of(self._tree.make_folder(key))

    def has_entry(self, key: str) -> bool:
        """Return whether an entry exists."""
        return key in self._tree

    def has_folder(self, key: str) -> bool:
        """Return whether a folder exists."""
        return self._tree.folder(key) is not None

    def get_entry_keys(self) -> list[str]:
        """Return the names of the entries in this folder."""
        return list(self._tree.entries)

    def get_folder_keys(self) -> list[str]:
        """Return the names of the folders in this folder."""
        return list(self._tree.folders)

    def collect_keys(self, prefix: str = "") -> list[str]:
        """Return the keys of all entries with a prefix; those in folders come first."""
        return [prefix + key for key in _keys(self._tree)]

    def find_folders_from_pattern(self, pattern: str) -> list[str]:
        """Return the names of the folders in this folder in which a regular expression is found."""
        return [name for name in self._tree.folders if re.search(pattern, name)]

    def is_empty(self) -> bool:
        """Return whether there is no entry and no folder."""
        return not self._tree.entries and not self._tree.folders

    def clear(self) -> None:
        """Remove all entries and folders."""
        self._tree.clear()

    def update(self, other: Registry) -> None:
        """Merge all entries and folders of another registry into this one; the other wins."""
        self._tree.update(other._tree)

    @staticmethod
    def key(format_str: str, *args: Any) -> str:
        """Return a key from a format of `printf`, for example ``Layer[%03d]`` and a number."""
        return format_str % args

    # ------------------------------------------------------------------------ arrays

    def get_array(self, default_element: Any) -> list[Any]:
        """Return the array in this folder, with each element as `RegistryValue.get` returns it."""
        size = self.entry("ArraySize").get(0)
        elements = (self.entry(f"Element[{number}]") for number in range(size))
        return [element.get(default_element) for element in elements]

    def put_array(self, array: Sequence[Any]) -> None:
        """Replace the array in this folder."""
        for name in self.get_entry_keys():
            if re.fullmatch(r"Element\[[0-9]+\]", name):
                del self._tree[name]
        self.entry("ArraySize").set(len(array))
        for number, value in enumerate(array):
            self.entry(f"Element[{number}]").set(value)

    # ------------------------------------------------------------------------- files

    def read_from_xml_file(self, filename: str) -> None:
        """Merge an XML file into this registry.

        Raises:
            RegistryError: The file is corrupt.
            WorkspaceError: The file cannot be read.
        """
        self.read_from_file(filename)

    def read_from_file(self, filename: str) -> None:
        """Merge a file into this registry: XML, or plain text as ITK-SNAP dumps folders.

        Raises:
            RegistryError: The file is corrupt.
            WorkspaceError: The file cannot be read.
        """
        self._tree.update(text_format.read_file(Path(filename)))

    def write_to_xml_file(self, filename: str, header: str | None = None) -> None:
        """Write the registry as XML, with `header` as a comment at the top.

        Raises:
            WorkspaceError: The file cannot be written.
        """
        comments = () if header is None else (f" {header} ",)
        try:
            files.write_bytes(Path(filename), xml_format.to_bytes(self._tree, comments))
        except OSError as error:
            raise WorkspaceError(f"cannot write {filename}: {error.strerror or error}") from None

    write_to_file = write_to_xml_file

    def print(self, indent: str = "  ", prefix: str = "") -> None:
        """Print the registry, folders first."""
        for name, folder in self._tree.folders.items():
            print(f"{prefix}{name}:")  # noqa: T201 - the purpose of this method
            Registry.of(folder).print(indent, prefix + indent)
        for name, value in self._tree.entries.items():
            print(f"{prefix}{name} = {value}")  # noqa: T201

    def __eq__(self, other: object) -> bool:
        """Return whether both hold the same entries and folders."""
        return self._tree == other._tree if isinstance(other, Registry) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


def _keys(tree: Tree) -> Iterator[str]:
    for name, folder in tree.folders.items():
        yield from (f"{name}.{key}" for key in _keys(folder))
    yield from tree.entries
