"""The commands of the drop-in: one function each, in the order and groups of the help."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from snapws.errors import InvalidValue, LayerFileMissing, RegistryError, WorkspaceError
from snapws.registry import Registry
from snapws.registry.fields import format_tags
from snapws.workspace import Workspace
from snapws.wt.run import (
    ENTRY_POINTS,
    Command,
    Run,
    UsageError,
    is_whole_number,
    whole_number,
)

if TYPE_CHECKING:
    from snapws.packing import Names

COMMANDS: list[Command] = []

_FILES = "Files"
_INFORMATION = "The registry"
_LAYERS = "Layers"
_PROPERTIES = "Properties of the picked layer"
_TIME_POINTS = "Time points"
_TAGS = "Tags of the picked layer or mesh layer"
_LABELS = "Segmentation labels"
_ANNOTATIONS = "Annotations"

Function = Callable[..., None]


def find(name: str) -> Command:
    """Find a command by any of its names.

    Raises:
        UsageError: No command has that name.
    """
    for command in _all_commands():
        if name in command.names:
            return command
    raise UsageError(f"unknown command {name}: -h lists the commands")


def print_help() -> None:
    """Print all commands, by group."""
    group = ""
    print("snapws-wt COMMAND [...]: commands run from left to right on one workspace in memory.")
    for command in _all_commands():
        if command.group != group:
            group = command.group
            print(f"\n{group}:")
        print(f"  {' '.join((*command.names, command.parameters))}")
        print(f"        {command.help}")
    print("\nExample:\n  $ snapws-wt -P -i study.itksnap -llf Target")
    print("\nMore: docs/howto/replace-itksnap-wt.md")


def _all_commands() -> Iterator[Command]:
    yield from COMMANDS
    from importlib.metadata import entry_points

    for entry_point in entry_points(group=ENTRY_POINTS):
        yield from entry_point.load()


def _command(group: str, *names: str, parameters: str = "") -> Callable[[Function], Function]:
    def add(function: Function) -> Function:
        COMMANDS.append(Command(names, group, parameters, function.__doc__ or "", function))
        return function

    return add


@_command(_FILES, "-i", parameters="<workspace>")
def _open(run: Run, path: str) -> None:
    """Read a workspace file."""
    run.workspace = Workspace.open(path)
    run.picked = None


@_command(_FILES, "-o", parameters="<workspace>")
def _save(run: Run, path: str) -> None:
    """Write the workspace to a file; images stay where they are."""
    run.workspace.save(path)


@_command(_FILES, "-a", parameters="<workspace|folder>")
def _archive(run: Run, path: str) -> None:
    """Write an archive: the workspace and its images, named by content, without personal names."""
    _write_archive(run, path, "hash")


@_command(_FILES, "-A", parameters="<workspace|folder>")
def _archive_named(run: Run, path: str) -> None:
    """Write an archive whose images keep their file names."""
    _write_archive(run, path, "keep")


@_command(_FILES, "-p", "-prefix", parameters="<prefix>")
def _set_prefix(run: Run, prefix: str) -> None:
    """Print a prefix, not the command's number, before each line of the next command's output."""
    run.set_prefix(prefix)


@_command(_FILES, "-P")
def _drop_prefix(run: Run) -> None:
    """Print the lines of the output without prefixes."""
    run.drop_prefix()


@_command(_FILES, "-h", "-help", "--help")
def _help(_: Run) -> None:
    """Print all commands."""
    print_help()


@_command(_INFORMATION, "-dump")
def _dump(run: Run) -> None:
    """Print the whole registry."""
    _print_folder(run, run.workspace.registry, "")


@_command(_INFORMATION, "-registry-get", parameters="<key>")
def _registry_get(run: Run, key: str) -> None:
    """Print the value of a key."""
    run.print(run.workspace.registry.get(key))


@_command(_INFORMATION, "-registry-set", parameters="<key> <value>")
def _registry_set(run: Run, key: str, value: str) -> None:
    """Set the value of a key."""
    run.workspace.registry[key] = value
    run.inform(f"set registry entry '{key}' to '{value}'")


@_command(_LAYERS, "-layers-list", "-ll")
def _layers_list(run: Run) -> None:
    """Print a table of all layers and mesh layers."""
    rows = [("Layer", "Role", "Nickname", "Filename", "Tags")]
    for layer in run.workspace.layers():
        role = layer.registry.get("Role").removesuffix("Role")
        tags = layer.registry.get("Tags")
        rows.append((f"{layer.number:03d}", role, layer.nickname, layer.file, tags))
    run.print_table(rows)
    meshes = run.workspace.meshes()
    if not meshes:
        return
    print()
    rows = [("Mesh_Layer", "Nickname", "Tags", "Timepoint", "Polydata_File")]
    for mesh in meshes:
        described = (f"{mesh.number:03d}", mesh.nickname, mesh.registry.get("Tags"))
        rows += [
            (*described, f"TimePoint[{surface.time_point:03d}]", surface.file)
            for surface in mesh.polydata()
        ]
    run.print_table(rows)


@_command(_LAYERS, "-layers-list-files", "-llf", parameters="<tag>")
def _layers_list_files(run: Run, tag: str) -> None:
    """Print the files of the layers that have a tag."""
    for layer in run.workspace.layers(tag=tag):
        run.print(layer.file)


@_command(_LAYERS, "-layers-pick", "-lp", parameters="<layer>")
def _layers_pick(run: Run, specification: str) -> None:
    """Pick a layer: 003 | M | main | S | seg | O:N | overlay:N | A:N | anat:N | mesh:N."""
    run.pick(run.workspace.find(specification))


@_command(_LAYERS, "-layers-pick-by-tag", "-lpt", "-lpbt", parameters="<tag>")
def _layers_pick_by_tag(run: Run, tag: str) -> None:
    """Pick the one layer or mesh layer that has a tag."""
    run.pick(run.workspace.find(tag=tag))


@_command(_LAYERS, "-layers-add-anat", "-laa", parameters="<file>")
def _layers_add_anat(run: Run, path: str) -> None:
    """Add an image as the last anatomical layer, and pick it."""
    run.pick(run.workspace.add_anatomical(path))


@_command(_LAYERS, "-layers-add-seg", "-las", parameters="<file>")
def _layers_add_seg(run: Run, path: str) -> None:
    """Add an image as the last segmentation, and pick it."""
    run.pick(run.workspace.add_segmentation(path, any_size=True))


@_command(_LAYERS, "-layers-add-mesh", "-lam", parameters="<file> <time-point>")
def _layers_add_mesh(run: Run, path: str, time_point: str) -> None:
    """Add a mesh layer with a surface file at a time point, and pick it."""
    run.pick(run.workspace.add_mesh(path, time_point=whole_number(time_point)))


@_command(_LAYERS, "-layers-set-main", "-ls-main", "-lsm", parameters="<file>")
def _layers_set_main(run: Run, path: str) -> None:
    """Replace the main image, and pick the new one."""
    run.pick(run.workspace.set_main(path))


@_command(_LAYERS, "-layers-set-seg", "-ls-seg", "-lss", parameters="<file>")
def _layers_set_seg(run: Run, path: str) -> None:
    """Replace all segmentations by one image, and pick it."""
    run.pick(run.workspace.set_segmentation(path, any_size=True))


@_command(_PROPERTIES, "-props-get-filename", "-pgf")
def _props_get_filename(run: Run) -> None:
    """Print the file of the layer."""
    run.print(run.picked_layer().file)


@_command(_PROPERTIES, "-props-get-transform", "-pgt")
def _props_get_transform(run: Run) -> None:
    """Print the affine transform from main-image RAS mm to layer RAS mm, as a 4x4 matrix."""
    from snapws import transforms

    for row in transforms.read(run.picked_layer().registry.folder("ImageTransform")):
        run.print(" ".join(f"{value:g}" for value in row))


@_command(
    _PROPERTIES, "-props-get-mesh-filename", "-pgmf", parameters="<time-point> <polydata-number>"
)
def _props_get_mesh_filename(run: Run, time_point: str, polydata: str) -> None:
    """Print a surface file of a mesh layer; time points count from 1, files from 0."""
    mesh = run.picked_mesh()
    try:
        run.print(mesh.file(whole_number(time_point), whole_number(polydata)))
    except LayerFileMissing:
        run.print("")  # itksnap-wt begins its line before it looks for the file
        raise


@_command(_PROPERTIES, "-props-add-mesh-polydata", "-pamp", parameters="<file> <time-point>")
def _props_add_mesh_polydata(run: Run, path: str, time_point: str) -> None:
    """Add a surface file to a time point of a mesh layer."""
    added = run.picked_mesh().add_polydata(path, whole_number(time_point))
    run.inform(f"polydata added to timepoint: {time_point}; New polydata id: {added}")


@_command(_PROPERTIES, "-props-rename-file", "-prf", parameters="<file>")
def _props_rename_file(run: Run, path: str) -> None:
    """Copy the image to a NIfTI file, and use that file in the layer."""
    run.picked_layer().copy_image(path)


@_command(_PROPERTIES, "-props-set-nickname", "-psn", parameters="<name>")
def _props_set_nickname(run: Run, nickname: str) -> None:
    """Set the nickname."""
    run.picked_object().nickname = nickname


@_command(_PROPERTIES, "-props-set-colormap", parameters="<preset>")
def _props_set_colormap(run: Run, preset: str) -> None:
    """Set the colour map by name."""
    run.picked_layer().display.color_map = preset


@_command(
    _PROPERTIES, "-props-set-contrast", parameters="LINEAR A B|AUTO|DEFAULT|CURVE N T1 Y1 .. TN YN"
)
def _props_set_contrast(run: Run) -> None:
    """Set the contrast: linear from A to B, automatic, linear from 0 to 1, or a curve."""
    display = run.picked_layer().display
    kind = run.take()
    if kind in ("LINEAR", "L"):
        low, high = run.take_number(), run.take_number()
        display.set_linear_contrast(low, high, check=False)
        if low >= high:
            run.warn(f"ITK-SNAP cannot show a contrast from {low:g} to {high:g}: it must increase")
    elif kind == "AUTO":
        display.contrast = ()
    elif kind == "DEFAULT":
        display.set_linear_contrast(0, 1)
    elif kind == "CURVE":
        count = whole_number(run.take())
        if count < 2:
            raise UsageError(f"a curve needs two or more points, got {count}")
        display.contrast = tuple((run.take_number(), run.take_number()) for _ in range(count))
    else:
        raise UsageError(f"{kind!r} is not one of LINEAR, AUTO, DEFAULT, CURVE")


@_command(_PROPERTIES, "-props-set-mcd", parameters="comp N|mag|avg|max|rgb|grid")
def _props_set_mcd(run: Run) -> None:
    """Set the display of several components: one of them, a measure of them, RGB or a grid."""
    from snapws.display import ComponentMode

    modes = {
        "comp": ComponentMode.COMPONENT,
        "mag": ComponentMode.MAGNITUDE,
        "avg": ComponentMode.AVERAGE,
        "max": ComponentMode.MAXIMUM,
        "rgb": ComponentMode.RGB,
        "grid": ComponentMode.GRID,
    }
    display = run.picked_layer().display
    given = run.take()
    mode = given.lower()
    if mode not in modes:
        raise UsageError(f"{given!r} is not one of {', '.join(modes)}")
    display.show(modes[mode], whole_number(run.take()) if mode == "comp" else 0)


@_command(_PROPERTIES, "-props-set-sticky", parameters="<on|off>")
def _props_set_sticky(run: Run, value: str) -> None:
    """Show the layer over the main image (on) or beside it (off)."""
    if value not in ("on", "off"):
        raise UsageError(f"{value!r} is not one of on, off")
    run.picked_layer().display.sticky = value == "on"


@_command(_PROPERTIES, "-props-set-alpha", parameters="<value>")
def _props_set_alpha(run: Run, value: str) -> None:
    """Set the opacity, 0 to 1 or a percentage."""
    run.picked_layer().display.opacity = value


@_command(_PROPERTIES, "-props-set-transform", "-pst", parameters="<file>")
def _props_set_transform(run: Run, path: str) -> None:
    """Set the affine transform from a 4x4 matrix (RAS) or an ITK transform file (LPS)."""
    from snapws import transform_files, transforms

    matrix = transform_files.read_itk_or_ras(Path(path))
    transforms.write(run.picked_layer().registry.make_folder("ImageTransform"), matrix)


@_command(_PROPERTIES, "-props-registry-get", "-prg", parameters="<key>")
def _props_registry_get(run: Run, key: str) -> None:
    """Print the value of a key of the layer."""
    run.print(run.picked_object().registry.get(key))


@_command(_PROPERTIES, "-props-registry-set", "-prs", parameters="<key> <value>")
def _props_registry_set(run: Run, key: str, value: str) -> None:
    """Set the value of a key of the layer."""
    run.picked_object().registry[key] = value
    run.inform(f"set registry entry '{key}' to '{value}'")


@_command(_PROPERTIES, "-props-registry-dump", "-prd", parameters="<key> <file>")
def _props_registry_dump(run: Run, key: str, path: str) -> None:
    """Write a registry folder of the layer to a plain-text file."""
    from snapws import files
    from snapws.registry import text_format

    folder = run.picked_object().registry.folder(key)
    if folder is None:
        raise RegistryError(f"{run.picked_object().key} has no folder {key}")
    try:
        files.write_bytes(path, text_format.to_bytes(folder))
    except OSError as error:
        raise WorkspaceError(f"cannot write {path}: {error.strerror}") from None


@_command(_PROPERTIES, "-props-registry-load", "-prl", parameters="<key> <file>")
def _props_registry_load(run: Run, key: str, path: str) -> None:
    """Load a registry folder of the layer from a plain-text or registry XML file."""
    from snapws.registry import text_format

    loaded = text_format.read_file(Path(path))
    run.picked_object().registry.make_folder(key).update(loaded)


@_command(_TIME_POINTS, "-timepoints-list")
def _timepoints_list(run: Run) -> None:
    """Print a table of the time points."""
    from snapws import timepoints

    if run.workspace.registry.folder(timepoints.KEY) is None:
        print("[WorkspaceAPI] workspace does not have time point properties folder")
        return
    points = run.workspace.time_points
    rows = [(str(point.number), point.nickname, ",".join(point.tags)) for point in points]
    run.print_table([("TimePoint", "Nickname", "Tags"), *rows])


@_command(_TIME_POINTS, "-timepoints-pick-by-tag", parameters="<tag>")
def _timepoints_pick_by_tag(run: Run, tag: str) -> None:
    """Print the numbers of the time points that have a tag."""
    found = [point.number for point in run.workspace.time_points if tag in point.tags]
    run.print(",".join(map(str, found)))


@_command(_TIME_POINTS, "-timepoints-pick-by-name", parameters="<nickname>")
def _timepoints_pick_by_name(run: Run, nickname: str) -> None:
    """Print the number of the one time point that has a nickname."""
    points = run.workspace.time_points
    found = [point.number for point in points if point.nickname == nickname]
    if len(found) != 1:
        many = ", ".join(map(str, found))
        known = ", ".join(point.nickname for point in points if point.nickname)
        raise InvalidValue(
            f"{len(found)} time points have the nickname {nickname!r}: {many}"
            if found
            else f"no time point has the nickname {nickname!r}; nicknames: {known or 'none'}"
        )
    run.print(str(found[0]))


@_command(_TAGS, "-tags-add", "-ta", parameters="<tag>")
def _tags_add(run: Run, tag: str) -> None:
    """Add a tag."""
    run.picked_object().add_tag(tag)


@_command(_TAGS, "-tags-add-exclusive", "-tags-add-excl", "-tax", parameters="<tag>")
def _tags_add_exclusive(run: Run, tag: str) -> None:
    """Add a tag, and remove it from all other layers."""
    run.picked_object().take_tag(tag)


@_command(_TAGS, "-tags-delete", "-tags-del", "-td", parameters="<tag>")
def _tags_delete(run: Run, tag: str) -> None:
    """Remove a tag."""
    run.picked_object().remove_tag(tag)


@_command(_LABELS, "-labels-set", parameters="<file>")
def _labels_set(run: Run, path: str) -> None:
    """Replace the labels by those of a label file."""
    from snapws import labels

    run.workspace.labels = labels.read_file(Path(path))


@_command(_LABELS, "-labels-clear")
def _labels_clear(run: Run) -> None:
    """Remove all labels."""
    run.workspace.labels = ()


@_command(_LABELS, "-labels-add", parameters="<file> [offset] [pattern]")
def _labels_add(run: Run, path: str) -> None:
    """Add the labels of a file, with shifted numbers and names by a pattern like 'left %s'."""
    from snapws import labels

    offset = run.take_if(is_whole_number)
    pattern = run.take_if(lambda word: not word.startswith("-")) if offset else None
    added = labels.shifted(labels.read_file(Path(path)), int(offset or 0), pattern or "%s")
    run.workspace.labels = (*run.workspace.labels, *added)


@_command(_ANNOTATIONS, "-annot-list")
def _annot_list(run: Run) -> None:
    """Print a table of the annotations."""
    rows = [("Annotation", "Kind", "Center", "Tags")]
    for i, annotation in enumerate(run.workspace.annotations):
        center = " ".join(f"{value:g}" for value in annotation.center or ())
        rows.append((str(i), annotation.kind, center, format_tags(annotation.tags)))
    run.print_table(rows)


def _write_archive(run: Run, path: str, names: Names) -> None:
    from snapws.archive import archive

    archive(run.workspace, path, names=names)


def _print_folder(run: Run, folder: Registry, indent: str) -> None:
    for name in sorted(folder.folders):
        run.print(f"{indent}{name}:")
        _print_folder(run, folder.folders[name], indent + "  ")
    for name in sorted(folder.entries):
        run.print(f"{indent}{name} = {folder.entries[name]}")
