"""The label table that TotalSegmentator writes into a NIfTI header: XML as in Caret.

It is a header extension with code 0; files of Caret and Connectome Workbench have code 30.
"""

from __future__ import annotations

import math
import struct

from lxml import etree

from snapws.label_tables.entries import Collector, Entry
from snapws.xml_parser import safe_parser

_CODES = (0, 30)
_EXTENDER = 4
_WHOLE_FILE = 1 << 62


def extensions(block: bytes, into: Collector) -> list[bytes]:
    """Return the XML in the extensions of a NIfTI header.

    Args:
        block: The start of the file, at least up to its voxels.
        into: The collector; its source is named in messages.

    Raises:
        TextFileError: The extensions are invalid.
    """
    order, size = _order_and_size(block)
    try:
        end = end_of_header(block)
    except struct.error:
        raise into.error("header", "the header is corrupt: it is cut short") from None
    position, found = size + _EXTENDER, []
    if not block[size : size + 1].strip(b"\0"):
        return []
    end = min(end, len(block))  # a pair's header file has extensions up to its end
    while position + 8 <= end:
        length, code = struct.unpack_from(f"{order}ii", block, position)
        if length < 8 or position + length > end:
            raise into.error("header", f"the extension at byte {position} is invalid")
        content = block[position + 8 : position + length]
        if code in _CODES and b"<CaretExtension" in content[:1024]:
            found.append(content.rstrip(b"\0"))
        position += length
    return found


def end_of_header(block: bytes) -> int:
    """Return the offset of the voxels; a huge number in the header file of a pair.

    Raises:
        struct.error: The header is truncated.
    """
    order, size = _order_and_size(block)
    if size == 540:
        end = int(struct.unpack_from(f"{order}q", block, 168)[0])
    else:
        offset = float(struct.unpack_from(f"{order}f", block, 108)[0])
        end = int(offset) if math.isfinite(offset) else 0
    return end if end > size + _EXTENDER else _WHOLE_FILE


def _order_and_size(block: bytes) -> tuple[str, int]:
    order = "<" if block[:4] in (b"\x5c\x01\0\0", b"\x1c\x02\0\0") else ">"
    return order, int(struct.unpack(f"{order}i", block[:4])[0])


def parse(document: bytes, into: Collector) -> None:
    """Read the table of an extension.

    Raises:
        TextFileError: The XML is not well-formed or has a document type, or a label is invalid.
    """
    if b"<!DOCTYPE" in document or b"<!ENTITY" in document:
        raise into.error("extension", "a document type, which no label table needs")
    # UTF-8 is forced: in a two-byte encoding, the search above would miss a document type.
    try:
        root = etree.fromstring(document.strip(), safe_parser("UTF-8"))
    except etree.XMLSyntaxError as error:
        raise into.error(f"extension, line {error.lineno or 1}", "not well-formed XML") from None
    tables = list(root.iter("LabelTable"))
    for table in tables[:1]:
        for label in table.iter("Label"):
            _add(label, into)
    if len(tables) > 1:
        into.notes.append(f"the first of its {len(tables)} label tables is read")


def _add(label: etree._Element, into: Collector) -> None:
    place = f"extension, line {label.sourceline}"
    parts = [label.get(key) for key in ("Red", "Green", "Blue")]
    words = [part for part in parts if part is not None]
    entry = Entry(
        into.index(place, label.get("Key", "")),
        (label.text or "").strip(),
        into.unit_color(place, words) if len(words) == 3 else None,
        into.part(place, label.get("Alpha", "1"), "the opacity"),
    )
    into.add(place, entry)
