"""Where the project differs from the reference tool on purpose: why, and what it does instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from snapws import Workspace
from tests.conformance.replay import Result, lines

Row = dict[str, Any]


@dataclass(frozen=True)
class Deviation:
    """A row that differs: why, and the check of what is done instead."""

    reason: str
    check: Callable[[Result, Row], None]


def _refuses(*words: str) -> Callable[[Result, Row], None]:
    def check(result: Result, row: Row) -> None:
        assert result.rc == 255
        assert result.files == {}
        assert result.stdout == "" or result.stdout.startswith("INFO: picked")
        assert len(result.stderr.splitlines()) == 1
        for word in (*words, " for command "):
            assert word in result.stderr

    return check


def _saves(*pairs: tuple[str, str]) -> Callable[[Result, Row], None]:
    """The recorded file but for these replacements, the output as recorded."""

    def check(result: Result, row: Row) -> None:
        assert result.rc == 0
        assert lines(result.stdout) == lines(row["stdout"])
        expected = row["files"]["out.itksnap"]
        for recorded, ours in pairs:
            assert recorded in expected
            expected = expected.replace(recorded, ours)
        assert result.files["out.itksnap"] == expected

    return check


def _prints(*pairs: tuple[str, str]) -> Callable[[Result, Row], None]:
    """The recorded output but for these replacements."""

    def check(result: Result, row: Row) -> None:
        assert result.rc == 0
        expected = row["stdout"]
        for recorded, ours in pairs:
            assert recorded in expected
            expected = expected.replace(recorded, ours)
        assert lines(result.stdout) == lines(expected)

    return check


def _works(output: str) -> Callable[[Result, Row], None]:
    def check(result: Result, row: Row) -> None:
        assert result.rc == 0
        assert lines(result.stdout) == lines(output)

    return check


def _archives_neutrally(result: Result, row: Row) -> None:
    """Same layers under the same names; no path of this machine; found where the archive is."""
    assert result.rc == 0
    recorded = {name for name in row["files"] if name.endswith(".nii.gz")}
    assert {name for name in result.files if name.endswith(".nii.gz")} == recorded
    assert "{DIR}" not in str(result.files["ar/out.itksnap"])
    archived = Workspace.open(result.folder / "ar" / "out.itksnap")
    source = Workspace.open(result.folder / "base.itksnap")
    assert [(one.role, one.tags, one.nickname) for one in archived.layers()] == [
        (one.role, one.tags, one.nickname) for one in source.layers()
    ]
    for layer in archived.layers():
        assert layer.path.parent == result.folder / "ar"
        assert layer.path.exists()


def _archives_in_new_folder(result: Result, row: Row) -> None:
    assert result.rc == 0
    assert "nodir/out.itksnap" in result.files
    assert len(result.files) == 5


def _clears_labels(result: Result, row: Row) -> None:
    assert result.rc == 0
    assert Workspace.open(result.folder / "out.itksnap").labels == ()
    assert "Element[" not in str(result.files["out.itksnap"])


def _reads_crlf(result: Result, row: Row) -> None:
    assert result.rc == 0
    names = [label.name for label in Workspace.open(result.folder / "out.itksnap").labels]
    assert names == ["one", "two"]


def _prints_help(result: Result, row: Row) -> None:
    assert result.rc == 255
    # Every command of the recorded help that is about workspaces is in ours.
    ours = result.stdout.split()
    for line in row["stdout"].splitlines():
        name = line.split()[0] if line.startswith("  -") else ""
        if name and not name.startswith("-dss"):
            assert name in ours


_MESH_PATHS = "a mesh path is stored absolute and resolved, like every path"

COMMANDS: dict[str, Deviation] = {
    "add_mesh": Deviation(
        _MESH_PATHS,
        _saves(('"tri.stl"', '"{DIR}/tri.stl"'), ('"tri.vtk"', '"{DIR}/tri.vtk"')),
    ),
    "list_mesh": Deviation(
        _MESH_PATHS,
        _prints(("  tri.stl", "  {DIR}/tri.stl"), ("  tri.vtk", "  {DIR}/tri.vtk")),
    ),
    "pick_mesh": Deviation(
        _MESH_PATHS, _prints(("4> tri.stl", "4> {DIR}/tri.stl"), ("5> tri.vtk", "5> {DIR}/tri.vtk"))
    ),
    "alpha": Deviation(
        "-props-set-alpha is documented and works", _works("INFO: picked layer Layers.Layer[001]")
    ),
    "sticky": Deviation(
        "-props-set-sticky is documented and works", _works("INFO: picked layer Layers.Layer[001]")
    ),
    "tags_usage_del": Deviation(
        "-tags-del is documented and works", _works("INFO: picked layer Layers.Layer[000]")
    ),
    "tags_usage_names": Deviation(
        "-tags-add-excl is documented and works", _works("INFO: picked layer Layers.Layer[000]")
    ),
    "annot_list_none": Deviation(
        "no annotations are an empty table, not an error", _works("2> Annotation Kind Center Tags")
    ),
    "archive": Deviation(
        "an archive names a neutral root and keeps documented keys only", _archives_neutrally
    ),
    "archive_dir_missing": Deviation(
        "an archive's folder is made where it is missing", _archives_in_new_folder
    ),
    "archive_moved_missing": Deviation(
        "an archive that fails leaves nothing half-written", _refuses("layer 001", "b.nii.gz")
    ),
    "bad_xml": Deviation("a truncated workspace is refused, with its line", _refuses("line 13")),
    "empty_file": Deviation("an empty workspace file is refused", _refuses("empty")),
    "labels_clear": Deviation("a cleared label table holds no old labels", _clears_labels),
    "labels_set_crlf": Deviation("label files with CRLF are read", _reads_crlf),
    "newline_value": Deviation(
        "a line break in a value is written so that it is read again",
        _saves(("two\nlines", "two&#10;lines")),
    ),
    "no_args": Deviation("the help is in words of our own, and complete", _prints_help),
    "pick_anat_m3": Deviation(
        "negative numbers reach layer 000",
        _works("INFO: picked layer Layers.Layer[000]\n3> {DIR}/a.nii.gz"),
    ),
    "tags_no_pick": Deviation("a tag needs a picked layer", _refuses("-ta", "picked")),
    "windows_paths": Deviation(
        "paths that Windows wrote with \\ are re-rooted like those with /",
        _prints(("C:\\Users\\Me\\Study\\b.nii.gz", "{DIR}/b.nii.gz")),
    ),
}


def _reads_itk_transform(result: Result, row: Row) -> None:
    assert result.rc == 0
    assert len(lines(result.stdout)) == 5
    assert result.stdout.splitlines()[-1].endswith("0 0 0 1")


def _loads_registry_xml(result: Result, row: Row) -> None:
    assert result.rc == 0
    layer = Workspace.open(result.folder / "out.itksnap").main
    assert layer.registry["Loaded.DistributedSegmentationSystem.PreferredServerIndex"] == "0"


_ITK = Deviation("ITK transform files are read, and turned to RAS", _reads_itk_transform)

#: By the beginning of the name of the corpus file.
CORPUS: dict[str, Deviation] = {
    **{
        f"transforms/{number}_": _ITK
        for number in ("011", "013", "015", "019", "020", "021", "029")
    },
    "registry_other/NeuroDesk_": Deviation("a registry XML file is loaded", _loads_registry_xml),
}
