"""PNG, JPEG and TIFF images, sequences in NRRD, and voxels without a header."""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from snapws import ImageDamaged, ImageUnsupported, Workspace, images
from snapws.archive import archive
from snapws.check import check_workspace
from snapws.verify import verify_archive
from tests import warm

sitk = pytest.importorskip("SimpleITK", reason="needs the extra 'formats'")
pillow = pytest.importorskip("PIL.Image", reason="needs the extra 'pictures'")

GREY = np.random.default_rng(5).integers(0, 250, (40, 60), dtype=np.uint8)
COLOUR = np.dstack([GREY, GREY // 2, 255 - GREY])


def presented(path: Path) -> np.ndarray:
    """Return an image's voxels as SimpleITK would, colours as its components."""
    header = images.read_header(path)
    voxels = np.frombuffer(b"".join(header.voxels()), header.dtype)
    if header.dtype.names:
        return voxels.view(np.uint8).reshape(*header.shape[1::-1], 3)
    return voxels.reshape(header.shape[::-1])


FORMS = {
    "grey.png": (GREY, {}),
    "colour.png": (COLOUR, {}),
    "deep.png": (GREY.astype(np.uint16) * 200, {}),
    "fine.png": (GREY, {"dpi": (254, 254)}),
    "grey.jpg": (GREY, {}),
    "colour.jpeg": (COLOUR, {}),
    "grey.tif": (GREY, {}),
    "lzw.tiff": (GREY, {"compression": "tiff_lzw"}),
    "deflate.tif": (COLOUR, {"compression": "tiff_deflate"}),
    "float.tif": (GREY.astype(np.float32) / 7, {}),
    "fine.tif": (GREY, {"dpi": (254, 254)}),
}


def written(folder: Path, name: str) -> Path:
    voxels, options = FORMS[name]
    pillow.fromarray(voxels).save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("name", FORMS)
def test_an_image_equals_that_of_simpleitk(tmp_path, name):
    path = written(tmp_path, name)
    meant = sitk.ReadImage(str(path))
    assert np.array_equal(presented(path), sitk.GetArrayFromImage(meant))
    header = images.read_header(path)
    assert header.stored_shape == (60, 40, 0)
    assert np.allclose(header.nifti["pixdim"][1:3], meant.GetSpacing())


@pytest.mark.parametrize("name", FORMS)
def test_flat_image_is_archived(tmp_path, name):
    made = Workspace()
    made.set_main(written(tmp_path, name))
    assert not [one for one in check_workspace(made) if one.kind == "image"]
    packed = archive(made, tmp_path / "out").workspace
    verify_archive(packed, against=made)
    kept = sitk.GetArrayFromImage(sitk.ReadImage(Workspace.open(packed).main.path))
    assert np.array_equal(kept.ravel(), presented(tmp_path / name).ravel())


def test_grey_values_with_an_opacity_are_refused(tmp_path):
    pillow.fromarray(GREY).convert("LA").save(tmp_path / "a.png")
    with pytest.raises(ImageUnsupported, match="with opacity are not supported"):
        images.read_header(tmp_path / "a.png")


def test_pages_of_tiff_are_slices(tmp_path):
    pages = [pillow.fromarray(GREY // one) for one in (1, 2, 3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert np.array_equal(presented(tmp_path / "a.tif"), [GREY, GREY // 2, GREY // 3])


@pytest.mark.parametrize("name", [*FORMS, "pages.tif"])
def test_what_is_cut_short_is_refused_and_nothing_else_is_said(tmp_path, name):
    """Decoders fill with grey, leave pages out, and write to standard error themselves."""
    if name == "pages.tif":
        pages = [pillow.fromarray(GREY // one) for one in (1, 2, 3)]
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    else:
        written(tmp_path, name)
    data = (tmp_path / name).read_bytes()
    cuts = [len(data) * part // 9 for part in range(1, 9)]
    for number, cut in enumerate(cuts):
        (tmp_path / f"{number}{name}").write_bytes(data[:cut])
    files = [tmp_path / f"{number}{name}" for number in range(len(cuts))]
    done = warm.captured([sys.executable, "-c", READ, *files])
    assert done.stderr == ""
    assert done.stdout.split() == ["ImageDamaged"] * len(cuts)


READ = """
import sys
from pathlib import Path
from snapws import ImageError, images
for file in sys.argv[1:]:
    try:
        header = images.read_header(Path(file))
        for _ in header.voxels():
            pass
        print("read")
    except ImageError as error:
        print(type(error).__name__)
"""


def test_a_changed_byte_is_found_where_the_format_has_a_checksum(tmp_path):
    path = written(tmp_path, "grey.png")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(ImageDamaged, match="checksum"):
        images.read_header(path)


def test_the_content_has_to_be_what_the_name_says(tmp_path):
    (tmp_path / "a.png").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(ImageDamaged, match=r"by its name it is PNG, JPEG or TIFF, and by its cont"):
        images.read_header(tmp_path / "a.png")


def test_pages_that_lead_back_to_themselves_end(tmp_path):
    page = struct.pack("<HHHIIHHIII", 2, 273, 4, 1, 0, 279, 4, 1, 1, 8)
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 8) + page)
    with pytest.raises(ImageDamaged, match="its pages have no end"):
        images.read_header(tmp_path / "a.tif")


BEAT = np.random.default_rng(6).integers(-900, 900, (3, 6, 5, 4), dtype=np.int16)


def write_sequence(path: Path, *, first: bool) -> Path:
    """Write three time points of 6 x 5 x 4 voxels, their axis being the first or the last."""
    kinds = "list domain domain domain" if first else "domain domain domain list"
    directions = ["(1,0,0)", "(0,1,0)", "(0,0,2)"]
    sizes = ["6", "5", "4"]
    if first:
        sizes, directions = ["3", *sizes], ["none", *directions]
        data = BEAT.transpose(3, 2, 1, 0)
    else:
        sizes, directions = [*sizes, "3"], [*directions, "none"]
        data = BEAT.transpose(0, 3, 2, 1)
    path.write_bytes(
        (
            f"NRRD0005\ntype: short\ndimension: 4\nspace: left-posterior-superior\n"
            f"sizes: {' '.join(sizes)}\nspace directions: {' '.join(directions)}\n"
            f"kinds: {kinds}\nendian: little\nencoding: raw\nspace origin: (1,2,3)\n\n"
        ).encode()
        + np.ascontiguousarray(data).tobytes()
    )
    return path


@pytest.mark.parametrize("first", [True, False], ids=["first axis", "last axis"])
def test_a_sequence_has_time_points(tmp_path, first):
    path = write_sequence(tmp_path / "beat.seq.nrrd", first=first)
    header = images.read_header(path)
    assert header.shape == (6, 5, 4, 3)
    assert int(header.nifti["intent_code"]) == 0
    assert np.array_equal(presented(path), BEAT.transpose(0, 3, 2, 1))
    assert header.nifti["pixdim"][1:5].tolist() == [1, 1, 2, 1]


def test_the_same_without_the_name_is_a_vector_image(tmp_path):
    path = write_sequence(tmp_path / "beat.nrrd", first=True)
    assert images.read_header(path).shape == (6, 5, 4, 1, 3)


def test_an_archive_has_the_time_points_of_a_sequence(tmp_path):
    made = Workspace()
    made.set_main(write_sequence(tmp_path / "beat.seq.nrrd", first=True))
    packed = archive(made, tmp_path / "out").workspace
    verify_archive(packed, against=made)
    kept = sitk.ReadImage(Workspace.open(packed).main.path)
    assert kept.GetSize() == (6, 5, 4, 3)
    assert kept.GetOrigin()[:3] == (1, 2, 3)


RAW = np.random.default_rng(7).integers(-900, 900, (4, 5, 6), dtype="<i2")


def raw_workspace(path: Path, data: bytes = RAW.tobytes(), **hints: str) -> Workspace:
    """Return a workspace that says how the voxels of a file are stored."""
    path.write_bytes(data)
    said = {"Dimensions": "6 5 4", "PixelType": "SHORT", "Spacing": "1 1 2", **hints}
    entries = "".join(f'<entry key="{key}" value="{value}" />' for key, value in said.items())
    text = (
        '<registry><folder key="Layers"><folder key="Layer[000]">'
        f'<entry key="AbsolutePath" value="{path}" /><entry key="Role" value="MainRole" />'
        f'<folder key="IOHints"><entry key="Format" value="Raw Binary" /><folder key="Raw">'
        f"{entries}</folder></folder></folder></folder></registry>"
    )
    (path.parent / "raw.itksnap").write_text(text, encoding="utf-8")
    return Workspace.open(path.parent / "raw.itksnap")


def test_raw_voxels_are_read_as_the_workspace_says(tmp_path):
    made = raw_workspace(tmp_path / "x.raw")
    assert not check_workspace(made)
    header = made.main.header()
    assert np.array_equal(np.frombuffer(b"".join(header.voxels()), "<i2").reshape(RAW.shape), RAW)
    assert header.nifti["pixdim"][1:4].tolist() == [1, 1, 2]
    packed = archive(made, tmp_path / "out").workspace
    verify_archive(packed, against=made)
    kept = sitk.GetArrayFromImage(sitk.ReadImage(Workspace.open(packed).main.path))
    assert np.array_equal(kept, RAW)


@pytest.mark.parametrize("more", [-1, 1, 30, 5000])
def test_raw_voxels_are_as_many_as_the_workspace_says(tmp_path, more):
    data = RAW.tobytes()
    made = raw_workspace(tmp_path / "x.raw", data[:more] if more < 0 else data + bytes(more))
    with pytest.raises(ImageDamaged):
        list(made.main.header().voxels())


@pytest.mark.parametrize(
    "hints",
    [{"Dimensions": "6 5"}, {"Dimensions": "6 0 4"}, {"PixelType": "LONG WORD"}, {"Spacing": "1"}],
    ids=lambda hints: next(iter(hints)) + next(iter(hints.values())),
)
def test_hints_that_are_invalid_are_told(tmp_path, hints):
    made = raw_workspace(tmp_path / "x.raw", **hints)
    (problem,) = check_workspace(made)
    assert "hints for its raw voxels are invalid" in problem.message


def test_hints_that_are_not_known_are_told(tmp_path):
    made = raw_workspace(tmp_path / "x.raw", SomethingElse="4")
    (problem,) = check_workspace(made)
    assert "SomethingElse" in problem.message


@pytest.mark.parametrize("name", ["letter.txt", ".key.raw", "x.itksnap", "x"])
def test_no_other_file_is_taken_for_raw_voxels(tmp_path, name):
    """A workspace comes from strangers: any file of the right size would be an image."""
    made = raw_workspace(tmp_path / name)
    with pytest.raises(ImageUnsupported, match="has not the name of such a file"):
        archive(made, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_is_not_taken_for_raw_voxels(tmp_path):
    made = raw_workspace(tmp_path / "x.raw")
    (tmp_path / "x.raw").rename(tmp_path / "letter.txt")
    (tmp_path / "x.raw").symlink_to(tmp_path / "letter.txt")
    with pytest.raises(ImageUnsupported, match="has not the name of such a file"):
        made.main.header()


def test_a_file_with_a_header_is_not_taken_for_raw_voxels(tmp_path):
    data = b"%PDF-1.7 " + RAW.tobytes()[9:]
    made = raw_workspace(tmp_path / "x.raw", data)
    with pytest.raises(ImageDamaged, match="begins with a header of its own"):
        list(made.main.header().voxels())
