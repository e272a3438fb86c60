"""The page about a workspace: what it says, whatever the workspace is."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version

import nibabel
import numpy as np
import pytest
from lxml import html
from PIL import Image

from snapws import Label, Workspace, WorkspaceError
from snapws.archive import archive
from snapws.report import report_page, save_page, slices
from snapws.report.document import MOST_ROWS, MOST_TEXT, element, table, typed


def image(path, voxels, spacing=(1, 1, 1)):
    nibabel.Nifti1Image(voxels, np.diag([*spacing, 1])).to_filename(path)
    return path


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Draw small pictures: what tests look at is not in them."""
    monkeypatch.setattr(slices, "SIZE", 32)


@pytest.fixture
def ws(tmp_path) -> Workspace:
    """A main image, an overlay and a segmentation of two labels, one of which has a name."""
    main = np.arange(24 * 20 * 60, dtype=np.int16).reshape(24, 20, 60)
    labels = np.zeros(main.shape, np.uint8)
    labels[2:4, 3:6, 6:11] = 1
    labels[0, 0, 0] = 2
    spacing = (-2, 1, 0.5)
    made = Workspace()
    made.set_main(image(tmp_path / "t1.nii.gz", main, spacing)).nickname = "T1"
    made.add_overlay(image(tmp_path / "pet.nii.gz", -main, spacing), tags=["Source"])
    made.add_segmentation(image(tmp_path / "seg.nii.gz", labels, spacing), nickname="Draft")
    made.labels = [Label(1, "Liver", (255, 0, 16)), Label(5, "Spleen", visible=False)]
    made.layers()[1].transform = [[1, 0, 0, 12.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    made.save(tmp_path / "study.itksnap")
    return made


def made(workspace: Workspace) -> html.HtmlElement:
    return html.document_fromstring(report_page(workspace))


def rows(page, caption: str) -> list[list[str]]:
    """Return the texts of the cells of the table whose caption begins so, its head first."""
    (found,) = (
        one for one in page.iter("table") if one.find("caption").text_content().startswith(caption)
    )
    return [[cell.text_content() for cell in row] for row in found.iter("tr")]


def section(page, name: str) -> str:
    (found,) = (one for one in page.iter("section") if one.find("h2").text == name)
    return found.text_content()


def test_layers(ws, tmp_path):
    head, main, overlay, segmentation = rows(made(ws), "Image layers")
    assert head == [
        *("Layer", "Role", "Nickname", "Tags", "File", "Size", "Spacing, mm", "Type", "Axes"),
        "Transform",
    ]
    assert main == [
        *("000", "main", "T1", "", "t1.nii.gz", "24 × 20 × 60", "2 × 1 × 0.5", "int16", "LAS"),
        "identity",
    ]
    assert overlay[1:4] == ["overlay", "", "Source"]
    numbers = [float(number) for number in overlay[9].split()]
    assert numbers == [1, 0, 0, 12.5, 0, 1, 0, 0, 0, 0, 1, 0]
    assert segmentation[7] == "uint8"


def test_labels_with_their_volumes(ws):
    page = made(ws)
    assert rows(page, "Segmentation, layer 002 (a voxel has 1 mm³)") == [
        ["Label", "Name", "Shown in slices", "Shown in 3-D", "Voxels", "Volume, mm³"],
        ["1", "Liver", "yes", "yes", "30", "30.0"],
        ["2", "not in the label table", "", "", "1", "1.0"],
        ["5", "Spleen", "no", "yes", "0", "0.0"],
    ]
    assert "#ff0010" in [one.get("fill") for one in page.iter("rect")]
    assert ["layer 002", "labels", "its labels 2 are not in the label table"] in rows(page, "1 ")


def test_volumes_show_every_voxel_however_small(ws, tmp_path):
    labels = np.zeros((24, 20, 60), np.uint8)
    labels[0, 0, :7] = 1
    fine = image(tmp_path / "fine.nii.gz", np.zeros((24, 20, 60), np.int16), (0.01, 0.01, 0.02))
    ws.main.file = fine
    ws.set_segmentation(image(tmp_path / "labels.nii.gz", labels))  # of other voxels, it says
    assert rows(made(ws), "Segmentation, layer 002 (a voxel has 2e-06 mm³)")[1:] == [
        ["1", "Liver", "yes", "yes", "7", "0.0000140"],
        ["5", "Spleen", "no", "yes", "0", "0.0000000"],
    ]


def test_labels_that_are_there_are_listed_however_long_the_table_is(ws, tmp_path):
    labels = np.zeros((24, 20, 60), np.int16)
    labels[0, 0, :7] = 14175
    ws.set_segmentation(image(tmp_path / "atlas.nii.gz", labels))
    ws.labels = [Label(1 + 10 * i, f"area {i}") for i in range(MOST_ROWS)]
    caption = f"Segmentation, layer 002 (a voxel has 1 mm³), without {MOST_ROWS:,} labels that no"
    (row,) = rows(made(ws), caption)[1:]
    assert row == ["14175", "not in the label table", "", "", "7", "7.0"]


def test_several_components_are_told_of(ws, tmp_path):
    vectors = np.zeros((4, 5, 6, 1, 3), np.float32)
    ws.add_overlay(image(tmp_path / "vectors.nii.gz", vectors))
    assert rows(made(ws), "Image layers")[-1][5:8] == [
        "4 × 5 × 6",
        "1 × 1 × 1",
        "float32, 3 components",
    ]


def test_an_image_of_two_axes(ws, tmp_path):
    flat = Workspace()
    flat.set_main(image(tmp_path / "flat.nii.gz", np.zeros((30, 20, 1), np.int16)))
    flat.add_segmentation(image(tmp_path / "plane.nii.gz", np.ones((30, 20), np.uint8)))
    flat.labels = [Label(1, "one")]
    page = made(flat)
    assert [row[5] for row in rows(page, "Image layers")[1:]] == ["30 × 20 × 1"] * 2
    assert "Every file is there" in page.text_content()


def test_what_the_pictures_show(ws, tmp_path):
    ws.layers()[1].display.sticky = True
    assert "Drawn, from below: 000 T1, 001 pet.nii.gz, 002 Draft." in section(made(ws), "Pictures")
    ws.layers()[1].display.sticky = False
    series = np.zeros((24, 20, 60, 2), np.uint8)
    ws.main.file = ws.set_segmentation(
        image(tmp_path / "moving.nii.gz", series), any_size=True
    ).file
    shown = section(made(ws), "Pictures")
    assert "Layer 001 is not in the pictures: the workspace says" in shown
    assert "Drawn, from below: 000 T1, 002 moving.nii.gz. The first of several time points" in shown


def test_overlays_that_are_not_sticky_are_tiles(ws, tmp_path):
    field = np.zeros((24, 20, 60, 1, 3), np.float32)
    ws.add_overlay(image(tmp_path / "field.nii.gz", field, (-2, 1, 0.5)), nickname="Field")
    page = made(ws)
    found = page.findall(".//div[@class='tile']")
    assert [one.find("p").text_content() for one in found] == [
        "001 pet.nii.gz",
        "003 Field",
    ]
    assert all(one.find("img").get("src").startswith("data:image/webp") for one in found)
    ws.layers()[3].file = tmp_path / "gone.nii.gz"
    ws.layers()[1].display.sticky = True
    assert made(ws).find(".//div[@class='tile']") is None


def test_a_page_has_a_dozen_tiles_and_counts_the_others(ws):
    for _ in range(13):
        ws.add_overlay(ws.layers()[1].path)
    page = made(ws)
    assert len(page.findall(".//div[@class='tile']")) == 12
    assert "pictures of its own (the first 12)." in section(page, "Pictures")


def test_meshes_and_annotations_are_in_the_pictures_and_a_line_names_those_that_are_not(
    ws, tmp_path
):
    assert "mesh:" not in section(made(ws), "Pictures")
    plain = [one.get("src") for one in made(ws).iterfind(".//figure//img")]
    ws.add_landmark((10, 10, 30), "Fovea")
    page = made(ws)
    marked = [one.get("src") for one in page.iterfind(".//figure//img")]
    assert 0 < sum(a != b for a, b in zip(plain, marked, strict=True)) < 10
    assert "Not in the pictures" not in section(page, "Pictures")
    ws.add_mesh(tmp_path / "cortex.vtk")
    name = tmp_path / "cortex.vtk"
    assert f"Not in the pictures: mesh:0: its file {name} " in section(made(ws), "Pictures")


def test_annotations_are_in_a_table_with_their_texts_and_places(ws):
    assert "Annotations" not in section(made(ws), "Layers")
    ws.add_landmark((1, 2, 3), "Fovea <b>")
    ws.add_line((0, 0, 0), (2, 0, 0))
    page = made(ws)
    first, second = rows(page, "Annotations")[1:]
    place = "; ".join(" ".join(f"{x:g}" for x in p) for p in ws.markups()[0].points)
    assert first[:2] == ["0", "Landmark"]
    assert first[-1] == place
    assert "Fovea <b>" in first
    assert second[:2] == ["1", "LineSegment"]
    assert second[-1].count(";") == 1


def test_a_layer_that_cannot_be_drawn_spoils_no_other(ws):
    ws.layers()[1].registry["ImageTransform.Matrix.Element[0][0]"] = "nan"
    page = made(ws)
    assert rows(page, "2 found")[1][:2] == ["layer 001", "settings"]
    assert "Not in the pictures: layer 001." in section(page, "Pictures")
    assert len(list(page.iter("figure"))) == 3


def test_long_narrow_pictures_stand_in_the_middle_of_black(ws, tmp_path):
    long = Workspace()
    long.set_main(image(tmp_path / "cord.nii.gz", np.full((4, 4, 64), 9, np.int16)))
    figures = {one.findtext(".//label"): one for one in made(long).iter("figure")}
    sizes = {
        name: tuple(int(one.find(".//img").get(side)) for side in ("width", "height"))
        for name, one in figures.items()
    }
    assert sizes == {"Axial": (2, 2), "Sagittal": (21, 32), "Coronal": (21, 32)}


def test_the_bar_is_as_long_as_it_says(ws):
    """The main image is 48 x 20 x 30 mm: the longest side has 32 pixels of 1.5 mm."""
    bars = ((10, 10 / 48), (5, 5 / 19.5), (10, 10 / 48))
    for figure, (length, share) in zip(made(ws).iter("figure"), bars, strict=True):
        assert figure.find(".//span[@class='length']").text == f"{length} mm"
        (bar,) = figure.findall(".//svg/rect")
        assert float(bar.get("width").rstrip("%")) == pytest.approx(100 * share, abs=0.01)


@pytest.mark.parametrize(("length", "start"), [(48, 5), (49, 5), (200, 101), (4801, 4800)])
def test_the_slice_to_begin_with_is_among_the_chosen(length, start):
    chosen = slices._chosen(length, start)
    assert start in chosen
    assert len(chosen) <= slices.MOST_SLICES
    assert chosen[-1] < length


def test_labels_of_several_time_points(ws, tmp_path):
    voxels = np.zeros((24, 20, 60, 2), np.uint8)
    voxels[0, 0, :3, 1] = 1
    moving = image(tmp_path / "moving.nii.gz", voxels, (-2, 1, 0.5))
    ws.set_segmentation(moving, any_size=True)
    assert rows(made(ws), "Segmentation, layer 002")[1:] == [
        ["1", "2", "Liver", "yes", "yes", "3", "3.0"]
    ]


def test_a_segmentation_that_itksnap_does_not_open_is_in_no_picture(ws, tmp_path):
    small = image(tmp_path / "small.nii.gz", np.ones((5, 4, 3), np.uint8))
    ws.set_segmentation(small, any_size=True)
    page = made(ws)
    assert "Not in the pictures: layer 002." in section(page, "Pictures")
    assert "its size is 5 x 4 x 3, that of the main image 24 x 20 x 60" in page.text_content()


def test_an_archive_keeps_and_removes_the_data_that_the_page_lists(ws, tmp_path):
    """The page foretells the report of the archive, which is made here to compare."""
    (tmp_path / "cortex.vtk").write_text(
        "# vtk DataFile Version 3.0\nx\nASCII\nDATASET POLYDATA\nPOINTS 3 float\n"
        "0 0 0 1 0 0 0 1 0\nPOLYGONS 1 4\n3 0 1 2\n"
    )
    ws.add_mesh(tmp_path / "cortex.vtk", nickname="Cortex")
    ws.add_landmark((1, 2, 3), "here", tags=["seen"])
    ws.registry["Unknown.Key"] = "secret"
    for number in range(2):
        ws.registry[f"Unknown.Array[{number}].Name"] = "x"
    page, real = made(ws), archive(ws, tmp_path / "archive")
    kept = rows(page, "Texts that it keeps")[1:]
    assert sorted(row[:3] for row in kept) == sorted(
        [one.kind, one.text, one.key] for one in real.kept
    )
    strict = archive(ws, tmp_path / "strict", privacy="strict")
    stay = sorted(row[2] for row in kept if row[3] == "stays")
    assert stay == sorted(one.key for one in strict.kept)
    registry = Workspace.open(strict.workspace).registry
    for _, _, key, then in kept:
        text = registry.get(key)
        assert then in ("stays", f"becomes {text!r}" if text else "goes")
    removed = dict(rows(page, "Registry entries that it leaves out")[1:])
    assert {key: int(count) for key, count in removed.items()} == real.dropped
    files = [row[2] for row in rows(page, "Files of the archive")[1:]]
    assert len(files) == len(real.files) - 1
    for told, there in zip(files, real.files, strict=False):
        assert there.name.startswith(told.partition("<")[0])


def test_versions_and_what_the_page_gives_away(ws):
    page = made(ws)
    assert f"snapws{version('snapws')}" in section(page, "Versions")
    assert page.find(".//p[@role='note']").text_content() == (
        "This page shows file names and paths of this machine and texts of the workspace: "
        "do not pass it on as anonymous."
    )


def test_slices_at_even_distances_and_the_one_through_the_segmentation(ws):
    figure, *_ = (one for one in made(ws).iter("figure"))
    frames = figure.findall(".//img")
    places = [int(re.search("slice ([0-9]+) of 60", one.get("data-place"))[1]) for one in frames]
    assert places == [*range(1, 61, 2)]
    (shown,) = (one for one in frames if one.get("hidden") is None)
    assert shown.get("data-place") == "Axial slice 9 of 60"  # the labels lie on 6 to 10, from 0
    assert shown.get("alt") == (
        "Axial slice 9 of 60: right at the left, left at the right, anterior at the top, "
        "posterior at the bottom"
    )
    (slider,) = figure.iter("input")
    assert (slider.get("max"), slider.get("value")) == ("29", "4")
    assert figure.find(".//output").text == "Axial slice 9 of 60"


def test_an_image_that_no_archive_takes_is_told_of_as_the_archive_does(ws, tmp_path):
    """Its header names a file of voxels elsewhere, which the page does not show, either."""
    pytest.importorskip("SimpleITK", reason="needs the extra 'formats'")
    (tmp_path / "secret.raw").write_bytes(bytes(24 * 20 * 60))
    (tmp_path / "study").mkdir()
    header = "ObjectType = Image\nNDims = 3\nDimSize = 24 20 60\nElementType = MET_UCHAR\n"
    detached = tmp_path / "study" / "a.mhd"
    detached.write_text(f"{header}ElementDataFile = ../secret.raw\n")
    ws.add_overlay(detached)
    with pytest.raises(WorkspaceError) as refusal:
        archive(ws, tmp_path / "archive")
    page = made(ws)
    told = {row[1]: row[2] for row in rows(page, "Files of the archive")[1:]}
    assert f"layer 003: {told['study/a.mhd'].removeprefix('refused: ')}" == str(refusal.value)
    assert told["pet.nii.gz"].startswith("layer_001_")
    assert "No archive can be made before this is mended: layer 003." in page.text_content()
    assert "Not in the pictures: layer 003." in section(page, "Pictures")


@pytest.mark.parametrize("harm", ["absent", "cut", "on a server", "no name"])
def test_a_layer_that_cannot_be_read_is_named_and_the_others_are_shown(ws, tmp_path, harm):
    overlay = ws.layers()[1]
    if harm == "absent":
        overlay.path.unlink()
    elif harm == "cut":
        overlay.path.write_bytes(overlay.path.read_bytes()[:-100])
    else:
        overlay.stored_path = "" if harm == "no name" else "https://example.org/pet.nii.gz"
    page = made(ws)
    assert "layer 001" in [row[0] for row in rows(page, "2 found")]
    assert "Not in the pictures: layer 001." in section(page, "Pictures")
    assert len(list(page.iter("figure"))) == 3
    assert "No archive can be made before this is mended: layer 001." in page.text_content()
    assert "see the problems" in rows(page, "Image layers")[2][4] or harm == "cut"


def test_without_the_main_image_another_is_shown_alone(ws):
    ws.main.path.unlink()
    page = made(ws)
    assert "the pictures show layer 001 alone" in section(page, "Pictures")
    assert len(list(page.iter("figure"))) == 3
    assert rows(page, "Segmentation, layer 002")[1][4] == "30"


def test_without_any_image_it_is_said_why_there_is_no_picture(ws):
    for layer in ws.layers():
        layer.path.unlink()
    page = made(ws)
    assert "There is no picture: no image of the workspace can be read." in page.text_content()
    assert rows(page, "Labels")[1] == ["1", "Liver", "yes", "yes"]


def test_a_workspace_of_nothing():
    page = made(Workspace())
    assert page.find(".//h1").text_content() == "New workspace"
    assert "has no main image" in section(page, "Missing files and other problems")


def test_what_no_archive_takes_is_named(ws, tmp_path):
    ply = "ply\nformat ascii 1.0\nelement vertex 0\nend_header\n"
    (tmp_path / "cortex.ply").write_text(ply, newline="\n")
    (tmp_path / "letter.ply").write_text("ply")
    (tmp_path / "cut.vtk").write_text("# vtk DataFile Version 3.0\n")
    for name in ("cortex.ply", "cut.vtk", "letter.ply"):
        ws.add_mesh(tmp_path / name)
    page = made(ws)
    assert "can be made before this is mended: mesh:1, mesh:2, mesh:0." in page.text_content()
    told = {row[1]: row[2] for row in rows(page, "Files of the archive")[1:]}
    assert told["cortex.ply"].startswith("refused: it cannot be scrubbed (--unscrubbed-meshes")
    assert told["letter.ply"].startswith("refused: it cannot be scrubbed, and is not a mesh")
    assert told["cut.vtk"] == "refused: it cannot be read"
    with pytest.raises(WorkspaceError):
        archive(ws, tmp_path / "archive")


def test_values_that_are_none_are_told_of(ws):
    ws.main.registry["ProjectMetaData.IRIS.LabelTable.Element[0].Color"] = "red"
    ws.layers()[1].registry["ImageTransform.Matrix.Element[0][0]"] = "x"
    page = made(ws)
    assert "There is no label table: " in section(page, "Labels and volumes")
    assert "'x'" in rows(page, "Image layers")[2][9]
    assert "There is no picture: " in section(page, "Pictures")


def test_without_pillow_there_are_no_pictures(ws, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    page = made(ws)
    assert "There is no picture: pictures need Pillow" in section(page, "Pictures")
    assert rows(page, "Segmentation, layer 002")[1][4] == "30"


def test_pictures_that_take_much_room_are_made_to_fit(monkeypatch):
    monkeypatch.undo()  # the real size
    rng, side = np.random.default_rng(1), slices.SIZE
    noise = [Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)) for _ in range(3)]
    most = slices.MOST_SLICES * 3 // len(noise) * sum(map(len, slices.webp(noise, 15)))
    assert most < slices.BUDGET  # nothing is harder to compress
    fine = sum(map(len, slices.webp(noise, 85)))
    assert slices.MOST_SLICES * 3 // len(noise) * fine > slices.BUDGET


def test_the_first_quality_that_fits_is_taken(monkeypatch):
    rng = np.random.default_rng(1)
    noise = [Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)) for _ in range(2)]
    fine, coarse = (sum(map(len, slices.webp(noise, quality))) for quality in (85, 40))
    assert sum(map(len, slices._addresses(noise))) == fine
    monkeypatch.setattr(slices, "BUDGET", coarse)
    assert sum(map(len, slices._addresses(noise))) == coarse


