"""The page about a workspace in a real browser."""

from __future__ import annotations

import colorsys
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from playwright.sync_api import expect

from snapws import Label, Workspace, labels
from snapws.report import report_page, slices
from tests.browser.conftest import SCREENSHOTS

BRAIN = Path(__file__).parents[2] / "fixtures" / "brain"
HOSTILE = (
    '</bdi></style></script><script>document.title="run"</script>'
    '<img src=x onerror="document.title=1">"\'><svg onload=alert(1)>'
)


@pytest.fixture(scope="module")
def brain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a brain, an overlay moved by a transform, and a segmentation of it."""
    ws = Workspace()
    ws.set_main(BRAIN / "target.nii.gz").nickname = "Template"
    subject = ws.add_overlay(BRAIN / "source.nii.gz", nickname="Subject", tags=["Source"])
    subject.display.color_map = "Hot"
    subject.transform = [
        [1.0472, 0.0916, 0.0551, 4.2224],
        [-0.0871, 0.9552, 0.0670, -4.9771],
        [-0.0478, -0.0771, 1.0377, 1.7784],
        [0, 0, 0, 1],
    ]
    ws.add_segmentation(BRAIN / "target_labels.nii.gz", nickname="Tissues", tags=["Result"])
    ws.labels = labels.read_file(BRAIN / "labels.txt")
    folder = tmp_path_factory.mktemp("brain")
    ws.save(folder / "brain.itksnap")
    page = folder / "brain.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "MOST_SLICES", 6)
        page.write_bytes(report_page(ws))
    return page


@pytest.fixture(scope="module")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a workspace with twenty labels, hostile texts, a missing and a damaged file."""
    folder = tmp_path_factory.mktemp("awkward")
    x, y, z = np.indices((30, 34, 12))
    inside = ((x - 15) / 13) ** 2 + ((y - 17) / 15) ** 2 + ((z - 6) / 5) ** 2 < 1
    for name, voxels in {
        "t1": np.where(inside, 800 + 20 * x, 10).astype(np.int16),
        "map": np.exp(-((x - 20) ** 2 + (y - 12) ** 2) / 40).astype(np.float32),
        "cut": x.astype(np.int16),
        "seg": np.where(inside, x // 6 + 5 * (y // 8), 0).astype(np.uint8),
    }.items():
        file = folder / f"{name}.nii.gz"
        nibabel.Nifti1Image(voxels, np.diag([-4, -4, 8, 1])).to_filename(file)
    (folder / "cut.nii.gz").write_bytes((folder / "cut.nii.gz").read_bytes()[:-20])
    ws = Workspace()
    ws.set_main(folder / "t1.nii.gz").nickname = HOSTILE
    ws.add_overlay(folder / "map.nii.gz", nickname="a\u202eb", tags=[HOSTILE, "long-" * 30])
    ws.layers()[1].display.color_map = "Jet"
    ws.add_overlay(folder / "gone.nii.gz", nickname="שלום עולם")
    ws.add_overlay(folder / "cut.nii.gz", nickname="cut short")
    ws.add_segmentation(folder / "seg.nii.gz", nickname="Parcels")
    colors = [colorsys.hsv_to_rgb(number / 20, 0.8, 0.9) for number in range(20)]
    ws.labels = [
        Label(
            number,
            f"Region {number} {HOSTILE if number == 3 else ''}",
            tuple(int(255 * part) for part in color),
        )
        for number, color in enumerate(colors, 1)
    ]
    ws.add_mesh(folder / "none.vtk", nickname="Cortex")
    ws.add_landmark((1, 2, 3), HOSTILE)
    ws.registry[f"Unknown.{HOSTILE.replace('.', '')}"] = "secret"
    ws.save(folder / "awkward.itksnap")
    page = folder / "awkward.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "MOST_SLICES", 5)
        page.write_bytes(report_page(ws))
    return page


def test_sliders_move_by_keyboard(visit, brain):
    seen = visit(brain)
    for name, last in (("Axial", 63), ("Sagittal", 57), ("Coronal", 71)):
        slider = seen.page.get_by_role("slider", name=name)
        figure = seen.page.locator("figure", has=slider)
        images, value = figure.locator("img:visible"), figure.locator("output")
        places = []
        for key in (None, "ArrowRight", "ArrowLeft", "End", "Home"):
            if key:
                slider.press(key)
            expect(images).to_have_count(1)
            place = value.inner_text()
            assert images.get_attribute("alt").startswith(f"{place}: ")
            assert slider.get_attribute("aria-valuetext") == place
            assert images.evaluate("one => one.complete && one.naturalWidth > 100")
            places.append(int(re.fullmatch(rf"{name} slice ([0-9]+) of {last}", place)[1]))
        first, right, back, end, home = places
        assert home < first == back < right < end
        assert end - home > 0.6 * last
    assert (seen.said, seen.asked) == ([], [])


def test_sliders_move_by_mouse(visit, brain):
    seen = visit(brain)
    slider = seen.page.get_by_role("slider", name="Axial")
    before = seen.page.locator("figure").first.screenshot()
    place = slider.bounding_box()
    seen.page.mouse.click(place["x"] + place["width"] * 0.95, place["y"] + place["height"] / 2)
    assert slider.input_value() == slider.get_attribute("max")
    assert seen.page.locator("figure").first.screenshot() != before


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["brain", "awkward"])
def test_both_themes_are_readable_for_everybody(visit, request, name, scheme):
    seen = visit(request.getfixturevalue(name), color_scheme=scheme)
    background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, re.findall("[0-9]+", background))) > 384
    assert light == (scheme == "light")
    seen.keep(f"report-{name}-{scheme}")
    assert (seen.said, seen.asked) == ([], [])
    assert seen.complaints() == []


