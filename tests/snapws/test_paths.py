from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapws import paths


@pytest.fixture
def place(tmp_path):
    """A folder with `a.nii` and `sub/b.nii` in it, beside a folder `other` with `c.nii` in it."""
    here = tmp_path / "study"
    (here / "sub").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    for name in ("study/a.nii", "study/sub/b.nii", "other/c.nii", "study/12.nii"):
        (tmp_path / name).touch()
    return here


@pytest.mark.parametrize(
    ("saved_in", "stored", "found"),
    [
        ("/data/p1", "/data/p1/a.nii", "a.nii"),
        ("/data/p1", "/data/p1/sub/b.nii", "sub/b.nii"),
        ("/data/p1/", "/data/p1//sub/./b.nii", "sub/b.nii"),
        ("/data/p1", "/data/other/c.nii", "../other/c.nii"),
        ("C:/Data/P1", "C:/Data/P1/a.nii", "a.nii"),
        ("C:/Data/P1", r"C:\Data\P1\sub\b.nii", "sub/b.nii"),
        (r"C:\Data\P1", "c:/data/p1/sub/b.nii", "sub/b.nii"),
        (r"C:\Data\P1", r"C:\Data\other\c.nii", "../other/c.nii"),
        (r"C:\Data\P1", r"sub\b.nii", "sub/b.nii"),
        (r"\\server\share\P1", r"\\server\share\P1\a.nii", "a.nii"),
        (r"\\SERVER\Share\P1", "//server/share/P1/sub/b.nii", "sub/b.nii"),
        (".", "a.nii", "a.nii"),
        (".", "./sub/b.nii", "sub/b.nii"),
        ("", "sub/b.nii", "sub/b.nii"),
        ("/data/p1", "sub/b.nii", "sub/b.nii"),
    ],
)
def test_found_where_the_workspace_moved(place, saved_in, stored, found):
    expected = os.path.normpath(place / found).replace(os.sep, "/")
    assert paths.resolve(stored, saved_in, place) == expected


@pytest.mark.parametrize(
    ("saved_in", "stored"),
    [
        ("/data/p1", "/data/p12/a.nii"),  # whole components: p1 is not the start of p12
        ("/data/p1", "/data/p1/nothing.nii"),
        ("C:/Data", "D:/Data/a.nii"),
        ("C:/Data", r"\\server\share\a.nii"),
        ("C:/Data", "C:a.nii"),
        ("/data", "C:/data/a.nii"),
        (".", "/data/a.nii"),
        ("", "/data/a.nii"),
        ("{{folder}}", "/data/a.nii"),
        ("/data", "https://example.org/data/a.nii"),
        ("https://example.org/data", "https://example.org/data/a.nii"),
        ("/data", "fw://group/project/a.nii"),
        ("/data", "a\0.nii"),
        ("", ""),
    ],
)
def test_left_as_stored(place, saved_in, stored):
    assert paths.resolve(stored, saved_in, place) == stored


def test_a_workspace_that_did_not_move_is_not_searched(place):
    stored = f"{place.as_posix()}/sub/../a.nii"
    assert paths.resolve(stored, place.as_posix(), place) == stored


def test_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert paths.absolute("a.nii") == f"{tmp_path.as_posix()}/a.nii"
    assert paths.absolute(tmp_path / "x" / ".." / "a.nii") == f"{tmp_path.as_posix()}/a.nii"
    for left in ("https://h/a.nii", "sftp://h/a.nii", "fw://g/a.nii"):
        assert paths.absolute(left) == left


@pytest.mark.skipif(os.name == "nt", reason="there these are paths of this system")
def test_absolute_paths_of_windows_are_left_elsewhere():
    for left in (r"C:\a.nii", "W:/a.nii", r"\\server\share\a.nii"):
        assert paths.absolute(left) == left


@pytest.mark.parametrize("path", ["https://h/a", "sftp://h/a", "fw://a/b", "s3+x://b"])
def test_is_url(path):
    assert paths.is_url(path)


@pytest.mark.parametrize("path", ["/data/a", "C:/a", "C://a", "a", "http:/a", "//server/a"])
def test_is_no_url(path):
    assert not paths.is_url(path)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_resolves(tmp_path_factory, stored, saved_in):
    folder = tmp_path_factory.getbasetemp()
    assert isinstance(paths.resolve(stored, saved_in, folder), str)
