"""Meshes and annotations over a picture: where the geometry in mm says, in their own colours."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from snapws import Workspace
from snapws.pictures import marks, outlines, tiles
from snapws.pictures.scene import Scene, View
from tests.snapws.mesh_samples import legacy

RADIUS = 20.0
CENTER = np.array((5.0, -3.0, 2.0))  # RAS mm
SHAPE = (64, 80, 48)
COLOR = "0 1 0.2"


def sphere(rings: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """The points of a sphere around `CENTER`, and its triangles."""
    polar, around = np.meshgrid(
        np.linspace(0, np.pi, rings),
        np.linspace(0, 2 * np.pi, rings, endpoint=False),
        indexing="ij",
    )
    x, y = np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around)
    points = CENTER + RADIUS * np.stack([x, y, np.cos(polar)], axis=-1).reshape(-1, 3)
    row, column = np.meshgrid(np.arange(rings - 1), np.arange(rings), indexing="ij")
    a, b = row * rings + column, row * rings + (column + 1) % rings
    triangles = [np.stack(one, axis=-1) for one in ((a, a + rings, b), (b, a + rings, b + rings))]
    return points, np.concatenate(triangles).reshape(-1, 3)


def vtk(path: Path, points: np.ndarray, triangles: np.ndarray, title: str = "x") -> Path:
    lengths = np.full((len(triangles), 1), 3)
    cells = np.concatenate([lengths, triangles], axis=1).astype(">i4")
    path.write_bytes(
        legacy(
            "BINARY",
            f"POINTS {len(points)} double",
            points.astype(">f8"),
            f"POLYGONS {len(triangles)} {cells.size}",
            cells,
            title=title,
        )
    )
    return path


def workspace(folder: Path, affine: np.ndarray, shape=SHAPE) -> Workspace:
    image = nibabel.Nifti1Image(np.zeros(shape, np.int16), affine)
    image.to_filename(folder / "main.nii.gz")
    made = Workspace()
    made.set_main(folder / "main.nii.gz")
    return made


def affine(kind: str) -> np.ndarray:
    """Voxels of 1 by 0.8 by 1.5 mm around the origin, along the axes, flipped or oblique."""
    found = np.diag([1.0, 0.8, 1.5, 1.0])
    if kind == "flipped":
        found[:3, :3] = found[[1, 0, 2], :3] @ np.diag([-1, 1, -1])
    elif kind == "oblique":
        turn = np.deg2rad(25)
        c, s = np.cos(turn), np.sin(turn)
        found[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ found[:3, :3]
    found[:3, 3] = -found[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return found


@pytest.fixture
def ws(tmp_path) -> Workspace:
    return workspace(tmp_path, affine("straight"))


def with_sphere(ws: Workspace, folder: Path, **options) -> Workspace:
    mesh = ws.add_mesh(vtk(folder / "sphere.vtk", *sphere(), **options))
    mesh.registry["SolidColor"] = COLOR
    return ws


def colored(picture: np.ndarray, color=(0, 255, 51)) -> np.ndarray:
    """Row and column of the pixels of a colour."""
    return np.argwhere((picture == color).all(axis=-1))


def in_mm(scene: Scene, view: View, index: int, size: int, pixels: np.ndarray) -> np.ndarray:
    """The RAS mm of pixels, by the raster of a slice."""
    plane = scene.grid.plane(view, index, scene.pixel(size))
    voxels = plane.origin + pixels[:, 1:] * plane.across + pixels[:, :1] * plane.down
    return voxels @ scene.grid.affine[:3, :3].T + scene.grid.affine[:3, 3]


# ------------------------------------------------------------------ the cut of a sphere


@pytest.mark.parametrize("kind", ["straight", "flipped", "oblique"])
@pytest.mark.parametrize("view", list(View), ids=lambda view: view.value)
@pytest.mark.parametrize("away", [0, 7], ids=["middle", "off-centre"])
def test_the_cut_of_a_sphere_is_a_circle_of_the_known_radius(tmp_path, kind, view, away):
    ws = with_sphere(workspace(tmp_path, affine(kind)), tmp_path)
    scene, size = Scene(ws), 400
    axis = scene.grid.axis(view)
    to_voxels = np.linalg.inv(scene.grid.affine)
    center = to_voxels[:3, :3] @ CENTER + to_voxels[:3, 3]
    index = round(center[axis]) + away
    (picture,) = scene.draw([(view, index)], size)
    found = in_mm(scene, view, index, size, colored(picture))
    direction = scene.grid.affine[:3, axis]
    height = abs(index - center[axis]) * np.linalg.norm(direction)
    radius = np.sqrt(RADIUS**2 - height**2)
    # The circle lies around the sphere's centre, moved into the slice.
    middle = CENTER + (index - center[axis]) * direction
    distances = np.linalg.norm(found - middle, axis=1)
    pixel = scene.pixel(size)
    np.testing.assert_allclose(distances, radius, atol=pixel)
    # And it is closed: a pixel for each bit of the circumference.
    assert len(found) > 2 * np.pi * radius / pixel / np.sqrt(2)
    assert scene.marks.left_out == []


def test_a_slice_beside_the_sphere_shows_none_of_it(ws, tmp_path):
    (picture,) = Scene(with_sphere(ws, tmp_path)).draw([(View.AXIAL, 0)], 200)
    assert not picture.any()


def test_all_slices_of_a_view_are_cut_as_each_alone(ws, tmp_path):
    scene = Scene(with_sphere(ws, tmp_path))
    places = [(View.CORONAL, 40), (View.AXIAL, 30), (View.AXIAL, 22), (View.AXIAL, 30)]
    together = scene.draw(places, 160)
    for place, picture in zip(places, together, strict=True):
        (alone,) = Scene(ws).draw([place], 160)
        np.testing.assert_array_equal(picture, alone)
        assert picture.any()


@pytest.mark.parametrize("ending", ["vtk-text", "vtk-strips", "vtk-51", "vtp", "stl", "stl-text"])
def test_each_format_gives_the_same_outline(ws, tmp_path, ending):
    points, triangles = sphere(30)
    expected = Scene(with_mesh(ws, vtk(tmp_path / "a.vtk", points, triangles)))
    (wanted,) = expected.draw([(View.AXIAL, 24)], 160)
    other = workspace(tmp_path, affine("straight"))
    (found,) = Scene(with_mesh(other, written(tmp_path, points, triangles, ending))).draw(
        [(View.AXIAL, 24)], 160
    )
    assert wanted.any()
    # Coordinates of six or so digits can move a pixel.
    assert (wanted != found).any(axis=-1).sum() <= 0.03 * wanted.any(axis=-1).sum()


ARRAY = '<DataArray type="{}" Name="{}" NumberOfComponents="{}" format="ascii">{}</DataArray>'


def with_mesh(ws: Workspace, path: Path) -> Workspace:
    ws.add_mesh(path).registry["SolidColor"] = COLOR
    return ws


def written(folder: Path, points: np.ndarray, triangles: np.ndarray, ending: str) -> Path:
    path = folder / f"b.{ending.split('-')[0]}"
    numbers = " ".join(f"{value:.9g}" for value in points.ravel())
    ids = " ".join(map(str, triangles.ravel()))
    ends = np.arange(3, 3 * len(triangles) + 1, 3)
    if ending == "vtk-text":
        cells = "\n".join(f"3 {a} {b} {c}" for a, b, c in triangles)
        path.write_text(
            f"# vtk DataFile Version 3.0\nx\nASCII\nDATASET POLYDATA\nPOINTS {len(points)} float\n"
            f"{numbers}\nPOLYGONS {len(triangles)} {4 * len(triangles)}\n{cells}\n"
            f"POINT_DATA {len(points)}\nSCALARS a unsigned_char 5\n"
        )
    elif ending == "vtk-strips":
        cells = "\n".join(f"3 {a} {b} {c}" for a, b, c in triangles)
        path.write_text(
            f"# vtk DataFile Version 3.0\nx\nASCII\nDATASET POLYDATA\nPOINTS {len(points)} float\n"
            f"{numbers}\nTRIANGLE_STRIPS {len(triangles)} {4 * len(triangles)}\n{cells}\n"
        )
    elif ending == "vtk-51":
        offsets = " ".join(map(str, (0, *ends)))
        path.write_text(
            f"# vtk DataFile Version 5.1\nx\nASCII\nDATASET POLYDATA\nPOINTS {len(points)} float\n"
            f"{numbers}\nPOLYGONS {len(triangles) + 1} {triangles.size}\n"
            f"OFFSETS vtktypeint64\n{offsets}\nCONNECTIVITY vtktypeint64\n{ids}\n"
        )
    elif ending == "vtp":
        path.write_text(
            '<VTKFile type="PolyData" version="0.1" byte_order="LittleEndian"><PolyData>'
            f'<Piece NumberOfPoints="{len(points)}" NumberOfVerts="0" NumberOfLines="0" '
            f'NumberOfStrips="0" NumberOfPolys="{len(triangles)}"><Points>'
            + ARRAY.format("Float32", "Points", 3, numbers)
            + "</Points><Polys>"
            + ARRAY.format("Int32", "connectivity", 1, ids)
            + ARRAY.format("Int32", "offsets", 1, " ".join(map(str, ends)))
            + "</Polys></Piece></PolyData></VTKFile>"
        )
    elif ending == "stl":
        kind = [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")]
        table = np.zeros(len(triangles), dtype=kind)
        table["corners"] = points[triangles]
        path.write_bytes(bytes(80) + len(triangles).to_bytes(4, "little") + table.tobytes())
    else:
        facets = "".join(
            "facet normal 0 0 1\nouter loop\n"
            + "".join("vertex {:.6e} {:.6e} {:.6e}\n".format(*corner) for corner in corners)
            + "endloop\nendfacet\n"
            for corners in points[triangles]
        )
        path.write_text(f"solid\n{facets}endsolid\n")
    return path


def test_polygons_of_many_corners_and_pieces_are_drawn(ws, tmp_path):
    """A box of six quadrilaterals, in two pieces: its cut is a rectangle."""
    around = ((-8, -6), (8, -6), (8, 6), (-8, 6))
    corners = np.array([(x, y, z) for z in (-9, 9) for x, y in around])
    faces = [(0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]

    def piece(members: list[tuple[int, ...]]) -> str:
        ids = " ".join(str(corner) for face in members for corner in face)
        ends = " ".join(str(4 * (number + 1)) for number in range(len(members)))
        return (
            '<Piece NumberOfPoints="8" NumberOfVerts="0" NumberOfLines="0" NumberOfStrips="0" '
            f'NumberOfPolys="{len(members)}"><Points>'
            + ARRAY.format("Float32", "Points", 3, " ".join(map(str, corners.ravel())))
            + "</Points><Polys>"
            + ARRAY.format("Int32", "connectivity", 1, ids)
            + ARRAY.format("Int32", "offsets", 1, ends)
            + "</Polys></Piece>"
        )

    (tmp_path / "box.vtp").write_text(
        '<VTKFile type="PolyData" version="0.1" byte_order="LittleEndian"><PolyData>'
        f"{piece(faces[:2])}{piece(faces[2:])}</PolyData></VTKFile>"
    )
    scene = Scene(with_mesh(ws, tmp_path / "box.vtp"))
    (picture,) = scene.draw([(View.AXIAL, 24)], 200)
    found = in_mm(scene, View.AXIAL, 24, 200, colored(picture))
    pixel = scene.pixel(200)
    on_side = np.abs(np.abs(found[:, 0]) - 8) <= pixel
    on_end = np.abs(np.abs(found[:, 1]) - 6) <= pixel
    assert (on_side | on_end).all()
    np.testing.assert_allclose(np.abs(found).max(axis=0)[:2], (8, 6), atol=pixel)
    assert len(found) > (2 * 16 + 2 * 12) / pixel - 4


def test_a_flat_mesh_within_a_slice_is_its_border(ws, tmp_path):
    z = (24 - 23.5) * 1.5
    points = np.array([(-8, -6, z), (8, -6, z), (8, 6, z), (-8, 6, z)], dtype=float)
    triangles = np.array([(0, 1, 2), (0, 2, 3)])
    scene = Scene(with_mesh(ws, vtk(tmp_path / "flat.vtk", points, triangles)))
    (picture,) = scene.draw([(View.AXIAL, 24)], 200)
    found = in_mm(scene, View.AXIAL, 24, 200, colored(picture))
    pixel = scene.pixel(200)
    assert len(found) > 50
    inside = (np.abs(found[:, 0]) < 8 - pixel) & (np.abs(found[:, 1]) < 6 - pixel)
    assert not inside.any()  # not the diagonal


def test_coordinates_that_are_stated_as_lps_are_turned(tmp_path, ws):
    points, triangles = sphere()
    (wanted,) = Scene(with_sphere(ws, tmp_path)).draw([(View.AXIAL, 24)], 160)
    other = workspace(tmp_path, affine("straight"))
    mesh = vtk(tmp_path / "lps.vtk", points * (-1, -1, 1), triangles, title="y SPACE=LPS")
    (found,) = Scene(with_mesh(other, mesh)).draw([(View.AXIAL, 24)], 160)
    np.testing.assert_array_equal(found, wanted)


# ------------------------------------------------------------------ looks


def test_each_mesh_has_its_colour_and_opacity(ws, tmp_path):
    with_sphere(ws, tmp_path)
    (mesh,) = ws.meshes()
    mesh.registry["SliceViewOpacity"] = "0.5"
    (picture,) = Scene(ws).draw([(View.AXIAL, 24)], 160)
    assert np.unique(picture.reshape(-1, 3), axis=0).tolist() == [[0, 0, 0], [0, 128, 26]]
    mesh.registry["SliceViewOpacity"] = "0"
    (picture,) = Scene(ws).draw([(View.AXIAL, 24)], 160)
    assert not picture.any()


def test_lines_of_a_large_picture_are_two_pixels_wide(ws, tmp_path):
    scene = Scene(with_sphere(ws, tmp_path))
    (small,), (large,) = (scene.draw([(View.AXIAL, 24)], size) for size in (500, 600))
    assert large.any(axis=-1).sum() > 1.8 * 600 / 500 * small.any(axis=-1).sum()


def test_a_mesh_is_drawn_at_its_time_point(tmp_path):
    ws = with_sphere(workspace(tmp_path, affine("straight"), (*SHAPE, 3)), tmp_path)
    points, triangles = sphere()
    second = vtk(tmp_path / "second.vtk", points + np.array((6, 0, 0)), triangles)
    ws.meshes()[0].add_polydata(second, time_point=2)
    one, two, three = (Scene(ws, time_point=n) for n in (1, 2, 3))
    (first,), (other,), (none,) = (s.draw([(View.AXIAL, 24)], 80) for s in (one, two, three))
    assert colored(other)[:, 1].min() == colored(first)[:, 1].min() - 6  # right is on the left
    assert not none.any()
    assert three.marks.left_out == ["mesh:0: it has no file at time point 3"]


def test_chosen_layers_are_drawn_without_meshes(ws, tmp_path):
    with_sphere(ws, tmp_path).add_landmark((30, 40, 24), "x")
    (picture,) = Scene(ws, ["M"]).draw([(View.AXIAL, 24)], 160)
    assert not picture.any()


def test_tiles_show_meshes_and_annotations_too(ws, tmp_path):
    with_sphere(ws, tmp_path).add_landmark((30, 40, 24), "x")
    ws.add_overlay(tmp_path / "main.nii.gz").display.sticky = False
    picture, left_out = tiles.picture(ws, slices=(30, 40, 24), size=80)
    assert left_out == []
    drawn = np.asarray(picture)
    half = drawn.shape[0] // 2
    for color in ((0, 255, 51), (255, 0, 0)):
        rows = colored(drawn, color)[:, 0]
        assert (rows < half).sum() == (rows > half).sum() > 0


# ------------------------------------------------------------------ what cannot be drawn


def damaged(folder: Path, kind: str) -> str:
    """Write a mesh that cannot be drawn, and return its name."""
    points, triangles = sphere(12)
    if kind == "missing":
        return "gone.vtk"
    if kind == "not a mesh":
        (folder / "letter.vtk").write_text("Dear all")
        return "letter.vtk"
    if kind == "of another kind":
        (folder / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
        return "a.obj"
    path = vtk(folder / "bad.vtk", points, triangles)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-30])
    elif kind == "elsewhere":
        vtk(path, points + 1000, triangles)
    elif kind == "not finite":
        vtk(path, points * np.nan, triangles)
    elif kind == "without polygons":
        path.write_bytes(legacy("ASCII", "POINTS 1 float", [0, 0, 0], "VERTICES 1 2", "1 0"))
    elif kind == "a point too high":
        vtk(path, points, triangles + len(points))
    return path.name


BAD = {
    "missing": "mesh:0: its file {file} ",
    "not a mesh": "mesh:0: {file}, line 1: this is not a legacy VTK file",
    "of another kind": "mesh:0: {file}: only .vtk, .vtp, .stl",
    "truncated": "mesh:0: {file}, byte ",
    "elsewhere": "mesh:0: {file} lies outside the main image, at 98",
    "not finite": "mesh:0: {file} has no point with three finite coordinates",
    "without polygons": "mesh:0: {file} has no polygons",
    "a point too high": "mesh:0: {file}, byte ",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_mesh_that_cannot_be_drawn_is_named_and_the_rest_is_drawn(ws, tmp_path, kind):
    ws.add_mesh(tmp_path / damaged(tmp_path, kind))
    with_sphere(ws, tmp_path)
    picture, left_out = tiles.picture(ws, slices=(30, 40, 24), size=80)
    assert len(colored(np.asarray(picture))) > 100
    (line,) = left_out
    assert line.startswith(BAD[kind].format(file=tmp_path / damaged(tmp_path, kind)))


@pytest.mark.parametrize(
    ("key", "stored", "said"),
    [
        ("SolidColor", "red", "the entry SolidColor holds 'red'"),
        ("SolidColor", "nan 0 0", "the entry SolidColor is not three numbers from 0 to 1"),
        ("SliceViewOpacity", "nan", "its opacity nan is not a number from 0 to 1"),
    ],
)
def test_a_mesh_with_an_invalid_look_is_named(ws, tmp_path, key, stored, said):
    with_sphere(ws, tmp_path).meshes()[0].registry[key] = stored
    scene = Scene(ws)
    scene.draw([(View.AXIAL, 24)], 80)
    (line,) = scene.marks.left_out
    assert line.startswith(f"mesh:0: {said}")


def test_a_triangle_with_a_point_at_infinity_does_not_spoil_the_others(ws, tmp_path):
    points, triangles = sphere()
    (wanted,) = Scene(with_sphere(ws, tmp_path)).draw([(View.AXIAL, 24)], 160)
    points = np.concatenate([points, [(np.inf, 0, 0), (0, np.nan, 0), (1e300, 0, -1e300)]])
    last = len(points)
    more = np.array([(0, 1, last - 3), (0, 1, last - 2)])
    other = workspace(tmp_path, affine("straight"))
    mesh = vtk(tmp_path / "more.vtk", points, np.concatenate([triangles, more]))
    (found,) = Scene(with_mesh(other, mesh)).draw([(View.AXIAL, 24)], 160)
    np.testing.assert_array_equal(found, wanted)


def test_triangles_far_larger_than_the_image_are_clipped(ws, tmp_path):
    points = np.array([(-1e7, 5.0, -1e7), (1e7, 5.0, -1e7), (0, 5.0, 1e7)])
    scene = Scene(with_mesh(ws, vtk(tmp_path / "wide.vtk", points, np.array([(0, 1, 2)]))))
    (picture,) = scene.draw([(View.AXIAL, 24)], 80)
    assert len(colored(picture)) == picture.shape[1]  # one line from edge to edge


def test_a_mesh_with_more_lines_than_are_drawn_is_named(ws, tmp_path, monkeypatch):
    monkeypatch.setattr(outlines, "MOST_SEGMENTS", 10)
    scene = Scene(with_sphere(ws, tmp_path))
    scene.draw([(View.AXIAL, 24)], 80)
    assert scene.marks.left_out == ["mesh:0: it has more than 10 segments on the slices"]
    monkeypatch.undo()
    monkeypatch.setattr(outlines, "MOST_PIXELS", 10)
    scene.draw([(View.AXIAL, 25)], 80)
    assert scene.marks.left_out == ["mesh:0: its lines have more than 10 pixels"]


def test_meshes_beyond_the_most_are_counted(ws, tmp_path, monkeypatch):
    monkeypatch.setattr(marks, "MOST_MESHES", 1)
    with_sphere(ws, tmp_path)
    for _ in range(2):
        ws.add_mesh(tmp_path / "gone.vtk")
    scene = Scene(ws)
    scene.draw([(View.AXIAL, 24)], 80)
    assert scene.marks.left_out == ["mesh:1 and 1 more meshes: a picture has 1 at most"]


# ------------------------------------------------------------------ annotations


@pytest.mark.parametrize("kind", ["straight", "flipped", "oblique"])
def test_a_landmark_is_a_cross_at_its_place(tmp_path, kind):
    ws = workspace(tmp_path, affine(kind))
    voxel = (20.2, 50.4, 30.1)
    ws.add_landmark(voxel, "Fovea")
    scene = Scene(ws)
    (place,) = (one.points[0] for one in ws.markups())
    for view in View:
        axis = scene.grid.axis(view)
        index = round(voxel[axis])
        drawn, beside = scene.draw([(view, index), (view, index + 1)], 160)
        found = colored(drawn, (255, 0, 0))
        assert len(found) == 13
        assert not beside.any()
        middle = in_mm(scene, view, index, 160, found.mean(axis=0, keepdims=True))[0]
        # Within the slice, the cross lies on the landmark.
        normal = scene.grid.affine[:3, axis] / np.linalg.norm(scene.grid.affine[:3, axis])
        away = middle - place
        assert np.linalg.norm(away - away @ normal * normal) <= scene.pixel(160)


def test_a_landmark_has_its_colour_and_can_be_in_all_slices(ws):
    ws.add_landmark((20, 50, 30), "x")
    (mark,) = ws.annotations
    mark.color, mark.plane, mark.visible_in_all_slices = (0.0, 0.4, 1.0), 2, True
    axial, coronal = Scene(ws).draw([(View.AXIAL, 3), (View.CORONAL, 3)], 80)
    assert len(colored(axial, (0, 102, 255))) == 13
    assert not coronal.any()
    mark.visible_in_all_planes = True
    axial, coronal = Scene(ws).draw([(View.AXIAL, 3), (View.CORONAL, 3)], 80)
    assert len(colored(coronal, (0, 102, 255))) == 13


def test_a_line_within_a_slice_runs_from_end_to_end(ws):
    ws.add_line((10, 20, 24), (50, 20, 24))
    (picture,) = Scene(ws).draw([(View.AXIAL, 24)], 72)  # a pixel is 1 mm
    found = colored(picture, (255, 0, 0))
    assert np.unique(found[:, 0]).size == 1
    assert sorted(found[:, 1]) == list(range(63 - 50, 63 - 10 + 1))


def test_a_line_through_slices_has_its_part_in_each(ws):
    ws.add_line((10, 20, 20), (50, 20, 28))
    slices = [(View.AXIAL, index) for index in range(19, 30)]
    drawn = Scene(ws).draw(slices, 72)
    columns = [set(63 - colored(one, (255, 0, 0))[:, 1]) for one in drawn]
    assert columns[0] == columns[-1] == set()
    assert set.union(*columns) == set(range(10, 51))
    assert set(range(28, 33)) <= columns[5] <= set(range(27, 34))  # 27.5 to 32.5 in slice 24


BAD_MARKS = [
    ("Pos", "nan 0 0", "annotation 0: its place has a coordinate that is not a finite number"),
    ("Pos", "0 0", "annotation 0: the entry Pos"),
    ("Pos", "500 0 0", "annotation 0: it lies outside the main image"),
    ("Color", "x", "annotation 0: the entry Color"),
    ("Type", "Balloon", "annotation 0: pictures show no annotations of type 'Balloon'"),
]


@pytest.mark.parametrize(("key", "stored", "said"), BAD_MARKS)
def test_an_annotation_that_cannot_be_drawn_is_named_and_the_rest_is_drawn(ws, key, stored, said):
    ws.add_landmark((20, 50, 30), "x")
    ws.add_landmark((20, 50, 30), "y")
    ws.annotations[0].registry[key] = stored
    scene = Scene(ws)
    (picture,) = scene.draw([(View.AXIAL, 30)], 80)
    assert len(colored(picture, (255, 0, 0))) == 13
    (line,) = scene.marks.left_out
    assert line.startswith(said)


def test_annotations_beyond_the_most_are_counted(ws, monkeypatch):
    monkeypatch.setattr(marks, "MOST_ANNOTATIONS", 1)
    for _ in range(3):
        ws.add_landmark((20, 50, 30), "x")
    scene = Scene(ws)
    scene.draw([(View.AXIAL, 24)], 80)
    assert scene.marks.left_out == ["annotation 1 and 1 more: a picture has 1 at most"]
