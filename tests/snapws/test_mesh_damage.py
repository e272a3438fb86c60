"""Meshes that were cut short, that claim what they do not have, or that are no meshes at all."""

from __future__ import annotations

import base64
import io
import os
import re
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest

from snapws import mesh_formats
from snapws.errors import MeshDamaged, MeshError, MeshUnsupported
from snapws.mesh_formats import reading, scrub
from tests.snapws.mesh_samples import (
    MARKER,
    TRIANGLE,
    Vtp,
    f4,
    i4,
    legacy,
    whole_files,
)

WHOLE = whole_files()
#: What may stand behind the end of cells or of an array in a legacy file, which does not say how
#: many there are.
NEXT_SECTION = re.compile(
    rb"\s*(VERTICES|LINES|POLYGONS|TRIANGLE_STRIPS|CELL_DATA|POINT_DATA|SCALARS|VECTORS|NORMALS|"
    rb"TENSORS6?|TEXTURE_COORDINATES|COLOR_SCALARS|GLOBAL_IDS|PEDIGREE_IDS|EDGE_FLAGS|FIELD)\s"
)


@pytest.mark.parametrize("name", WHOLE)
def test_a_prefix_is_refused_or_is_the_same_mesh(name):
    suffix, data = WHOLE[name]
    path = Path(f"mesh{suffix}")
    whole = scrub(data, path)
    passed = []
    for size in range(len(data)):
        try:
            got = scrub(data[:size], path)
        except MeshDamaged:  # not as unsupported, which could be taken as it is
            continue
        passed.append(size)
        if got != whole:
            assert suffix == ".vtk"
            assert NEXT_SECTION.match(data, size), data[size - 20 : size]
    assert len(passed) < 50


@pytest.mark.parametrize("encoding", ["ASCII", "BINARY"])
@pytest.mark.parametrize("name", ["triangle", "attributes"])
def test_a_prefix_that_loses_an_array_or_all_cells_is_refused(encoding, name):
    rest = {
        "triangle": TRIANGLE[2:],
        "attributes": ("POINT_DATA 3\nSCALARS a float\nLOOKUP_TABLE b", f4(1, 2, 3.25)),
    }[name]
    table = np.arange(8, dtype="u1") if encoding == "BINARY" else f4(*range(8))
    whole = legacy(encoding, *TRIANGLE, "POINT_DATA 3\nSCALARS a float\nLOOKUP_TABLE b",
                   f4(1, 2, 3.25), "LOOKUP_TABLE b 2", table)  # fmt: skip
    first = whole.index(legacy(encoding, *rest).split(b"POLYDATA\n", 1)[1])
    last = whole.index(b"POINT_DATA") - 2 if name == "triangle" else len(whole) - 2
    scrub(whole, Path("a.vtk"))
    for size in range(first, last):
        if whole[first:size].strip() or name == "triangle":
            with pytest.raises(MeshDamaged):
                scrub(whole[:size], Path("a.vtk"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (legacy("ASCII", *TRIANGLE)[:-1], "the last line has no end"),
        (legacy("ASCII"), "the file ends before POINTS"),
        (legacy("BINARY", "FIELD a 0"), "the file ends before POINTS"),
        (legacy("BINARY", "POINTS 1 float", f4(1, 2, 3)), "the file ends before a cell"),
        (legacy("ASCII", "POINTS 1 float", f4(1, 2, 3), "LINES 0 0"), "ends before a cell"),
        (legacy("ASCII", *TRIANGLE, "CELL_DATA 1"), "ends before an array of its data"),
        (legacy("ASCII", *TRIANGLE, "CELL_DATA 1\nSCALARS a int\nLOOKUP_TABLE b\n1"),
         "ends before the table of the scalars"),
        (legacy("ASCII", *TRIANGLE) + b"METADATA\nINFORMATION 0\n", "the file ends too early"),
        (legacy("ASCII", *TRIANGLE) + b"METADATA", "or the file cut short"),
        (legacy("ASCII")[:-3], "the file ends too early"),
    ],
    ids=["number", "header", "empty field", "points", "no cells", "no arrays", "no table",
         "metadata", "keyword", "dataset"],
)  # fmt: skip
def test_the_end_of_a_legacy_file_is_looked_at(text, reason):
    with pytest.raises(MeshDamaged, match=reason):
        scrub(text, Path("a.vtk"))


def test_a_mesh_of_nothing_may_end_after_its_points():
    empty = legacy("ASCII", "POINTS 0 float")
    assert scrub(empty, Path("a.vtk")) == empty


