"""`WorkspaceWrapper` and `Registry`: names and results as of `itksnap-dss` 0.2.0.

The tables were made by running that package over the same files.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import pytest

from dss import Client, Middleware
from dss.compat import (
    DSSClient,
    Registry,
    RegistryValue,
    WorkspaceWrapper,
    load_color_label_file_to_registry,
)
from dss.records import TicketStatus
from snapws import (
    ArchiveError,
    ImageError,
    InvalidValue,
    LayerNotFound,
    RegistryError,
    TextFileError,
    Workspace,
    WorkspaceError,
)
from tests.conformance.replay import place_inputs
from tests.dss.test_compat import description, home, lab, service, token  # noqa: F401 - fixtures

FIRST, SECOND, THIRD, FOURTH = (f"Layers.Layer[{number:03d}]" for number in range(4))

WORKSPACE_METHODS = {
    "__init__": ["workspace_file"],
    "add_layer": ["role", "filename"],
    "add_mesh_layer": ["filename", "tp"],
    "add_tag": ["folder", "new_tag"],
    "clear_labels": [],
    "export_workspace": ["new_workspace", "scramble_filenames"],
    "find_layer_by_role": ["role", "pos_in_role"],
    "find_layers_by_tag": ["tag"],
    "get_layer_actual_path": ["folder"],
    "get_layer_folder": ["layer_index"],
    "get_layer_folder_by_key": ["layer_key"],
    "get_main_layer_key": [],
    "get_mesh_layer_folder": ["layer_index"],
    "get_number_of_layers": [],
    "get_number_of_mesh_layers": [],
    "get_tags": ["folder"],
    "get_workspace_directory": [],
    "is_key_valid_layer": ["key"],
    "is_key_valid_mesh_layer": ["key"],
    "layer_spec_to_key": ["layer_spec"],
    "load_workspace": ["workspace_file"],
    "put_tags": ["folder", "tags"],
    "remove_tag": ["folder", "tag"],
    "save_workspace": ["workspace_file"],
    "set_all_layer_paths_to_actual_paths": [],
    "set_labels": ["label_file"],
    "set_layer": ["role", "filename"],
    "set_layer_nickname": ["layer_key", "value"],
}
#: Those that its README shows and it does not have.
README_METHODS = {
    "add_tag_to_layer": ["layer_key", "tag"],
    "remove_tag_from_layer": ["layer_key", "tag"],
    "load_color_label_file_to_registry": ["label_file", "registry"],
}
REGISTRY_METHODS = {
    "__init__": ["filename"],
    "clear": [],
    "collect_keys": ["prefix"],
    "entry": ["key"],
    "find_folders_from_pattern": ["pattern"],
    "folder": ["key"],
    "get_array": ["default_element"],
    "get_entry_keys": [],
    "get_folder_keys": [],
    "has_entry": ["key"],
    "has_folder": ["key"],
    "is_empty": [],
    "key": ["format_str", "args"],
    "print": ["indent", "prefix"],
    "put_array": ["array"],
    "read_from_file": ["filename"],
    "read_from_xml_file": ["filename"],
    "update": ["other"],
    "write_to_file": ["filename", "header"],
    "write_to_xml_file": ["filename", "header"],
}
VALUE_METHODS = {
    "__init__": ["value"],
    "get": ["default_value"],
    "get_string": [],
    "is_null": [],
    "set": ["value"],
}


def methods(kind: type) -> dict[str, list[str]]:
    return {
        name: [word for word in inspect.signature(method).parameters if word != "self"]
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if name == "__init__" or not name.startswith("_")
    }


def test_all_methods_have_their_arguments():
    assert methods(WorkspaceWrapper) == WORKSPACE_METHODS | README_METHODS
    assert methods(Registry) == REGISTRY_METHODS
    assert methods(RegistryValue) == VALUE_METHODS


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the recorded inputs, in which the scripts run."""
    folder = tmp_path / "inputs"
    place_inputs(folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def study(inputs: Path) -> WorkspaceWrapper:
    return WorkspaceWrapper("base.itksnap")


# ------------------------------------------------------------------------------- layers


@pytest.mark.parametrize(
    ("role", "place", "key"),
    [
        ("MainRole", 0, FIRST),
        ("MainRole", 1, ""),
        ("OverlayRole", 0, SECOND),
        ("OverlayRole", -1, FOURTH),
        ("AnatomicalRole", 0, FIRST),
        ("AnatomicalRole", 1, SECOND),
        ("SegmentationRole", 0, THIRD),
        ("SegmentationRole", 1, ""),
        ("NoRole", 0, ""),
        ("", 0, ""),
    ],
)
def test_a_layer_is_found_by_role(study, role, place, key):
    assert study.find_layer_by_role(role, place) == key


@pytest.mark.parametrize(
    ("specification", "key"),
    [
        *(("M", FIRST), ("m", FIRST), ("S", THIRD), ("S:0", THIRD), ("O", SECOND), ("O:0", SECOND)),
        *(("O:-1", FOURTH), ("A:0", FIRST), ("0", FIRST), ("1", SECOND), ("002", THIRD)),
    ],
)
def test_a_layer_is_found_by_specification(study, specification, key):
    assert study.layer_spec_to_key(specification) == key


def test_a_layer_is_found_by_specification_whether_its_file_is_there_or_not(inputs):
    assert WorkspaceWrapper("gui.itksnap").layer_spec_to_key("1") == SECOND


@pytest.mark.parametrize("specification", ["9", "-1", "X", "", FIRST, "O:7", "M:1"])
def test_a_specification_of_no_layer_is_refused(study, specification):
    with pytest.raises(LayerNotFound):
        study.layer_spec_to_key(specification)


def test_layers_are_counted_named_and_validated(study):
    assert (study.get_number_of_layers(), study.get_number_of_mesh_layers()) == (4, 0)
    assert study.get_main_layer_key() == FIRST
    assert study.find_layers_by_tag("Target") == [FIRST]
    assert study.find_layers_by_tag("nothing") == []
    assert study.is_key_valid_layer(FIRST)
    for key in ("Layers.Layer[0]", "Layers.Layer[009]", "MeshLayers.Layer[000]", "x"):
        assert not study.is_key_valid_layer(key)
        assert not study.is_key_valid_mesh_layer(key)
        assert study.get_layer_actual_path(key) == ""
        with pytest.raises(LayerNotFound):
            study.get_layer_folder_by_key(key)


def test_folders_of_layers_are_those_of_the_workspace(study, inputs):
    folder = study.get_layer_folder(1)
    assert folder == study.get_layer_folder_by_key(SECOND)
    assert folder == study.registry.folder(SECOND)
    folder["LayerMetaData.CustomNickName"].set("changed")
    study.save_workspace("out.itksnap")
    assert Workspace.open("out.itksnap").layer(1).nickname == "changed"
    with pytest.raises(LayerNotFound):
        study.get_layer_folder(-1)
    with pytest.raises(LayerNotFound):
        study.get_mesh_layer_folder(0)


def test_a_mesh_layer_has_a_folder_and_a_key(inputs):
    study = WorkspaceWrapper("mesh.itksnap")
    assert study.get_number_of_mesh_layers() == 1
    assert study.is_key_valid_mesh_layer("MeshLayers.Layer[000]")
    key = study.add_mesh_layer("tri.stl", 2)
    assert key == "MeshLayers.Layer[001]"
    folder = study.get_mesh_layer_folder(1)
    stored = "MeshTimePoints.TimePoint[002].PolyData[000].AbsolutePath"
    assert folder[stored].get() == (inputs / "tri.stl").as_posix()


@pytest.mark.parametrize(
    ("role", "stored"),
    [
        ("OverlayRole", "OverlayRole"),
        ("SegmentationRole", "SegmentationRole"),
        ("AnatomicalRole", "OverlayRole"),
    ],
)
def test_a_layer_is_added_at_the_end(study, inputs, role, stored):
    key = study.add_layer(role, "b.nii.gz")
    assert key == "Layers.Layer[004]"
    folder = study.get_layer_folder_by_key(key)
    assert folder["Role"].get() == stored
    assert folder["AbsolutePath"].get() == (inputs / "b.nii.gz").as_posix()
    assert study.get_number_of_layers() == 5


def test_a_second_main_image_and_an_unknown_role_are_refused(study):
    with pytest.raises(InvalidValue, match="already is a main image"):
        study.add_layer("MainRole", "a.nii.gz")
    for add in (study.add_layer, study.set_layer):
        with pytest.raises(InvalidValue, match="not a role of a layer"):
            add("main", "a.nii.gz")
    assert study.get_number_of_layers() == 4


@pytest.mark.parametrize(
    ("role", "key"), [("MainRole", FIRST), ("SegmentationRole", THIRD), ("OverlayRole", SECOND)]
)
def test_setting_a_layer_replaces_the_first_of_its_role(study, inputs, role, key):
    assert study.set_layer(role, "b.nii.gz") == key
    folder = study.get_layer_folder_by_key(key)
    assert folder["AbsolutePath"].get() == (inputs / "b.nii.gz").as_posix()
    assert not folder.has_entry("Tags")
    assert study.get_number_of_layers() == 4
    if role == "MainRole":
        assert folder["ProjectMetaData.Files.Grey.Dimensions"].get([0]) == [9, 11, 7]


def test_a_new_workspace_is_built_from_nothing(inputs):
    made = WorkspaceWrapper()
    assert (made.get_number_of_layers(), made.get_workspace_directory()) == (0, "")
    assert made.find_layer_by_role("MainRole") == ""
    for call in (made.get_main_layer_key, lambda: made.set_labels("labels.txt")):
        with pytest.raises(LayerNotFound):
            call()
    assert made.add_layer("MainRole", "a.nii.gz") == FIRST
    assert made.add_layer("OverlayRole", "b.nii.gz") == SECOND
    assert made.set_layer("SegmentationRole", "s.nii.gz") == THIRD
    made.set_labels("labels.txt")
    made.save_workspace("made.itksnap")
    assert made.get_workspace_directory() == os.fspath(inputs)
    read = Workspace.open("made.itksnap")
    assert [layer.path.name for layer in read.layers()] == ["a.nii.gz", "b.nii.gz", "s.nii.gz"]
    assert [label.index for label in read.labels] == [1, 2, 5, 10]


def test_the_files_of_a_moved_workspace_are_found(inputs):
    moved = WorkspaceWrapper("moved/base.itksnap")
    assert moved.moved
    assert moved.workspace_saved_dir == "/old/place"
    assert moved.workspace_file_dir == os.fspath(inputs / "moved")
    assert moved.workspace_file_path == os.fspath(inputs / "moved" / "base.itksnap")
    there = (inputs / "moved" / "a.nii.gz").as_posix()
    assert moved.get_layer_actual_path(FIRST) == there
    assert moved.get_layer_actual_path(moved.get_layer_folder(0)) == there
    moved.set_all_layer_paths_to_actual_paths()
    assert moved.get_layer_folder(0)["AbsolutePath"].get() == there
    assert not WorkspaceWrapper("base.itksnap").moved


# ------------------------------------------------------------------------ tags and labels


def test_tags_of_a_folder_are_a_set(study):
    folder = study.get_layer_folder(0)
    study.add_tag(folder, "New")
    study.add_tag(folder, "New")
    assert study.get_tags(folder) == {"Target", "New"}
    study.remove_tag(folder, "Target")
    study.remove_tag(folder, "nothing")
    assert study.get_tags(folder) == {"New"}
    study.put_tags(folder, {"q", "b"})
    assert folder["Tags"].get() == "b,q"
    study.put_tags(folder, set())
    assert study.get_tags(folder) == set()
    folder["Tags"].set("a,, b ")
    assert study.get_tags(folder) == {"a", "b"}


def test_tags_and_nicknames_are_set_by_key(study):
    study.add_tag_to_layer(SECOND, "result")
    study.remove_tag_from_layer(SECOND, "Zeta")
    assert study.get_tags(study.get_layer_folder(1)) == {"Alpha", "Source", "result"}
    study.set_layer_nickname(SECOND, "Mine")
    assert study.get_layer_folder(1)["LayerMetaData.CustomNickName"].get() == "Mine"
    for call in (study.add_tag_to_layer, study.remove_tag_from_layer, study.set_layer_nickname):
        with pytest.raises(LayerNotFound):
            call("1", "x")


def test_labels_are_those_of_the_file_or_as_they_were(study):
    study.set_labels("labels.txt")
    table = study.registry.folder(f"{FIRST}.ProjectMetaData.IRIS.LabelTable")
    assert table["Element[1].Label"].get() == "CA1 (head)"
    assert table["Element[1].Flags"].get([0]) == [0, 1]
    with pytest.raises(TextFileError):
        study.set_labels("labels_bad.txt")
    with pytest.raises(TextFileError):
        study.set_labels("nofile.txt")
    assert table["NumberOfElements"].get(0) == 4
    other = Registry()
    for load in (load_color_label_file_to_registry, study.load_color_label_file_to_registry):
        load("labels.txt", other)
        assert other == table
    study.clear_labels()
    assert table["NumberOfElements"].get(7) == 0


# ------------------------------------------------------------------------------- files


@pytest.mark.parametrize("scramble", [True, False])
def test_an_export_is_a_workspace_beside_its_images(study, inputs, scramble):
    study.export_workspace("sent/out.itksnap", scramble_filenames=scramble)
    exported = Workspace.open("sent/out.itksnap")
    names = [layer.path.name for layer in exported.layers()]
    assert sorted(file.name for file in (inputs / "sent").iterdir()) == [
        *sorted(names),
        "out.itksnap",
    ]
    assert [layer.role for layer in exported.layers()] == [
        layer.role for layer in Workspace.open("base.itksnap").layers()
    ]
    assert (names[0] == "layer_000_a.nii.gz") is not scramble


def test_an_export_of_another_name_is_refused(study, inputs):
    with pytest.raises(ArchiveError, match="must end in .itksnap"):
        study.export_workspace("sent/out.xml")
    assert not (inputs / "sent").exists()


def test_files_that_cannot_be_read_are_refused(inputs):
    with pytest.raises(WorkspaceError):
        WorkspaceWrapper("nix.itksnap")
    with pytest.raises(RegistryError):
        WorkspaceWrapper("labels.txt")
    with pytest.raises(ImageError):
        WorkspaceWrapper().add_layer("MainRole", "labels.txt")


# ----------------------------------------------------------------------------- registry


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [
        *(("1", 0, 1), ("1.5", 7, 7), ("x", 7, 7), ("1 ", 0, 1)),
        *(("1.5", 0.0, 1.5), ("1e-07", 0.0, 1e-7), ("x", 7.5, 7.5)),
        *(("True", False, True), ("yes", False, True), ("1", False, True), ("0", True, False)),
        *(("x", True, False), ("x", None, "x"), ("x", "d", "x"), ("", "d", "")),
        *(
            ("1 2", [0], [1, 2]),
            ("1 x", [0], [0]),
            ("1 2", (7,), (1, 2)),
            ("a b", ["q"], ["a", "b"]),
        ),
        *(("1.5", [7.5], [1.5]), ("", [7], [])),
    ],
)
def test_a_value_is_of_the_kind_of_the_default(text, default, value):
    found = RegistryValue(text)
    assert (found.get(default), found[default]) == (value, value)
    assert type(found.get(default)) is type(value)


