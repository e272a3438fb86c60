"""The scene file of 3D Slicer (MRML): nodes with an ID, which refer to each other and to files.

The format is documented in 3D Slicer's developer guide ("MRML overview"). A node that has a file
has a storage node, with the name of the file as in a URL, relative to the scene.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lxml import etree

from snapws.text import printable

if TYPE_CHECKING:
    from snapws.transforms import Matrix

#: The parts of IDs of nodes whose class has another name than their element.
_CLASSES = {"Volume": "ScalarVolume", "VolumeDisplay": "ScalarVolumeDisplay"}
_VIEWS = ("Red", "Green", "Yellow")
_COLORS_OF_FILE = "14"  # the type of a colour table whose colours are in a file

#: The colour map of 3D Slicer from black to white.
GREY = "vtkMRMLColorTableNodeGrey"


class Document:
    """The nodes of a scene."""

    def __init__(self) -> None:
        # The version at which 3D Slicer's form of scenes last changed.
        self._root = etree.Element("MRML", version="Slicer4.4.0", userTags="")
        self._count = 0

    def add(
        self,
        element: str,
        name: str = "",
        references: Mapping[str, str] | None = None,
        **attributes: Any,
    ) -> str:
        """Add a node, and return its ID.

        Args:
            element: The name of its element, ``Volume`` for example.
            name: The name that people see; a node without one is hidden from them.
            references: The IDs of other nodes, by role; empty IDs are left out.
            attributes: Its other attributes.
        """
        self._count += 1
        node_id = f"vtkMRML{_CLASSES.get(element, element)}Node{self._count}"
        self._append(element, node_id, name, references or {}, attributes)
        return node_id

    def add_storage(self, kind: str, file: str, **attributes: Any) -> str:
        """Add the node of a file, and return its ID; `kind` is ``Model`` for example."""
        return self.add(f"{kind}Storage", fileName=quote(file), **attributes)

    def add_colors(self, name: str, file: str) -> str:
        """Add a colour table that is in a file, and return its ID."""
        storage = self.add_storage("ColorTable", file)
        return self.add("ColorTable", name, {"storage": storage}, type=_COLORS_OF_FILE)

    def add_transform(self, name: str, file: str, to_parent: Matrix) -> str:
        """Add a linear transform, which moves what refers to it, and return its ID.

        Args:
            name: Its name.
            file: The ITK transform file, from the parent, in LPS.
            to_parent: The inverse of it, in RAS.
        """
        matrix = "  ".join(" ".join(repr(float(number)) for number in row) for row in to_parent)
        storage = self.add_storage("Transform", file)
        return self.add(
            "LinearTransform", name, {"storage": storage}, matrixTransformToParent=matrix
        )

    def add_slice_views(self, background: str, foreground: str, opacity: float) -> None:
        """Add what the three slice views show: a volume, and another one over it."""
        volumes = {"backgroundVolume": background, "foregroundVolume": foreground}
        shown = {"foregroundOpacity": opacity if foreground else 0, "linkedControl": 1}
        for view in _VIEWS:
            names = {"singletonTag": view, "layoutName": view}
            node_id = f"vtkMRMLSliceCompositeNode{view}"
            self._append("SliceComposite", node_id, "", volumes, {**names, **shown})

    def to_bytes(self) -> bytes:
        """Return the scene file."""
        return etree.tostring(self._root, xml_declaration=True, encoding="UTF-8", pretty_print=True)

    def _append(
        self,
        element: str,
        node_id: str,
        name: str,
        references: Mapping[str, str],
        attributes: Mapping[str, object],
    ) -> None:
        node = etree.SubElement(self._root, element, id=node_id, name=printable(name) or element)
        node.set("hideFromEditors", _text(not name))
        if given := "".join(f"{role}:{other};" for role, other in references.items() if other):
            node.set("references", given)
        for key, value in attributes.items():
            node.set(key, _text(value))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(_text, value))
    return printable(str(value))
