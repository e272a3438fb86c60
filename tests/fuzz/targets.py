"""What is fuzzed: each reader of a file that somebody else wrote, by name.

A reader gives its result or a `WorkspaceError`; anything else is a defect. What it reads it can
also write, and reads again as the same.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from snapws import labels, mesh_formats, transform_files
from snapws.errors import WorkspaceError
from snapws.images.itk import metaimage, nrrd
from snapws.images.itk.stored import Stored
from snapws.mesh_formats import kinds
from snapws.registry import text_format, xml_format


def xml(data: bytes) -> None:
    content = xml_format.parse(data, "file")
    written = xml_format.to_bytes(content.registry, content.comments)
    assert xml_format.parse(written, "file").registry == content.registry


def text(data: bytes) -> None:
    registry = text_format.parse(data, "file")
    written = text_format.to_bytes(registry)
    assert list(text_format.parse(written, "file").walk()) == list(registry.walk())


def label_file(data: bytes) -> None:
    table = labels.parse(data, "file")
    if not any("\r" in label.name for label in table):
        written = labels.format_file(table).encode()
        again = {label.index: label for label in labels.parse(written, "file") if label.index}
        assert again == {label.index: label for label in table if label.index}


def transform_file(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".mat", delete=False) as file:
        file.write(data)
    try:
        matrix = transform_files.read_itk_or_ras(Path(file.name))
    finally:
        Path(file.name).unlink()
    assert [len(row) for row in matrix] == [4, 4, 4, 4]


def mesh(suffix: str) -> Callable[[bytes], None]:
    def scrub(data: bytes) -> None:
        assert kinds.is_mesh(data) in (True, False)
        path = Path(f"mesh{suffix}")
        scrubbed = mesh_formats.scrub(data, path)
        assert mesh_formats.scrub(scrubbed, path) == scrubbed

    return scrub


def metaimage_header(data: bytes) -> None:
    _header(metaimage.parse, data, Path("image.mha"))


def nrrd_header(data: bytes) -> None:
    _header(nrrd.parse, data, Path("image.nrrd"))


def _header(parse: Callable[[BinaryIO, Path], Stored], data: bytes, path: Path) -> None:
    """Read a header; voxels begin within the file, and what is said in our words reads the same."""
    stored = parse(io.BytesIO(data), path)
    assert 0 <= stored.start <= len(data)
    assert stored.skip >= (-1 if stored.names else 0)
    assert stored.header.isascii()
    again = parse(io.BytesIO(stored.header), path)
    assert (again.names, again.encoding, again.skip) == ((), "raw", 0)
    assert again.header == stored.header
    folder = path.parent.resolve()
    with suppress(WorkspaceError):
        for part in stored.parts("send"):
            assert part == path or (part.parent == folder and not part.name.startswith("."))
            assert part == path or part.suffix.lower() not in (".txt", ".itksnap", ".mha", ".nrrd")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "xml": xml,
    "text": text,
    "labels": label_file,
    "transform": transform_file,
    "vtk": mesh(".vtk"),
    "vtp": mesh(".vtp"),
    "stl": mesh(".stl"),
    "metaimage": metaimage_header,
    "nrrd": nrrd_header,
}


def run_one(name: str, data: bytes) -> None:
    """Feed one input to one reader; what it refuses in its own words is fine."""
    try:
        TARGETS[name](data)
    except WorkspaceError as error:
        assert "\n" not in str(error)
