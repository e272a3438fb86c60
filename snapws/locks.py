"""File locks, which are released when their process ends."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import msvcrt

    _BYTE = 2**20  # behind the text of any locked file, so that the text stays readable
else:
    import errno
    import fcntl

    _UNKNOWN = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


def take(descriptor: int, *, alone: bool = True) -> bool:
    """Lock an open file until it is closed. Return False if another process holds the lock.

    Args:
        descriptor: The open file.
        alone: Whether the lock is exclusive. Shared locks do not exist on Windows.

    Raises:
        OSError: The file system has no locks (see `is_unknown`).
    """
    if sys.platform == "win32":
        import os

        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def is_unknown(error: OSError) -> bool:
    """Return whether a lock failed because the file system has no locks."""
    return sys.platform != "win32" and error.errno in _UNKNOWN
