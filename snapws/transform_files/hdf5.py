"""ITK transforms in HDF5, which SimpleITK reads, in a process of its own.

A stranger's HDF5 file can ask its reader for any amount of memory, or end it: that process has
a limit of both time and memory, and nothing to lose.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from snapws.errors import ImageUnsupported, InvalidValue, TextFileError, WorkspaceError
from snapws.transform_files import itk
from snapws.transforms import Matrix, checked, swap_axes

SIGNATURE = b"\x89HDF\r\n\x1a\n"

_SECONDS = 120
_MEMORY = 4 << 30  # of addresses; the library itself takes less than 1 GiB
# The folders of modules are this process's; the current folder is not among them.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from snapws.transform_files.hdf5 import main; main(sys.argv[1])"
)


def read(data: bytes, path: str | Path) -> Matrix:
    """Read a file as a RAS matrix.

    Raises:
        TextFileError: It is damaged, or not of one linear transform in 3-D.
        WorkspaceError: SimpleITK is not installed, or there is no room for a temporary file.
    """
    from snapws.images.itk import reading

    try:
        reading.simpleitk(path)
    except ImageUnsupported:
        raise itk.no_library(path, "an ITK transform in HDF5") from None
    answer = _ask(data, path)
    if answer["dimension"] != 3 or not answer["is_linear"]:
        raise itk.not_linear(path, itk.printable(str(answer["kind"])))
    try:
        return checked(swap_axes(answer["lps"]))
    except InvalidValue as error:
        raise TextFileError(f"{path}: {error}") from None


def main(file: str) -> None:
    """Print what SimpleITK reads in a file, as JSON."""
    _limit_memory()
    from snapws.images.itk import reading

    transform = reading.simpleitk().ReadTransform(file)
    dimension, is_linear = transform.GetDimension(), transform.IsLinear()
    answer = {
        "dimension": dimension,
        "is_linear": is_linear,
        "kind": transform.GetName(),
        "lps": itk.evaluated(transform) if dimension == 3 and is_linear else [],
    }
    sys.stdout.write(json.dumps(answer))


def _ask(data: bytes, path: str | Path) -> dict[str, Any]:
    try:
        with TemporaryDirectory(prefix="snapws-") as folder:
            file = Path(folder, "transform.h5")
            file.write_bytes(data)
            run = subprocess.run(  # noqa: S603 - this interpreter, and a file of our own name
                [sys.executable, "-c", _PROGRAM, str(file), *filter(None, sys.path)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=True,
            )
        answer: dict[str, Any] = json.loads(run.stdout)
    except OSError as error:
        raise WorkspaceError(
            f"{path}: it cannot be copied to a temporary folder: {error.strerror}"
        ) from None
    except (subprocess.SubprocessError, ValueError):
        raise TextFileError(f"{path}: SimpleITK cannot read a transform in it") from None
    return answer


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        if hard == resource.RLIM_INFINITY or hard > _MEMORY:
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, hard))