def test_a_narrow_window_moves_tables_and_not_the_page(visit, awkward):
    seen = visit(awkward, width=400)
    seen.keep("report-awkward-narrow")
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 400
    table = seen.page.get_by_role("region", name="Table: Image layers")
    assert table.get_attribute("tabindex") == "0"
    table.press("End")
    table.press("ArrowRight")
    seen.until("document.querySelector('.layers .scroll').scrollLeft > 0")
    assert seen.complaints() == []


def test_tables_that_fit_are_no_stops_by_keyboard(visit, brain):
    seen = visit(brain, width=400)
    narrow = seen.page.locator(".scroll[tabindex]").count()
    assert narrow
    seen.page.set_viewport_size({"width": 1600, "height": 900})
    seen.until(f"document.querySelectorAll('.scroll[tabindex]').length < {narrow}")


def test_texts_run_nothing_and_are_all_there(visit, awkward):
    seen = visit(awkward)
    assert seen.page.title() == "awkward.itksnap"
    assert seen.page.locator("script").count() == 1
    assert seen.page.locator("img:not([src^='data:image/webp;base64,'])").count() == 0
    assert seen.page.get_by_role("row", name="000 main").get_by_text(HOSTILE).is_visible()
    assert seen.page.get_by_text("a\N{REPLACEMENT CHARACTER}b").first.is_visible()
    assert (seen.said, seen.asked) == ([], [])


def test_what_is_not_ours_may_neither_run_nor_ask(visit, brain):
    """Even if markup got into the page, the policy would hold it."""
    seen = visit(brain)
    seen.page.evaluate(
        """document.body.insertAdjacentHTML("beforeend", `
             <img src="https://example.org/x.png" onerror="document.title = 'run'">
             <a id="go" href="javascript:document.title = 'run'">x</a>
             <iframe srcdoc="<script>parent.document.title = 'run'</script>"></iframe>`);
           const script = document.createElement("script");
           script.textContent = "document.title = 'run'";
           document.body.append(script);
           document.getElementById("go").click()"""
    )
    for _ in range(600):
        seen.page.wait_for_timeout(200)
        if len(seen.said) >= 4:
            break
    assert seen.page.title() == "brain.itksnap"
    assert len(seen.said) >= 4
    assert all("Content Security Policy" in one for one in seen.said), seen.said


def test_without_javascript_the_middle_slices_are_there(visit, brain):
    seen = visit(brain, java_script_enabled=False)
    assert seen.page.locator("figure img:visible").count() == 3
    assert seen.page.locator("input:visible").count() == 0
    assert seen.page.locator("output").first.inner_text() == "Axial slice 33 of 63"


def test_it_prints(visit, brain):
    seen = visit(brain, color_scheme="dark")
    seen.page.emulate_media(media="print", color_scheme="dark")
    assert seen.page.locator("input:visible, nav:visible").count() == 0
    assert seen.page.locator("figure img:visible").count() == 3
    colors = (
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert seen.page.evaluate(colors) == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    printed = seen.page.pdf(path=SCREENSHOTS / "report-brain.pdf", format="A4")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 5
