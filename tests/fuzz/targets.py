"""What is fuzzed: each reader of a file that somebody else wrote, by name.

A reader gives its result or a `WorkspaceError`; anything else is a defect. What it reads it can
also write, and reads again as the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from snapws import labels, mesh_formats, registry_text, registry_xml, transforms
from snapws.errors import WorkspaceError
from snapws.mesh_formats import kinds

_FILE = Path(tempfile.gettempdir()) / "snapws-fuzzed.mat"


def xml(data: bytes) -> None:
    content = registry_xml.parse(data, "file")
    written = registry_xml.to_bytes(content.registry, content.comments)
    assert registry_xml.parse(written, "file").registry == content.registry


def text(data: bytes) -> None:
    registry = registry_text.parse(data, "file")
    written = registry_text.to_bytes(registry)
    assert list(registry_text.parse(written, "file").walk()) == list(registry.walk())


def label_file(data: bytes) -> None:
    table = labels.parse(data, "file")
    if not any("\r" in label.name for label in table):
        written = labels.format_file(table).encode()
        again = {label.index: label for label in labels.parse(written, "file") if label.index}
        assert again == {label.index: label for label in table if label.index}


def transform_file(data: bytes) -> None:
    _FILE.write_bytes(data)
    matrix = transforms.read_file(_FILE)
    assert [len(row) for row in matrix] == [4, 4, 4, 4]


def mesh(suffix: str) -> Callable[[bytes], None]:
    def scrub(data: bytes) -> None:
        assert kinds.is_mesh(data) in (True, False)
        path = Path(f"mesh{suffix}")
        scrubbed = mesh_formats.scrub(data, path)
        assert mesh_formats.scrub(scrubbed, path) == scrubbed

    return scrub


TARGETS: dict[str, Callable[[bytes], None]] = {
    "xml": xml,
    "text": text,
    "labels": label_file,
    "transform": transform_file,
    "vtk": mesh(".vtk"),
    "vtp": mesh(".vtp"),
    "stl": mesh(".stl"),
}


def run_one(name: str, data: bytes) -> None:
    """Feed one input to one reader; what it refuses in its own words is fine."""
    try:
        TARGETS[name](data)
    except WorkspaceError as error:
        assert "\n" not in str(error)
