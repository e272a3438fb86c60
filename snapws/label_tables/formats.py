"""The formats of label tables by name, with their recognition, readers and writers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from snapws.label_tables import bids, freesurfer, fsleyes, itksnap, nnunet, slicer
from snapws.label_tables.entries import Collector, Entry, comments, data_lines

Written = tuple[str, list[str]]


class TextFormat(NamedTuple):
    """A text format.

    Attributes:
        title: The name of the format in messages.
        fits: Return whether a text can have the format, by a quick check.
        parse: Read a text.
        write: Return labels as text, and remarks about lost properties.
    """

    title: str
    fits: Callable[[str], bool]
    parse: Callable[[str, Collector], None]
    write: Callable[[tuple[Entry, ...]], Written]


def _write_nnunet(entries: tuple[Entry, ...]) -> Written:
    return nnunet.write(entries, "", "")


TEXT = {
    "itksnap": TextFormat("ITK-SNAP", itksnap.fits, itksnap.parse, itksnap.write),
    "freesurfer": TextFormat(
        "FreeSurfer (A 0 is opaque)", freesurfer.fits, freesurfer.parse, freesurfer.write
    ),
    "bids": TextFormat("BIDS", bids.fits, bids.parse, bids.write),
    "slicer": TextFormat("3D Slicer (A 255 is opaque)", slicer.fits, slicer.parse, slicer.write),
    "slicer-csv": TextFormat(
        "3D Slicer (.csv)", slicer.fits_csv, slicer.parse_csv, slicer.write_csv
    ),
    "nnunet": TextFormat("nnU-Net", nnunet.fits, nnunet.parse, _write_nnunet),
    "fsleyes": TextFormat("FSLeyes", fsleyes.fits, fsleyes.parse, fsleyes.write),
}

#: Tables in the header of an image, which are read only.
IN_IMAGES = {
    "totalsegmentator": "the table in a NIfTI header, as TotalSegmentator writes it",
    "seg-nrrd": "the segments in the header of a .seg.nrrd",
}

NAMES = (*TEXT, *IN_IMAGES)

#: Formats by extension; other files have ITK-SNAP's format.
ENDINGS = {
    ".ctbl": "slicer",
    ".csv": "slicer-csv",
    ".tsv": "bids",
    ".json": "nnunet",
    ".lut": "fsleyes",
}


def recognised(text: str) -> list[str]:
    """Return the names of the formats that a text can have; ITK-SNAP's if no format fits.

    A comment that names ITK-SNAP decides; else all lines must fit. If no format fits all lines, the
    first line decides, since others may be corrupt.
    """
    if any("itk-snap label" in line.lower() for line in comments(text)):
        return ["itksnap"]
    found = [name for name, one in TEXT.items() if one.fits(text)]
    if found:
        return found
    first = next((line for _, line in data_lines(text)), "")
    return [name for name, one in TEXT.items() if one.fits(first)] or ["itksnap"]
