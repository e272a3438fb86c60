"""Meshes without their texts: what stays, to the bit, what goes, and what is refused."""

from __future__ import annotations

import re
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snapws.errors import MeshDamaged, MeshError, MeshUnsupported
from snapws.mesh_formats import scrubbed
from tests.snapws.mesh_samples import (
    FACET,
    MARKER,
    METADATA,
    PAIRS,
    POINTS,
    SCALARS,
    TRIANGLE,
    VTK_4_2,
    VTK_5_1,
    VTP,
    WAYS,
    Vtp,
    binary_stl,
    f4,
    i4,
    i8,
    legacy,
    whole_files,
)

SUFFIXES = (".vtk", ".vtp", ".stl")

with_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def scrub(tmp_path):
    """Scrub bytes as the file of an extension; what comes out is scrubbed again to the same."""

    def call(data: bytes, suffix: str = ".vtk") -> bytes:
        file = tmp_path / f"mesh{suffix}"
        file.write_bytes(data)
        once = scrubbed(file)
        file.write_bytes(once)
        assert scrubbed(file) == once
        return once

    return call


class TestLegacy:
    @pytest.mark.parametrize("encoding", ["ASCII", "BINARY"])
    @pytest.mark.parametrize("version", ["1.0", "2.0", "3.0", "4.0", "4.1", "4.2"])
    def test_keeps_geometry_and_numbers_and_nothing_else(self, scrub, encoding, version):
        colors = (np.array([0, 51, 255] * 3, "u1"), f4(*[0, 0.2, 1] * 3))[encoding == "ASCII"]
        table = (np.arange(8, dtype="u1"), f4(*[0, 1, 0.5, 1] * 2))[encoding == "ASCII"]
        strings = ("MARKER%201", "MARKER%202", "") if encoding == "ASCII" else ("\x01",)
        strings = strings if encoding == "ASCII" else (np.array([b"\xc6MARKER\x80\x06MARKER\xc0"]),)
        written = legacy(
            encoding,
            "field MARKER 3\nMARKER 1 2 double", np.array([1.5, 2], ">f8"),
            "NULL_ARRAY",
            "MARKER 1 3 string", *strings,
            "points 3 Float", f4(0, 0, 0, 1, 0, 0, 0, 1, 0.125), METADATA,
            "VERTICES 2 5", i4(1, 0, 2, 1, 2),
            "LINES 1 3", i4(2, 0, 2),
            "POLYGONS 1 4", i4(3, 0, 1, 2),
            "TRIANGLE_STRIPS 1 4", i4(3, 2, 1, 0),
            "CELL_DATA 5\nGLOBAL_IDS MARKER_ids vtkIdType", i4(5, 4, 3, 2, 1),
            "POINT_DATA 3\nSCALARS MARKER int 2\nLOOKUP_TABLE MARKER_colors",
            i4(1, 2, 3, 4, 5, -6), METADATA.replace("z\n", ""),
            "LOOKUP_TABLE MARKER_colors 2", table,
            "SCALARS MARKER_b float\nLOOKUP_TABLE default", f4(1, 2, 3),
            "COLOR_SCALARS MARKER_c 3", colors,
            "VECTORS MARKER_ids float", f4(*range(9)),
            "NORMALS Normals float", f4(*[0, 0, 1] * 3),
            "TENSORS MARKER_t float", f4(*range(27)),
            "TENSORS6 MARKER_u float", f4(*range(18)),
            "TEXTURE_COORDINATES MARKER_v 2 float", f4(*range(6)),
            "FIELD MARKER 3\nMARKER_w 2 3 vtktypeint64", i8(*range(6)), METADATA,
            "MARKER 1 3 string", *strings,
            "vtkGhostType 1 3 unsigned_char", np.array([0, 1, 0], "u1"),
            version=version, title="MARKER patient",
        )  # fmt: skip
        assert scrub(written) == legacy(
            encoding,
            "POINTS 3 float", f4(0, 0, 0, 1, 0, 0, 0, 1, 0.125),
            "VERTICES 2 5", i4(1, 0, 2, 1, 2),
            "LINES 1 3", i4(2, 0, 2),
            "POLYGONS 1 4", i4(3, 0, 1, 2),
            "TRIANGLE_STRIPS 1 4", i4(3, 2, 1, 0),
            "CELL_DATA 5\nGLOBAL_IDS array_0 vtkIdType", i4(5, 4, 3, 2, 1),
            "POINT_DATA 3\nSCALARS array_1 int 2\nLOOKUP_TABLE table_0",
            i4(1, 2, 3, 4, 5, -6),
            "LOOKUP_TABLE table_0 2", table,
            "SCALARS array_2 float 1\nLOOKUP_TABLE default", f4(1, 2, 3),
            "COLOR_SCALARS array_3 3", colors,
            "VECTORS array_0 float", f4(*range(9)),
            "NORMALS Normals float", f4(*[0, 0, 1] * 3),
            "TENSORS array_4 float", f4(*range(27)),
            "TENSORS6 array_5 float", f4(*range(18)),
            "TEXTURE_COORDINATES array_6 2 float", f4(*range(6)),
            "FIELD FieldData 2\narray_7 2 3 vtktypeint64", i8(*range(6)),
            "vtkGhostType 1 3 unsigned_char", np.array([0, 1, 0], "u1"),
            version=version,
        )  # fmt: skip

    @pytest.mark.parametrize("encoding", ["ASCII", "BINARY"])
    @pytest.mark.parametrize("version", ["5.0", "5.1"])
    def test_keeps_offsets_and_connectivity(self, scrub, encoding, version):
        clean = (
            "POINTS 3 float", f4(*range(9)),
            "VERTICES 0 0",
            "LINES 1 0\nOFFSETS int", i4(0),
            "CONNECTIVITY int", i4(),
            "POLYGONS 3 7\nOFFSETS vtktypeint64", i8(0, 3, 7),
            "CONNECTIVITY vtktypeint64", i8(0, 1, 2, 2, 1, 0, 1),
            "CELL_DATA 2\nPEDIGREE_IDS array_0 int", i4(8, 9),
        )  # fmt: skip
        dirty = [s.replace("array_0", "MARKER") if isinstance(s, str) else s for s in clean]
        dirty.insert(9, "METADATA\nCOMPONENT_NAMES\nMARKER\n")
        got = scrub(legacy(encoding, *dirty, version=version, title="MARKER"))
        assert got == legacy(encoding, *clean, version=version)

    @pytest.mark.parametrize(
        ("kind", "size"),
        [
            ("char", 1), ("signed_char", 1), ("unsigned_char", 1), ("short", 2),
            ("unsigned_short", 2), ("int", 4), ("unsigned_int", 4), ("long", 8),
            ("unsigned_long", 8), ("vtkIdType", 4), ("vtktypeint64", 8), ("vtktypeuint64", 8),
            ("float", 4), ("double", 8),
        ],
    )  # fmt: skip
    def test_keeps_every_binary_type_bit_for_bit(self, scrub, kind, size):
        # White space, line ends, keywords and not-a-number in the middle of numbers.
        numbers = b"\n \r\nMETADATA\n\x00\xff\x7f\xc0\x00\x01\r\n"[: 3 * size].ljust(
            3 * size, b"\n"
        )
        written = legacy(
            "BINARY", *TRIANGLE, f"POINT_DATA 3\nNORMALS Normals {kind}", numbers * 3,
            f"TEXTURE_COORDINATES TCoords 1 {kind.upper()}", numbers,
        )  # fmt: skip
        assert scrub(written) == written.replace(
            f" {kind.upper()}\n".encode(), f" {kind}\n".encode()
        )

    def test_keeps_bits_eight_to_a_byte(self, scrub):
        written = legacy("BINARY", *TRIANGLE, "POINT_DATA 3\nNORMALS Normals bit", b"\xa5\x80")
        assert scrub(written) == written

    def test_keeps_numbers_in_text_digit_for_digit(self, scrub):
        numbers = b"-0.10000000149011612 1E5 .5 +3. nan -inf 007 1e-300 5"
        written = legacy("ASCII", "POINTS 3 double", title="MARKER") + b"\t\r\n" + numbers
        assert scrub(written + b" VERTICES 1 2 1 0 ") == legacy(
            "ASCII", "POINTS 3 double"
        ) + b"\n".join([*numbers.split(), b"VERTICES 1 2\n1\n0\n"])

    def test_reads_lines_that_end_as_on_windows(self, scrub):
        clean = legacy("ASCII", *TRIANGLE, "POINT_DATA 3\nSCALARS a int 1\nLOOKUP_TABLE default",
                       i4(1, 2, 3))  # fmt: skip
        dirty = clean + METADATA.replace("MARKER%20x\n\nMARKER%20z", "MARKER").encode() + b"\n"
        assert scrub(dirty.replace(b"\n", b"\r\n")) == clean.replace(b" a ", b" array_0 ")

    def test_names_arrays_apart_and_the_same_array_alike(self, scrub):
        fields = "FIELD f 3\n{} 1 3 int\n1\n2\n3\n{} 1 3 int\n4\n5\n6\n{} 1 3 int\n7\n8\n9"
        dirty = legacy("ASCII", *TRIANGLE, "POINT_DATA 3\n" + fields.format("array_1", "x", "y"),
                       "CELL_DATA 1\nSCALARS x int\nLOOKUP_TABLE default", i4(1))  # fmt: skip
        names = re.findall(rb"array_[0-9]", scrub(dirty))
        assert names == [b"array_0", b"array_1", b"array_2", b"array_1"]

    def test_drops_texts_of_any_length(self, scrub):
        texts = [b"M" * 63, b"M" * 64, b"M" * 20_000]
        lengths = [b"\xff", b"\x80\x40", b"\x40\x00\x4e\x20"]
        long = b"\0" * 6 + b"\x4e\x20" + texts[2]
        strings = b"".join(a + b for a, b in zip(lengths, texts, strict=True)) + long
        dirty = legacy("BINARY", "FIELD f 1\nMARKER 2 2 string", strings, *TRIANGLE)
        assert scrub(dirty) == legacy("BINARY", *TRIANGLE)

    def test_drops_variants_and_textual_ids(self, scrub):
        dirty = legacy(
            "ASCII", *TRIANGLE, "POINT_DATA 3\nPEDIGREE_IDS MARKER string\nMARKER\nMARKER\nMARKER",
            "FIELD f 1\nMARKER 1 3 variant\n13 MARKER 13 MARKER 6 1",
        )  # fmt: skip
        assert scrub(dirty) == legacy("ASCII", *TRIANGLE)

    @pytest.mark.parametrize("count", [99_999, 100_001])
    def test_reads_text_that_is_longer_than_it_reads_at_a_time(self, scrub, count):
        numbers = b" ".join(b"%d.25" % number for number in range(3 * count))
        head = legacy("ASCII", f"POINTS {count} float")
        cells = b"\nVERTICES 1 2\n1\n0\n"
        assert scrub(head + numbers + cells) == head + numbers.replace(b" ", b"\n") + cells
        with pytest.raises(MeshDamaged, match="line 7: a word that is not a number"):
            scrub(head + numbers.replace(b" 270000.25", b"\nMARKER", 1) + cells)

    @pytest.mark.parametrize(
        ("dirty", "error", "reason"),
        [
            (b"", MeshDamaged, "line 1: this is not a legacy VTK file"),
            (b"# vtk DataFile Version 4.2\nno end", MeshDamaged, "not a legacy VTK file"),
            (legacy("ASCII", version="5.2"), MeshUnsupported, "versions 1.0 to 5.1 are known"),
            (legacy("MARKER"), MeshDamaged, "neither ASCII nor BINARY"),
            (legacy("ASCII").replace(b"POLYDATA", b"STRUCTURED_POINTS"), MeshUnsupported, "only"),
            (legacy("ASCII", *TRIANGLE, "MARKER 3"), MeshUnsupported, "line 20: a section"),
            (legacy("ASCII", *TRIANGLE, "# MARKER"), MeshDamaged, "line 20: what follows is no"),
            (legacy("ASCII", *TRIANGLE, "9"), MeshDamaged, "line 20: what follows is not"),
            (legacy("ASCII", *TRIANGLE, *TRIANGLE), MeshUnsupported, "or stands twice"),
            (legacy("BINARY", *TRIANGLE, b"Jane"), MeshUnsupported, "byte 143: a section"),
            (legacy("ASCII", "POINTS 3 float", f4(*range(8))), MeshDamaged, "1 numbers are"),
            (legacy("BINARY", "POINTS 3 float", b"x" * 30), MeshDamaged, "bytes are missing"),
            (legacy("BINARY", "POINTS 3 float MARKER"), MeshDamaged, "too many words before"),
            (legacy("ASCII", "POINTS x float"), MeshDamaged, "expected a count"),
            (legacy("ASCII", "POINTS -1 float"), MeshDamaged, "expected a count"),
            (legacy("ASCII", "POINTS 1 MARKER"), MeshUnsupported, "a type that is not known"),
            (legacy("ASCII", "POINTS 1 float\n1 2 1_0"), MeshDamaged, "line 6: .* not a number"),
            (legacy("ASCII", "POINTS 1 float\n1 2\n0x1"), MeshDamaged, "line 7: .* not a number"),
            (legacy("ASCII", "POINTS 1 float\n1 2\nNina"), MeshDamaged, "line 7: .* not a number"),
            (legacy("ASCII", f"POINTS 1 float\n1 2 {'1' * 65}"), MeshDamaged, "not a number"),
            (legacy("ASCII", "POINTS 1 int\n1 2 1.0"), MeshDamaged, "not an integer"),
            (legacy("ASCII", "x" * 256), MeshDamaged, "more than 255 letters"),
            (legacy("ASCII", *TRIANGLE, "POINT_DATA 2"), MeshDamaged, "data of 2 .* file has 3"),
            (legacy("ASCII", *TRIANGLE, "CELL_DATA 3"), MeshDamaged, "data of 3 .* file has 1"),
            (legacy("ASCII", *TRIANGLE, "POINT_DATA 3\nSCALARS a int\n1\n2\n3"), MeshDamaged, "UP"),
            (legacy("ASCII", *TRIANGLE, "POINT_DATA 3\nMARKER a int"), MeshUnsupported, "section"),
            (legacy("ASCII", *TRIANGLE[:2], "LINES 1 3\n2 0 3"), MeshDamaged, "has point 3, but"),
            (legacy("ASCII", *TRIANGLE[:2], "LINES 1 3\n2 0 -1"), MeshDamaged, "negative number"),
            (legacy("ASCII", *TRIANGLE[:2], "LINES 1 3\n3 0 1"), MeshDamaged, "do not add up"),
            (legacy("ASCII", *TRIANGLE[:2], "LINES 2 5\n2 0 1 -1 1"), MeshDamaged, "not add up"),
            (legacy("ASCII", *TRIANGLE[:2], "LINES 2 3\n2 0 1"), MeshDamaged, "do not add up"),
            (legacy("ASCII", *TRIANGLE[:2], "LINES 0 3\n2 0 1"), MeshDamaged, "do not add up"),
            (legacy("ASCII", "POLYGONS 2 1\nOFFSETS int\n0\n2\nCONNECTIVITY int\n0", version="5.1"),
             MeshDamaged, "do not add up"),
            (legacy("ASCII", "POLYGONS 2 1\nOFFSETS float\n0\n1", version="5.1"),
             MeshDamaged, "OFFSETS are not integers"),
            (legacy("ASCII", "POLYGONS 2 1\nCONNECTIVITY int", version="5.1"),
             MeshDamaged, "OFFSETS is missing"),
            (legacy("ASCII", "POLYGONS 0 1", version="5.1"), MeshDamaged, "do not add up"),
        ],
    )  # fmt: skip
    def test_refuses_invalid_files(self, scrub, dirty, error, reason):
        with pytest.raises(error, match=rf"mesh\.vtk, .*{reason}"):
            scrub(dirty)

    def test_refuses_random_text_in_the_place_of_topology(self, scrub):
        text = b"\0\0\0\3Jane Marker"[:12] + b"\0" * 4
        with pytest.raises(MeshDamaged, match="has point 1247899237, but the file has 3"):
            scrub(legacy("BINARY", *TRIANGLE[:3], text))

    @pytest.mark.parametrize("dirty", [VTK_4_2, VTK_5_1], ids=["4.2", "5.1"])
    def test_keeps_files_of_vtk_unchanged(self, scrub, dirty):
        if dirty is VTK_5_1:
            version = "5.1"
            topology = (
                "LINES 2 3\nOFFSETS vtktypeint64", i8(0, 3),
                "CONNECTIVITY vtktypeint64", i8(0, 1, 2),
                "POLYGONS 3 7\nOFFSETS vtktypeint64", i8(0, 3, 7),
                "CONNECTIVITY vtktypeint64", i8(0, 1, 2, 0, 1, 3, 2),
            )  # fmt: skip
        else:
            version = "4.2"
            lists = i4(3, 0, 1, 2), i4(3, 0, 1, 2, 4, 0, 1, 3, 2)
            topology = "LINES 1 4", lists[0], "POLYGONS 2 9", lists[1]
        table = np.array([255, 0, 0, 255, 0, 0, 255, 255], "u1")
        assert scrub(dirty) == legacy(
            "BINARY",
            "POINTS 4 float", f4(*POINTS.ravel()),
            *topology,
            "CELL_DATA 3\nPEDIGREE_IDS array_0 vtkIdType", i4(7, 8, 9),
            "POINT_DATA 4\nSCALARS array_1 float 1\nLOOKUP_TABLE table_0", f4(*SCALARS),
            "LOOKUP_TABLE table_0 2", table,
            "NORMALS Normals double", np.eye(4, 3).astype(">f8"),
            "FIELD FieldData 1\narray_2 2 4 short", PAIRS.astype(">i2"),
            version=version,
        )  # fmt: skip


