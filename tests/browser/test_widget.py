"""The widget of a notebook, drawn by its own module in a real browser."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from snapws import Workspace
from snapws.pictures.scene import Scene
from tests.browser.marked import BALL, LABELLED, MARK, SHAPE, Alone, marked, ramps

if find_spec("ipyniivue") is None:
    pytest.skip("needs the extra 'viewer'", allow_module_level=True)

# A notebook's part: models by number, with what the widgets of Python said.
PAGE = """<!DOCTYPE html><meta charset="utf-8"><div id="cell"></div>
<script type="module">
import widget, { Niivue } from "./niivue.js";
const attach = Niivue.prototype.attachToCanvas;
Niivue.prototype.attachToCanvas = function (...given) {
  window.snapws.nv = this;
  return attach.apply(this, given);
};
const revived = (value) => {
  if (!value || typeof value !== "object") return value;
  if ("base64" in value) {
    const bytes = Uint8Array.from(atob(value.base64), (one) => one.charCodeAt(0));
    return new DataView(bytes.buffer);
  }
  if (Array.isArray(value)) return value.map(revived);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, revived(one)]));
};
const models = {};
class Model {
  constructor(state) {
    this.state = revived(state);
    this.heard = {};
    this.widget_manager = { get_model: async (id) => models[id] };
  }
  get(key) { return this.state[key]; }
  set(key, value) { this.state[key] = value; }
  on(event, act) { (this.heard[event] ??= []).push(act); }
  off() {}
  send() {}
  save_changes() {}
  send_sync_message() {} // images that go back to Python
}
const show = async (states, first) => {
  for (const [id, state] of Object.entries(states)) models[id] = new Model(state);
  await widget.initialize({ model: models[first] });
  await widget.render({ model: models[first], el: document.getElementById("cell") });
};
const tell = (id, message) => models[id].heard["msg:custom"].forEach((act) => act(message, []));
window.snapws = { show, tell };
document.body.dataset.ready = "";
</script>"""


class Cell(Alone):
    """A cell of a notebook."""

    html = PAGE

    def show(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Scene:
        """Show a workspace's widget, and send what it has to say to the page."""
        widget = workspace.view()
        parts = [widget, *widget.volumes, *widget.meshes]
        states = {part.model_id: _plain(part.get_state()) for part in parts}
        self.page.evaluate(
            "([states, first]) => snapws.show(states, first)", [states, widget.model_id]
        )
        told: list[Any] = []
        monkeypatch.setattr(widget, "send", lambda content, buffers=None: told.append(content))
        widget.set_state({"_canvas_attached": True})
        for message in told:
            self.page.evaluate(
                "([id, message]) => snapws.tell(id, message)", [widget.model_id, message]
            )
        self.page.evaluate(
            "snapws.nv.opts.crosshairWidth = 0; snapws.nv.opts.isOrientationTextVisible = false;"
        )
        return Scene(workspace)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


@pytest.fixture
def cell(browser: Browser, tmp_path: Path) -> Iterator[Cell]:
    context = browser.new_context(viewport={"width": 760, "height": 520})
    yield Cell(context.new_page(), tmp_path)
    context.close()


def test_a_widget_shows_marked_voxels_and_meshes_where_show_draws_them(cell, tmp_path, monkeypatch):
    scene = cell.show(Workspace.open(marked(tmp_path, "oblique")), monkeypatch)
    assert cell.voxel(scene) == list(scene.cursor())
    for voxel in (MARK, LABELLED):
        cell.go_to(scene, voxel)
        cell.assert_marked(scene, voxel)
    cell.go_to(scene, BALL[0])
    cell.assert_cut(scene, *BALL)


def test_a_widget_has_the_colours_of_show(cell, tmp_path, monkeypatch):
    ws, overlay = ramps(tmp_path)
    overlay.display.color_map = "Jet"
    scene = cell.show(ws, monkeypatch)
    voxel = tuple(length // 2 for length in SHAPE)
    cell.go_to(scene, voxel)
    cell.assert_coloured(scene, voxel)
