"""A DICOM series with a marker in everything that a slice says of a person."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from tests.privacy.marking import Marks

_LONG = ("OB", "OW", "UN", "UT", "SQ", "UC")
_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

Element = tuple[int, int, str, bytes]

#: Texts, by tag: (group, element, value representation, name).
_TEXTS = (
    *((0x0008, 0x0070, "LO", "Manufacturer"), (0x0008, 0x0080, "LO", "InstitutionName")),
    *((0x0008, 0x0081, "ST", "InstitutionAddress"), (0x0008, 0x1010, "SH", "StationName")),
    *((0x0008, 0x0050, "SH", "AccessionNumber"), (0x0008, 0x0090, "PN", "ReferringPhysicianName")),
    *((0x0008, 0x1030, "LO", "StudyDescription"), (0x0008, 0x103E, "LO", "SeriesDescription")),
    *((0x0008, 0x1070, "PN", "OperatorsName"), (0x0010, 0x0010, "PN", "PatientName")),
    *((0x0010, 0x0020, "LO", "PatientID"), (0x0010, 0x1000, "LO", "OtherPatientIDs")),
    *((0x0010, 0x1040, "LO", "PatientAddress"), (0x0010, 0x4000, "LT", "PatientComments")),
    *((0x0018, 0x1030, "LO", "ProtocolName"), (0x0020, 0x4000, "LT", "ImageComments")),
    *((0x0020, 0x0010, "SH", "StudyID"), (0x0032, 0x1032, "PN", "RequestingPhysician")),
    *((0x0032, 0x4000, "LT", "StudyComments"), (0x0040, 0xA160, "UT", "TextValue")),
    *((0x0011, 0x0010, "LO", "private creator"), (0x0011, 0x1001, "LO", "private text")),
    *((0x6000, 0x0022, "LO", "OverlayDescription"), (0x6000, 0x1500, "LO", "OverlayLabel")),
)


def _element(group: int, element: int, kind: str, value: bytes) -> bytes:
    value += (b"\0" if kind in ("UI", "OB", "UN", "OW") else b" ") * (len(value) % 2)
    size = struct.pack("<HI", 0, len(value)) if kind in _LONG else struct.pack("<H", len(value))
    return struct.pack("<HH2s", group, element, kind.encode()) + size + value


def _elements(elements: list[Element]) -> bytes:
    return b"".join(_element(*one) for one in sorted(elements))


def write_series(
    folder: Path,
    mark: Marks,
    planes: Sequence[bytes],
    size: tuple[int, ...],
    spacing: tuple[float, float, float],
) -> Path:
    """Write a file a plane of 16-bit voxels, and give the first one's path."""
    uid = mark.put("2.25.7310938471", "DICOM: StudyInstanceUID")
    series = mark.put("2.25.7310938472", "DICOM: SeriesInstanceUID")
    frame = mark.put("2.25.7310938473", "DICOM: FrameOfReferenceUID")
    item = _elements([(0x0010, 0x0020, "LO", mark("DICOM: text in a sequence").encode())])
    sequence = struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
    preamble = mark("DICOM: preamble").encode().ljust(128, b"\0")
    common: list[Element] = [
        *((group, tag, kind, mark(f"DICOM: {name}").encode()) for group, tag, kind, name in _TEXTS),
        (0x0008, 0x0005, "CS", b"ISO_IR 100"),
        (0x0008, 0x0016, "UI", _CT_IMAGE.encode()),
        (0x0008, 0x0020, "DA", mark.put("19470229", "DICOM: StudyDate").encode()),
        (0x0008, 0x0060, "CS", b"CT"),
        (0x0008, 0x1140, "SQ", sequence),
        (0x0010, 0x0030, "DA", mark.put("19310631", "DICOM: PatientBirthDate").encode()),
        (0x0010, 0x2180, "SH", mark("DICOM: Occupation", accented=True).encode("latin-1")),
        (0x0011, 0x1002, "UN", mark("DICOM: private bytes").encode()),
        (0x0018, 0x0050, "DS", f"{spacing[2]}".encode()),
        (0x0020, 0x000D, "UI", uid.encode()),
        (0x0020, 0x000E, "UI", series.encode()),
        (0x0020, 0x0052, "UI", frame.encode()),
        (0x0020, 0x0011, "IS", b"1"),
        (0x0020, 0x0037, "DS", rb"1\0\0\0\1\0"),
        (0x0028, 0x0002, "US", struct.pack("<H", 1)),
        (0x0028, 0x0004, "CS", b"MONOCHROME2"),
        (0x0028, 0x0010, "US", struct.pack("<H", size[1])),
        (0x0028, 0x0011, "US", struct.pack("<H", size[0])),
        (0x0028, 0x0030, "DS", f"{spacing[1]}\\{spacing[0]}".encode()),
        (0x0028, 0x0100, "US", struct.pack("<H", 16)),
        (0x0028, 0x0101, "US", struct.pack("<H", 16)),
        (0x0028, 0x0102, "US", struct.pack("<H", 15)),
        (0x0028, 0x0103, "US", struct.pack("<H", 1)),
        (0xFFFC, 0xFFFC, "OB", mark("DICOM: trailing padding").encode()),
    ]
    meta: list[Element] = [
        (0x0002, 0x0001, "OB", b"\0\1"),
        (0x0002, 0x0002, "UI", _CT_IMAGE.encode()),
        (0x0002, 0x0010, "UI", _EXPLICIT_LITTLE_ENDIAN.encode()),
        (0x0002, 0x0012, "UI", b"2.25.1"),
        (0x0002, 0x0016, "AE", mark("DICOM: SourceApplicationEntityTitle").encode()),
    ]
    paths = []
    for number, voxels in enumerate(planes):
        instance = mark.put(f"2.25.83109384{number:02d}", f"DICOM: SOPInstanceUID {number}")
        own: list[Element] = [
            (0x0008, 0x0018, "UI", instance.encode()),
            (0x0020, 0x0013, "IS", str(number + 1).encode()),
            (0x0020, 0x0032, "DS", f"0\\0\\{number * spacing[2]}".encode()),
            (0x7FE0, 0x0010, "OW", voxels),
        ]
        file_meta = _elements([*meta, (0x0002, 0x0003, "UI", instance.encode())])
        length = _element(0x0002, 0x0000, "UL", struct.pack("<I", len(file_meta)))
        path = folder / f"{mark(f'DICOM: file name {number}', 'file name')}.dcm"
        path.write_bytes(preamble + b"DICM" + length + file_meta + _elements([*common, *own]))
        paths.append(path)
    return paths[0]
