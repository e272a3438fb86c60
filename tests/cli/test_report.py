"""``snapws report``."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapws.report import slices


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Draw small pictures: what tests look at is not in them."""
    monkeypatch.setattr(slices, "SIZE", 32)


def test_a_page_is_written(snapws):
    result = snapws("report study.itksnap -o page.html")
    assert (result.stdout, result.stderr) == ("", "snapws: saved page.html\n")
    assert Path("page.html").read_bytes().startswith(b"<!DOCTYPE html>")
    snapws("report study.itksnap -o page.html --quiet")


def test_what_is_missing_is_told_of_in_the_page(snapws):
    result = snapws("report cardiac.itksnap -o page.html")
    assert result.stderr.startswith("snapws: warning: layer 001: its file /data/study/sub/b.nii.gz")
    assert "b.nii.gz is not there" in Path("page.html").read_text(encoding="utf-8")


def test_refusals(snapws):
    Path("mine.html").write_text("mine")
    result = snapws("report study.itksnap -o mine.html", 1)
    assert "mine.html exists and is not a report: choose another name" in result.stderr
    assert Path("mine.html").read_text() == "mine"
    before = Path("study.itksnap").read_bytes()
    assert (
        "a report: it must end in .html"
        in snapws("report study.itksnap -o study.itksnap", 2).stderr
    )
    assert Path("study.itksnap").read_bytes() == before
    nothing = snapws("report none.itksnap -o mine.html", 1)  # nothing is read before
    assert "mine.html exists and is not a report" in nothing.stderr
    assert "none" in snapws("report study.itksnap -o none/page.html", 1).stderr
