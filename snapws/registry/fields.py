"""Typed attributes for registry entries.

A `FolderProxy` defines ``nickname = text("LayerMetaData.CustomNickName")``, and the entry is read
and written as an attribute with a Python type. Reading a missing entry returns the default;
assigning always writes the entry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar, overload

from snapws.errors import InvalidValue
from snapws.registry import Registry

T = TypeVar("T")


class FolderProxy:
    """A registry folder with typed attributes.

    Attributes:
        registry: The folder itself, for keys without an attribute.
    """

    # A misspelt attribute raises an error; else its value would never be saved.
    __slots__ = ("registry",)

    def __init__(self, registry: Registry) -> None:
        self.registry = registry


class Field(Generic[T]):
    """One entry of a folder as an attribute."""

    def __init__(
        self, key: str, default: T, read: Callable[[str], T], write: Callable[[T], str]
    ) -> None:
        self.key = key
        self._default = default
        self._read = read
        self._write = write

    @overload
    def __get__(self, view: None, owner: type) -> Field[T]: ...
    @overload
    def __get__(self, view: FolderProxy, owner: type) -> T: ...
    def __get__(self, view: FolderProxy | None, owner: type) -> Field[T] | T:
        if view is None:
            return self
        if self.key not in view.registry:
            return self._default
        stored = view.registry[self.key]
        try:
            return self._read(stored)
        except ValueError:
            raise InvalidValue(f"the entry {self.key} holds {stored!r}, not its kind") from None

    def __set__(self, view: FolderProxy, value: T) -> None:
        view.registry[self.key] = self._write(value)


def text(key: str) -> Field[str]:
    """Define an entry of free text."""
    return Field(key, "", str, str)


def flag(key: str) -> Field[bool]:
    """Define an entry that is ``0`` or ``1``."""
    return Field(key, False, lambda stored: float(stored) != 0, lambda value: str(int(value)))


def integer(key: str, default: int = 0) -> Field[int]:
    """Define an entry that is a whole number."""
    return Field(key, default, int, str)


def number(key: str, default: float = 0.0) -> Field[float]:
    """Define an entry that is a number, stored with all digits."""
    return Field(key, default, float, format_number)


def vector(key: str, length: int) -> Field[tuple[float, ...]]:
    """Define an entry of `length` numbers separated by blanks, stored with all digits."""
    return _vector(key, length, float, format_number)


def integers(key: str, length: int) -> Field[tuple[int, ...]]:
    """Define an entry of `length` whole numbers separated by blanks."""
    return _vector(key, length, int, str)


def _vector(
    key: str, length: int, read: Callable[[str], T], write: Callable[[T], str]
) -> Field[tuple[T, ...]]:
    def of_length(values: Iterable[T]) -> tuple[T, ...]:
        numbers = tuple(values)
        if len(numbers) != length:
            raise InvalidValue(f"the entry {key} takes {length} numbers, not {len(numbers)}")
        return numbers

    return Field(
        key,
        (read("0"),) * length,
        lambda stored: of_length(read(word) for word in stored.split()),
        lambda values: " ".join(write(value) for value in of_length(values)),
    )


def tags(key: str = "Tags") -> Field[tuple[str, ...]]:
    """Define an entry of tags. They are read in stored order, and written sorted and unique."""
    return Field(key, (), parse_tags, format_tags)


def parse_tags(stored: str) -> tuple[str, ...]:
    """Return the tags in a text that is separated by commas."""
    return tuple(tag.strip() for tag in stored.split(",") if tag.strip())


def as_tags(values: Iterable[str]) -> tuple[str, ...]:
    """Convert tags to a tuple.

    Raises:
        InvalidValue: A tag is empty, holds a comma, or begins or ends with white space; or `values`
            is one text.
    """
    if isinstance(values, str):
        raise InvalidValue(f"tags are given as several texts, not as the one text {values!r}")
    given = tuple(values)
    for tag in given:
        if not tag or "," in tag or tag != tag.strip():
            raise InvalidValue(
                f"{tag!r} cannot be a tag: tags have no commas and no white space around them"
            )
    return given


def format_tags(values: Iterable[str]) -> str:
    """Sort tags by their bytes and join them with commas, as workspaces store them."""
    return ",".join(sorted(set(as_tags(values))))


def format_number(value: float) -> str:
    """Return a number as text, with the fewest digits (at most 17) that give the same float64.

    Raises:
        InvalidValue: The number is infinite or NaN.
    """
    if not math.isfinite(value):
        raise InvalidValue(f"{value} is not a finite number")
    return repr(float(value)).removesuffix(".0")
