"""What the tests of downloads have in common."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import nibabel
import numpy

from dss.transfer.downloads import download_archive
from snapws import Workspace
from snapws.registry import xml_format
from tests.dss.raw_server import RawServer, sent

AREA = "api/tickets/1/files/results"


def _image() -> bytes:
    header = nibabel.Nifti1Header()
    header.set_data_shape((9, 9, 9))
    header.set_data_dtype("i2")
    header["magic"], header["vox_offset"] = b"n+1", 352
    return bytes(header.binaryblock) + bytes(4 + 9 * 9 * 9 * 2)


LAYER = gzip.compress(_image())
"""An image that no name proves."""


def workspace_of(*files: str) -> bytes:
    """A workspace file that names images and meshes beside it."""
    made = Workspace()
    meshes = [file for file in files if file.endswith((".vtk", ".stl"))]
    for number, file in enumerate(file for file in files if file not in meshes):
        key = f"Layers.Layer[{number:03d}]"
        made.registry[f"{key}.Role"] = "OverlayRole" if number else "MainRole"
        made.registry[f"{key}.AbsolutePath"] = f"/archive/{file}"
    for number, file in enumerate(meshes):
        key = f"MeshLayers.Layer[{number:03d}].MeshTimePoints.TimePoint[000].PolyData[000]"
        made.registry[f"{key}.AbsolutePath"] = f"/archive/{file}"
    made.registry["SaveLocation"] = "/archive"
    return xml_format.to_bytes(made.registry)


def naming(*files: str) -> bytes:
    """The answer with a workspace `w.itksnap` that names these files beside it."""
    return sent("w.itksnap", workspace_of(*files))


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
