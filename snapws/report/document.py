"""The elements of a self-contained page of HTML, and its content security policy (CSP).

All text enters a page through `element`, which escapes it. The page loads nothing from a network,
and runs only the script of this package.
"""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from importlib.resources import files

from lxml import etree

Element = etree._Element
Content = str | Element
Cell = str | int | Element

#: Limits: characters of one text, rows of one table.
MOST_TEXT = 10_000
MOST_ROWS = 2000

#: The mark in the head of every report.
MARK = b'<meta name="generator" content="snapws">'

# Line ends, and characters without which joined scripts and joined pictographs are not readable
# without.
_KEPT = "\n\u200c\u200d"
_UNREADABLE = "\N{REPLACEMENT CHARACTER}"


class Number(str):
    """A formatted number: an index without commas, or a measure with its decimals."""

    __slots__ = ()


def element(name: str, /, *content: Content | None, **attributes: str) -> Element:
    """Make an element.

    Args:
        name: The name of the element.
        content: Texts and elements, in order; None is left out. In texts, control characters and
            changes of direction become the replacement character; line ends stay.
        attributes: The attributes: ``class_`` is class, ``aria_label`` aria-label.
    """
    made = etree.Element(name)
    for key, value in attributes.items():
        made.set(key.rstrip("_").replace("_", "-"), _clean(value))
    for part in content:
        if isinstance(part, str):
            if len(made):
                made[-1].tail = (made[-1].tail or "") + _clean(part)
            else:
                made.text = (made.text or "") + _clean(part)
        elif part is not None:
            made.append(part)
    return made


def typed(text: str) -> Element:
    """Return a typed text as HTML, isolated so that its direction affects no other text."""
    return element("bdi", text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]} … (cut)")


def lines(text: str) -> Element:
    """Return a typed text as HTML with line breaks."""
    return element("span", typed(text), class_="lines")


def instant(time: datetime) -> Element:
    """Return a time in the local time zone."""
    here = time.astimezone()
    return element("time", f"{here:%Y-%m-%d %H:%M:%S}", datetime=here.isoformat(timespec="seconds"))


def swatch(color: tuple[int, int, int]) -> Element:
    """Return a small square of a colour."""
    square = element("rect", width="100%", height="100%", fill="#{:02x}{:02x}{:02x}".format(*color))
    return element("svg", square, class_="swatch", aria_hidden="true")


def section(title: str, *content: Content | None) -> Element:
    """Make a part of the page with a heading."""
    name = title.lower().replace(" ", "-")
    return element(
        "section", element("h2", title, id=name), *content, aria_labelledby=name, class_=name
    )


def paragraph(*content: Content, class_: str = "") -> Element:
    """Make a paragraph."""
    return element("p", *content, **({"class_": class_} if class_ else {}))


def facts(pairs: Iterable[tuple[str, Cell]]) -> Element:
    """Make a list of names and their values."""
    rows = [element("div", element("dt", name), element("dd", _shown(one))) for name, one in pairs]
    return element("dl", *rows)


def table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    count: int = 0,
) -> Element:
    """Make a table. The first cell of a row is its heading, and numbers are aligned.

    After `MOST_ROWS` rows, the table says how many are left out.

    Args:
        caption: The caption above the table.
        columns: The headings.
        rows: The cells, row by row.
        count: The total number of rows, if `rows` holds only the shown ones.
    """
    left_out = max(count, len(rows)) - MOST_ROWS
    more = f" ({left_out:,} more are not shown)" if left_out > 0 else ""
    kinds = [_kind(cell) for cell in rows[0]] if rows else [{} for _ in columns]
    head = [
        element("th", name, scope="col", **kind) for name, kind in zip(columns, kinds, strict=True)
    ]
    body = [
        element(
            "tr",
            element("th", _shown(row[0]), scope="row", **_kind(row[0])),
            *(element("td", _shown(cell), **_kind(cell)) for cell in row[1:]),
        )
        for row in rows[:MOST_ROWS]
    ]
    made = element(
        "table",
        element("caption", caption + more),
        element("thead", element("tr", *head)),
        element("tbody", *body),
    )
    # Wide tables can be scrolled, also by keyboard.
    return element(
        "div", made, class_="scroll", tabindex="0", role="region", aria_label=f"Table: {caption}"
    )


def page(
    title: str,
    header: Sequence[Element],
    sections: Sequence[Element],
    parts: Sequence[str] = ("report",),
) -> bytes:
    """Return the complete HTML of a page.

    Args:
        title: The title of the page.
        header: The elements above all sections, the main heading first.
        sections: The sections.
        parts: The names of the page's style sheets and scripts in this package, without extension.
    """
    style = "".join(_part(f"{name}.css") for name in parts)
    script = "".join(_part(f"{name}.js") for name in parts)
    allowed = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="generator", content="snapws"),
        element("meta", http_equiv="Content-Security-Policy", content=allowed),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        # Else a browser would request an icon.
        element("link", rel="icon", href="data:,"),
        element("title", title),
        _raw("style", style),
    )
    contents = [
        element("li", element("a", heading.text or "", href=f"#{heading.get('id')}"))
        for one in sections
        for heading in one.findall("h2")
    ]
    body = element(
        "body",
        element("header", *header),
        element("nav", element("ul", *contents), aria_label="Sections"),
        element("main", *sections),
        _raw("script", script),
    )
    document = etree.ElementTree(element("html", head, body, lang="en"))
    return etree.tostring(document, method="html", encoding="utf-8", doctype="<!DOCTYPE html>")


def _clean(text: str) -> str:
    if text.isprintable():
        return text  # a picture's address has a hundred thousand characters
    return "".join(
        sign
        if sign.isprintable() or sign in _KEPT or unicodedata.category(sign) == "Zs"
        else _UNREADABLE
        for sign in text.replace("\r\n", "\n").expandtabs()
    )


def _shown(cell: Cell) -> Content:
    return f"{cell:,}" if isinstance(cell, int) else cell


def _kind(cell: Cell) -> dict[str, str]:
    return {"class_": "number"} if isinstance(cell, (int, Number)) else {}


def _part(name: str) -> str:
    """Read a file of this package with line ends as in a browser, which the CSP's hashes need."""
    return (files(__package__) / name).read_text("utf-8").replace("\r\n", "\n")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest())
    return f"'sha256-{digest.decode()}'"


def _raw(name: str, text: str) -> Element:
    """Make a style or script element: its text is not escaped."""
    made = etree.Element(name)
    made.text = text
    return made
