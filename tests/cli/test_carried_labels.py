"""Segmentations that carry a label table, as they are added."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from snapws import Workspace
from tests.snapws.test_label_tables import caret


@pytest.fixture(params=["seg.nrrd", "nii.gz"])
def file(request, study: Path) -> str:
    """A segmentation on the grid of the main image, with names for the labels 1 and 7."""
    name = f"carried.{request.param}"
    main = Workspace.open("study.itksnap").main.path
    if name.endswith(".nrrd"):
        image = sitk.Cast(sitk.ReadImage(str(main)) > 500, sitk.sitkUInt8)
        for place, (label, text) in enumerate(((1, "Spleen"), (7, "Left kidney"))):
            for key, value in (
                *(("ID", f"Segment_{label}"), ("Name", text), ("Layer", "0")),
                *(("LabelValue", str(label)), ("Color", "1 0 0.2")),
            ):
                image.SetMetaData(f"Segment{place}_{key}", value)
        sitk.WriteImage(image, name, useCompression=True)
    else:
        loaded = nibabel.load(main)
        image = nibabel.Nifti1Image(
            (np.asarray(loaded.dataobj) > 500).astype(np.uint8), loaded.affine
        )
        table = caret([(1, "Spleen"), (7, "Left kidney")])
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, table.encode()))
        image.to_filename(name)
    return name


def names() -> dict[int, str]:
    return {label.index: label.name for label in Workspace.open("study.itksnap").labels}


@pytest.mark.parametrize(
    "line",
    ["layers add study.itksnap {} --role segmentation", "layers set-segmentation study.itksnap {}"],
    ids=["add", "set"],
)
def test_the_table_is_offered_and_taken_when_asked_for(snapws, file, line):
    line = line.format(file)
    before = names()
    said = snapws(line).stderr
    assert f"{file} contains a table of 2 labels: --labels from-file adds it" in said
    assert names() == before
    assert "carries" not in snapws(f"{line} --labels from-file").stderr
    assert names() == {**before, 1: "Spleen", 7: "Left kidney"}


def test_a_file_without_a_table_is_refused_when_one_is_asked_for(snapws, study):
    before = (study / "study.itksnap").read_bytes()
    line = "layers add study.itksnap seg.nii.gz --labels from-file"
    assert "contains no label table" in snapws(f"{line} --role segmentation", code=1).stderr
    snapws(line, code=2)  # an overlay has no labels
    assert (study / "study.itksnap").read_bytes() == before
    assert "table" not in snapws("layers add study.itksnap seg.nii.gz --role segmentation").stderr


def test_a_damaged_table_stops_only_who_asks_for_it(snapws, study):
    image = nibabel.load("seg.nii.gz")
    extension = nibabel.nifti1.Nifti1Extension(0, b"<CaretExtension><LabelTable>")
    image.header.extensions.append(extension)
    image.to_filename("damaged.nii.gz")
    line = "layers add study.itksnap damaged.nii.gz --role segmentation"
    snapws(f"{line} --labels from-file", code=1)
    assert "the label table cannot be read" in snapws(line).stderr
