"""A workspace with a marker in each place where a name can hide."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from tests.privacy import image_files, mesh_files, nifti_files
from tests.privacy.marking import CHANGED, FOLDER_CHANGED, READ, Marks
from tests.privacy.voxels import Writer

# Beyond what an undocumented key is called: what stands there, the marker for {}.
_MAIN = {
    "IOHints.Format": "{}",
    "IOHints.RawHeader.FileName": "/home/{}/scan.raw",
    "IOHints.DICOM.SeriesId": "{}",
    "IOHints.DICOM.SeriesFiles.Element[0]": "/home/{}/0001.dcm",
    "LayerMetaData.Comment": "seen by {}",
    "LayerMetaData.MetaData.PatientName": "{}",
    "LayerMetaData.DisplayMapping.ColorMap.Preset": "{}",
    "LayerMetaData.DisplayMapping.Curve.Note": "{}",
    "ImageTransform.Note": "{}",
    "ImageTransform.FileName": "/home/{}/affine.mat",
    "MetaData.0010|0010": "{}",
    "ProjectMetaData.Files.Grey.FileName": "/home/{}/t1.nii",
    "ProjectMetaData.Files.Segmentation.FileName": "C:\\Users\\{}\\seg.nii",
    "ProjectMetaData.IOHistory.AnatomicImage.Element[0]": "/home/{}/t1.nii",
    "ProjectMetaData.IOHistory.AnatomicImage.Element[1]": "\\\\server\\{}\\t1.nii",
    "ProjectMetaData.IOHistory.LabelDescriptions.Element[0]": "/home/{}/labels.txt",
    "ProjectMetaData.IOHistory.MeshExport.Element[0]": "/home/{}/mesh.vtk",
    "ProjectMetaData.IRIS.Note": "{}",
    "ProjectMetaData.IRIS.LabelTable.Note": "{}",
    "ProjectMetaData.IRIS.LabelTable.Element[0].Note": "{}",
    "ProjectMetaData.IRIS.LabelTable.Element[90].Label": "{}",
}
_WORKSPACE = {
    "Note": "{}",
    "Owner.Name": "{}",
    "UserPreferences.LastFolder": "/home/{}",
    "Layers.Note": "{}",
    "Layers.Layer[050].AbsolutePath": "/home/{}/beyond.nii",
    "Layers.Layer[051].LayerMetaData.CustomNickName": "{}",
    "MeshLayers.Note": "{}",
    "MeshLayers.Layer[050].NickName": "{}",
    "MeshLayers.Layer[051].MeshTimePoints.TimePoint[001].PolyData[000].AbsolutePath": "/{}.vtk",
    "Annotations.Note": "{}",
    "Annotations.Annotations.Note": "{}",
    "Annotations.Annotations.Element[0].Note": "{}",
    "TimePointProperties.Note": "{}",
    "TimePointProperties.TimePoints.TimePoint[1].Note": "{}",
}
_OVERLAY = {
    "IOHints.Format": "{}",
    "LayerMetaData.Comment": "{}",
    "ProjectMetaData.IOHistory.AnatomicImage.Element[0]": "/home/{}/t2.nii",
    "ProjectMetaData.IRIS.LabelTable.Element[0].Label": "{}",
}
_MESH = {
    "Note": "{}",
    "LayerMetaData.Comment": "{}",
    "MeshTimePoints.Note": "{}",
    "MeshTimePoints.TimePoint[001].Note": "{}",
    "MeshTimePoints.TimePoint[001].PolyData[000].Note": "{}",
    "MeshTimePoints.TimePoint[001].PolyData[090].AbsolutePath": "/home/{}/b.vtk",
}
# Folders in which an entry, and a folder, are called by a marker.
_FOLDERS = ("", "Layers.", "Layers.Layer[000].", "Layers.Layer[000].LayerMetaData.", "MeshLayers.")

_MESH_FORMATS = {
    ".vtk": "VTK Mesh",
    ".vtp": "VTP Mesh",
    ".stl": "STL Mesh",
}

Tree = dict[str, "str | Tree"]


@dataclass(frozen=True)
class Study:
    """A folder with a workspace, its files, and markers.

    Attributes:
        folder: all of it.
        workspace: the workspace file in it.
        marks: where the markers are.
        images: how many image layers there are.
        meshes: how many mesh layers there are.
    """

    folder: Path
    workspace: Path
    marks: Marks
    images: int
    meshes: int


def build(
    folder: Path,
    images: Iterable[str] = image_files.FORMATS,
    meshes: Iterable[str] = mesh_files.FORMATS,
    *,
    irregular: bool = False,
) -> Study:
    """Make the workspace, an image layer and a mesh layer for each of some formats.

    Args:
        folder: where to; it is made.
        images: names of `image_files.FORMATS` or `FIELDS_WITHOUT_MEANING`, the main image's first.
        meshes: names of `mesh_files.FORMATS`.
        irregular: whether the meshes are of `mesh_files.IRREGULAR` instead.
    """
    mark = Marks()
    home = folder / mark("a folder's name") / mark("a folder's name, accented", accented=True)
    home.mkdir(parents=True)
    saved_in = f"/data/{mark('SaveLocation')}"
    entries: dict[str, str] = {"SaveLocation": saved_in, "Version": "20250909"}

    def stored(path: Path) -> str:
        return f"{saved_in}/{path.relative_to(folder).as_posix()}"

    formats = image_files.FORMATS | nifti_files.FIELDS_WITHOUT_MEANING
    image_paths = [_made(name, formats[name], home, mark) for name in images]
    writers = mesh_files.IRREGULAR if irregular else mesh_files.FORMATS
    mesh_paths = [_made(name, writers[name], home, mark) for name in meshes]
    linked = _link(folder, image_paths[0], mark)
    image_paths += [linked] if linked else []
    for number, path in enumerate(image_paths):
        key = f"Layers.Layer[{number:03d}]"
        entries |= _image_entries(key, number, stored(path), mark)
    for number, path in enumerate(mesh_paths):
        key = f"MeshLayers.Layer[{number:03d}]"
        entries |= _mesh_entries(key, path, stored(path), mark)
    entries |= _shared_entries(mark)
    workspace = folder / f"{mark('name of the workspace file')}.itksnap"
    workspace.write_text(_document(entries, mark), encoding="utf-8", newline="\n")
    _attributes([workspace, home, *image_paths[:1], *mesh_paths[:1]], mark)
    _times(folder, mark)
    return Study(folder, workspace, mark, len(image_paths), len(mesh_paths))


def _made(name: str, write: Writer, home: Path, mark: Marks) -> Path:
    folder = home / mark(f"{name}: folder")
    folder.mkdir()
    return write(folder, mark)


def _link(folder: Path, image: Path, mark: Marks) -> Path | None:
    """Make a symbolic link to an image, by way of a folder that is one too."""
    if image.suffix in (".hdr", ".img", ".mhd", ".nhdr", ".dcm"):
        return None  # its partners would have to be linked too
    places = ("name of a link", "name of a linked folder")
    try:
        linked = folder / mark(places[1])
        linked.symlink_to(image.parent, target_is_directory=True)
        suffix = "".join(image.suffixes[-2:]) if image.name.endswith(".gz") else image.suffix
        link = folder / f"{mark(places[0], 'file name')}{suffix}"
        link.symlink_to(linked / image.name)
    except OSError as error:
        for name in places:
            mark.absent[name] = f"no symbolic links here: {error.strerror}"
        return None
    return link


def _filled(prefix: str, templates: dict[str, str], mark: Marks) -> dict[str, str]:
    return {
        f"{prefix}{key}": value.format(mark(f"{prefix}{key}")) for key, value in templates.items()
    }


def _image_entries(key: str, number: int, path: str, mark: Marks) -> dict[str, str]:
    entries = {
        f"{key}.AbsolutePath": path,
        f"{key}.Role": "OverlayRole" if number else "MainRole",
        f"{key}.Tags": mark(f"{key}.Tags", "tag"),
        f"{key}.LayerMetaData.CustomNickName": mark(f"{key}: nickname", "typed"),
        f"{key}.LayerMetaData.Alpha": "128",
        f"{key}.ImageTransform.IsIdentity": "1",
        **_filled(f"{key}.", _OVERLAY if number else _MAIN, mark),
    }
    if number == 0:
        table = f"{key}.ProjectMetaData.IRIS.LabelTable"
        entries |= {f"{table}.NumberOfElements": "2"}
        for index in range(2):
            label = f"{table}.Element[{index}]"
            entries |= {
                f"{label}.Index": str(index + 1),
                f"{label}.Label": mark(f"{label}: name", "typed", accented=index == 1),
                f"{label}.Color": "255 0 0",
                f"{label}.Alpha": "255",
                f"{label}.Flags": "1 1",
            }
    return entries


def _mesh_entries(key: str, path: Path, stored: str, mark: Marks) -> dict[str, str]:
    surface = f"{key}.MeshTimePoints.TimePoint[001].PolyData[000]"
    return {
        f"{key}.MeshType": "StandaloneMesh",
        f"{key}.NickName": mark(f"{key}: nickname", "typed"),
        f"{key}.Tags": mark(f"{key}.Tags", "tag"),
        f"{key}.MeshTimePoints.TimePoint[001].TimePoint": "1",
        f"{surface}.AbsolutePath": stored,
        f"{surface}.Format": _MESH_FORMATS[path.suffix],
        **_filled(f"{key}.", _MESH, mark),
    }


def _shared_entries(mark: Marks) -> dict[str, str]:
    element = "Annotations.Annotations.Element[0]"
    point = "TimePointProperties.TimePoints.TimePoint[1]"
    hidden = mark("base64 in an unknown key").encode()
    percent = "".join(f"%{byte:02x}" for byte in mark("percent-encoded path").encode())
    return {
        "Annotations.Format": "ITK-SNAP Annotation File",
        "Annotations.FormatDate": "20150624",
        "Annotations.Annotations.ArraySize": "1",
        f"{element}.Type": "LandmarkAnnotation",
        f"{element}.Pos": "1 2 3",
        f"{element}.Offset": "0 0",
        f"{element}.Text": mark("annotation text", "typed"),
        f"{element}.Tags": mark(f"{element}.Tags", "other tag"),
        f"{element}.Color": "1 0 0",
        f"{element}.Plane": "0",
        "TimePointProperties.FormatVersion": "1",
        "TimePointProperties.TimePoints.ArraySize": "1",
        f"{point}.TimePoint": "1",
        f"{point}.Nickname": mark("time point nickname", "typed"),
        f"{point}.Tags": mark(f"{point}.Tags", "other tag"),
        **_filled("", _WORKSPACE, mark),
        **{f"{key}{mark(f'name of an entry in {key!r}', 'key')}": "1" for key in _FOLDERS},
        **{f"{key}{mark(f'name of a folder in {key!r}', 'key')}.On": "1" for key in _FOLDERS},
        "UserData": base64.b64encode(hidden).decode(),
        "LastUrl": f"file:///home/{percent}",
    }


def _document(entries: dict[str, str], mark: Marks) -> str:
    """Write the XML by hand, for what no writer of workspaces writes."""
    tree: Tree = {}
    for key, value in entries.items():
        *folders, name = key.split(".")
        at = tree
        for folder in folders:
            inner = at.setdefault(folder, {})
            assert isinstance(inner, dict), key
            at = inner
        at[name] = value
    references = "".join(f"&#x{ord(letter):x};" for letter in mark("XML: character references"))
    return f"""<?xml version="1.0" encoding="UTF-8" ?>
