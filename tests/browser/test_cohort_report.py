"""The page of a cohort, in a browser: sorted, filtered, decided on, saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from snapws import Label, Workspace
from snapws.report import write_cohort_report
from tests.browser.conftest import Visit

HOSTILE = "<img src=x onerror=alert(1)>=1+1"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    files = []
    for number, name in enumerate(("a", "b", HOSTILE)):
        image = np.full((8, 9, 10), 100 + number, np.uint8)
        nib.save(nib.Nifti1Image(image, np.eye(4)), folder / f"t1-{number}.nii")
        labels = (image > 0).astype(np.uint8) * (number != 1)
        nib.save(nib.Nifti1Image(labels, np.eye(4)), folder / f"seg-{number}.nii")
        made = Workspace.new(folder / f"t1-{number}.nii")
        made.add_segmentation(folder / f"seg-{number}.nii")
        made.labels = [Label(1, HOSTILE)]
        files.append(made.save(folder / f"{name}.itksnap"))
    write_cohort_report(files, folder / "qc.html")
    return folder / "qc.html"


def names(visit: Visit) -> list[str]:
    rows = visit.page.locator(".cohort tbody tr:visible")
    return [str(row.get_attribute("data-name")) for row in rows.all()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_asked_for_and_nothing_keeps_people_out(visit, page, scheme):
    seen = visit(page, color_scheme=scheme)
    assert seen.complaints() == []
    assert (seen.said, seen.asked) == ([], [])
    seen.keep(f"cohort-{scheme}")


def test_rows_are_sorted_and_filtered(visit, page):
    seen = visit(page)
    assert names(seen) == ["b", HOSTILE, "a"] or names(seen) == ["b", "a", HOSTILE]
    head = seen.page.get_by_role("button", name="Case")
    head.click()
    ascending = names(seen)
    assert seen.page.locator("th[aria-sort=ascending]").inner_text().startswith("Case")
    head.press("Enter")
    assert names(seen) == ascending[::-1] != ascending
    seen.page.get_by_label("Find").fill("onerror")
    assert names(seen) == [HOSTILE]
    seen.page.get_by_label("Find").fill("")
    seen.page.get_by_label("Show").select_option("found")
    assert names(seen) == ["b"]
    assert seen.page.locator("#shown").inner_text() == "1 of 3 shown"
    assert seen.said == []


def test_decisions_are_kept_and_saved_as_a_table(visit, page):
    seen = visit(page)
    seen.page.get_by_label("Decision on a").select_option("accept")
    seen.page.get_by_label(f"Decision on {HOSTILE}").select_option("reject")
    seen.page.get_by_label("Note on a").fill("=good\tfit")
    seen.page.reload()
    assert seen.page.get_by_label("Decision on a").input_value() == "accept"
    with seen.page.expect_download() as saving:
        seen.page.get_by_role("button", name="Save decisions").click()
    lines = Path(saving.value.path()).read_text(encoding="utf-8").splitlines()
    assert saving.value.suggested_filename == "decisions.tsv"
    table = [line.split("\t") for line in lines]
    assert table[0] == ["case", "workspace", "decision", "note"]
    found = {row[0]: (Path(row[1]).name, *row[2:]) for row in table[1:]}
    assert found == {
        "a": ("a.itksnap", "accept", "'=good fit"),
        "b": ("b.itksnap", "", ""),
        HOSTILE: (f"{HOSTILE}.itksnap", "reject", ""),
    }
    seen.page.get_by_label("Show").select_option("undecided")
    assert names(seen) == ["b"]
    assert seen.said == []


def test_without_javascript_the_rows_stand(visit: Callable[..., Visit], page: Path) -> None:
    seen = visit(page, java_script_enabled=False)
    assert len(names(seen)) == 3
    assert not seen.page.locator(".controls").is_visible()