# ------------------------------------------------------------------ counts


class TestCounts:
    @pytest.mark.parametrize("encoding", ["ASCII", "BINARY"])
    @pytest.mark.parametrize("section", ["POINT_DATA 3", "CELL_DATA 1"])
    @pytest.mark.parametrize("tuples", [0, 2, 6])
    def test_an_array_of_other_tuples_than_points_or_cells_is_refused(
        self, encoding, section, tuples
    ):
        numbers = np.frombuffer(MARKER[:tuples], "i1")
        for kind in ("char", "unsigned_char"):
            mesh = legacy(encoding, *TRIANGLE, section, f"FIELD a 1\nb 1 {tuples} {kind}", numbers)
            with pytest.raises(MeshDamaged, match=f"{tuples} tuples, but the file has"):
                scrub(mesh, Path("a.vtk"))

    @pytest.mark.parametrize("kind", ["char", "signed_char", "unsigned_char", "bit"])
    def test_an_array_with_room_for_a_text_at_each_point_is_refused(self, kind):
        data = (MARKER * 3) if kind != "bit" else (MARKER * 3)[:15]
        components = len(MARKER) if kind != "bit" else 40
        array = f"FIELD a 1\nb {components} 3 {kind}"
        mesh = legacy("BINARY", *TRIANGLE, "POINT_DATA 3", array, np.frombuffer(data, "u1"))
        with pytest.raises(MeshUnsupported, match=f"{components} numbers of type {kind} for each"):
            scrub(mesh, Path("a.vtk"))

    def test_a_text_of_the_whole_mesh_is_dropped(self):
        text = np.frombuffer(MARKER, "i1")
        mesh = legacy("BINARY", f"FIELD a 1\nb {len(MARKER)} 1 char", text, *TRIANGLE)
        assert scrub(mesh, Path("a.vtk")) == legacy("BINARY", *TRIANGLE)

    @pytest.mark.parametrize("components", [0, 5, 77658275])
    def test_colors_and_texture_coordinates_have_few_components(self, components):
        for array in (f"COLOR_SCALARS a {components}", f"TEXTURE_COORDINATES a {components} float"):
            mesh = legacy("ASCII", *TRIANGLE, f"POINT_DATA 3\n{array}", f4(*range(15)))
            with pytest.raises(MeshDamaged, match=f"{components} components, where 1 to"):
                scrub(mesh, Path("a.vtk"))

    @pytest.mark.parametrize("encoding", ["ASCII", "BINARY"])
    def test_tables_that_no_scalars_have_named_are_dropped(self, encoding):
        table = np.frombuffer(MARKER + b"__", "u1")
        table = table if encoding == "BINARY" else table / 1
        dirty = legacy(
            encoding, *TRIANGLE,
            "POINT_DATA 3\nLOOKUP_TABLE a 2", table, "SCALARS s int\nLOOKUP_TABLE a", i4(1, 2, 3),
            "LOOKUP_TABLE b 2", table, "LOOKUP_TABLE default 2", table,
            "SCALARS t int\nLOOKUP_TABLE c", i4(1, 2, 3), "LOOKUP_TABLE c 1", table[:4],
            "LOOKUP_TABLE c 2", table,
        )  # fmt: skip
        assert scrub(dirty, Path("a.vtk")) == legacy(
            encoding, *TRIANGLE,
            "POINT_DATA 3\nSCALARS array_0 int 1\nLOOKUP_TABLE default", i4(1, 2, 3),
            "SCALARS array_1 int 1\nLOOKUP_TABLE table_0", i4(1, 2, 3),
            "LOOKUP_TABLE table_0 1", table[:4],
        )  # fmt: skip

    def test_the_tables_of_cells_and_of_points_stay_although_they_have_one_name(self):
        mesh = legacy(
            "ASCII", *TRIANGLE,
            "CELL_DATA 1\nSCALARS s int 1\nLOOKUP_TABLE a", i4(1), "LOOKUP_TABLE a 1", f4(*[1] * 4),
            "POINT_DATA 3\nSCALARS t int 1\nLOOKUP_TABLE a", i4(1, 2, 3),
            "LOOKUP_TABLE a 1", f4(*[0] * 4),
        )  # fmt: skip
        assert scrub(mesh, Path("a.vtk")).count(b"LOOKUP_TABLE table_0\n") == 2
        assert scrub(mesh, Path("a.vtk")).count(b"LOOKUP_TABLE table_0 1\n") == 2

    def test_arrays_without_tuples_say_nothing_in_their_components(self):
        mesh = legacy(
            "ASCII", "POINTS 0 float", "POINT_DATA 0\nSCALARS a int 776582\nLOOKUP_TABLE default",
            "FIELD a 2\nb 776582 0 int\nc 776582 0 string", "TEXTURE_COORDINATES d 2 float",
        )  # fmt: skip
        assert scrub(mesh, Path("a.vtk")) == legacy("ASCII", "POINTS 0 float")

    def test_arrays_of_xml_without_tuples_say_nothing_in_their_components(self):
        empty = '<DataArray type="Int8" Name="a" NumberOfComponents="776582"/>'
        piece = f'<Piece NumberOfPoints="0"><PointData Scalars="a">{empty}</PointData></Piece>'
        assert b"776582" not in scrub(Vtp().file(piece), Path("a.vtp"))
        other = Vtp()
        with pytest.raises(MeshDamaged, match="other components in another place"):
            scrub(other.file(other.piece("a"), piece), Path("a.vtp"))
        one = piece.replace("776582", "1")
        got = scrub(other.file(one, other.piece("a")), Path("a.vtp"))
        assert got.count(b'<PointData Scalars="array_0"') == 2

    @pytest.mark.parametrize("form", ["ascii", "binary", "appended"])
    def test_an_array_of_xml_with_room_for_a_text_at_each_point_is_refused(self, form):
        vtp = Vtp(form)
        more = f'NumberOfComponents="{len(MARKER)}"'
        array = vtp.array(np.frombuffer(MARKER * 4, "i1"), "a", "Int8", more)
        piece = vtp.piece().replace("</PointData>", f"{array}</PointData>")
        with pytest.raises(MeshUnsupported, match="6 numbers of type Int8 for each"):
            scrub(vtp.file(piece), Path("a.vtp"))

    @pytest.mark.parametrize("encoding", ["raw", "base64"])
    def test_arrays_of_xml_do_not_share_their_bytes(self, encoding):
        vtp = Vtp("appended", encoding=encoding)
        array = vtp.array(np.arange(300), "a", more='NumberOfComponents="100"')
        many = "".join(array.replace('"a"', f'"a{number}"') for number in range(30))
        three = 'NumberOfComponents="3"'
        points = vtp.array(np.arange(9), "Points", more=three)
        piece = f'<Piece NumberOfPoints="3"><PointData>{many}</PointData><Points>{points}</Points>'
        with pytest.raises(MeshDamaged, match="arrays that share their bytes"):
            scrub(vtp.file(piece + "</Piece>"), Path("a.vtp"))

    def test_unused_bits_are_zero(self):
        scalars = "POINT_DATA 3\nSCALARS array_0 bit 1\nLOOKUP_TABLE default"
        clean = legacy("BINARY", *TRIANGLE, scalars, np.array([0xA0], "u1"))
        dirty = clean.replace(b"default\n\xa0", b"default\n\xbf")
        assert dirty != clean
        assert scrub(dirty, Path("a.vtk")) == clean


