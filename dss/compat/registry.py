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
    """The value of an entry, which may not be set.

    Args:
        value: The value of one that stands alone.
    """

    def __init__(self, value: str | None = None) -> None:
        self._tree, self._key = Tree(), "Value"
        if value is not None:
            self.set(value)

    @classmethod
    def _of(cls, tree: Tree, key: str) -> RegistryValue:
        """Return the value of an entry of a tree, there or not."""
        value = cls()
        value._tree, value._key = tree, key
        return value

    def is_null(self) -> bool:
        """Return whether it is not set."""
        return self._key not in self._tree

    def get_string(self) -> str:
        """Return it as text; nothing where it is not set."""
        return self._tree.get(self._key)

    def get(self, default_value: Any = None) -> Any:
        """Return it as what the default is: text, a number, a truth value, or a list of these.

        The default is returned where it is not set, or is no such number.
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
        """Set it: a list as its elements with blanks between them, all else as its text.

        Raises:
            RegistryError: It holds a character that XML cannot.
        """
        is_list = isinstance(value, (list, tuple))
        self._tree[self._key] = " ".join(map(str, value)) if is_list else str(value)

    def __eq__(self, other: object) -> bool:
        """Return whether both are set to the same text, or neither is set."""
        if not isinstance(other, RegistryValue):
            return NotImplemented
        return (self.is_null(), self.get_string()) == (other.is_null(), other.get_string())

    __hash__ = None  # type: ignore[assignment]


class Registry:
    """A folder of the registry, as `itksnap-dss` has it.

    What differs from that package, on purpose:

    - An entry that was only looked at is not written.
    - `put_array` leaves no element of a longer array behind.
    - `read_from_file` reads plain text, too. Files are replaced as a whole or not at all.
    - What fails raises one of the errors of `snapws.errors`.

    Args:
        filename: A file to read.

    Raises:
        RegistryError: The file is damaged.
        WorkspaceError: It cannot be read.
    """

    def __init__(self, filename: str | None = None) -> None:
        self._tree = Tree()
        if filename is not None:
            self.read_from_file(filename)

    @classmethod
    def of(cls, tree: Tree) -> Registry:
        """Return a tree of this project under these names; both are one."""
        registry = cls()
        registry._tree = tree
        return registry

    @property
    def tree(self) -> Tree:
        """The tree under the names of this project."""
        return self._tree

    # ------------------------------------------------------------ entries and folders

    def entry(self, key: str) -> RegistryValue:
        """Return the entry of a key, there or not; `RegistryValue.set` makes it."""
        return RegistryValue._of(self._tree, key)

    __getitem__ = entry

    def folder(self, key: str) -> Registry:
        """Return the folder of a key, made if it does not exist."""
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
        """Return the keys of all entries, those of folders first, behind a prefix."""
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
        """Return a key as `printf` writes it, from ``Layer[%03d]`` and a number for example."""
        return format_str % args

    # ------------------------------------------------------------------------ arrays

    def get_array(self, default_element: Any) -> list[Any]:
        """Return the array that this folder holds, each element as `RegistryValue.get`."""
        size = self.entry("ArraySize").get(0)
        elements = (self.entry(f"Element[{number}]") for number in range(size))
        return [element.get(default_element) for element in elements]

    def put_array(self, array: Sequence[Any]) -> None:
        """Have this folder hold an array, in place of the one that it holds."""
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
            RegistryError: The file is damaged.
            WorkspaceError: It cannot be read.
        """
        self.read_from_file(filename)

    def read_from_file(self, filename: str) -> None:
        """Merge a file into this registry: XML, or plain text as ITK-SNAP dumps folders.

        Raises:
            RegistryError: The file is damaged.
            WorkspaceError: It cannot be read.
        """
        self._tree.update(text_format.read_file(Path(filename)))

    def write_to_xml_file(self, filename: str, header: str | None = None) -> None:
        """Write the registry as XML, with a comment in front if one is given.

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
            print(f"{prefix}{name}:")  # noqa: T201 - what it is for
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
