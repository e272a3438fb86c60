"""Each line of the list of differences on purpose, held by a test of what is done here."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from snapws import Workspace
from snapws.wt import main
from tests.conformance import deviations, replay

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "itksnap-wt.md"

#: Lines that the recordings show, with the recorded rows that are checked for them.
RECORDED = {
    "opens a truncated workspace": ("bad_xml", "empty_file"),
    "archives paths and keys": ("archive", "archive_moved_missing"),
    "does not make the folder": ("archive_dir_missing",),
    "stores and lists paths of meshes": ("add_mesh", "list_mesh", "pick_mesh"),
    "applies tags where": ("tags_no_pick",),
    "`-props-set-sticky`": ("sticky", "alpha", "tags_usage_del", "tags_usage_names"),
    "`-labels-clear` leaves": ("labels_clear",),
    "`-annot-list` fails": ("annot_list_none",),
    "refuses label files with CRLF": ("labels_set_crlf",),
    "loses a line break": ("newline_value",),
    "negative numbers of layers": ("pick_anat_m3",),
    "does not re-root paths": ("windows_paths",),
}

Run = Callable[..., tuple[int, str, str]]
Check = Callable[[Run], None]
CHECKS: dict[str, Check] = {}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys) -> Run:
    """Run a command line on the base workspace, among the recorded inputs."""
    replay.place_inputs(tmp_path / "inputs")
    monkeypatch.chdir(tmp_path / "inputs")

    def once(*words: str) -> tuple[int, str, str]:
        rc = main(["-P", "-i", "base.itksnap", *words])
        out, err = capsys.readouterr()
        return rc, "".join(line for line in out.splitlines(True) if "INFO: " not in line), err

    return once


def check(line: str) -> Callable[[Check], Check]:
    def add(function: Check) -> Check:
        CHECKS[line] = function
        return function

    return add


def refused(run: Run, *words: str) -> str:
    rc, out, err = run(*words)
    assert (rc, out, len(err.splitlines())) == (255, "", 1)
    return err


def saved(run: Run, *words: str) -> Workspace:
    rc, _, err = run(*words, "-o", "out.itksnap")
    assert (rc, err) == (0, "")
    return Workspace.open("out.itksnap")


@check("archives a truncated image")
def _truncated_image(run: Run) -> None:
    assert "layer 000" in refused(run, "-lsm", "truncated.nii.gz", "-a", "ar/x.itksnap")
    assert list(Path("ar").iterdir()) == []


@check("`-props-set-contrast AUTO`")
def _contrast_modes(run: Run) -> None:
    words = ("-lp", "0", "-props-set-contrast")
    assert saved(run, *words, "DEFAULT").main.display.contrast[2] == (1, 1)
    curve = saved(run, *words, "CURVE", "2", "-1", "0", "7", "1").main.display.contrast
    assert curve == ((-1, 0), (7, 1))
    assert saved(run, *words, "L", "1", "2", *words, "AUTO").main.display.contrast == ()


@check("writes numbers with six digits")
def _digits(run: Run) -> None:
    Path("long.mat").write_text("1 0 0 -1234567.89012345\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    words = ("-lp", "0", "-pst", "long.mat", "-props-set-contrast", "L", "0", "1234567.5")
    layer = saved(run, *words).main
    assert layer.registry["ImageTransform.Offset.Element[0]"] == "1234567.89012345"
    assert layer.display.contrast[2] == (1234567.5, 1)


@check("refuses ITK transform files")
def _itk_transforms(run: Run) -> None:
    Path("itk.txt").write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        "Parameters: 1 0 0 0 1 0 0 0 1 5 0 0\nFixedParameters: 0 0 0\n"
    )
    assert saved(run, "-lp", "0", "-pst", "itk.txt").main.transform[0][3] == -5


@check("aborts on a registry XML file")
def _registry_xml(run: Run) -> None:
    assert saved(run, "-lp", "0", "-prl", "X", "gui.itksnap").main.registry["X.Version"] == (
        "20190612"
    )


@check("stores a matrix that has no inverse")
def _no_inverse(run: Run) -> None:
    Path("flat.mat").write_text("1 0 0 0\n0 0 0 0\n0 0 1 0\n0 0 0 1\n")
    assert "flat.mat: the matrix has no inverse" in refused(run, "-lp", "0", "-pst", "flat.mat")


@check("`-layers-set-seg` keeps")
def _one_segmentation(run: Run) -> None:
    found = saved(run, "-las", "s.nii.gz", "-lss", "plain.nii").layers()
    assert [one.path.name for one in found if one.role.name == "SEGMENTATION"] == ["plain.nii"]


@check("takes tags with blanks")
def _blanks(run: Run) -> None:
    for tag in (" x", "x ", ""):
        assert "cannot be a tag" in refused(run, "-lp", "0", "-ta", tag)


@check("`-props-registry-dump` of a folder")
def _missing_folder(run: Run) -> None:
    assert "has no folder No" in refused(run, "-lp", "0", "-prd", "No", "x.txt")
    assert not Path("x.txt").exists()


@check("ignores unknown modes")
def _unknown_modes(run: Run) -> None:
    for command in ("-props-set-mcd", "-props-set-contrast"):
        assert "'nonsense' is not one of " in refused(run, "-lp", "0", command, "nonsense")


@check("prints `[WorkspaceAPI] …`")
def _empty_answer(run: Run) -> None:
    assert run("-timepoints-pick-by-tag", "x") == (0, "\n", "")
    rc, out, _ = run("-timepoints-list")
    assert rc == 0
    assert out.startswith("[WorkspaceAPI] ")


@check("a second `-i` merges")
def _second_workspace(run: Run) -> None:
    found = saved(run, "-i", "gui.itksnap")
    assert len(found.layers()) == 3
    assert found.main.nickname == 'Main & only "one"'


@check("looking up a key")
def _look_ups(run: Run) -> None:
    words = ("-lp", "1", "-pgt", "-prg", "My.Own.Key", "-registry-get", "An.Other.Key")
    assert saved(run, *words).registry == Workspace.open("base.itksnap").registry


@check("pads columns by bytes")
def _columns(run: Run) -> None:
    _, out, _ = run("-lp", "0", "-psn", "Überöä", "-ll")
    assert len({line.index("/") for line in out.splitlines()[1:]}) == 1


@check("`-h` is an unknown command")
def _help(run: Run) -> None:
    rc, out, err = run("-h")
    assert (rc, err) == (0, "")
    assert "-layers-pick-by-tag" in out


@check("says `ITK-SNAP exception")
def _words_of_errors(run: Run) -> None:
    assert refused(run, "-bogus").startswith("snapws-wt: error for command -bogus : ")


@check("gives a mesh `X.VTK`")
def _capitals(run: Run) -> None:
    (surface,) = saved(run, "-lam", "X.VTK", "1").meshes()[0].polydata()
    assert surface.format == "VTK Mesh"


@check("writes an empty entry `Tags`")
def _no_tags(run: Run) -> None:
    assert "Tags" not in saved(run, "-lam", "tri.vtk", "1").meshes()[0].registry


@check("knows `main`, not `Main`")
def _any_case(run: Run) -> None:
    _, expected, _ = run("-lp", "main", "-pgf")
    for name in ("Main", "MAIN"):
        assert run("-lp", name, "-pgf") == (0, expected, "")


@check("`-prg`, `-prs` and `-prd`")
def _registry_of_a_mesh(run: Run) -> None:
    words = ("-lam", "tri.vtk", "1", "-prs", "A.B", "x", "-prg", "A.B", "-prd", "A", "a.txt")
    assert run(*words) == (0, "x\n", "")
    assert Path("a.txt").read_text() == "B = x\n"


@check("takes a URL for a relative path")
def _urls(run: Run) -> None:
    address = "https://images.example.org/t1.nii.gz"
    assert run("-laa", address, "-pgf") == (0, f"{address}\n", "")


@check("dumps a key that begins with `#`")
def _comments(run: Run) -> None:
    assert run("-lp", "0", "-prs", "A.#B", "x", "-prd", "A", "a.txt") == (0, "", "")
    assert Path("a.txt").read_text() == "%23B = x\n"


@pytest.mark.parametrize("line", CHECKS)
def test_difference(line, run):
    CHECKS[line](run)


def listed() -> list[str]:
    """Return the first column of the list."""
    page = PAGE.read_text(encoding="utf-8").partition("\n## What differs on purpose\n")[2]
    rows = re.findall(r"(?m)^\| (.*?) \|", page.partition("\n## ")[0])
    return [row for row in rows[1:] if not row.startswith("---")]


def test_every_line_of_the_list_has_a_check_and_every_check_a_line():
    lines = listed()
    checks = [*CHECKS, *RECORDED]
    assert len(lines) == len(checks)
    for name in checks:
        assert sum(line.startswith(name) for line in lines) == 1, name


def test_every_recorded_deviation_is_in_the_list():
    of_help = {"no_args"}  # the words of the help are ours
    shown = {row for rows in RECORDED.values() for row in rows}
    assert shown | of_help == set(deviations.COMMANDS)
