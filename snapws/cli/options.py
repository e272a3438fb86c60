"""The arguments and options that several subcommands take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from snapws import paths
from snapws.cli import lookup, render
from snapws.display import ComponentMode, Display
from snapws.errors import InvalidValue, LayerFileMissing, WorkspaceError
from snapws.layers import Layer, Role
from snapws.meshes import MeshLayer
from snapws.workspace import Workspace as Opened

if TYPE_CHECKING:
    from snapws.transform_files import TransformFile


def complete_layer(context: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Return the names and descriptions of the layers of the workspace on the command line."""
    for one in _layers_named_on_line(context):
        what = f"{one.nickname} {_describe(one)}".strip()
        kind = "mesh:" if isinstance(one, MeshLayer) else ""
        names = [f"{kind}{one.number}", *(f"tag:{tag}" for tag in one.tags)]
        names += [f"nickname:{one.nickname}"] if one.nickname else []
        yield from ((name, what) for name in names if name.startswith(incomplete))


def complete_tag(context: typer.Context, incomplete: str) -> Iterator[str]:
    """Return the tags of the workspace on the command line."""
    tags = {tag for one in _layers_named_on_line(context) for tag in one.tags}
    yield from (tag for tag in sorted(tags) if tag.startswith(incomplete))


def _layers_named_on_line(context: typer.Context) -> list[Layer | MeshLayer]:
    # While an option still lacks its value, arguments have no names yet.
    file = context.params.get("workspace") or next(iter(context.args), "")
    try:
        workspace = Opened.open(file)
    except WorkspaceError:
        return []  # an incomplete line may not name a workspace yet
    return [*workspace.layers(), *workspace.meshes()]


def _describe(one: Layer | MeshLayer) -> str:
    return one.role.name.lower() if isinstance(one, Layer) else "mesh"


WorkspaceFile = Annotated[
    Path, typer.Argument(metavar="WORKSPACE", help="The .itksnap file.", show_default=False)
]

LayerName = Annotated[
    str,
    typer.Argument(
        metavar="LAYER",
        help=f"Which layer: {lookup.FORMS}.",
        autocompletion=complete_layer,
        show_default=False,
    ),
]

LayerNames = Annotated[
    list[str],
    typer.Argument(
        metavar="LAYER...",
        help=f"Which layers: {lookup.FORMS}.",
        autocompletion=complete_layer,
        show_default=False,
    ),
]

TagNames = Annotated[
    list[str],
    typer.Argument(
        metavar="TAG...", help="The tags.", autocompletion=complete_tag, show_default=False
    ),
]

OnlyTag = Annotated[
    str | None,
    typer.Option(
        "--tag", metavar="TAG", help="Only layers with this tag.", autocompletion=complete_tag
    ),
]

Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="TAG",
        help="A tag; repeat it for several.",
        autocompletion=complete_tag,
    ),
]

Nickname = Annotated[str | None, typer.Option(metavar="NAME", help="The nickname.")]

RoleName = Literal["main", "overlay", "segmentation"]
ModeName = Literal["component", "magnitude", "maximum", "average", "rgb", "grid"]


def role(name: RoleName | None) -> Role | None:
    """Return the role with a name, None without one."""
    return Role[name.upper()] if name else None


def existing(file: str) -> str:
    """Return a file that a user named, if it exists; URLs pass unchecked.

    Raises:
        LayerFileMissing: The file does not exist.
    """
    if not paths.is_url(file) and (why := paths.unusable(Path(paths.local(file)))):
        raise LayerFileMissing(f"there is no file {file}: it {why}")
    return file


@dataclass
class Properties:
    """The options that describe a layer. An option that is not given changes nothing."""

    nickname: Nickname = None
    tag: Tags = None
    color_map: Annotated[
        str | None, typer.Option(metavar="MAP", help="The colour map: Jet, Hot, Grayscale …")
    ] = None
    contrast: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH",
            help="The intensities of black and white (fractions of the intensity range if both are "
            "within 0 to 1); or a curve X:Y,X:Y… (Y 0 to 1); or auto.",
        ),
    ] = None
    mode: Annotated[ModeName | None, typer.Option(help="The display of several components.")] = None
    component: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="The component to show, from 0.")
    ] = None
    opacity: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="0 to 1 (opaque), or 35%; makes an overlay --sticky unless it is a tile.",
        ),
    ] = None
    sticky: Annotated[
        bool | None,
        typer.Option(
            "--sticky/--no-sticky",
            help="Show the layer over the main image, or beside it.",
            show_default=False,
        ),
    ] = None
    transform: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The transform file: see transform set."),
    ] = None

    def given(self) -> bool:
        """Return whether any option is given."""
        return any(value is not None for value in vars(self).values())

    def apply(self, layer: Layer | MeshLayer) -> None:
        """Set the given properties of a layer.

        Raises:
            InvalidValue: The layer is a mesh layer, which has only a nickname and tags.
        """
        if self.nickname is not None:
            layer.nickname = self.nickname
        if self.tag is not None:
            layer.tags = tuple(self.tag)
        if isinstance(layer, Layer):
            self._show(layer)
        elif replace(self, nickname=None, tag=None).given():
            raise InvalidValue("a mesh layer has only a nickname and tags: leave out other options")

    def _show(self, layer: Layer) -> None:
        if self.transform:
            remark_on(layer.read_transform(self.transform))
        display = layer.display
        # The mode comes first: each mode may have a colour map and a contrast of its own.
        if self.mode is not None or self.component is not None:
            mode = ComponentMode[(self.mode or "component").upper()]
            display.show(mode, self.component or 0)
        if self.color_map is not None:
            from snapws.pictures import colormaps

            display.color_map = colormaps.known_name(self.color_map)
        if self.contrast is not None:
            set_contrast(display, self.contrast)
        if self.opacity is not None:
            display.opacity = self.opacity
            if layer.role is Role.OVERLAY and not display.is_tile:
                display.sticky = True
        if self.sticky is not None:
            display.sticky = self.sticky


def remark_on(found: TransformFile) -> None:
    """Print the assumed format of a transform file, if the file does not state it."""
    if found.remark:
        render.note(found.remark, always=True)


def set_contrast(display: Display, text: str) -> None:
    """Set a contrast as it is typed: ``auto``, ``LOW,HIGH`` or ``X:Y,X:Y…``.

    Raises:
        InvalidValue: The text has none of these forms.
    """
    try:
        if text == "auto":
            display.contrast = ()
        elif ":" in text:
            pairs = [part.split(":") for part in text.split(",")]
            display.contrast = tuple((float(value), float(output)) for value, output in pairs)
        else:
            low, high = (float(part) for part in text.split(","))
            if not low < high:
                raise InvalidValue(f"invalid contrast LOW,HIGH: {low:g} is not below {high:g}")
            display.set_linear_contrast(low, high)
    except ValueError:
        raise InvalidValue(
            f"{text!r} is not a valid contrast: expected LOW,HIGH (0,900), a curve X:Y,X:Y… or auto"
        ) from None