def test_a_value_that_is_not_set_is_the_default():
    value = RegistryValue()
    assert value.is_null()
    assert value.get_string() == ""
    assert [value.get(one) for one in (None, 1, "d")] == [None, 1, "d"]
    assert value == RegistryValue()
    value.set(None)
    assert not value.is_null()
    assert (value.get(), value) == ("None", RegistryValue("None"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.5, "1.5"),
        (True, "True"),
        ([1, 2], "1 2"),
        ((1.0, 2.5), "1.0 2.5"),
        ("<&>", "<&>"),
    ],
)
def test_a_value_is_set_as_text(value, text):
    registry = Registry()
    registry.entry("A.B").set(value)
    assert registry["A.B"].get_string() == text


def test_entries_and_folders():
    registry = Registry()
    assert registry.is_empty()
    assert registry["a"].is_null()
    assert registry.is_empty(), "looking writes nothing"
    for key in ("z", "a", "M.q", "B.q"):
        registry[key].set(key)
    assert registry.get_entry_keys() == ["z", "a"]
    assert registry.get_folder_keys() == ["M", "B"]
    assert registry.collect_keys("P.") == ["P.M.q", "P.B.q", "P.z", "P.a"]
    assert (registry.has_entry("M.q"), registry.has_entry("M.x")) == (True, False)
    assert (registry.has_folder("M"), registry.has_folder("X")) == (True, False)
    assert registry.find_folders_from_pattern("[MX]") == ["M"]
    assert registry.folder("M").collect_keys() == ["q"]
    assert Registry.key("Layer[%03d]", 5) == "Layer[005]"
    other = Registry()
    other["M.q"].set("other")
    assert other != registry
    registry.update(other)
    assert registry["M.q"].get() == "other"
    registry.clear()
    assert registry.is_empty()