<!--saved by {mark("XML: comment before the root")}-->
<?saved by="{mark("XML: processing instruction before the root")}"?>
<!DOCTYPE registry [
<!--{mark("XML: comment in the document type")}-->
<!ELEMENT registry (entry*,folder*)>
<!NOTATION note SYSTEM "{mark("XML: notation")}">
<!ATTLIST registry note CDATA "{mark("XML: default value of an attribute")}">
]>
<registry xmlns:x="urn:{mark("XML: namespace")}" saved="{mark("XML: attribute of the root")}">
<!--{mark("XML: comment within")}--><?x {mark("XML: processing instruction within")}?>
{mark("XML: character data")}<![CDATA[{mark("XML: character data in a section")}]]>{references}
<entry key="Version" value="{mark("XML: value of a key that comes again")}" />
<ENTRY key="NOTE2" value="{mark("XML: element in capitals")}" />
<entry key="Version" value="20250909" note="{mark("XML: attribute of an entry")}" />
<folder key="Layers" note="{mark("XML: attribute of a folder")}" ></folder>
{_elements(tree)}</registry>
<!--{mark("XML: comment after the root")}-->
<?saved by="{mark("XML: processing instruction after the root")}"?>
"""


def _elements(tree: Tree) -> str:
    lines = []
    for key, value in tree.items():
        if isinstance(value, str):
            lines.append(f"<entry key={quoteattr(key)} value={quoteattr(value)} />\n")
        else:
            lines.append(f"<folder key={quoteattr(key)} >\n{_elements(value)}</folder>\n")
    return "".join(lines)


def _attributes(paths: list[Path], mark: Marks) -> None:
    for kind, path in zip(("workspace", "folder", "image", "mesh"), paths, strict=False):
        places = (f"extended attribute of a {kind}", f"name of one of a {kind}")
        if not hasattr(os, "setxattr"):
            mark.absent |= dict.fromkeys(places, "Python sets no extended attributes here")
            continue
        try:
            os.setxattr(path, "user.zy", b"probe")
        except OSError as error:
            reason = f"the file system takes no extended attributes: {error.strerror}"
            mark.absent |= dict.fromkeys(places, reason)
            continue
        os.setxattr(path, "user.zy", mark(places[0]).encode())
        os.setxattr(path, f"user.{mark(places[1])}", b"1")


def _times(folder: Path, mark: Marks) -> None:
    for text, name in (
        *((CHANGED, "time of change of files"), (READ, "time of access of files")),
        (FOLDER_CHANGED, "time of change of folders"),
    ):
        mark.put(str(text), name, "date")
    for at, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(at) / name
            if path.is_file():
                os.utime(path, (READ, CHANGED))
            elif path.is_dir():
                os.utime(path, (READ, FOLDER_CHANGED))
