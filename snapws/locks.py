"""Locks on open files, which end with the process that holds them."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import msvcrt

    _BYTE = 2**20  # past the text of any file that is locked: that stays readable
else:
    import errno
    import fcntl

    _UNKNOWN = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)


def take(descriptor: int, *, alone: bool = True) -> bool:
    """Lock an open file for as long as it is open; False where another process has.

    Those who do not want it alone do not shut each other out, where the system knows such locks.

    Raises:
        OSError: The file system knows no locks (see `is_unknown`).
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
    """Return whether a lock failed because the file system knows none."""
    return sys.platform != "win32" and error.errno in _UNKNOWN
