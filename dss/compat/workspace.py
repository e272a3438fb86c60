"""`WorkspaceWrapper` as of `itksnap-dss`: a workspace whose layers are named by keys."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from dss.compat.registry import Registry
from snapws import labels
from snapws.archive import write_archive
from snapws.errors import ArchiveError, InvalidValue, LayerNotFound
from snapws.layers import Layer, Role, folder_key
from snapws.meshes import MeshLayer
from snapws.registry.fields import FolderProxy, tags
from snapws.specifications import by_specification
from snapws.workspace import Workspace

_ANATOMICAL = (Role.MAIN, Role.OVERLAY)
_ROLES = {
    **{role.value: (role,) for role in (Role.MAIN, Role.OVERLAY, Role.SEGMENTATION)},
    "AnatomicalRole": _ANATOMICAL,
}
_SHORT = {
    "M": "MainRole",
    "S": "SegmentationRole",
    "O": "OverlayRole",
    "A": "AnatomicalRole",
}
_SPECIFICATION = re.compile(r"([MSOAmsoa])(?::(-?[0-9]{1,9}))?")


class WorkspaceWrapper:
    """A workspace as `itksnap-dss` has it.

    A layer is named by the key of its folder, ``Layers.Layer[001]``. The intended differences from
    that package:

    - The comment of the file and its unknown keys are kept.
    - A layer that does not exist, or a role that ITK-SNAP does not know, is refused.
    - `set_labels` keeps the old labels if the file is invalid.
    - `export_workspace` writes an archive of this project, without any trace of its origin.
    - `add_tag_to_layer` and `remove_tag_from_layer`, which the package's README shows, exist.
    - A failure raises one of the errors of `snapws.errors`.

    Args:
        workspace_file: A workspace file to load.

    Raises:
        RegistryError: The file is corrupt, or is not a workspace.
        WorkspaceError: The file cannot be read.
    """

    def __init__(self, workspace_file: str | None = None) -> None:
        self._workspace = Workspace()
        if workspace_file is not None:
            self.load_workspace(workspace_file)

    # ------------------------------------------------------------------------- files

    def load_workspace(self, workspace_file: str) -> None:
        """Replace this workspace by one from a file.

        Raises:
            RegistryError: The file is corrupt, or is not a workspace.
            WorkspaceError: The file cannot be read.
        """
        self._workspace = Workspace.open(workspace_file)

    def save_workspace(self, workspace_file: str) -> None:
        """Save the workspace.

        Raises:
            WorkspaceError: The file cannot be written, or exists and is not a workspace.
        """
        self._workspace.save(workspace_file)

    def export_workspace(self, new_workspace: str, scramble_filenames: bool = True) -> None:
        """Write the workspace, and copies of its images as NIfTI into the same folder.

        Args:
            new_workspace: The ``.itksnap`` file; its folder is created if it does not exist.
            scramble_filenames: Whether to name images by a hash of their content, not by their file
                name.

        Raises:
            ArchiveError: The archive cannot be written, or the name does not end in ``.itksnap``.
            LayerNotFound: There is no main image.
            LayerFileMissing: The file of a layer does not exist.
            ImageError: An image cannot be read.
            MeshError: A mesh cannot be read.
        """
        if not new_workspace.endswith(".itksnap"):
            raise ArchiveError(f"{new_workspace}: the name of a workspace must end in .itksnap")
        write_archive(
            self._workspace, new_workspace, names="hash" if scramble_filenames else "keep"
        )

    @property
    def registry(self) -> Registry:
        """The registry of the workspace."""
        return Registry.of(self._workspace.registry)

    @property
    def workspace_file_path(self) -> str:
        """The file that it was loaded from or saved to; empty for a new workspace."""
        return os.fspath(self._workspace.path or "")

    @property
    def workspace_file_dir(self) -> str:
        """The folder of that file."""
        return os.fspath(self._workspace.path.parent) if self._workspace.path else ""

    @property
    def workspace_saved_dir(self) -> str:
        """The folder that the workspace says it was saved in."""
        return self._workspace.saved_in

    @property
    def moved(self) -> bool:
        """Whether the file is in another folder than the one that it was saved in."""
        saved_in = self.workspace_saved_dir
        return bool(saved_in) and Path(saved_in) != Path(self.workspace_file_dir)

    def get_workspace_directory(self) -> str:
        """Return the folder that it was loaded from; empty for a new workspace."""
        return self.workspace_file_dir

    # ------------------------------------------------------------------------ layers

    def get_number_of_layers(self) -> int:
        """Return the number of image layers."""
        return len(self._workspace.layers())

    def get_number_of_mesh_layers(self) -> int:
        """Return the number of mesh layers."""
        return len(self._workspace.meshes())

    def get_layer_folder(self, layer_index: int) -> Registry:
        """Return the folder of an image layer by its number, created if it does not exist.

        Raises:
            LayerNotFound: The number is negative.
        """
        if layer_index < 0:
            raise LayerNotFound(f"no layer has the number {layer_index}")
        return self.registry.folder(folder_key(Layer.SECTION, layer_index))

    def get_mesh_layer_folder(self, layer_index: int) -> Registry:
        """Return the folder of a mesh layer by its number.

        Raises:
            LayerNotFound: The layer does not exist.
        """
        meshes = self._workspace.meshes()
        if not 0 <= layer_index < len(meshes):
            raise LayerNotFound(f"no mesh layer has the number {layer_index}")
        return Registry.of(meshes[layer_index].registry)

    def get_layer_folder_by_key(self, layer_key: str) -> Registry:
        """Return the folder of an image or mesh layer by its key.

        Raises:
            LayerNotFound: The layer does not exist.
        """
        return Registry.of(self._by_key(layer_key).registry)

    def get_main_layer_key(self) -> str:
        """Return the key of the main image.

        Raises:
            LayerNotFound: There is no main image.
        """
        return self._workspace.main.key

    def is_key_valid_layer(self, key: str) -> bool:
        """Return whether a key is that of an image layer."""
        return any(layer.key == key for layer in self._workspace.layers())

    def is_key_valid_mesh_layer(self, key: str) -> bool:
        """Return whether a key is that of a mesh layer."""
        return any(mesh.key == key for mesh in self._workspace.meshes())

    def find_layer_by_role(self, role: str, pos_in_role: int = 0) -> str:
        """Return the key of a layer by its role and its position among the layers of this role.

        Args:
            role: ``MainRole``, ``OverlayRole``, ``SegmentationRole``, or ``AnatomicalRole`` for the
                main image and overlays.
            pos_in_role: The position, from 0; -1 is the last layer.

        Returns:
            The key; empty if the layer does not exist.
        """
        found = [one.key for one in self._workspace.layers() if one.role in _ROLES.get(role, ())]
        return found[pos_in_role] if -len(found) <= pos_in_role < len(found) else ""

    def find_layers_by_tag(self, tag: str) -> list[str]:
        """Return the keys of the image layers that have a tag."""
        return [layer.key for layer in self._workspace.layers(tag=tag)]

    def layer_spec_to_key(self, layer_spec: str) -> str:
        """Return the key of a layer by its specification: ``M``, ``S``, ``O:-1``, ``003``.

        Raises:
            LayerNotFound: No layer matches.
        """
        if match := _SPECIFICATION.fullmatch(layer_spec):
            role = _SHORT[match[1].upper()]
            if key := self.find_layer_by_role(role, int(match[2] or 0)):
                return key
        workspace = self._workspace
        layers, meshes = workspace.layers(), workspace.meshes()
        return by_specification(layer_spec, layers, meshes, workspace.name).key

    def add_layer(self, role: str, filename: str) -> str:
        """Add an image as the last layer.

        Args:
            role: As for `find_layer_by_role`.
            filename: The image file; it is read for a main image only.

        Returns:
            The key of the layer.

        Raises:
            InvalidValue: The role is unknown, or the workspace already has a main image.
            LayerNotFound: There is no main image, and the role is another one.
            ImageError: The role is the main image, and the file cannot be read.
        """
        kind = _role(role)
        workspace = self._workspace
        if kind is Role.MAIN:
            if self.find_layer_by_role(role):
                raise InvalidValue("there already is a main image: replace it with set_layer")
            return workspace.set_main(filename).key
        if kind is Role.SEGMENTATION:
            return workspace.add_segmentation(filename, any_size=True).key
        add = workspace.add_anatomical if role == "AnatomicalRole" else workspace.add_overlay
        return add(filename).key

    def set_layer(self, role: str, filename: str) -> str:
        """Replace the first layer of a role by an image.

        Raises:
            InvalidValue: The role is unknown.
            LayerNotFound: There is no main image, and the role is another one.
            ImageError: The role is the main image, and the file cannot be read.
        """
        kind = _role(role)
        if kind is Role.MAIN:
            return self._workspace.set_main(filename).key
        found = self._workspace.layers(role=kind)
        if not found:
            return self.add_layer(role, filename)
        found[0].set_image(filename, kind)
        return found[0].key

    def set_layer_nickname(self, layer_key: str, value: str) -> None:
        """Set the nickname of a layer.

        Raises:
            LayerNotFound: The layer does not exist.
        """
        self._by_key(layer_key).nickname = value

    def add_mesh_layer(self, filename: str, tp: int = 1) -> str:
        """Add a mesh as the last mesh layer, at a time point from 1; return the layer's key.

        Raises:
            LayerNotFound: There is no main image.
            InvalidValue: The time point is less than 1.
        """
        return self._workspace.add_mesh(filename, time_point=tp).key

    def get_layer_actual_path(self, folder: Registry | str) -> str:
        """Return the present path of a layer's file, also if the workspace was moved.

        Args:
            folder: The layer's folder, or its key.

        Returns:
            The path; empty if the layer does not exist, or names no file.
        """
        if isinstance(folder, str):
            if not self.is_key_valid_layer(folder):
                return ""
            folder = self.get_layer_folder_by_key(folder)
        stored = folder.entry("AbsolutePath").get_string()
        return self._workspace.resolve(stored) if stored else ""

    def set_all_layer_paths_to_actual_paths(self) -> None:
        """Write the present path of its file into each layer."""
        for layer in self._workspace.layers():
            if layer.stored_path:
                layer.stored_path = layer.file
        for mesh in self._workspace.meshes():
            mesh.resolve_files()

    def _by_key(self, key: str) -> Layer | MeshLayer:
        everything: list[Layer | MeshLayer] = [*self._workspace.layers(), *self._workspace.meshes()]
        for layer in everything:
            if layer.key == key:
                return layer
        raise LayerNotFound(f"no layer has the key {key!r}")

    # ------------------------------------------------------------------------ labels

    def set_labels(self, label_file: str) -> None:
        """Replace all labels by those of a label file of ITK-SNAP.

        Raises:
            LayerNotFound: There is no main image.
            TextFileError: The file is not a label file.
            WorkspaceError: The file cannot be read.
        """
        self._workspace.labels = labels.read_file(label_file)

    def clear_labels(self) -> None:
        """Remove all labels but the background.

        Raises:
            LayerNotFound: There is no main image.
        """
        self._workspace.labels = ()

    @staticmethod
    def load_color_label_file_to_registry(label_file: str, registry: Registry) -> None:
        """Replace the labels in a folder; see the function of the same name."""
        load_color_label_file_to_registry(label_file, registry)

    # -------------------------------------------------------------------------- tags

    def get_tags(self, folder: Registry) -> set[str]:
        """Return the tags of a layer's folder."""
        return set(_Tagged(folder.tree).tags)

    def put_tags(self, folder: Registry, tags: Iterable[str]) -> None:
        """Set the tags of a layer's folder.

        Raises:
            InvalidValue: A tag is empty, or contains a comma.
        """
        _Tagged(folder.tree).tags = tuple(sorted(tags))

    def add_tag(self, folder: Registry, new_tag: str) -> None:
        """Add a tag to a layer's folder.

        Raises:
            InvalidValue: The tag is empty, or contains a comma.
        """
        self.put_tags(folder, self.get_tags(folder) | {new_tag})

    def remove_tag(self, folder: Registry, tag: str) -> None:
        """Remove a tag from a layer's folder; a missing tag is not an error."""
        self.put_tags(folder, self.get_tags(folder) - {tag})

    def add_tag_to_layer(self, layer_key: str, tag: str) -> None:
        """Add a tag to a layer.

        Raises:
            LayerNotFound: The layer does not exist.
            InvalidValue: The tag is empty, or contains a comma.
        """
        self._by_key(layer_key).add_tag(tag)

    def remove_tag_from_layer(self, layer_key: str, tag: str) -> None:
        """Remove a tag from a layer; a missing tag is not an error.

        Raises:
            LayerNotFound: The layer does not exist.
        """
        self._by_key(layer_key).remove_tag(tag)


class _Tagged(FolderProxy):
    tags = tags()


def load_color_label_file_to_registry(label_file: str, registry: Registry) -> None:
    """Replace the labels in a folder by those of a label file of ITK-SNAP.

    Raises:
        TextFileError: The file is not a label file.
        WorkspaceError: The file cannot be read.
    """
    labels.write_table(registry.tree, labels.read_file(label_file))


def _role(role: str) -> Role:
    """Return the role of a layer in a workspace by its name in `itksnap-dss`.

    Raises:
        InvalidValue: ITK-SNAP does not know the role.
    """
    if role not in _ROLES:
        raise InvalidValue(f"{role!r} is not a role of a layer: {', '.join(_ROLES)}")
    return _ROLES[role][-1]
