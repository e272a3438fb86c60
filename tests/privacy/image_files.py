"""The same voxels as a file of every readable format, with a marker wherever one can stand."""

from __future__ import annotations

from pathlib import Path

from tests.privacy import dicom_files, itk_files, nifti_files
from tests.privacy.marking import Marks
from tests.privacy.voxels import SHAPE, SPACING, VOXELS, Writer


def dicom(folder: Path, mark: Marks) -> Path:
    series = folder / mark("DICOM: folder of the series")
    series.mkdir()
    planes = [VOXELS[start : start + 60] for start in range(0, len(VOXELS), 60)]
    return dicom_files.write_series(series, mark, planes, SHAPE[:2], SPACING)


#: How a file of each format is written; each gives the path that a workspace names.
FORMATS: dict[str, Writer] = {
    "nii": nifti_files.nifti,
    "nii.gz": nifti_files.nifti_gz,
    "nii-big-endian": nifti_files.nifti_big_endian,
    "hdr+img": nifti_files.nifti_pair,
    "nifti2": nifti_files.nifti2,
    "nifti2.gz": nifti_files.nifti2_gz,
    "analyze": nifti_files.analyze,
    "mgh": nifti_files.mgh,
    "mgz": nifti_files.mgz,
    "mha": itk_files.mha,
    "mha-compressed": itk_files.mha_compressed,
    "mhd+raw": itk_files.mhd,
    "nrrd": itk_files.nrrd,
    "nrrd-gzip": itk_files.nrrd_gzip,
    "nhdr+raw": itk_files.nhdr,
    "gipl": itk_files.gipl,
    "gipl.gz": itk_files.gipl_gz,
    "vtk": itk_files.vtk,
    "dicom": dicom,
}

#: Those that take SimpleITK.
OF_ITK = frozenset(FORMATS) & {
    *("mha", "mha-compressed", "mhd+raw", "nrrd", "nrrd-gzip", "nhdr+raw", "gipl", "gipl.gz"),
    *("vtk", "dicom"),
}
