"""The quality control of twenty cases: four of them have something wrong, each something else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from lxml import html
from typer.testing import CliRunner

from snapws import Label, Workspace
from snapws.cli.app import app
from snapws.report.cohort_page import Case, find_outliers
from snapws.volumes import LabelVolume

pytest.importorskip("PIL", reason="pictures need Pillow, of the extra pictures")

SHAPE = (24, 20, 16)
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
LARGE, SHIFTED, UNKNOWN, EMPTY, POINTS = "case03", "case05", "case08", "case13", "case17"


def make(folder: Path, name: str, random: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    nib.save(
        nib.Nifti1Image(random.normal(500, 50, SHAPE).astype("<i2"), AFFINE), folder / "t1.nii"
    )
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[4:12, 4 : 12 + int(random.integers(0, 2)), 4:10] = 1
    voxels[14:18, 6:12, 5:9] = 2
    affine = AFFINE.copy()
    if name == LARGE:
        voxels[2:22, 3:18, 2:14] = 1
    if name == SHIFTED:
        affine[0, 3] = 7
    if name == UNKNOWN:
        voxels[1, 1, 1] = 9
    if name == EMPTY:
        voxels[:] = 0
    if name == POINTS:
        voxels = np.stack([voxels, voxels], 3)
    nib.save(nib.Nifti1Image(voxels, affine), folder / "seg.nii.gz")
    made = Workspace.new(folder / "t1.nii")
    made.add_segmentation(folder / "seg.nii.gz", any_size=True)
    made.labels = [Label(1, "Left"), Label(2, "Right <b>")]
    made.save(folder / f"{name}.itksnap")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    random = np.random.default_rng(5)
    for number in range(1, 21):
        name = f"case{number:02d}"
        make(folder / name, name, random)
    return folder


def run(*words: object, code: int = 0, says: str = "") -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    assert says in done.stderr
    return done.stdout


def test_check_names_the_four_cases_with_something_wrong(cohort):
    found = {}
    for line in run("check", cohort, "--json", code=1).splitlines():
        record = json.loads(line)
        problems = [one for one in record["problems"] if one["severity"] == "error"]
        problems += [one for one in record["problems"] if "empty" in one["message"]]
        if problems:
            found[Path(record["workspace"]).stem] = problems[0]["kind"]
    assert found == {SHIFTED: "geometry", UNKNOWN: "labels", EMPTY: "labels", POINTS: "geometry"}


def test_the_page_has_the_four_cases_on_top_and_the_outlier_below_them(cohort, tmp_path):
    run("report", cohort, "-o", tmp_path / "qc.html", says="20 workspaces, errors in 3\n")
    page = html.fromstring((tmp_path / "qc.html").read_bytes())
    rows = page.xpath("//table[@class='cohort']/tbody/tr")
    names = [row.get("data-name") for row in rows]
    assert set(names[:3]) == {SHIFTED, UNKNOWN, POINTS}
    assert names[3:5] == [EMPTY, LARGE]
    assert len(names) == 20
    said = {row.get("data-name"): row.xpath("td[2]")[0].text_content() for row in rows}
    assert "layer 001 is empty: no voxel has a label" in said[EMPTY]
    assert re.search(r"label 1 \(Left\) has 7,[\d,.]+ mm³: the median is 8\d\d", said[LARGE])
    assert [name for name in names if "well" in said[name]] == names[5:]
    assert all(row.xpath("td[1]/img[starts-with(@src, 'data:image/webp')]") for row in rows)
    assert not page.xpath("//tbody/tr/th/a")
    assert "Right <b>" in page.text_content()
    assert (tmp_path / "qc.html").stat().st_size < 20 * 100_000  # 200 cases in 20 MB


def test_a_case_that_cannot_be_read_is_a_row_on_top(cohort, tmp_path):
    broken = tmp_path / "broken.itksnap"
    broken.write_text("<registry>")
    words = ["report", broken, cohort / "case01", "-o", tmp_path / "qc.html"]
    run(*words, "--pages", tmp_path / "p", code=1, says="2 workspaces, 1 failed\n")
    page = html.fromstring((tmp_path / "qc.html").read_bytes())
    first, second = page.xpath("//table[@class='cohort']/tbody/tr")
    assert first.get("data-name") == "broken"
    assert "line 1" in first.text_content()
    assert not first.xpath("th/a")
    assert second.xpath("th/a/@href") == ["p/case01.html"]
    assert (tmp_path / "p/case01.html").read_bytes().startswith(b"<!DOCTYPE html>")


def test_a_page_is_not_written_over_another_file(cohort, tmp_path):
    (tmp_path / "mine.html").write_text("mine")
    run("report", cohort, "-o", tmp_path / "mine.html", code=1)
    assert (tmp_path / "mine.html").read_text() == "mine"
    run("report", cohort / "case01/case01.itksnap", "-o", "a.html", "--pages", tmp_path, code=2)


def case(name: str, volume: float | None) -> Case:
    one = LabelVolume(1, 1, 4, "CA1", 10, volume or 0, None)
    other = LabelVolume(1, 1, 5, "", 10, 50, None)
    return Case(name, Path(name), (), (other,) if volume is None else (one, other))


def test_outliers_are_far_from_the_median_by_the_spread_of_the_others():
    volumes = {"a": 100.0, "b": 104.0, "c": 96.0, "d": 101.0, "e": 99.0, "f": 131.0, "g": None}
    found = find_outliers([case(name, volume) for name, volume in volumes.items()])
    assert found == {
        "f": ["label 4 (CA1) has 131.0 mm³: the median is 100.5 mm³"],
        "g": ["label 4 (CA1) is absent: 6 other cases have it"],
    }
    assert find_outliers([case(name, volumes[name]) for name in "abcf"]) == {}
