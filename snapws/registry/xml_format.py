"""The XML format of a registry: its reader, and its canonical writer.

ITK-SNAP's workspace files have ``<registry>`` with ``<folder key="…">`` and ``<entry key="…"
value="…"/>``. Case of element and attribute names is ignored, and so is text between elements.
"""

from __future__ import annotations

from typing import NamedTuple

from lxml import etree

from snapws.errors import RegistryError
from snapws.registry import Registry
from snapws.registry.tree import MAX_LEVELS
from snapws.xml_parser import safe_parser

#: Limits of a file: bytes, and the sum of elements and attributes. A full workspace of 4,000 layers
#: as saved by ITK-SNAP reaches half of them; parsing a file at the limits needs a gigabyte.
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

# XML readers turn white space in an attribute into blanks, so tabs and line ends are written as
# character references. ITK-SNAP writes them raw and loses them.
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
    """The content of a registry file: the tree, and the comments before it."""

    registry: Registry
    comments: tuple[str, ...] = ()


def parse(data: bytes, source: str) -> RegistryFile:
    """Read the XML format, in the encoding that the file declares.

    Args:
        data: The complete content of the file.
        source: The name of the file in messages, its path for example.

    Raises:
        RegistryError: The data is empty, truncated, not well-formed, not a registry, larger than
            `MAX_BYTES` or `MAX_NODES`, deeper than `MAX_LEVELS`, or declares or uses an entity; the
            message gives line and reason.
    """
    if not data.strip():
        raise RegistryError(f"{source}: the file is empty, not a registry")
    _refuse_huge(data, source)
    parser = safe_parser()
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        what = (error.msg or "not well-formed").split(", line ")[0].strip()
        reason = f"{what}; the file is damaged, cut short or edited wrongly: use another copy"
        if "Excessive depth" in what:
            reason = f"more than {MAX_LEVELS} levels"
        elif error.code == etree.ErrorTypes.ERR_DOCUMENT_EMPTY:
            begins = data.lstrip(_BEFORE_XML).startswith(b"<")
            reason = "no XML, and so no ITK-SNAP workspace; snapws new makes one from images"
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
    """Return the canonical XML, byte for byte as ITK-SNAP writes it.

    A folder has first its entries, then its folders, both sorted by the bytes of the key. Each
    level is indented by two spaces. The encoding is UTF-8.
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
    # Code points have the same order as their UTF-8 bytes.
    for key, value in sorted(registry.entries.items()):
        quoted = value.translate(_ESCAPES)
        lines.append(f'{indent}<entry key="{key.translate(_ESCAPES)}" value="{quoted}" />\n')
    for key in sorted(registry.folders):
        lines.append(f'{indent}<folder key="{key.translate(_ESCAPES)}" >\n')
        _write_folder(registry.folders[key], indent + "  ", lines)
        lines.append(f"{indent}</folder>\n")


def _refuse_huge(data: bytes, source: str) -> None:
    """Refuse a file that would need too much memory, before it is parsed."""
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
    # If the file names an external DTD, the parser drops unknown entities with only a warning.
    for entry in parser.error_log.filter_types([etree.ErrorTypes.WAR_UNDECLARED_ENTITY]):
        raise RegistryError(f"{source}, line {entry.line}: {entry.message}")