def test_a_registry_is_printed_folders_first(capsys):
    registry = Registry()
    registry["a"].set(1)
    registry["F.G.k"].set("v")
    registry.print()
    assert capsys.readouterr().out == "F:\n  G:\n    k = v\na = 1\n"


def test_arrays():
    folder = Registry().folder("array")
    assert folder.get_array(0) == []
    folder.put_array([1, 2, 3])
    assert (folder.get_array(0), folder.get_array("")) == ([1, 2, 3], ["1", "2", "3"])
    folder.put_array(["x"])
    assert folder.collect_keys() == ["ArraySize", "Element[0]"]


def test_a_registry_is_written_and_read(inputs):
    registry = Registry("base.itksnap")
    registry["A.B"].set("<&>\"'")
    registry.write_to_xml_file("out.xml", "a remark")
    assert "<!-- a remark -->" in Path("out.xml").read_text(encoding="utf-8")
    assert Registry("out.xml") == registry
    merged = Registry("out.xml")
    merged.read_from_xml_file("gui.itksnap")
    assert merged["A.B"].get() == "<&>\"'"
    assert merged[f"{FIRST}.AbsolutePath"].get() == "/data/study/a.nii.gz"
    for name in ("nix", "labels.txt"):
        with pytest.raises(WorkspaceError):
            Registry(name)


