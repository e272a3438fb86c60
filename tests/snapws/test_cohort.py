from __future__ import annotations

import threading
from pathlib import Path

import pytest

from snapws import WorkspaceError, cohort


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = (
        "s2/study.itksnap",
        "s1/study.itksnap",
        "s1/notes.txt",
        ".old/x.itksnap",
        "[a].itksnap",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*given: str) -> list[str]:
    return [one.as_posix() for one in cohort.expand(map(Path, given))]


def test_folders_and_patterns_mean_the_workspaces_in_them_in_order(tree):
    assert found(".") == ["[a].itksnap", "s1/study.itksnap", "s2/study.itksnap"]
    assert found("s2", "s*") == ["s2/study.itksnap", "s1/study.itksnap"]
    assert found("**/study.itksnap") == ["s1/study.itksnap", "s2/study.itksnap"]
    assert found("s1/*") == ["s1/study.itksnap"]


def test_a_file_is_itself_once_whether_it_exists_or_looks_like_a_pattern(tree):
    assert found("[a].itksnap", "missing.itksnap", "./missing.itksnap") == [
        *("[a].itksnap", "missing.itksnap")
    ]
    assert cohort.is_one([Path("[a].itksnap")])
    assert not cohort.is_one([Path("s1")])
    assert not cohort.is_one([Path("s?")])


@pytest.mark.parametrize("name", ["empty", "none*.itksnap"])
def test_a_folder_or_pattern_without_a_workspace_is_an_error(tree, name):
    (tree / "empty").mkdir()
    with pytest.raises(WorkspaceError, match="no workspace"):
        found(name)


def test_names_have_as_many_folders_as_tell_them_apart(tmp_path):
    paths = ("a/1/w.itksnap", "b/1/w.itksnap", "b/v.itksnap", "A/1/w.itksnap")
    assert cohort.names([tmp_path / one for one in paths]) == [
        *(f"{tmp_path.as_posix()[1:].replace('/', '_')}_a_1_w", "b_1_w", "v"),
        f"{tmp_path.as_posix()[1:].replace('/', '_')}_A_1_w_2",
    ]


def test_outcomes_come_in_order_and_an_error_stops_nothing():
    second = threading.Event()

    def work(path: Path) -> str:
        if path.name == "1":
            assert second.wait(60)  # so the second runs beside the first
        if path.name == "2":
            second.set()
            raise WorkspaceError("damaged")
        return path.name

    outcomes = list(cohort.each([Path(str(n)) for n in range(1, 9)], work, threads=2))
    assert [one.path.name for one in outcomes] == list("12345678")
    assert [one.values for one in outcomes] == [("1",), (), *((n,) for n in "345678")]
    assert str(outcomes[1].error) == "damaged"


def test_few_results_wait_for_an_earlier_one():
    begun: list[str] = []
    for number, outcome in enumerate(
        cohort.each(
            [Path(str(n)) for n in range(100)], lambda one: begun.append(one.name), threads=2
        )
    ):
        assert len(begun) <= number + 2 * 2 + 1
        assert outcome.error is None


def test_an_error_of_the_program_is_not_taken_for_one_of_a_workspace():
    with pytest.raises(ZeroDivisionError):
        list(cohort.each([Path("a")], lambda _: 1 // 0))
