"""MINC images: read as SimpleITK reads them, and no other file with them."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snapws import ImageDamaged, ImageError, ImageUnsupported, TextFileError, Workspace, images
from snapws import geometry as geometry_of
from snapws.archive import archive
from snapws.hdf5 import minc as answers
from snapws.hdf5 import process, structure
from tests import warm
from tests.snapws.images.test_itk_formats import hash_of, hash_of_header, random_voxels

sitk = pytest.importorskip("SimpleITK", reason="needs the extra 'formats'")
h5py = pytest.importorskip("h5py", reason="nitransforms, of the extra 'test', brings it")

if answers.READER not in sitk.ImageFileReader().GetRegisteredImageIOs():
    pytest.skip("this SimpleITK was built without MINC", allow_module_level=True)

IMAGE = "minc-2.0/image/0/image"
VOXELS = np.arange(120, dtype="int16").reshape(4, 5, 6)
AXES = ("zspace", "yspace", "xspace")
HALF_TURN = np.diag([-1.0, -1.0, 1.0, 1.0])


def written_by_itk(path: Path, voxels: np.ndarray = VOXELS, *, vectors: bool = False) -> Path:
    image = sitk.GetImageFromArray(voxels, isVector=vectors)
    image.SetSpacing((1.0, 2.0, 3.0))
    image.SetOrigin((10.0, -20.0, 30.0))
    image.SetDirection((0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0))
    sitk.WriteImage(image, path)
    return path


def written_by_hand(
    path: Path,
    voxels: np.ndarray = VOXELS,
    *,
    axes: tuple[str, ...] = AXES,
    steps: tuple[float, float, float] = (1.0, 2.0, 3.0),
    cosines: np.ndarray | None = None,
    least: Any = 0.0,
    most: Any = 119.0,
    **storage: Any,
) -> Path:
    """Write an image as the MINC tools do, with axes in any order and steps of either sign."""
    with h5py.File(path, "w") as file:
        dimensions = file.create_group("minc-2.0/dimensions")
        for number, (name, step) in enumerate(zip(AXES[::-1], steps, strict=True)):
            values = dimensions.create_dataset(name, data=0.0).attrs
            values["length"] = np.int32(voxels.shape[axes.index(name)])
            values["step"], values["start"] = step, (10.0, -20.0, 30.0)[number]
            values["direction_cosines"] = (np.eye(3) if cosines is None else cosines)[number]
            values["class"], values["units"] = np.bytes_("spatial"), np.bytes_("mm")
            values["spacing"], values["alignment"] = np.bytes_("regular__"), np.bytes_("centre")
        image = file.create_dataset(IMAGE, data=voxels, **storage)
        image.attrs["dimorder"] = np.bytes_(",".join(axes))
        image.attrs["valid_range"] = np.array([0.0, 119.0])
        for name, value in (("image-min", least), ("image-max", most)):
            limits = file[IMAGE].parent.create_dataset(name, data=np.asarray(value, float))
            if limits.shape:
                limits.attrs["dimorder"] = np.bytes_(axes[0])
    return path


def values_of(header: images.ImageHeader) -> np.ndarray:
    voxels = np.frombuffer(b"".join(header.voxels()), header.dtype)
    return voxels.reshape(header.shape, order="F")


def assert_read_as_by_itk(path: Path) -> None:
    header, image = images.read_header(path), sitk.ReadImage(path)
    theirs = sitk.GetArrayFromImage(image)
    assert hash_of_header(header) == hash_of(theirs)
    assert np.array_equal(values_of(header), theirs.T)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    assert np.allclose(geometry_of.affine(header), HALF_TURN @ affine, atol=1e-9)


@pytest.mark.usefixtures("forks_read_hdf5")
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "float32"])
def test_an_image_that_itk_wrote_is_read_as_itk_reads_it(tmp_path, dtype):
    path = written_by_itk(tmp_path / "a.mnc", random_voxels(dtype, (4, 5, 6)))
    assert images.read_header(path).dtype == np.dtype(dtype)
    assert_read_as_by_itk(path)


TILTED = np.array([[0.8, 0.0, 0.6], [0.0, 1.0, 0.0], [-0.6, 0.0, 0.8]])


@pytest.mark.usefixtures("forks_read_hdf5")
@pytest.mark.parametrize(
    "how",
    [
        pytest.param({}, id="plain"),
        pytest.param({"steps": (-1.0, 2.0, -3.0)}, id="negative steps"),
        pytest.param({"axes": ("xspace", "zspace", "yspace")}, id="another order of axes"),
        pytest.param({"cosines": TILTED}, id="oblique"),
        pytest.param(
            {"cosines": TILTED, "steps": (1.0, -2.0, -3.0), "axes": ("yspace", "xspace", "zspace")},
            id="oblique, reversed, reordered",
        ),
        pytest.param({"most": 1.0}, id="scaled"),
        pytest.param({"least": [0.0, 1, 2, 3], "most": [1.0, 3, 5, 9]}, id="scaled by slice"),
        pytest.param({"chunks": (2, 3, 3), "compression": "gzip"}, id="compressed"),
    ],
)
def test_an_image_of_the_minc_tools_form_is_read_as_itk_reads_it(tmp_path, how):
    path = written_by_hand(tmp_path / "a.mnc", **how)
    assert_read_as_by_itk(path)


def test_nibabel_puts_it_half_a_turn_from_itk_which_check_remarks(tmp_path):
    path = written_by_hand(tmp_path / "a.mnc", cosines=TILTED)
    theirs = nibabel.load(path)
    by_axis = theirs.affine[:, [2, 1, 0, 3]]  # z is its first axis
    assert np.allclose(geometry_of.affine(images.read_header(path)), HALF_TURN @ by_axis)
    assert np.array_equal(values_of(images.read_header(path)), np.asarray(theirs.dataobj).T)
    Workspace.new(path).save(tmp_path / "s.itksnap")
    said = warm.run("snapws", "check", tmp_path / "s.itksnap")
    assert said.returncode == 0
    assert "remark: layer 000: ITK-SNAP opens MINC only where" in said.stdout


@pytest.mark.usefixtures("forks_read_hdf5")
def test_vectors_are_kept_apart_and_hashed_together(tmp_path):
    voxels = random_voxels("float32", (4, 5, 6, 3))
    header = images.read_header(written_by_itk(tmp_path / "a.mnc", voxels, vectors=True))
    assert header.shape == (6, 5, 4, 1, 3)
    assert hash_of_header(header) == hash_of(voxels)


@pytest.mark.usefixtures("forks_read_hdf5")
def test_an_archive_of_it_is_that_of_the_same_image_in_another_format(tmp_path):
    path = written_by_itk(tmp_path / "a.mnc")
    sitk.WriteImage(sitk.ReadImage(path), tmp_path / "a.nrrd")
    names = []
    for name in ("a.mnc", "a.nrrd"):
        workspace = Workspace.new(tmp_path / name)
        report = archive(workspace, tmp_path / f"of {name}" / "s.itksnap")
        main = Workspace.open(report.workspace).main.path
        names.append(main.name)
        read = sitk.ReadImage(main)
        assert np.allclose(read.GetOrigin(), (10, -20, 30), atol=1e-5)
    assert names[0] == names[1]


def _in_other_file(file: Any, secret: Path) -> None:
    parent, attributes = _without_image(file)
    voxels = parent.create_dataset("image", (4, 5, 6), "int16", external=[(secret, 0, 240)])
    voxels.attrs.update(attributes)


def _made_of_others(file: Any, secret: Path) -> None:
    parent, attributes = _without_image(file)
    layout = h5py.VirtualLayout((4, 5, 6), "int16")
    layout[:] = h5py.VirtualSource(secret, "voxels", shape=(4, 5, 6))
    parent.create_virtual_dataset("image", layout).attrs.update(attributes)


def _linked(file: Any, secret: Path) -> None:
    parent, attributes = _without_image(file)
    parent["image"] = h5py.ExternalLink(secret, "voxels")
    with h5py.File(secret, "r+") as other:
        other["voxels"].attrs.update(attributes)


def _behind_a_linked_group(file: Any, secret: Path) -> None:
    with h5py.File(secret, "r+") as other:
        file.copy("minc-2.0/image", other)
    del file["minc-2.0/image"]
    file["elsewhere"] = h5py.ExternalLink(secret, "/")
    file["minc-2.0/image"] = h5py.SoftLink("/elsewhere/image")


def _without_image(file: Any) -> tuple[Any, dict[str, Any]]:
    attributes = dict(file[IMAGE].attrs)
    parent = file[IMAGE].parent
    del parent["image"]
    return parent, attributes


WAYS: dict[str, Callable[[Any, Path], None]] = {
    "voxels in another file": _in_other_file,
    "put together from others": _made_of_others,
    "a link": _linked,
    "a group behind a link": _behind_a_linked_group,
}


def naming_another_file(folder: Path, way: str, form: str) -> Path:
    """Write an image whose voxels are in another HDF5 file beside it."""
    secret, path = folder / "secret.h5", written_by_hand(folder / "first.mnc")
    with h5py.File(secret, "w", userblock_size=0) as other:
        other["voxels"] = VOXELS
    made = folder / "made.mnc"
    with h5py.File(path) as source, h5py.File(made, "w", libver=form) as file:
        source.copy("minc-2.0", file)
        WAYS[way](file, secret)
    return made


@pytest.mark.parametrize("form", ["earliest", "latest"])
@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_names_another_file_is_refused(tmp_path, way, form):
    path = naming_another_file(tmp_path, way, form)
    with pytest.raises(ImageUnsupported, match="no file is taken from elsewhere") as caught:
        images.read_header(path)
    assert "\n" not in str(caught.value)


def test_the_first_group_is_looked_at_whatever_kind_its_entry_has(tmp_path):
    """A reader takes it for a group, even if its entry says that it is a name for another one."""
    data = bytearray(naming_another_file(tmp_path, "a link", "earliest").read_bytes())
    assert data[8] == 0, "the oldest form, whose first entry is at 56"
    data[72] = 2
    with pytest.raises(structure.OutsideError, match="a link to another file"):
        structure.refuse_other_files(io.BytesIO(bytes(data)))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no number of open files")
@pytest.mark.parametrize("way", ["voxels in another file", "a link", "a group behind a link"])
def test_its_process_could_not_open_another_file_either(tmp_path, way):
    path = naming_another_file(tmp_path, way, "earliest")
    reading = process.answer(answers.__name__, answers.print_values.__name__, str(path))
    with pytest.raises(process.ProcessError):
        reading.__enter__()


@pytest.mark.parametrize("module", ["snapws.hdf5.minc", "snapws.transform_files.hdf5"])
def test_its_process_loads_no_reader_but_simpleitk(module):
    """Others take longer to load than SimpleITK and all that it is to read."""
    program = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300
    )
    assert not {"nibabel", "pydicom", "requests"} & set(done.stdout.split())


@pytest.mark.usefixtures("forks_read_hdf5")
@pytest.mark.parametrize("form", ["earliest", "v108"])
def test_either_form_of_hdf5_is_looked_through(tmp_path, form):
    path = written_by_hand(tmp_path / "first.mnc")
    with (
        h5py.File(path) as source,
        h5py.File(tmp_path / "a.mnc", "w", libver=(form, "v108")) as file,
    ):
        source.copy("minc-2.0", file)
        file["minc-2.0/same"] = h5py.SoftLink(f"/{IMAGE}")
        for number in range(6):
            file[f"other/{number}"] = number
        file["other"].attrs.update({str(number): "x" * 50 for number in range(20)})
    assert_read_as_by_itk(tmp_path / "a.mnc")


def test_a_transform_that_names_another_file_is_refused(tmp_path):
    workspace = Workspace.new(written_by_itk(tmp_path / "a.mnc"))
    sitk.WriteTransform(sitk.TranslationTransform(3, (1.0, 2.0, 3.0)), tmp_path / "theirs.h5")
    sitk.WriteTransform(sitk.TranslationTransform(3, (4.0, 5.0, 6.0)), tmp_path / "made.h5")
    with h5py.File(tmp_path / "made.h5", "r+") as file:
        del file["TransformGroup/0/TransformParameters"]
        file["TransformGroup/0/TransformParameters"] = h5py.ExternalLink(
            tmp_path / "theirs.h5", "TransformGroup/0/TransformParameters"
        )
    with pytest.raises(TextFileError, match="it has a link to another file"):
        workspace.main.read_transform(tmp_path / "made.h5")


@pytest.mark.usefixtures("forks_read_hdf5")
@pytest.mark.parametrize("part", [0.02, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_refused(tmp_path, part):
    data = written_by_itk(tmp_path / "a.mnc").read_bytes()
    path = tmp_path / "cut.mnc"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ImageDamaged, match="cut short or damaged|SimpleITK cannot read"):
        images.read_header(path)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        pytest.param(b"CDF\1" + bytes(80), ImageUnsupported, "mincconvert -2", id="MINC 1"),
        pytest.param(b"P5 2 2 255\nabcd", ImageDamaged, "but other content", id="no HDF5"),
        pytest.param(b"", ImageError, "empty", id="empty"),
    ],
)
def test_a_file_of_another_content_is_refused_with_the_way_out(tmp_path, content, error, message):
    path = tmp_path / "a.mnc"
    path.write_bytes(content)
    with pytest.raises(error, match=message):
        images.read_header(path)


def test_a_simpleitk_without_minc_is_named(tmp_path, monkeypatch):
    path = written_by_itk(tmp_path / "a.mnc")
    monkeypatch.setattr(answers, "READER", "NoSuchImageIO")
    with pytest.raises(ImageUnsupported, match="built without MINC"):
        images.read_header(path)


def test_without_simpleitk_it_says_what_is_missing(tmp_path):
    path = written_by_itk(tmp_path / "a.mnc")
    program = (
        "import sys; sys.modules['SimpleITK'] = None\n"
        "from pathlib import Path\nfrom snapws.images import read_header\n"
        "from snapws import ImageUnsupported\n"
        "try:\n    read_header(Path(sys.argv[1]))\n"
        "except ImageUnsupported as error:\n    print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    assert "pip install 'snapws[formats]'" in said.stdout


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    return written_by_hand(tmp_path_factory.mktemp("minc") / "a.mnc").read_bytes()


@settings(max_examples=200)
@given(data=st.data())
def test_whatever_is_changed_in_a_file_it_is_looked_through_or_refused(whole, data):
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(changed), 8192) - 9))
        changed[at : at + 8] = data.draw(
            st.one_of(
                st.binary(min_size=8, max_size=8),
                st.integers(0, len(changed)).map(lambda number: number.to_bytes(8, "little")),
            )
        )
    with suppress(structure.OutsideError, structure.InvalidError):
        structure.refuse_other_files(io.BytesIO(bytes(changed)))


def test_a_walk_that_would_not_end_is_given_up():
    """A header of a million parts that lie over each other is not read part by part."""
    message = (16).to_bytes(2, "little") + (16).to_bytes(2, "little") + bytes(4)
    length, count = 1 << 20, 4096
    head = structure.SIGNATURE + b"\2\x08\x08\0"
    head += b"".join(one.to_bytes(8, "little") for one in (0, (1 << 64) - 1, 2 * length, 64))
    root = b"\1\0" + bytes(6) + (24 * count).to_bytes(4, "little") + bytes(4)
    for number in range(count):
        place = length + number
        root += message + place.to_bytes(8, "little") + (length - count).to_bytes(8, "little")
    data = (head.ljust(64, b"\0") + root).ljust(2 * length, b"\0")
    with pytest.raises(structure.OutsideError, match="too many parts"):
        structure.refuse_other_files(io.BytesIO(data))
