"""Edits of many labels at once: conditions that select labels, and their changes."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from snapws.errors import InvalidValue
from snapws.labels import Label

_CONDITION = re.compile(r"\s*(\w+)\s*(!~|~|!=|<=|>=|=|<|>)\s*(.*?)\s*", re.DOTALL)
_NUMBERS: dict[str, Callable[[Label], int]] = {
    "index": lambda label: label.index,
    "opacity": lambda label: label.alpha,
}
_SWITCHES: dict[str, Callable[[Label], bool]] = {
    "visible": lambda label: label.visible,
    "mesh_visible": lambda label: label.mesh_visible,
}
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FIELDS = "name, index, opacity, visible, mesh_visible"
_MAX_PATTERN = 1000


@dataclass(frozen=True)
class Changes:
    """Changes of a label; None leaves a property unchanged."""

    color: tuple[int, int, int] | None = None
    opacity: int | None = None
    visible: bool | None = None
    mesh_visible: bool | None = None

    def apply(self, label: Label) -> Label:
        """Return the changed label.

        Raises:
            InvalidValue: A value is out of range.
        """
        given = {
            "color": self.color,
            "alpha": self.opacity,
            "visible": self.visible,
            "mesh_visible": self.mesh_visible,
        }
        return replace(label, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]


def condition(text: str) -> Callable[[Label], bool]:
    """Convert the text of a condition to a function that checks a label.

    Args:
        text: ``FIELD OPERATOR VALUE``. ``name ~ TEXT`` searches for a regular expression and
            ignores case; ``index`` and ``opacity`` are compared with ``=``, ``!=``, ``<``, ``<=``,
            ``>`` and ``>=``; ``visible`` and ``mesh_visible`` are ``yes`` or ``no``.

    >>> condition("name ~ ^left")(Label(1, "Left hippocampus"))
    True
    >>> condition("index >= 100")(Label(1, "Left hippocampus"))
    False

    Raises:
        InvalidValue: The text is not a valid condition.
    """
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise InvalidValue(
            f"{text!r} is not a valid condition: say FIELD OPERATOR VALUE, 'name ~ hippo' for "
            f"example; fields: {_FIELDS}"
        )
    field, sign, value = found.groups()
    if field == "name":
        return _on_name(sign, value)
    if field in _NUMBERS and sign in _COMPARED:
        if not re.fullmatch("[0-9]{1,9}", value, re.ASCII):
            raise InvalidValue(f"{text!r}: {value!r} is not a valid whole number")
        get, compare, number = _NUMBERS[field], _COMPARED[sign], int(value)
        return lambda label: compare(get(label), number)
    if field in _SWITCHES and sign in ("=", "!="):
        if value not in ("yes", "no"):
            raise InvalidValue(f"{text!r}: {value!r} is not a valid value: say yes or no")
        is_on, switch = (value == "yes") == (sign == "="), _SWITCHES[field]
        return lambda label: switch(label) == is_on
    raise InvalidValue(
        f"{text!r} is not a valid condition: {sign} does not go with {field!r}; fields: {_FIELDS}"
    )


def _on_name(sign: str, value: str) -> Callable[[Label], bool]:
    if sign in ("=", "!="):
        return lambda label: (label.name == value) == (sign == "=")
    if sign not in ("~", "!~"):
        raise InvalidValue(f"a name is compared with ~, !~, = or !=, not {sign}")
    if len(value) > _MAX_PATTERN:
        raise InvalidValue(f"a pattern has at most {_MAX_PATTERN} characters")
    try:
        pattern = re.compile(value, re.IGNORECASE)
    except re.error as error:
        raise InvalidValue(f"{value!r} is not a valid regular expression: {error}") from None
    return lambda label: (pattern.search(label.name) is not None) == (sign == "~")


def edited(
    labels: Iterable[Label], conditions: Sequence[str], changes: Changes
) -> tuple[tuple[Label, ...], int]:
    """Return all labels, changed where they meet all conditions, and the number of changed ones.

    Raises:
        InvalidValue: A condition is invalid, a value is out of range, or no label meets the
            conditions.
    """
    asked = [condition(text) for text in conditions]
    result, count = [], 0
    for label in labels:
        is_meant = all(ask(label) for ask in asked)
        result.append(changes.apply(label) if is_meant else label)
        count += is_meant
    if not count:
        raise InvalidValue("no label meets the conditions: snapws labels list shows the labels")
    return tuple(result), count


def color_of(text: str) -> tuple[int, int, int]:
    """Convert ``#RRGGBB``, or ``R,G,B`` with 0 to 255 each, to a colour.

    >>> color_of("#FF8000"), color_of("255,128,0")
    ((255, 128, 0), (255, 128, 0))

    Raises:
        InvalidValue: The text is not a valid colour.
    """
    if found := re.fullmatch("#?([0-9a-fA-F]{6})", text):
        red, green, blue = bytes.fromhex(found[1])
        return red, green, blue
    parts = text.split(",")
    if len(parts) != 3 or not all(re.fullmatch(" *[0-9]{1,3} *", one, re.ASCII) for one in parts):
        raise InvalidValue(f"{text!r} is not a valid colour: say #RRGGBB or R,G,B")
    red, green, blue = map(int, parts)
    return red, green, blue