class TestXml:
    @pytest.mark.parametrize(("form", "order", "word", "packed", "encoding"), WAYS)
    def test_keeps_geometry_and_numbers_and_nothing_else(
        self, scrub, form, order, word, packed, encoding
    ):
        vtp = Vtp(form, order, word, packed, encoding)
        got = scrub(vtp.file(vtp.piece()), ".vtp")
        assert MARKER not in got
        assert b'<PointData Scalars="array_0" Normals="Normals">' in got
        assert b'<CellData PedigreeIds="array_0">' in got
        assert vtp.read(got) == {
            (b"PointData", b"array_0"): (b"Float32", SCALARS.tolist()),
            (b"PointData", b"Normals"): (b"Float64", np.eye(4, 3).ravel().tolist()),
            (b"PointData", b"array_1"): (b"Int16", PAIRS.tolist()),
            (b"CellData", b"array_0"): (b"Int64", [7, 8, 9]),
            (b"Points", b"Points"): (b"Float32", POINTS.ravel().tolist()),
            (b"Lines", b"connectivity"): (b"Int64", [0, 1, 2]),
            (b"Lines", b"offsets"): (b"UInt8", [3]),
            (b"Polys", b"connectivity"): (b"Int32", [0, 1, 2, 0, 1, 3, 2]),
            (b"Polys", b"offsets"): (b"Int32", [3, 7]),
        }

    @staticmethod
    def in_blocks(vtp: Vtp, full: int, last: int, *blocks: bytes) -> bytes:
        """Write a file of points alone, in blocks of which the header says these sizes."""
        packed = [zlib.compress(block) for block in blocks]
        header = vtp.words(len(blocks), full, last, *map(len, packed))
        vtp.appended = header + b"".join(packed)
        points = '<DataArray type="Float32" NumberOfComponents="3" format="appended" offset="0"/>'
        return vtp.file(f'<Piece NumberOfPoints="4"><Points>{points}</Points></Piece>')

    @pytest.mark.parametrize("word", ["u4", "u8"])
    @pytest.mark.parametrize("order", "<>")
    def test_size_of_full_blocks_is_cleared_without_full_blocks(self, scrub, order, word):
        vtp = Vtp("appended", order, word, packed=True)
        points = POINTS.astype(f"{order}f4").tobytes()
        full = int.from_bytes(b"Jane_Doe"[: vtp.word.itemsize], "big")
        free = scrub(self.in_blocks(vtp, full, len(points), points), ".vtp")
        clean = scrub(self.in_blocks(vtp, len(points), 0, points), ".vtp")
        assert free == clean
        assert vtp.appended in clean

    @pytest.mark.parametrize(
        ("full", "last", "kept"),
        [(40, 8, True), (24, 0, True), (24, 24, False), (8, 40, False), (0, 48, False)],
    )
    def test_keeps_the_sizes_of_blocks_in_their_one_form(self, scrub, full, last, kept):
        vtp = Vtp("appended", packed=True)
        points = POINTS.astype("<f4").tobytes()
        dirty = self.in_blocks(vtp, full, last, points[:full], points[full:])
        if last > full:
            with pytest.raises(MeshDamaged, match="the blocks of data are not those of 48 bytes"):
                scrub(dirty, ".vtp")
        else:
            assert (vtp.appended in scrub(dirty, ".vtp")) == kept

    def test_writes_binary_data_the_same_however_they_were_encoded(self, scrub):
        ways = [Vtp("binary"), Vtp("appended"), Vtp("appended", encoding="base64")]
        assert len({scrub(way.file(way.piece()), ".vtp") for way in ways}) == 1

    def test_writes_text_as_it_is_documented(self, scrub):
        vtp = Vtp()
        three = 'NumberOfComponents="3"'
        piece = (
            '<Piece NumberOfPoints="1" NumberOfVerts="1">'
            f"<Points>{vtp.array([1, 2.5, -3], 'a', more=three)}</Points>"
            f"<Verts>{vtp.array([0], 'connectivity', 'Int8')}{vtp.array([1], 'offsets', 'Int8')}"
            "</Verts></Piece>"
        )
        assert scrub(vtp.file(piece, piece), ".vtp").decode() == (
            '<?xml version="1.0"?>\n<VTKFile type="PolyData" version="1.0" '
            'byte_order="LittleEndian" header_type="UInt32">\n<PolyData>\n'
            + 2 * (
                '<Piece NumberOfPoints="1" NumberOfVerts="1" NumberOfLines="0" NumberOfStrips="0" '
                'NumberOfPolys="0">\n<Points>\n<DataArray type="Float32" Name="Points" '
                'NumberOfComponents="3" format="ascii">\n1\n2.5\n-3\n</DataArray>\n</Points>\n'
                '<Verts>\n<DataArray type="Int8" Name="connectivity" NumberOfComponents="1" '
                'format="ascii">\n0\n</DataArray>\n<DataArray type="Int8" Name="offsets" '
                'NumberOfComponents="1" format="ascii">\n1\n</DataArray>\n</Verts>\n</Piece>\n'
            )
            + "</PolyData>\n</VTKFile>\n"
        )  # fmt: skip

    def test_keeps_files_of_vtk_unchanged(self, scrub):
        got = scrub(VTP, ".vtp")
        assert MARKER in VTP
        assert MARKER not in got
        found = Vtp(packed=True).read(got)
        assert found[b"Points", b"Points"] == (b"Float32", POINTS.ravel().tolist())
        assert found[b"PointData", b"array_0"] == (b"Float32", SCALARS.tolist())
        assert found[b"PointData", b"array_1"] == (b"Int16", PAIRS.tolist())
        assert found[b"PointData", b"Normals"] == (b"Float64", np.eye(4, 3).ravel().tolist())
        assert found[b"CellData", b"array_2"] == (b"Int64", [7, 8, 9])
        assert found[b"Lines", b"connectivity"] == (b"Int64", [0, 1, 2])
        assert found[b"Polys", b"connectivity"] == (b"Int64", [0, 1, 2, 0, 1, 3, 2])
        assert found[b"Polys", b"offsets"] == (b"Int64", [3, 7])
        assert len(found) == 9

    def test_keeps_texts_longer_than_the_parser_allows_by_itself(self, scrub):
        vtp = Vtp()
        count = 300_000
        points = vtp.array(np.full(3 * count, 0.123456789), "a", more='NumberOfComponents="3"')
        got = scrub(
            vtp.file(f'<Piece NumberOfPoints="{count}"><Points>{points}</Points></Piece>'), ".vtp"
        )
        assert len(points) > 10_000_000
        assert got.count(b"\n0.123456791") == 3 * count

    def test_reads_a_file_without_pieces_or_appended_data(self, scrub):
        empty = b'<VTKFile type="PolyData"><PolyData/><AppendedData encoding="raw"/></VTKFile>'
        got = scrub(empty, ".vtp")
        assert got.endswith(b'header_type="UInt32">\n<PolyData>\n</PolyData>\n</VTKFile>\n')

    def test_refuses_points_that_are_not_in_space(self, scrub):
        plane = Vtp().array([0, 1], "a", more='NumberOfComponents="2"')
        piece = f'<Piece NumberOfPoints="1"><Points>{plane}</Points></Piece>'
        with pytest.raises(MeshDamaged, match="no array with the coordinates"):
            scrub(Vtp().file(piece), ".vtp")

    def test_unnamed_arrays_get_a_name_each(self, scrub):
        arrays = '<DataArray type="Int8">1</DataArray>' * 2
        points = '<DataArray type="Int8" NumberOfComponents="3">1 2 3</DataArray>'
        got = scrub(
            Vtp().file(
                f'<Piece NumberOfPoints="1"><PointData>{arrays}</PointData>'
                f"<Points>{points}</Points></Piece>"
            ),
            ".vtp",
        )
        assert b'Name="array_0"' in got
        assert b'Name="array_1"' in got

    @pytest.mark.parametrize(
        ("old", "new", "error", "reason"),
        [
            (b"</VTKFile>", b"", MeshDamaged, "line 1: "),
            (b"</VTKFile>", b"</VTKFile>MARKER", MeshDamaged, "not well-formed: document end"),
            (b"VTKFile", b"Marker", MeshDamaged, "this is no VTK file"),
            (b"PolyData>", b"Marker>", MeshDamaged, "<PolyData> is missing"),
            (b'NumberOfComponents="3"', b'NumberOfComponents="2"', MeshDamaged, "64 belong"),
            (b"<VTKFile", b"<!DOCTYPE VTKFile [<!ENTITY a 'MARKER'>]><VTKFile", MeshDamaged, ""),
            (b'"PolyData" v', b'"ImageData" v', MeshUnsupported, "not of type PolyData"),
            (b'version="1.0" M', b'version="MARKER" M', MeshUnsupported, "versions 0.1 to 2.9"),
            (b"LittleEndian", b"MARKER", MeshUnsupported, "byte_order is not LittleEndian or Big"),
            (b'"UInt32" ', b'"MARKER" ', MeshUnsupported, "header_type is not UInt32 or UInt64"),
            (b'"UInt32" ', b'"UInt32" compressor="vtkLZ4DataCompressor"', MeshUnsupported, "ZLib"),
            (b'Name="MARKER 2"', b'TimeStep="0"', MeshUnsupported, "several times"),
            (b'type="Int16"', b'type="MARKER"', MeshUnsupported, "an unknown type"),
            (b'"2" offset', b'"MARKER" offset', MeshDamaged, "NumberOfComponents is not a count"),
            (b'"2" offset', b'"3" offset', MeshDamaged, "16 bytes of data, where 24 belong"),
            (b'type="Int16"', b'type="Float64"', MeshDamaged, "16 bytes of data, where 64 belong"),
            (b'format="appended"', b'format="MARKER"', MeshUnsupported, "other than ascii"),
            (b'offset="6"', b'offset="999999"', MeshDamaged, "appended data, byte 999999: 4 bytes"),
            (b"  _", b"  ", MeshDamaged, "have to start with _"),
            (b"</AppendedData>", b"", MeshDamaged, "cut short"),
            (b"-->", b"", MeshDamaged, "--> is missing"),
            (b"</PointData>", b"</PointData><PointData/>", MeshDamaged, "<PointData> stands twice"),
            (b"<Points>", b"<Points/><MARKER>", MeshDamaged, "line 1: "),
            (b'NumberOfPoints="4"', b'NumberOfPoints="5"', MeshDamaged, "where 20 belong"),
            (b'NumberOfLines="1"', b'NumberOfStrips="1"', MeshDamaged, "<Strips> is missing"),
            (b'"connectivity"', b'"MARKER"', MeshDamaged, "without connectivity or offsets"),
            (b'"UInt8" Name="offsets"', b'"Float32" Name="offsets"', MeshDamaged, "integers"),
        ],
    )  # fmt: skip
    def test_refuses_invalid_files(self, scrub, old, new, error, reason):
        vtp = Vtp("appended")
        whole = vtp.file(vtp.piece())
        assert old in whole
        with pytest.raises(error, match=rf"mesh\.vtp(, |: ).*{reason}"):
            scrub(whole.replace(old, new), ".vtp")

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            ("0 1 2 0 1 3 2", "0 1 2 0 1 3", "1 numbers are missing"),
            ("0 1 2 0 1 3 2", "0 1 2 0 1 3 2 2", "more than 7 numbers"),
            ("0 1 2 0 1 3 2", "0 1 2 0 1 4 2", "a point beyond the 4"),
            ("0 1 2 0 1 3 2", "0 1 2 0 1 -3 2", "a point beyond the 4"),
            ("0 1 2 0 1 3 2", "0 1 2 0 1 Jane 2", "not an integer"),
            ("3 7", "7 3", "do not add up"),
            ("3 7", "-1 7", "do not add up"),
            ('type="Int32" Name="offsets"', 'type="Float32" Name="offsets"', "must have integers"),
        ],
    )
    def test_refuses_cells_that_cannot_be(self, scrub, old, new, reason):
        vtp = Vtp()
        whole = vtp.file(vtp.piece()).decode()
        assert old in whole
        with pytest.raises(MeshDamaged, match=reason):
            scrub(whole.replace(old, new).encode(), ".vtp")

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-7"])
    def test_refuses_an_encoding_in_which_entities_could_hide(self, scrub, encoding):
        text = "<!DOCTYPE VTKFile [<!ENTITY a 'MARKER'>]><VTKFile type='PolyData'>&a;</VTKFile>"
        with pytest.raises(MeshDamaged):
            scrub(text.encode(encoding), ".vtp")

    @pytest.mark.parametrize(
        "pack",
        [
            lambda block: zlib.compress(block) + MARKER,
            lambda block: zlib.compress(block[:-1]),
            lambda block: zlib.compress(block + b"x"),
            lambda block: zlib.compress(block)[:-2],
            lambda block: zlib.compress(block)[:-1] + b"x",
            lambda block: MARKER,
        ],
    )
    def test_refuses_blocks_that_do_not_match_their_sizes(self, scrub, pack):
        vtp = Vtp("binary", packed=True)
        vtp.pack = pack
        with pytest.raises(MeshDamaged, match="block 1 of the data|binary data are damaged"):
            scrub(vtp.file(vtp.piece()), ".vtp")


