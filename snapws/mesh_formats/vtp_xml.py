"""The XML of VTK's files, separated from appended data, which is not XML."""

from __future__ import annotations

import re

from lxml import etree

from snapws.errors import MeshDamaged
from snapws.xml_parser import safe_parser

_MARKUP = re.compile(rb"<(!--|!\[CDATA\[|\?|AppendedData\b)")
_MARKUP_ENDS = {b"!--": b"-->", b"![CDATA[": b"]]>", b"?": b"?>"}

_ERRORS = {code: name for name, code in vars(etree.ErrorTypes).items() if isinstance(code, int)}


def cut_appended(data: bytes, source: str) -> tuple[bytes, bytes]:
    """Separate the XML from the appended data, which may hold any bytes."""
    position = 0
    while found := _MARKUP.search(data, position):
        if end := _MARKUP_ENDS.get(found[1]):
            position = data.find(end, found.end())
            if position < 0:
                raise MeshDamaged(f"{source}, byte {found.start()}: {end.decode()} is missing")
            continue
        start = data.find(b">", found.end()) + 1
        if start and data[start - 2 : start] == b"/>":
            break
        end_tag = data.rfind(b"</AppendedData", start)
        if not start or end_tag < 0:
            raise MeshDamaged(f"{source}: the appended data are cut short")
        underscore = data.find(b"_", start, end_tag)
        if underscore < 0 or data[start:underscore].strip():
            raise MeshDamaged(f"{source}, byte {start}: appended data have to start with _")
        return data[:start] + data[end_tag:], data[underscore + 1 : end_tag]
    return data, b""


def parse(document: bytes, source: str) -> etree._Element:
    """Return the root of a document.

    Raises:
        MeshDamaged: The document is not well-formed, or has a document type.
    """
    # Coordinates can exceed the parser's limit on texts, so the limit is lifted. It protects from
    # growing entities; these need a document type, which is refused. UTF-8 is forced: in another
    # encoding, a document type could hide from the search.
    if b"<!DOCTYPE" in document:
        raise MeshDamaged(f"{source}: a document type, which no mesh needs: remove it")
    parser = safe_parser("ISO-8859-1", huge_texts=True, markup_only=True)
    try:
        return etree.fromstring(document, parser)
    except etree.XMLSyntaxError as error:
        # The parser's message quotes the file, which may be private; the error's name does not.
        name = _ERRORS.get(error.code, "")
        reason = name.removeprefix("ERR_").replace("_", " ").lower()
        raise MeshDamaged(
            f"{source}, line {error.lineno or 1}: not well-formed: {reason}"
        ) from None
