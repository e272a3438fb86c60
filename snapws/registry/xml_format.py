"""The XML form of a registry: its reader, and its canonical writer.

The form is that of ITK-SNAP's workspace files: ``<registry>`` with ``<folder key="…">`` and
``<entry key="…" value="…"/>``, element and attribute names in any case, text between them ignored.
"""

from __future__ import annotations

from typing import NamedTuple

from lxml import etree

from snapws.errors import RegistryError
from snapws.registry import Registry
from snapws.registry.tree import MAX_LEVELS
from snapws.xml_parser import safe_parser

#: What a file may have: bytes, and elements and attributes together. A workspace of 4,000 layers
#: with all that ITK-SNAP writes of each has half of them; the parser takes up to a gigabyte.
MAX_BYTES = 64 << 20
MAX_NODES = 5_000_000

_BEFORE_XML = b"\xef\xbb\xbf \t\r\n"

_PROLOGUE = """\
<!DOCTYPE registry [
<!ELEMENT registry (entry*,folder*)>
<!ELEMENT folder (entry*,folder*)>
<!ELEMENT entry EMPTY>
<!ATTLIST folder key CDATA #REQUIRED>
<!ATTLIST entry key CDATA #REQUIRED>
<!ATTLIST entry value CDATA #REQUIRED>
]>
"""

# White space other than a blank would come back from an attribute as a blank, so it is written as
# a character reference; ITK-SNAP writes it raw and loses it.
_ESCAPES = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        "'": "&apos;",
        '"': "&quot;",
        "\n": "&#10;",
        "\r": "&#13;",
        "\t": "&#9;",
    }
)


class RegistryFile(NamedTuple):
    """What a registry file holds: the tree, and the comments that stand before it."""

    registry: Registry
    comments: tuple[str, ...] = ()


def parse(data: bytes, source: str) -> RegistryFile:
    """Read the XML form, in whatever encoding it declares.

    Args:
        data: The whole file.
        source: What the messages call it, its path for example.

    Raises:
        RegistryError: The data is empty, cut short, not well-formed, not a registry, larger than
            `MAX_BYTES` or `MAX_NODES`, deeper than `MAX_LEVELS`, declares an entity or refers to
            one that is not declared; the message gives line and reason.
    """
    if not data.strip():
        raise RegistryError(f"{source}: the file is empty, not a registry")
    _refuse_huge(data, source)
    parser = safe_parser()
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        reason = (error.msg or "not well-formed").split(", line ")[0].strip()
        if "Excessive depth" in reason:
            reason = f"more than {MAX_LEVELS} levels"
        elif error.code == etree.ErrorTypes.ERR_DOCUMENT_EMPTY:
            begins = data.lstrip(_BEFORE_XML).startswith(b"<")
            reason = "no XML, and so no ITK-SNAP workspace"
            if begins:
                reason = "no <registry> where it should begin: the file may be cut short"
        raise RegistryError(f"{source}, line {error.lineno or 1}: {reason}") from None
    _refuse_entities(root.getroottree(), parser, data, source)
    if str(root.tag).lower() != "registry":
        raise RegistryError(
            f"{source}, line {root.sourceline}: not a registry, its root element is <{root.tag!s}>"
        )
    registry = Registry()
    _read_folder(root, registry, source)
    comments = [node.text or "" for node in root.itersiblings(etree.Comment, preceding=True)]
    return RegistryFile(registry, tuple(reversed(comments)))


def to_bytes(registry: Registry, comments: tuple[str, ...] = ()) -> bytes:
    """Write the canonical form: what ITK-SNAP writes, byte for byte.

    In a folder entries come first, then folders, each sorted by the bytes of the key; two spaces of
    indent a level; UTF-8.
    """
    lines = ['<?xml version="1.0" encoding="UTF-8" ?>\n']
    lines += [f"<!--{comment}-->\n" for comment in comments]
    lines += [_PROLOGUE, "<registry>\n"]
    _write_folder(registry, "  ", lines)
    lines.append("</registry>\n")
    return "".join(lines).encode()


def _read_folder(element: etree._Element, registry: Registry, source: str) -> None:
    for child in element:
        if not isinstance(child.tag, str):
            continue  # a comment or processing instruction
        name = child.tag.lower()
        attributes = {str(key).lower(): str(value) for key, value in child.items()}
        try:
            if name not in ("entry", "folder"):
                raise RegistryError(f"unknown element <{child.tag!s}>")
            if "key" not in attributes:
                raise RegistryError(f"<{name}> has no 'key' attribute")
            if name == "entry":
                registry[attributes["key"]] = attributes.get("value", "")
                continue
            folder = registry.make_folder(attributes["key"])
        except RegistryError as error:
            raise RegistryError(f"{source}, line {child.sourceline}: {error}") from None
        _read_folder(child, folder, source)


def _write_folder(registry: Registry, indent: str, lines: list[str]) -> None:
    # Code points sort as their UTF-8 bytes do.
    for key, value in sorted(registry.entries.items()):
        quoted = value.translate(_ESCAPES)
        lines.append(f'{indent}<entry key="{key.translate(_ESCAPES)}" value="{quoted}" />\n')
    for key in sorted(registry.folders):
        lines.append(f'{indent}<folder key="{key.translate(_ESCAPES)}" >\n')
        _write_folder(registry.folders[key], indent + "  ", lines)
        lines.append(f"{indent}</folder>\n")


def _refuse_huge(data: bytes, source: str) -> None:
    """Refuse what would take more memory than a workspace is worth, before it is parsed."""
    nodes = data.count(b"<") + (data.count(b'"') + data.count(b"'")) // 2
    if len(data) > MAX_BYTES or nodes > MAX_NODES:
        raise RegistryError(
            f"{source}: {len(data) / 1e6:.0f} MB with about {nodes:,} elements and attributes: "
            f"more than {MAX_BYTES / 1e6:.0f} MB or {MAX_NODES:,} are not read"
        )


def _refuse_entities(
    tree: etree._ElementTree, parser: etree.XMLParser, data: bytes, source: str
) -> None:
    dtd = tree.docinfo.internalDTD
    if dtd is not None and next(iter(dtd.iterentities()), None) is not None:
        line = data.replace(b"\0", b"").partition(b"<!ENTITY")[0].count(b"\n") + 1
        raise RegistryError(
            f"{source}, line {line}: declares an XML entity, "
            "which no workspace needs: remove the declaration"
        )
    # With an external DTD named, the parser drops an unknown entity with no more than a warning.
    for entry in parser.error_log.filter_types([etree.ErrorTypes.WAR_UNDECLARED_ENTITY]):
        raise RegistryError(f"{source}, line {entry.line}: {entry.message}")
