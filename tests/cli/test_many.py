"""Commands that read, on many workspaces."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from snapws import Workspace

PLACES = ("cohort/s1/study.itksnap", "cohort/s2/study.itksnap", "cohort/s3/broken.itksnap")


@pytest.fixture
def cohort(study: Path) -> Path:
    """Two workspaces that are well, and one that is not a workspace, in folders."""
    for place in PLACES:
        (study / place).parent.mkdir(parents=True)
    for place in PLACES[:2]:
        Workspace.open("study.itksnap").save(place)
    Path(PLACES[2]).write_text("<registry>")
    return study / "cohort"


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("info", "layers"),
        ("check", "problems"),
        ("layers list", "layers"),
        ("labels volumes", "volumes"),
        ("archive", "files"),
    ],
)
def test_json_of_many_is_a_line_each_and_an_error_stops_nothing(snapws, cohort, command, key):
    target = " out" if command == "archive" else ""
    result = snapws(f"{command} cohort{target} --json", 1)
    found = lines(result.stdout)
    assert [one["workspace"] for one in found] == [str(Path(place)) for place in PLACES]
    alone = snapws(f"{command} study.itksnap{target and ' one'} --json").stdout
    if command == "archive":
        assert [Path(one).parent.name for one in found[0][key]] == ["s1_study"] * 4
    else:
        alone = json.loads(alone)
        of_one = alone["layers"] if command == "info" else alone
        assert len(found[0][key]) == len(found[1][key]) == len(of_one)
    assert "error" in found[2]
    assert "error: cohort/s3/broken.itksnap, line 1: " in result.stderr
    assert result.stderr.splitlines()[-1].endswith("snapws: 3 workspaces, 1 failed") or (
        command == "archive"
    )


def test_text_of_many_names_each_workspace_and_the_last_line_counts(snapws, cohort):
    Path("cohort/s2/study.itksnap").write_bytes(Path("cardiac.itksnap").read_bytes())
    result = snapws("check cohort/s1/study.itksnap cohort/s2", 1)
    first, second = result.stdout.split("cohort/s2/study.itksnap:\n")
    assert first == "cohort/s1/study.itksnap:\n\n"
    assert second.startswith("error: layer 0")
    assert result.stderr.endswith("snapws: 2 workspaces, errors in 1\n")
    assert snapws("check cohort/s1 study.itksnap").stderr.endswith("2 workspaces, all well\n")
    assert "2 workspaces, all well" in snapws("check -q cohort/s1 study.itksnap").stderr


def test_pictures_of_many_are_in_a_folder_by_names_that_tell_them_apart(snapws, cohort):
    result = snapws("show cohort -o pictures --size 32", 1)
    assert sorted(one.name for one in Path("pictures").iterdir()) == [
        *("s1_study.png", "s2_study.png")
    ]
    assert result.stdout.split() == ["pictures/s1_study.png", "pictures/s2_study.png"]
    assert "3 workspaces, 1 failed" in result.stderr
    assert "need a folder for their pictures" in snapws("show cohort -o a.png", 2).stderr
    assert "need a folder for their pictures" in snapws("show cohort", 2).stderr
    assert not Path("a.png").exists()


def test_archives_of_many_are_folders_that_verify_takes_together(snapws, cohort):
    snapws("archive cohort/s1 cohort/s2 out --report out.json")
    assert sorted(one.name for one in Path("out").iterdir()) == ["s1_study", "s2_study"]
    report = json.loads(Path("out.json").read_text())
    assert [one["archive"] for one in report] == ["s1_study", "s2_study"]
    assert snapws("verify out").stderr.endswith("2 workspaces, all well\n")
    layer = next(Path("out/s2_study").glob("layer_001*"))
    layer.write_bytes(layer.read_bytes()[:-9])
    found = lines(snapws("verify out --json", 1).stdout)
    assert [len(one["problems"]) for one in found] == [0, 1]
    assert "--against needs a single archive" in snapws(
        "verify out --against study.itksnap", 2
    ).stderr.replace("\n", " ")


def test_two_folders_are_compared_by_the_names_below_them(snapws, cohort):
    shutil.rmtree("cohort/s3")
    shutil.copytree("cohort", "other")
    assert "2 workspaces, 0 differ" in snapws("compare cohort other").stderr
    changed = Workspace.open("other/s2/study.itksnap")
    changed.main.nickname = "Other"
    changed.save()
    Path("other/s1/study.itksnap").rename("other/s1/new.itksnap")
    result = snapws("compare cohort other", 1)
    assert result.stdout.startswith(
        "only in cohort: s1/study.itksnap\nonly in other: s1/new.itksnap\ns2/study.itksnap:\n"
    )
    assert "3 workspaces, 3 differ" in result.stderr
    found = lines(snapws("compare cohort other --json", 1).stdout)
    assert [one.get("only_in") for one in found] == ["A", "B", None]
    assert [one["what"] for one in found[2]["differences"]] == ["nickname"]
    changed.path.write_text("<registry>")
    assert "3 workspaces, 2 differ, 1 failed" in snapws("compare cohort other", 2).stderr


def test_build_makes_the_workspaces_of_a_table_once(snapws, study):
    Path("all.tsv").write_text("workspace\tmain\tsite\na\tt1.nii.gz\tx\nb\tnone.nii.gz\tx\n")
    result = snapws("build all.tsv -o built", 1)
    assert result.stdout == f"made  {Path('built/a.itksnap')}\n"
    assert "not used: column site" in result.stderr
    assert "all.tsv, line 3: its file" in result.stderr
    assert result.stderr.endswith("2 workspaces, 1 failed\n")
    assert "unchanged" in snapws("build all.tsv -o built", 1).stdout
    assert "name either a table, or a dataset" in snapws("build", 2).stderr.replace("\n", " ")