class TestStl:
    def test_keeps_triangles_of_text(self, scrub):
        dirty = (
            "Solid MARKER facet normal\ncolor 0.1 0.2 0.3 MARKER\n" + FACET.format("nan")
            + FACET.format("+.5").upper() + "endsolid MARKER\n\nsolid\r\nENDSOLID MARKER"
        )  # fmt: skip
        clean = (
            "solid\n" + FACET.format("nan") + FACET.format("+.5") + "endsolid\nsolid\nendsolid\n"
        )
        clean = re.sub("(?m)^ +", "", clean).replace("1e-3", "1e-3")
        got = scrub(dirty.encode(), ".stl").decode()
        assert got.lower() == clean.lower()
        assert "1E-3" in got

    @pytest.mark.parametrize("header", [b"", b"MARKER", b"solid MARKER", b"COLOR=MARKER"])
    def test_keeps_triangles_of_bytes_and_zeroes_the_rest(self, scrub, header):
        assert scrub(binary_stl(3, header, b"MA"), ".STL") == binary_stl(3)

    @pytest.mark.parametrize(
        ("dirty", "reason"),
        [
            (b"", "0 bytes are no STL file"),
            (binary_stl(2)[:-1], "byte 80: 2 triangles are announced"),
            (binary_stl(2) + MARKER, "byte 80: 2 triangles are announced"),
            (binary_stl(2, b"solid")[:-1], "line 1: SOLID is missing"),
            (b"solid", "line 1: the file ends too early"),
            (b"solid a\n" + FACET.format("1").encode(), "line 8: the file ends too early"),
            (b"solid a\n" + FACET.format("Jane").encode(), "line 2: .* not a triangle"),
            (b"solid a\n" + FACET.format("1 2").encode(), "line 2: .* not a triangle"),
            (b"solid a\nMARKER", "line 2: .* not a triangle"),
            (b"solid a\nendsolid\nMARKER", "line 3: SOLID is missing"),
        ],
    )
    def test_refuses_invalid_files(self, scrub, dirty, reason):
        with pytest.raises(MeshDamaged, match=rf"mesh\.stl(, |: ){reason}"):
            scrub(dirty, ".stl")


