"""A workspace in a cell of a notebook: NiiVue as the widget of ipyniivue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snapws.errors import InvalidValue, PictureError
from snapws.extras import install_hint

if TYPE_CHECKING:
    from ipyniivue import NiiVue

    from snapws.viewer.stage import Stage
    from snapws.workspace import Workspace

    Json = dict[str, Any]


def make_widget(workspace: Workspace, height: int) -> NiiVue:
    """Return a widget with the layers, meshes and annotations of a workspace.

    They lie where the page of ``snapws view`` has them, in the same colours. The widget holds
    their voxels in memory.

    Args:
        workspace: The workspace.
        height: Its height in pixels.

    Raises:
        PictureError: The package ipyniivue is not installed.
        WorkspaceError: A layer or a mesh cannot be shown.
    """
    try:
        import ipyniivue
        from ipyniivue.config_options import CAMEL_TO_SNAKE
    except ImportError:
        raise PictureError(f"a widget needs ipyniivue; {install_hint('viewer')}") from None
    from snapws.viewer.stage import Stage, options

    stage = Stage(workspace)
    contents = stage.contents()
    settings = {CAMEL_TO_SNAKE[name]: value for name, value in options(contents).items()}
    settings = {key: tuple(one) if isinstance(one, list) else one for key, one in settings.items()}
    widget = ipyniivue.NiiVue(height=height, **settings)
    color_maps: dict[str, Json] = {}
    widget.volumes = [
        ipyniivue.Volume(**_volume(stage, about, color_maps)) for about in contents["layers"]
    ]
    widget.meshes = [ipyniivue.Mesh(**one) for one in _meshes(stage, contents)]
    widget.scene.crosshair_pos = stage.crosshair()

    def add_color_maps() -> None:
        for name, colors in color_maps.items():
            widget.add_colormap(name, colors)
        widget.update_gl_volume()

    # What is sent to a widget that is not yet on a page is lost.
    widget.on_canvas_attached(add_color_maps)
    return widget


def _volume(stage: Stage, about: Json, color_maps: dict[str, Json]) -> Json:
    from ipyniivue import LUT

    from snapws.viewer.label_colors import label_table

    volume, display = stage.volume(about["number"]), stage.display(about["number"], 1)
    look: Json = {}
    if about["role"] == "segmentation":
        look = {"colormap_label": LUT(**label_table(display))}
    elif display:
        name = f"layer-{about['number']}"
        color_maps[name] = display["colors"]
        look = {
            "colormap": name,
            "cal_min": display["least"],
            "cal_max": display["greatest"],
        }
    return {
        "data": b"".join((volume.block, *volume.pieces())),
        "name": f"{about['name']}.nii",
        "opacity": 0.0 if about["tile"] else about["opacity"],
        "colorbar_visible": False,
        **look,
    }


def _meshes(stage: Stage, contents: Json) -> list[Json]:
    """Return the surfaces of the first time point, and the annotations."""
    found = []
    for about in contents["meshes"]:
        if about["error"]:
            raise InvalidValue(f"mesh:{about['number']}: {about['error']}")
        look = {"rgba255": [*about["color"], 255], "opacity": about["opacity"]}
        for time_point, file in about["files"]:
            if time_point == 1:
                shape = stage.mesh(about["number"], time_point, file)
                found.append({"data": shape.to_mz3(), "name": f"{about['name']}.mz3", **look})
    if contents["annotations"]:
        found.append({"data": stage.annotations().to_mz3(), "name": "annotations.mz3"})
    return found
