"""One gzip member, deflated on all cores in blocks of a fixed size.

Each block begins at a byte boundary (a sync flush) and refers to the end of the block before it.
The compressed bytes therefore depend only on the content and the level, not on cores or timing.
`isal.igzip_threaded` works in the same manner, but starts threads and queues for each file. Here,
all files share threads and memory, and zlib takes the place of ISA-L where that has no wheel.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO

from snapws import compression

if TYPE_CHECKING:
    from types import TracebackType

#: Bytes of content in a block. Another size would change the compressed bytes.
BLOCK = 1 << 20

_WINDOW = 1 << 15  # the window of deflate
_AT_A_TIME = 1 << 18  # bytes given to a compressor at a time: it is a tenth slower with a block
_RAW_FORM = -15  # window bits that select no header and no checksum
_MOST_THREADS = 16  # enough for eight layers at once: one hash is half as fast as two threads
_LEAST_SHARE = 2  # blocks of a stream in flight: one is deflated while another is written
_FIRST = 4  # the first pieces of a stream, all of them deflated for comparison
_COMPARED = 16  # one in so many later pieces is deflated for comparison
_MOST_BULK = 1.005  # archives may not grow by 1 %
_NEGLIGIBLE = 1 << 10  # bytes: a piece and its deflated bytes do not end at exactly the same place
_SPARE = 2  # blocks in flight besides those being deflated


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Deflaters:
    """The threads that deflate the blocks of all streams written at the same time.

    They are one fewer than `threads`, for the thread that writes a stream deflates as well.

    Args:
        threads: The number of threads; by default the number of cores, up to 16.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or min(cores(), _MOST_THREADS)
        self._pool = ThreadPoolExecutor(self._threads - 1) if self._threads > 1 else None
        self._counting = Lock()
        self._streams = 0

    def __enter__(self) -> Deflaters:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def share(self) -> int:
        """Return the number of blocks that each stream may have in flight, which limits memory."""
        return max(_LEAST_SHARE, (self._threads + _SPARE) // max(1, self._streams))

    def join(self, change: int) -> None:
        """Add a stream (1) to the count of streams, or remove one (-1)."""
        with self._counting:
            self._streams += change

    def submit(self, work: Callable[[], bytes]) -> Future[bytes]:
        """Submit work to be done in one of the threads; without any, it waits until cancelled."""
        return self._pool.submit(work) if self._pool else Future()


@dataclass
class _Block:
    """A block that is deflated in one of the threads, or here if none of them has begun it."""

    deflate: Callable[[], bytes]
    coming: Future[bytes]

    def help(self) -> bool:
        """Deflate the block here and return true, unless a thread has begun it."""
        if not self.coming.cancel():
            return False
        self.coming = Future()
        self.coming.set_result(self.deflate())
        return True


class GzipWriter:
    """A gzip member without name and time, complete when its ``with`` block ends without error.

    Args:
        file: The file, open for writing.
        level: One of `compression.LEVELS`.
        deflaters: The threads that deflate the blocks, if several streams share them.
    """

    def __init__(
        self,
        file: BinaryIO,
        level: int = compression.LEVEL,
        deflaters: Deflaters | None = None,
    ) -> None:
        self._file = file
        self._level = level
        self._deflaters = deflaters or Deflaters()
        self._has_own = deflaters is None
        self._parts: list[bytes | memoryview] = []
        self._held = 0
        self._window = b""
        self._in_flight: deque[_Block] = deque()
        self._crc = 0
        self._size = 0

    def __enter__(self) -> GzipWriter:
        self._deflaters.join(1)
        self._file.write(compression.gzip_start(self._level))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            for block in self._in_flight:
                block.coming.cancel()
            self._deflaters.join(-1)
            if self._has_own:
                self._deflaters.__exit__()

    def write(self, data: bytes) -> None:
        """Write the next piece of the content, of any length."""
        self._crc = compression.crc32(data, self._crc)
        self._size += len(data)
        if not self._held and len(data) == BLOCK:
            self._submit(data, last=False)  # without a copy
            return
        rest = memoryview(data)
        while len(rest) > 0:
            part, rest = rest[: BLOCK - self._held], rest[BLOCK - self._held :]
            self._parts.append(part)
            self._held += len(part)
            if self._held == BLOCK:
                self._submit(self._taken(), last=False)

    def _taken(self) -> bytes:
        block = b"".join(self._parts)
        self._parts, self._held = [], 0
        return block

    def _submit(self, block: bytes, *, last: bool) -> None:
        while len(self._in_flight) >= self._deflaters.share():
            self._write_oldest()
        work = partial(_deflated, block, self._window, self._level, last=last)
        self._in_flight.append(_Block(work, self._deflaters.submit(work)))
        self._window = block[-_WINDOW:]

    def _write_oldest(self) -> None:
        """Write the oldest block, and deflate others rather than wait for it."""
        while not self._in_flight[0].coming.done():
            if not any(block.help() for block in self._in_flight):
                break
        self._file.write(self._in_flight.popleft().coming.result())

    def _finish(self) -> None:
        self._submit(self._taken(), last=True)
        while self._in_flight:
            self._write_oldest()
        self._file.write(compression.gzip_end(self._crc, self._size))


class Bulky(Exception):
    """A stream is larger than this module would deflate it."""


class SizeCheck:
    """Checks that another program deflated a stream about as well as this module would.

    A gzip header does not contain the compression level reliably. Therefore the first pieces, and
    one in sixteen of the others, are deflated again for comparison. An instance is an `observe`
    function of `compression.iter_decompressed`.
    """

    def __init__(self) -> None:
        self._pieces = 0
        self._window = b""
        self._theirs = self._ours = 0

    def __call__(self, piece: bytes, size: int) -> None:
        """Compare the two deflated sizes of a piece.

        Raises:
            Bulky: The stream is larger than this module would deflate it.
        """
        if self._pieces < _FIRST or self._pieces % _COMPARED == 0:
            self._theirs += size
            self._ours += len(_deflated(piece, self._window, compression.LEVEL, last=False))
            if self._theirs > _MOST_BULK * self._ours + _NEGLIGIBLE:
                raise Bulky
        self._pieces += 1
        self._window = piece[-_WINDOW:]


def _deflated(block: bytes, window: bytes, level: int, *, last: bool) -> bytes:
    codec = compression.codec(level)
    compressor = codec.compressobj(level, zlib.DEFLATED, _RAW_FORM, zdict=window)
    rest, parts = memoryview(block), []
    while len(rest) > 0:
        parts.append(compressor.compress(rest[:_AT_A_TIME]))
        rest = rest[_AT_A_TIME:]
    parts.append(compressor.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH))
    return b"".join(parts)