# ------------------------------------------------------- scripts, their import alone changed


def test_a_script_that_edits_a_workspace(inputs):
    study = WorkspaceWrapper("base.itksnap")
    study.add_layer("OverlayRole", "s.nii.gz")
    study.set_layer_nickname(SECOND, "A segmentation")
    study.add_tag_to_layer(SECOND, "result")
    study.set_labels("labels.txt")
    study.export_workspace("sent/output.itksnap", scramble_filenames=True)
    study.save_workspace("modified.itksnap")
    for name in ("sent/output.itksnap", "modified.itksnap"):
        read = Workspace.open(name)
        assert read.layer(1).nickname == "A segmentation"
        assert "result" in read.layer(1).tags
        assert len(read.layers()) == 5
        assert [label.index for label in read.labels] == [1, 2, 5, 10]
        assert all(layer.path.exists() for layer in read.layers())


def provide(server: str, work: Path, tickets: int) -> None:
    """Serve tickets as such a script does, but for the number of its turns."""
    client = DSSClient(server)
    client.login()
    services = client.dssp_list_services()
    wanted = services["hash"].iloc[0]
    for _ in range(tickets):
        found = client.dssp_wait_for_ticket([wanted], "my_provider", "instance_1", timeout=60)
        if found is not None:
            number = found["ticket"].iloc[0]
            process(client, number, f"{work}/ticket_{number}")


