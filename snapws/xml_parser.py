"""The one XML parser, for files of strangers: it expands, loads and fetches nothing."""

from __future__ import annotations

from lxml import etree


def safe_parser(
    encoding: str | None = None, *, huge_texts: bool = False, markup_only: bool = False
) -> etree.XMLParser:
    """Return a new parser, which raises `lxml.etree.XMLSyntaxError` for anything not well-formed.

    Entities in attribute values are expanded whatever a parser is asked for, so that a caller has
    to refuse their declarations.

    Args:
        encoding: Of the document, instead of the encoding that it declares.
        huge_texts: Whether texts may be longer than the parser's own limit. This also lifts its
            limits on depth and on the growth of entities.
        markup_only: Whether comments and processing instructions are left out of the tree.
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
