"""``snapws transform``: files of other programs on the command line."""

from __future__ import annotations

import numpy as np

from snapws import Workspace


def test_what_get_prints_set_takes(snapws, study):
    expected = Workspace.open("study.itksnap").layer("O:0").transform
    for form, options in {"ras": "", "itk": "", "lta": "", "fsl": "--format fsl"}.items():
        text = snapws(f"transform get study.itksnap O:0 --format {form}").stdout
        (study / "moved.txt").write_text(text)
        snapws(f"transform set study.itksnap O:0 moved.txt {options} -o {form}.itksnap")
        found = Workspace.open(f"{form}.itksnap").layer("O:0").transform
        assert np.abs(found - expected).max() < 1e-9, form


def test_that_a_matrix_is_taken_as_ras_is_said_even_where_remarks_are_left_out(snapws):
    for line in (
        "transform set study.itksnap O:0 affine.mat -q",
        "layers set study.itksnap O:0 --transform affine.mat -q",
        "layers add study.itksnap t2.nii.gz --transform affine.mat -q",
    ):
        assert snapws(line).stderr.count("affine.mat: read as a RAS matrix") == 1
    assert snapws("transform set study.itksnap O:0 affine.mat -q --format ras").stderr == ""


def test_a_matrix_that_is_not_plausible_changes_nothing(snapws, study):
    before = (study / "study.itksnap").read_bytes()
    for line in (
        "transform set study.itksnap O:0 rotation.mat",
        "layers set study.itksnap O:0 --transform rotation.mat",
        "layers add study.itksnap t2.nii.gz --transform rotation.mat",
    ):
        stderr = snapws(line, code=1).stderr
        assert "--format ras" in stderr
        assert stderr.count("\n") == 1
    assert (study / "study.itksnap").read_bytes() == before
    snapws("transform set study.itksnap O:0 rotation.mat --format ras")
    layer = Workspace.open("study.itksnap").layer("O:0")
    assert np.array_equal(layer.transform, np.loadtxt("rotation.mat"))


def test_json_is_the_matrix_in_ras_alone(snapws):
    assert (
        "--json prints" in snapws("transform get study.itksnap O:0 --format itk --json", 1).stderr
    )