def process(client: DSSClient, number: int, folder: str) -> None:
    try:
        client.dssp_log(number, "info", "Fetching the input")
        client.dssp_download_ticket(number, folder)
        name = next(name for name in os.listdir(folder) if name.endswith(".itksnap"))  # noqa: PTH208
        study = WorkspaceWrapper(os.path.join(folder, name))  # noqa: PTH118 - as such scripts have it
        client.dssp_set_progress(number, 0.3)
        main = study.get_layer_actual_path(study.get_main_layer_key())
        key = study.add_layer("SegmentationRole", main)
        study.set_layer_nickname(key, "Result")
        client.dssp_set_progress(number, 0.8)
        result = os.path.join(folder, "result.itksnap")  # noqa: PTH118
        study.save_workspace(result)
        client.dssp_log(number, "info", "Sending the result")
        client.dssp_upload_ticket(number, result)
        client.dssp_set_progress(number, 1.0)
        client.dssp_set_status(number, "success")
    except Exception as error:  # noqa: BLE001 - as such scripts have it
        client.dssp_log(number, "error", f"Failed: {error}")
        client.dssp_set_status(number, "failed")


def test_a_script_that_serves_tickets(
    middleware: Middleware,
    client: Client,
    service: str,  # noqa: F811
    token: str,  # noqa: F811
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    pytest.importorskip("pandas", reason="needs the extra 'compat'")
    ticket = client.submit(workspace, service)
    monkeypatch.setattr("getpass.getpass", lambda _: token)
    provide(middleware.url, tmp_path, 1)
    detail = client.detail(ticket)
    assert detail.status is TicketStatus.SUCCESS
    messages = [entry.message for entry in detail.log[2:]]
    assert messages == ["Fetching the input", "Sending the result"]
    result = Workspace.open(client.download(ticket, tmp_path / "result"))
    (segmentation,) = [layer for layer in result.layers() if layer.nickname == "Result"]
    assert segmentation.path.parent == tmp_path / "result"
