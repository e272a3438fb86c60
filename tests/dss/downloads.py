"""What the tests of downloads have in common."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import nibabel
import numpy

from dss.downloads import download_archive
from tests.dss.raw_server import RawServer

AREA = "api/tickets/1/files/results"
LAYER = gzip.compress(bytes(5000))


def get(raw: RawServer, folder: Path, *answers: bytes) -> Path:
    raw.answers = list(answers)
    with raw.session() as session:
        return download_archive(session, AREA, folder, "ticket_00000001_results.itksnap")


def nifti(folder: Path, seed: int = 1, spacing: float = 1.0) -> bytes:
    voxels = numpy.random.default_rng(seed).integers(0, 999, (9, 8, 7), numpy.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, numpy.diag([spacing] * 3 + [1])), folder / "made.nii")
    return (folder / "made.nii").read_bytes()


def archived_layer(folder: Path) -> tuple[str, bytes]:
    """A layer as archives have it: its name says its voxels."""
    image = nifti(folder)
    return f"layer_000_{hashlib.md5(image[352:]).hexdigest()}.nii.gz", gzip.compress(image)