HUGE = 10**12


@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        (".vtk", legacy("ASCII", f"POINTS {HUGE} float", f4(1, 2, 3))),
        (".vtk", legacy("BINARY", f"POINTS {HUGE} float", f4(1, 2, 3))),
        (".vtk", legacy("ASCII", *TRIANGLE[:2], f"POLYGONS {HUGE} {4 * HUGE}", i4(3, 0, 1, 2))),
        (".vtk", legacy("ASCII", *TRIANGLE[:2], f"POLYGONS {HUGE} {HUGE}\nOFFSETS int\n0",
                        version="5.1")),
        (".vtk", legacy("BINARY", f"FIELD a 1\nb {HUGE} {HUGE} string", *TRIANGLE)),
        (".vtk", legacy("BINARY", f"FIELD a 1\nb {HUGE} {HUGE} int", *TRIANGLE)),
        (".vtk", legacy("ASCII", f"FIELD a {HUGE}", *TRIANGLE)),
        (".vtk", legacy("ASCII", *TRIANGLE) + b"METADATA\nINFORMATION 1\nDATA 999999999\na\nb\n"),
        (".vtk", legacy("ASCII", *TRIANGLE, "POINT_DATA 3", f"LOOKUP_TABLE a {HUGE}\n1")),
        (".stl", b"\0" * 80 + b"\xff" * 4 + b"\0" * 50),
        (".vtp", Vtp().file(Vtp().piece().replace('Points="4"', f'Points="{HUGE}"'))),
    ],
    ids=["text points", "points", "cells", "offsets", "strings", "numbers", "arrays", "metadata",
         "table", "triangles", "xml"],
)  # fmt: skip
def test_counts_without_their_numbers_are_refused(suffix, data):
    with pytest.raises(MeshDamaged):
        scrub(data, Path(f"a{suffix}"))