def test_names_the_file_that_is_not_there(tmp_path):
    with pytest.raises(MeshError, match=r"a\.vtk: No such file"):
        scrubbed(tmp_path / "a.vtk")


WHOLE = whole_files()


def scrubs_or_refuses(folder, suffix: str, data: bytes) -> None:
    file = folder / f"mesh{suffix}"
    file.write_bytes(data)
    try:
        once = scrubbed(file)
    except MeshError as error:
        assert str(error).startswith(str(file))
        assert "\n" not in str(error)
        return
    file.write_bytes(once)
    assert scrubbed(file) == once


@settings(with_files, max_examples=200)
@given(suffix=st.sampled_from(SUFFIXES), data=st.binary(max_size=300))
def test_any_bytes_are_scrubbed_or_refused(tmp_path, suffix, data):
    scrubs_or_refuses(tmp_path, suffix, data)


@settings(with_files, max_examples=400)
@given(data=st.data())
def test_any_damage_is_scrubbed_or_refused(tmp_path, data):
    suffix, whole = data.draw(st.sampled_from(list(WHOLE.values())))
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 40)))
    words = st.sampled_from([b"0", b"-1", b"99999999999999999999", b"\n\n", b"<!--", b"METADATA\n"])
    put = data.draw(st.binary(max_size=8) | words)
    scrubs_or_refuses(tmp_path, suffix, whole[:start] + put + whole[end:])