HOSTILE = '</script><script>document.title="x"</script>"\'&amp;<img src=x onerror=alert(1)>'


def test_texts_stay_texts(ws):
    ws.main.nickname = HOSTILE
    ws.main.tags = (HOSTILE,)
    ws.labels = [Label(1, HOSTILE)]
    ws.add_landmark((0, 0, 0), HOSTILE)
    page = made(ws)
    assert rows(page, "Image layers")[1][2:4] == [HOSTILE, HOSTILE]
    assert rows(page, "Segmentation, layer 002")[1][1] == HOSTILE
    assert len(list(page.iter("script"))) == 1
    assert all(one.get("src").startswith("data:image/webp;base64,") for one in page.iter("img"))


def test_signs_that_steer_are_shown_as_unreadable():
    signs = "a\x00b\x1b[31m\u202ec\u2066d\ud800e\ufffff\x7f\x85\u2028"
    shown = typed(signs).text
    assert shown == "a�b�[31m�c�d�e�f���"
    assert typed("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645").text.count("\u200c") == 1
    assert typed("one\r\ntwo").text == "one\ntwo"
    assert element("p", title="\x00").get("title") == "�"
    spaces = "Lobe\u00a0frontal, \u3000\u202f"
    assert typed(spaces).text == spaces


def test_much_is_cut():
    assert len(typed("x" * 10 * MOST_TEXT).text) < MOST_TEXT + 20
    long = table("Many", ("A", "B"), [(str(i), i) for i in range(MOST_ROWS + 1234)])
    assert len(list(long.iter("tr"))) == MOST_ROWS + 1
    assert long.find(".//caption").text == "Many (1,234 more are not shown)"


def test_a_page_replaces_a_page_and_nothing_else(ws, tmp_path):
    target = tmp_path / "page.html"
    save_page(report_page(Workspace()), target)
    save_page(data := report_page(ws), target)
    assert target.read_bytes() == data
    target.write_text("mine")
    with pytest.raises(WorkspaceError, match=r"page.html exists and is not a report: choose anoth"):
        save_page(data, target)
    assert target.read_text() == "mine"


def test_a_folder_that_is_not_there_is_named_before_images_are_read(ws, tmp_path):
    with pytest.raises(WorkspaceError, match=r"there is no such folder: make it first"):
        save_page(b"", tmp_path / "none" / "page.html")
