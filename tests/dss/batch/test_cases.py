"""Which cases a table or a command line means, and which are refused before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from dss.batch.cases import BadCases, examine, named
from snapws import Workspace


def test_a_table_names_cases_from_its_own_folder(tmp_path: Path) -> None:
    table = tmp_path / "cases.tsv"
    text = (
        "age\tworkspace\tcase\r\n7\ta/one.itksnap\tsub-01\r\n\r\n9\t/data/two.itksnap\tsub-02\r\n"
    )
    table.write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = named([table])
    assert [one.name for one in found] == ["sub-01", "sub-02"]
    assert [one.workspace for one in found] == [
        tmp_path / "a" / "one.itksnap",
        Path("/data/two.itksnap"),
    ]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("case\tfile\na\tb\n", ["has no column workspace"]),
        ("", ["has no column case and no column workspace"]),
        ("case\tworkspace\n", ["names no case"]),
        ("case\tworkspace\na\t\n\tb\n", ["line 2: there is no workspace", "line 3: there is no"]),
        ("case\tworkspace\na\tx\nb\ty\nA\tz\n", ["line 4: case A has the same name as ", "line 2"]),
        ("case\tworkspace\n../up\tx\n", ["'../up' cannot be the name of a folder"]),
        ("case\tworkspace\n.\tx\n", ["'.' cannot be the name of a folder"]),
        ("case\tworkspace\nnul\tx\n", ["'nul' cannot be the name of a folder"]),
        ("case\tworkspace\ne\u0301\tx\n\u00e9\ty\n", ["has the same name as"]),
    ],
    ids=[
        "other column",
        "empty",
        "no case",
        "no value",
        "twice",
        "separator",
        "dot",
        "device",
        "composed",
    ],
)
def test_a_bad_table_is_refused_by_line(tmp_path: Path, text: str, parts: list[str]) -> None:
    table = tmp_path / "cases.tsv"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(BadCases) as raised:
        named([table])
    said = "\n".join(raised.value.problems)
    assert all(part in said for part in parts), said


def test_a_table_that_is_not_text_or_not_alone_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "cases.tsv"
    table.write_bytes(b"case\tworkspace\n\xff\xfe\tx\n")
    with pytest.raises(BadCases, match="1 problem") as raised:
        named([table])
    assert "is not a table in UTF-8" in raised.value.problems[0]
    with pytest.raises(BadCases) as raised:
        named([table, tmp_path / "a.itksnap"])
    assert "name it alone" in raised.value.problems[0]


def test_one_account_of_all_cases_is_given(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    workspace.save(folder / "study.itksnap")
    (tmp_path / "cases.tsv").write_text(
        "case\tworkspace\na\telsewhere/study.itksnap\nb\tstudy of Jane Doe/study.itksnap\n"
    )
    consent = examine(named([tmp_path / "cases.tsv"]), "standard", lambda _: None)
    assert [one.text for one in consent.texts].count("Söurce") == 1
    assert [(name, len(found)) for name, found in consent.outside] == [("a", 2)]


def test_every_case_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "cases.tsv").write_text("case\tworkspace\na\tnone.itksnap\nb\talso.itksnap\n")
    with pytest.raises(BadCases) as raised:
        examine(named([tmp_path / "cases.tsv"]), "standard", lambda _: None)
    assert [problem.split(":")[0] for problem in raised.value.problems] == ["case a", "case b"]
