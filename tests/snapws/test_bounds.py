"""What a workspace of thousands of things costs: steps are counted, budgets are stated."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from snapws import InvalidValue, Label, RegistryError, Role, Workspace
from snapws.check import check_workspace
from snapws.images import read_header
from snapws.pictures import scene as scenes
from snapws.pictures.scene import Scene, View
from snapws.privacy import kept_texts, scrubbed
from snapws.registry import Registry, xml_format
from snapws.registry.tree import MAX_KEY
from snapws.report import contents, report_page, slices
from snapws.volumes import label_volumes


def image(path: Path, voxels) -> Path:
    nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(path)
    return path


def many(tmp_path: Path, count: int, role: Role = Role.OVERLAY) -> Workspace:
    """A workspace of as many layers, all of one file."""
    file = image(tmp_path / "a.nii", np.ones((2, 2, 2), np.uint8))
    made = Workspace()
    made.set_main(file)
    add = made.add_overlay if role is Role.OVERLAY else made.add_segmentation
    layer = add(file, nickname="One", tags=["Tag"])
    layer.display.sticky = True
    for number in range(2, count):
        made.registry.make_folder(f"Layers.Layer[{number:03d}]").update(layer.registry)
    made.labels = [Label(1, "One", (255, 0, 0))]
    made.save(tmp_path / "study.itksnap")
    return made


@pytest.fixture
def steps(monkeypatch) -> Callable[[Callable[[], object]], int]:
    """Count how often folders of registries are looked up while something is done."""
    count: Counter[str] = Counter()
    folder = Registry.folder

    def counted(registry: Registry, key: str) -> Registry | None:
        count["looked up"] += 1
        return folder(registry, key)

    monkeypatch.setattr(Registry, "folder", counted)

    def of(do: Callable[[], object]) -> int:
        count.clear()
        do()
        return count["looked up"]

    return of


@pytest.mark.parametrize("role", [Role.OVERLAY, Role.SEGMENTATION])
@pytest.mark.parametrize(
    "do",
    [
        pytest.param(lambda ws: [one.number for one in ws.layers()], id="numbers"),
        pytest.param(lambda ws: [one.existing() for one in ws.layers()], id="files"),
        pytest.param(lambda ws: list(ws.files()), id="named files"),
        pytest.param(lambda ws: scrubbed(ws, "strict"), id="scrubbed"),
        pytest.param(check_workspace, id="check"),
        pytest.param(lambda ws: ws.set_segmentation(ws.main.path), id="set segmentation"),
    ],
)
def test_the_work_grows_with_the_layers_and_no_faster(tmp_path, steps, role, do):
    few, more_of_them = many(tmp_path, 40, role), many(tmp_path, 160, role)
    less, more = steps(lambda: do(few)), steps(lambda: do(more_of_them))
    assert more < 6 * less  # a step for each pair of layers would make it 16 times


def test_a_number_follows_the_removal_of_others(tmp_path):
    ws = many(tmp_path, 6)
    third, last = ws.layers()[2], ws.layers()[5]
    ws.remove(ws.layers()[1])
    assert (third.number, last.number) == (1, 4)
    ws.remove(third)
    assert last.number == 3
    with pytest.raises(InvalidValue, match="has been removed"):
        third.number  # noqa: B018


# ------------------------------------------------------------------ registries


def nested(key: str, inner: str) -> bytes:
    return f'<registry><folder key="{key}">{inner}</folder></registry>'.encode()


def test_a_long_key_is_not_told_again_with_each_entry_below_it():
    xml_format.parse(nested("k" * (MAX_KEY - 2), '<entry key="a" value="1"/>'), "x")
    with pytest.raises(RegistryError, match=f"x, line 1: .* longer than {MAX_KEY} characters"):
        xml_format.parse(nested("k" * (MAX_KEY - 1), '<entry key="a" value="1"/>'), "x")
    registry = Registry()
    with pytest.raises(RegistryError, match="longer than"):
        registry[".".join(["k" * 500] * 9)] = ""


def test_entries_far_down_come_in_canonical_order():
    registry = Registry()
    deep = ".".join(["d"] * 200)
    for key in (f"{deep}.b", f"{deep}.a.x", f"{deep}.a", "d.z", "c", "d.d1.q"):
        registry[key] = key
    assert [key for key, _ in registry.walk()] == [
        "c",
        "d.z",
        f"{deep}.a",
        f"{deep}.b",
        f"{deep}.a.x",
        "d.d1.q",
    ]


@pytest.mark.parametrize("part", ["elements", "attributes", "bytes"])
def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path, part, monkeypatch):
    monkeypatch.setattr(xml_format, "MAX_NODES", 1000)
    monkeypatch.setattr(xml_format, "MAX_BYTES", 100_000)
    inner = {
        "elements": '<entry key="a"/>' * 700,
        "attributes": "<entry " + " ".join(f"a{i}=''" for i in range(2000)) + "/>",
        "bytes": f'<entry key="a" value="{"x" * 200_000}"/>',
    }[part]
    file = tmp_path / "huge.itksnap"
    file.write_text(f"<registry>{inner}</registry>")
    said = "more than 0 MB are not read" if part == "bytes" else "elements and attributes: more"
    with pytest.raises(Exception, match=re.escape(said)):
        Workspace.open(file)


def test_an_array_that_claims_to_be_long_costs_nothing(tmp_path):
    ws = many(tmp_path, 2)
    curve = "LayerMetaData.DisplayMapping.Curve"
    for layer in ws.layers():
        layer.registry[f"{curve}.NumberOfControlPoints"] = "99999"
        for number in (0, 1, 99998, 99999):
            layer.registry[f"{curve}.ControlPoint[{number}].tValue"] = "0.5"
    draft = scrubbed(ws, "standard").registry
    kept = [key for key, _ in draft.walk() if "tValue" in key]
    assert len(kept) == 6
    assert not any("[99999]" in key for key in kept)
    assert kept_texts(draft)


# ------------------------------------------------------------------ pictures and pages


def test_a_picture_has_a_budget_of_layers(tmp_path):
    assert len(Scene(many(tmp_path, scenes.MOST_LAYERS)).layers) == scenes.MOST_LAYERS
    ws = many(tmp_path, scenes.MOST_LAYERS + 1)
    with pytest.raises(InvalidValue, match=r"101 layers are to be drawn, a picture takes 100"):
        ws.picture()
    assert ws.picture(layers=["M", "O:0", "O:99"]).size


def test_a_picture_has_a_budget_of_pixels_and_components(tmp_path, monkeypatch):
    ws = many(tmp_path, 3)
    vectors = np.ones((2, 2, 2, 1, 7), np.float32)
    ws.layers()[1].file = image(tmp_path / "vectors.nii", vectors)
    scene = Scene(ws)
    assert scene.values == 9
    monkeypatch.setattr(scenes, "MOST_VALUES", 9 * 100)
    scene.draw([(View.AXIAL, 0)], 10)
    with pytest.raises(InvalidValue, match="1 slices of 11 pixels, with 3 layers of 9 components"):
        scene.draw([(View.AXIAL, 0)], 11)


def test_a_page_of_many_layers_shows_the_main_image_and_says_so(tmp_path):
    page = report_page(many(tmp_path, scenes.MOST_LAYERS + 1)).decode()
    assert "The pictures show the main image alone: of 101 layers" in page
    assert page.count("data:image/webp") == 6


def test_a_page_of_more_components_has_fewer_slices(tmp_path, monkeypatch):
    monkeypatch.setattr(slices, "SIZE", 16)  # how many there are has nothing to do with it
    ws = Workspace()
    ws.set_main(image(tmp_path / "a.nii", np.ones((60, 60, 60), np.uint8)))
    assert report_page(ws).count(b"data:image/webp") == 3 * 30  # every second slice
    for _ in range(3 * slices.MOST_WHOLE - 1):
        ws.add_overlay(ws.main.path).display.sticky = True
    assert report_page(ws).count(b"data:image/webp") == 3 * 15


def test_a_page_lists_the_labels_of_as_many_segmentations_as_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "MOST_TABLES", 3)
    page = report_page(many(tmp_path, 6, Role.SEGMENTATION)).decode()
    assert page.count("Segmentation, layer") == 2 * 3  # once as a table's name
    assert "2 more segmentations are not listed." in page


def test_labels_of_very_many_time_points_are_counted_each(tmp_path):
    voxels = np.arange(3 * 20_000, dtype=np.uint16).reshape(1, 1, 3, 20_000, order="F") % 5
    volumes = label_volumes(read_header(image(tmp_path / "time.nii", voxels))).voxels
    assert len(volumes) == 20_000
    assert volumes[0] == {0: 1, 1: 1, 2: 1}
    assert volumes[-1] == Counter(voxels[0, 0, :, -1].tolist())