def test_inflated_numbers_are_not_held_in_memory(monkeypatch):
    """Zlib makes a thousand bytes of one: a small file must not need a thousand times its size."""
    seen = []

    def watched(packed, size):
        for piece in inflated(packed, size):
            seen.append(len(piece))
            yield piece

    inflated = mesh_formats.vtp._inflated
    monkeypatch.setattr(mesh_formats.vtp, "_inflated", watched)
    count = 4_000_000
    numbers = zlib.compress(bytes(12 * count))
    block = np.array([1, 12 * count, 0, len(numbers)], "<u4").tobytes()
    data = (base64.b64encode(block) + base64.b64encode(numbers)).decode()
    points = f'<DataArray type="Float32" NumberOfComponents="3" format="binary">{data}</DataArray>'
    vtp = Vtp("binary", packed=True)
    mesh = vtp.file(f'<Piece NumberOfPoints="{count}"><Points>{points}</Points></Piece>')
    got = scrub(mesh, Path("a.vtp"))
    assert numbers in got
    assert sum(seen) == 12 * count
    assert max(seen) <= 1100 * mesh_formats.vtp._SLICE < sum(seen)


@pytest.mark.parametrize("mixed", [False, True], ids=["triangles", "mixed"])
def test_numbers_in_text_are_split_once(monkeypatch, mixed):
    """The work on a text grows as the text does, whatever its arrays are."""
    split = []

    def counted(words, whole):
        split.append(len(words))
        return are_numbers(words, whole)

    are_numbers = reading._are_numbers
    monkeypatch.setattr(reading, "_are_numbers", counted)
    arrays = "".join(f"a{number} 1 3 int\n1 2 3\n" for number in range(2_000 if mixed else 1))
    count = arrays.count("int")
    mesh = legacy("ASCII", *TRIANGLE, f"POINT_DATA 3\nFIELD f {count}\n{arrays}")
    scrub(mesh, Path("a.vtk"))
    assert sum(split) == 9 + 4 + 3 * count


# ------------------------------------------------------------------ files


class TestFiles:
    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    @pytest.mark.parametrize(
        "call", [mesh_formats.read, mesh_formats.scrubbed, mesh_formats.content]
    )
    def test_a_pipe_is_refused_and_not_waited_for(self, tmp_path, call):
        path = tmp_path / "a.vtk"
        os.mkfifo(path)
        failed: list[MeshError] = []

        def read() -> None:
            try:
                call(path)
            except MeshError as error:
                failed.append(error)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        thread.join(300)
        assert not thread.is_alive()
        assert "it is a pipe or a device, not a file" in str(failed[0])

    def test_a_device_or_a_folder_is_refused(self, tmp_path):
        for path in (Path(os.devnull), tmp_path):
            with pytest.raises(MeshError, match=re.escape(str(path))):
                mesh_formats.read(path)

    @pytest.mark.parametrize("change", ["cut", "grown", "written"])
    def test_a_file_that_changes_while_it_is_read_is_refused(self, tmp_path, monkeypatch, change):
        path = tmp_path / "a.vtk"
        path.write_bytes(legacy("ASCII", *TRIANGLE))
        before = path.stat()

        class Changing(io.FileIO):
            def read(self, size=-1):
                start = super().read(10)
                data = path.read_bytes()
                path.write_bytes({"cut": data[:-9], "grown": data + b"1", "written": data}[change])
                os.utime(path, ns=(0, before.st_mtime_ns + (change == "written")))
                return start + super().read(size)

        monkeypatch.setattr(mesh_formats.paths, "open_file", Changing)
        with pytest.raises(MeshError, match="was written to while it was read"):
            mesh_formats.read(path)


@pytest.mark.parametrize(
    "text", ["<!-- MARKER -- MARKER -->", "<a>&MARKER;</a>", "<MARKER", "<a MARKER>"]
)
def test_the_message_about_xml_says_nothing_of_what_is_in_it(text):
    with pytest.raises(MeshDamaged, match="not well-formed: [a-z ]+$") as error:
        scrub(f"<VTKFile>{text}\n".encode(), Path("a.vtp"))
    assert "MARKER" not in str(error.value)
    assert "\n" not in str(error.value)
