"""The functions that print what SimpleITK reads in a MINC image, run in a process of their own."""

from __future__ import annotations

import json
import sys
from typing import Any

from snapws.simpleitk import grid_of, simpleitk

READER = "MINCImageIO"
"""The name of SimpleITK's reader of MINC, if SimpleITK was built with it."""


def print_grid(file: str) -> None:
    """Print size and position of the image in a file, as JSON."""
    reader = _reader(file)
    reader.ReadImageInformation()
    sys.stdout.write(json.dumps(grid_of(reader)))


def print_values(file: str) -> None:
    """Print the voxels of the image in a file, as bytes."""
    image = _reader(file).Execute()
    sys.stdout.buffer.write(simpleitk().GetArrayViewFromImage(image).data)


def _reader(file: str) -> Any:
    reader = simpleitk(file).ImageFileReader()
    reader.SetImageIO(READER)
    reader.SetFileName(file)
    return reader
