"""Gzip in blocks: one member, the same bytes on any number of cores, in bounded memory."""

from __future__ import annotations

import gzip
import io
import random
import zlib
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Header

from snapws import compression, deflate, images
from snapws.deflate import Deflaters, GzipWriter
from snapws.errors import ImageDamaged

RANDOM = random.Random(1)
BLOCK = 1 << 16  # tests are quick, and nothing depends on the size
CONTENT = b"".join(bytes([number]) * 2_000 + RANDOM.randbytes(1_000) for number in range(90))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(deflate, "BLOCK", BLOCK)


def deflated(content: bytes, threads: int, *, step: int = 7_001, level: int = 3) -> bytes:
    out = io.BytesIO()
    with Deflaters(threads) as deflaters, GzipWriter(out, level, deflaters) as stream:
        for start in range(0, len(content), step):
            stream.write(content[start : start + step])
    return out.getvalue()


@pytest.mark.parametrize("level", compression.LEVELS)
def test_bytes_do_not_depend_on_the_number_of_threads(level):
    first, *others = (deflated(CONTENT, threads, level=level) for threads in (1, 2, 3))
    assert all(other == first for other in others)


def test_bytes_do_not_depend_on_the_pieces_of_the_source():
    steps = (999, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, len(CONTENT))
    assert len({deflated(CONTENT, 2, step=step) for step in steps}) == 1


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, len(CONTENT)])
@pytest.mark.parametrize("level", [1, 3, 6, 9])
def test_the_stream_is_one_clean_gzip_member(size, level):
    data = deflated(CONTENT[:size], 2, level=level)
    member = zlib.decompressobj(31)  # it stops behind one member
    assert member.decompress(data) + member.flush() == CONTENT[:size]
    assert member.eof
    assert member.unused_data == b""
    assert b"".join(compression.iter_decompressed(io.BytesIO(data), clean=True)) == CONTENT[:size]
    assert gzip.decompress(data) == CONTENT[:size]


def test_zlib_does_the_same_where_isal_has_no_wheel(monkeypatch):
    monkeypatch.setattr(compression, "_codec", zlib)
    data = deflated(CONTENT, 2, level=1)
    assert data == deflated(CONTENT, 3, level=1)
    assert gzip.decompress(data) == CONTENT
    assert b"".join(compression.iter_decompressed(io.BytesIO(data), clean=True)) == CONTENT


def test_blocks_cost_next_to_nothing_in_size(monkeypatch):
    monkeypatch.setattr(deflate, "BLOCK", 1 << 18)
    stream = compression.codec(3).compressobj(3, zlib.DEFLATED, 31)
    whole = stream.compress(CONTENT) + stream.flush()
    assert len(deflated(CONTENT, 2)) < 1.01 * len(whole)


class _Counted(Deflaters):
    """Deflaters that count the blocks which were given to them and are not yet written."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.begun = self.written = self.most = 0

    def submit(self, work):
        with self._counting:
            self.begun += 1
            self.most = max(self.most, self.begun - self.written)
        return super().submit(work)


class _Sink(io.RawIOBase):
    """A file that tells its deflaters of each block."""

    def __init__(self, deflaters: _Counted) -> None:
        self._deflaters = deflaters

    def write(self, data):
        if len(data) > 100:  # not the header, and not the checksum
            with self._deflaters._counting:
                self._deflaters.written += 1
        return len(data)


@pytest.mark.parametrize("streams", [1, 2, 5])
def test_blocks_in_flight_are_bounded_over_all_streams(streams):
    with _Counted(3) as deflaters:
        block = RANDOM.randbytes(BLOCK)
        writers = [GzipWriter(_Sink(deflaters), 1, deflaters) for _ in range(streams)]
        for writer in writers:
            writer.__enter__()

        def fill(writer):
            for _ in range(12):
                writer.write(block)
            writer.__exit__(None, None, None)

        with ThreadPoolExecutor(streams) as threads:
            list(threads.map(fill, writers))
        # One more of each stream is begun while its oldest is on the way to the file.
        assert deflaters.most <= max(2 * streams, 3 + 2) + streams
        assert deflaters.begun == 13 * streams


def test_a_writer_deflates_by_itself_while_the_threads_are_busy():
    free, out = Event(), io.BytesIO()
    with Deflaters(2) as deflaters:
        deflaters.submit(lambda: bytes(free.wait()))
        try:
            with GzipWriter(out, 3, deflaters) as stream:
                stream.write(CONTENT)
        finally:
            free.set()
    assert out.getvalue() == deflated(CONTENT, 3)


def test_an_error_of_the_source_ends_the_stream_without_a_checksum():
    def cut_short(deflaters):
        with GzipWriter(out, 3, deflaters) as stream:
            stream.write(CONTENT)
            raise ValueError("cut")

    out = io.BytesIO()
    with Deflaters(2) as deflaters:
        with pytest.raises(ValueError, match="cut"):
            cut_short(deflaters)
        assert deflaters.share() == 2 + 2  # the stream counts no more
    with pytest.raises((EOFError, zlib.error)):
        gzip.decompress(out.getvalue())


def test_a_full_disk_is_an_error_of_the_writer():
    class Full(io.RawIOBase):
        def write(self, data):
            if len(data) > 100:
                raise OSError(28, "No space left on device")
            return len(data)

    with (
        Deflaters(2) as deflaters,
        pytest.raises(OSError, match="No space left"),
        GzipWriter(Full(), 3, deflaters) as stream,
    ):
        stream.write(RANDOM.randbytes(9 * BLOCK))


@pytest.mark.parametrize("damage", ["cut short", "wrong checksum"])
def test_a_damaged_source_is_an_error_in_the_caller(damage, tmp_path):
    voxels = np.random.default_rng(1).integers(0, 99, (16, 64, 64), dtype="<i2")
    header = Nifti1Header(endianness="<")
    header.set_data_dtype("<i2")
    header.set_data_shape(voxels.shape[::-1])
    header["vox_offset"] = 352
    packed = gzip.compress(header.binaryblock.ljust(352, b"\0") + voxels.tobytes(), 1)
    path = tmp_path / "a.nii.gz"
    path.write_bytes(packed[:-2000] if damage == "cut short" else packed[:-8] + bytes(8))
    with pytest.raises(ImageDamaged):
        images.write_nifti(images.read_header(path), io.BytesIO())


def test_no_more_threads_than_cores_are_used(monkeypatch):
    monkeypatch.setattr(deflate.os, "sched_getaffinity", lambda _: {0, 3}, raising=False)
    assert deflate.cores() == 2
    monkeypatch.delattr(deflate.os, "sched_getaffinity")
    monkeypatch.setattr(deflate.os, "cpu_count", lambda: None)
    assert deflate.cores() == 1
