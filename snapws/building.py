"""Workspaces built from a table, or from the file names of a BIDS dataset.

A table (TSV) has the columns ``workspace`` and ``main``, and may have ``overlays``,
``segmentation``, ``tags``, ``nicknames``, ``transform`` and ``labels``. Semicolons separate several
values of a cell. Tags and nicknames are in the order of the layers: main image, overlays,
segmentations. Commas separate several tags of one layer. Transforms are in the order of the
overlays. Names of files are relative to the folder of the table.

File names of BIDS: https://bids-specification.readthedocs.io, "Common principles".
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from snapws import paths
from snapws.errors import LayerFileMissing, TextFileError, WorkspaceError
from snapws.registry import xml_format
from snapws.workspace import Workspace

COLUMNS = (
    *("workspace", "main", "overlays", "segmentation"),
    *("tags", "nicknames", "transform", "labels"),
)
_NEEDED = ("workspace", "main")
_MAX_BYTES = 16 << 20

_SUFFIXES = (".nii.gz", ".nii")
_ENTITY = re.compile(r"([a-zA-Z0-9]+)-([a-zA-Z0-9+]+)")
# Entities that a derivative adds to the name of the image that it was made from.
_OF_DERIVATIVES = {"desc", "space", "label", "res", "den", "hemi", "seg", "atlas"}

Result = Literal["made", "unchanged", "replaced"]


@dataclass(frozen=True)
class Recipe:
    """The parts of a workspace to build.

    Attributes:
        workspace: The file to write.
        main: The main image.
        overlays: Overlays, in order.
        segmentations: Segmentations, in order.
        tags: The tags of each layer, in order; fewer than layers leave the others without.
        nicknames: The nickname of each layer, likewise.
        transforms: The transform file of each overlay, in order; None for none.
        labels: A label table of any format that `snapws.label_tables` reads, or None.
        source: The line of the table, or the dataset, for messages.
    """

    workspace: Path
    main: Path
    overlays: tuple[Path, ...] = ()
    segmentations: tuple[Path, ...] = ()
    tags: tuple[tuple[str, ...], ...] = ()
    nicknames: tuple[str, ...] = ()
    transforms: tuple[Path | None, ...] = ()
    labels: Path | None = None
    source: str = field(default="", compare=False)


@dataclass(frozen=True)
class Manifest:
    """The recipes of a table.

    Attributes:
        recipes: A recipe for each row.
        unused: The columns with unknown names.
    """

    recipes: tuple[Recipe, ...]
    unused: tuple[str, ...]


def read_manifest(table: str | Path, folder: str | Path | None = None) -> Manifest:
    """Read the table of the workspaces to build.

    Args:
        table: The file, UTF-8, with tabs between its cells and a first row of column names.
        folder: The folder of the workspaces; by default that of the table.

    Raises:
        TextFileError: The table lacks a column or a cell, or names a workspace twice.
        OSError: The table cannot be read.
    """
    table = Path(os.path.abspath(table))  # noqa: PTH100 - not through links
    folder = table.parent if folder is None else Path(os.path.abspath(folder))  # noqa: PTH100
    try:
        text = paths.read_file(table, _MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TextFileError(f"{table}: the table is not UTF-8: save it as such") from None
    rows = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    names = [name.strip().lower() for name in next(rows, [])]
    if missing := [name for name in _NEEDED if name not in names]:
        raise TextFileError(
            f"{table}, line 1: the column {' and the column '.join(missing)} is missing: the "
            f"columns are {', '.join(COLUMNS)}, with tabs between them"
        )
    found: dict[str, Recipe] = {}
    for number, cells in enumerate(rows, 2):
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{table}, line {number}"
        row = dict(zip_longest(names, (cell.strip() for cell in cells[: len(names)]), fillvalue=""))
        recipe = _recipe(row, table.parent, folder, where)
        key = os.path.normcase(recipe.workspace)
        if key in found:
            raise TextFileError(f"{where}: {recipe.workspace} stands in {found[key].source}, too")
        found[key] = recipe
    unused = tuple(name for name in names if name and name not in COLUMNS)
    return Manifest(tuple(found.values()), unused)


def bids_recipes(
    dataset: str | Path,
    folder: str | Path,
    *,
    main: str = "T1w",
    overlays: Sequence[str] = (),
    segmentation: str | None = "dseg",
) -> tuple[Recipe, ...]:
    """Return a recipe for each main image of a BIDS dataset and its derivatives.

    A segmentation or an overlay belongs to the main image if all its entities (``sub-01``,
    ``ses-2``, ``run-1`` …) agree with those of the main image, except entities that derivatives
    add. The label table is the ``.tsv`` with the segmentation's name, or else ``dseg.tsv`` of the
    dataset or the derivative.

    Args:
        dataset: Its folder.
        folder: The folder of the workspaces, which are named by the entities of the main image.
        main: The suffix of the main image.
        overlays: The suffixes of overlays, in order.
        segmentation: The suffix of segmentations, or None.

    Raises:
        WorkspaceError: The dataset has no such main image, or an image could belong to several
            main images.
    """
    dataset, folder = Path(os.path.abspath(dataset)), Path(os.path.abspath(folder))  # noqa: PTH100
    images = sorted(_images(dataset))
    raw = [path for path in images if "derivatives" not in path.relative_to(dataset).parts]
    mains = [path for path in raw if _suffix(path) == main]
    if not mains:
        raise WorkspaceError(f"{dataset}: no image named sub-…_{main}.nii or .nii.gz was found")
    found = []
    for path in mains:
        over = [one for suffix in overlays for one in _belonging(path, raw, suffix, mains)]
        segmented = _belonging(path, images, segmentation, mains) if segmentation else []
        name = path.name.partition(".")[0].removesuffix(f"_{main}")
        table = _table(segmented[0], dataset, segmentation or "") if segmented else None
        nicknames = (main, *map(_suffix, over), *map(_nickname, segmented))
        recipe = Recipe(
            folder / f"{name}.itksnap",
            path,
            tuple(over),
            tuple(segmented),
            nicknames=nicknames,
            labels=table,
            source=str(path),
        )
        found.append(recipe)
    return tuple(found)


def build(recipe: Recipe) -> Workspace:
    """Return the workspace of a recipe, without writing it.

    Raises:
        LayerFileMissing: A file does not exist.
        WorkspaceError: A file cannot be read, or a segmentation does not fit the main image.
    """
    for file in (recipe.main, *recipe.overlays, *recipe.segmentations, *recipe.transforms):
        if file and (why := paths.unusable(file)):
            raise LayerFileMissing(f"{recipe.source}: its file {file} {why}")
    made = Workspace.new(recipe.main)
    for overlay, transform in zip_longest(recipe.overlays, recipe.transforms):
        layer = made.add_overlay(overlay)
        if transform:
            layer.read_transform(transform)
    for segmentation in recipe.segmentations:
        made.add_segmentation(segmentation)
    for layer, tags in zip(made.layers(), recipe.tags, strict=False):
        layer.tags = tags
    for layer, nickname in zip(made.layers(), recipe.nicknames, strict=False):
        layer.nickname = nickname
    if recipe.labels:
        from snapws.label_tables import Labels

        made.labels = Labels.read(recipe.labels)
    return made


def write(recipe: Recipe, *, force: bool = False) -> Result:
    """Build a workspace and write it, unless the file already has the same content.

    Args:
        recipe: The recipe.
        force: Whether to overwrite a different workspace, which another program may have edited.

    Returns:
        ``made``, ``unchanged`` or ``replaced``.

    Raises:
        WorkspaceError: As for `build`; or the file exists and differs, and `force` is false.
        OSError: The file cannot be written.
    """
    made = build(recipe)
    target = recipe.workspace
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        made.save(target)
        return "made"
    if paths.read_file(target) == xml_format.to_bytes(made.as_saved_in(target.parent).registry):
        return "unchanged"
    if not force:
        raise WorkspaceError(
            f"{target} exists and differs, maybe by manual changes: choose another folder, or "
            "overwrite it with --force"
        )
    made.save(target, force=True)
    return "replaced"


def _recipe(row: dict[str, str], base: Path, folder: Path, where: str) -> Recipe:
    for name in _NEEDED:
        if not row[name]:
            raise TextFileError(f"{where}: the cell {name} is empty")
    workspace = row["workspace"]
    workspace += "" if workspace.endswith(".itksnap") else ".itksnap"
    several = {name: _parts(row.get(name, "")) for name in COLUMNS}
    overlays = tuple(base / one for one in several["overlays"] if one)
    transforms = tuple(base / one if one else None for one in several["transform"])
    segmentations = tuple(base / one for one in several["segmentation"] if one)
    layers = 1 + len(overlays) + len(segmentations)
    for name, most in (("transform", len(overlays)), ("tags", layers), ("nicknames", layers)):
        if len(several[name]) > most:
            raise TextFileError(
                f"{where}: {name} has {len(several[name])} values for {most} layers"
            )
    return Recipe(
        folder / workspace,
        base / row["main"],
        overlays,
        segmentations,
        tuple(tuple(tag.strip() for tag in one.split(",") if one) for one in several["tags"]),
        several["nicknames"],
        transforms,
        base / row["labels"] if row.get("labels") else None,
        where,
    )


def _parts(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(";")) if cell else ()


def _images(dataset: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(dataset):
        folders[:] = sorted(one for one in folders if not one.startswith((".", "sourcedata")))
        for name in files:
            if name.startswith("sub-") and name.endswith(_SUFFIXES):
                yield Path(place, name)


def _suffix(path: Path) -> str:
    return path.name.partition(".")[0].rpartition("_")[2]


def _entities(path: Path) -> dict[str, str]:
    """Return the entities of a name, without those that derivatives add."""
    parts = path.name.partition(".")[0].split("_")[:-1]
    pairs = (match.groups() for part in parts if (match := _ENTITY.fullmatch(part)))
    return {key: value for key, value in pairs if key not in _OF_DERIVATIVES}


def _belonging(main: Path, images: list[Path], suffix: str, mains: list[Path]) -> list[Path]:
    """Return the images of a suffix whose entities agree with those of one main image only."""
    own = _entities(main).items()
    found = []
    for path in images:
        if _suffix(path) != suffix or not _entities(path).items() <= own:
            continue
        others = [one for one in mains if _entities(path).items() <= _entities(one).items()]
        if len(others) > 1:
            raise WorkspaceError(
                f"{path}: it may belong to {others[0].name} or to {others[1].name}: add to "
                "its name the entities that tell them apart"
            )
        found.append(path)
    return found


def _nickname(path: Path) -> str:
    """Return the name of a derivative: its suffix, and its description where it has one."""
    described = re.search(r"_desc-([a-zA-Z0-9+]+)_", path.name)
    return f"{_suffix(path)} {described[1]}" if described else _suffix(path)


def _table(segmentation: Path, dataset: Path, suffix: str) -> Path | None:
    own = segmentation.with_name(f"{segmentation.name.partition('.')[0]}.tsv")
    above = [one for one in segmentation.parents if one.is_relative_to(dataset)]
    tables = (own, *(one / f"{suffix}.tsv" for one in above))
    return next((one for one in tables if one.is_file()), None)
