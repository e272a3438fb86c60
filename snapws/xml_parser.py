"""The XML parser for untrusted files: it expands no entities and loads no other files."""

from __future__ import annotations

from lxml import etree


def safe_parser(
    encoding: str | None = None, *, huge_texts: bool = False, markup_only: bool = False
) -> etree.XMLParser:
    """Return a new parser, which raises `lxml.etree.XMLSyntaxError` for input not well-formed.

    lxml always expands entities in attribute values, so callers must refuse entity declarations.

    Args:
        encoding: The encoding of the document, instead of the declared one.
        huge_texts: Whether texts may be longer than lxml's own limit. This also lifts its limits on
            depth and on the growth of entities.
        markup_only: Whether to drop comments and processing instructions.
    """
    return etree.XMLParser(
        encoding=encoding,
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=huge_texts,
        recover=False,
        remove_comments=markup_only,
        remove_pis=markup_only,
    )
