"""Files that a header names: beside it to be sent, below it to be shown, and never elsewhere."""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path

import pytest

from snapws import ImageError, ImageUnsupported, Workspace, images
from snapws.archive import archive
from snapws.images import itk, voxel_files
from tests import warm
from tests.snapws.images.test_images import content_hash, write_nifti
from tests.snapws.images.test_itk_formats import (
    BIG,
    LITTLE,
    META,
    MSB,
    NRRD,
    SERIES,
    VOXELS,
    archived,
    hash_of,
    write_series,
)

sitk = pytest.importorskip("SimpleITK", reason="needs the extra 'formats'")

HEADERS = {
    "mhd": META + MSB + "ElementDataFile = {}\n",
    "mha": META + MSB + "ElementDataFile = {}\n",
    "mhd-list": META + MSB + "ElementDataFile = LIST 3\n{}\n",
    "nhdr": NRRD + "endian: big\nencoding: raw\ndata file: {}\n",
    "nrrd": NRRD + "data file: {}\nendian: big\nencoding: raw\n\n",
    "nhdr-list": NRRD + "endian: big\nencoding: raw\ndata file: LIST 3\n{}\n",
}


def write_header(folder: Path, form: str, name: str) -> Path:
    path = folder / f"scan.{form.partition('-')[0]}"
    path.write_text(HEADERS[form].format(name))
    return path


def linked(path: Path, target: Path | str) -> None:
    try:
        path.symlink_to(target)
    except OSError as error:
        pytest.skip(f"no symbolic links here: {error.strerror}")


def refused(header: Path, out: Path, words: str = "its voxels are in") -> None:
    """Hold that no archive takes an image, and that nothing of one stays."""
    with pytest.raises(ImageError, match=f"layer 000: .*{words}"):
        archived(header, out)
    assert not list(out.parent.rglob("*.nii.gz"))


#: Names of files that are no voxels, all of the right size.
NO_VOXELS = {
    "a cookie": ".alfabis/cookie_test.jar",
    "a key": ".ssh/id_test",
    "a text": "letter.txt",
    "a hidden file": ".scan.raw",
    "a file without an ending": "password",
    "a workspace": "study.itksnap",
    "another header": "other.mhd",
    "an archive": "backup.tar.gz",
    "a file below": "below/scan.raw",
    "a file in a hidden folder": ".cache/scan.raw",
    "a hidden folder by ./": "./.cache/scan.raw",
    "a file above": "../scan.raw",
    "a file above by a detour": "below/../../scan.raw",
}


@pytest.mark.parametrize("form", HEADERS)
@pytest.mark.parametrize("what", NO_VOXELS)
def test_archives_refuse_files_that_are_not_voxel_files(tmp_path, form, what):
    name = NO_VOXELS[what]
    folder = tmp_path / "study"
    (folder / "below").mkdir(parents=True)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(BIG)
    refused(write_header(folder, form, name), tmp_path / "out")


@pytest.mark.parametrize("form", HEADERS)
def test_a_header_is_not_its_own_file_of_voxels(tmp_path, form):
    name = f"scan.{form.partition('-')[0]}"
    path = write_header(tmp_path, form, name)
    refused(path, tmp_path / "out")
    linked(tmp_path / "scan.raw", path)
    refused(write_header(tmp_path, form, "scan.raw"), tmp_path / "out")


@pytest.mark.parametrize("form", HEADERS)
def test_an_image_is_shown_from_below_its_header_and_never_from_elsewhere(tmp_path, form):
    folder = tmp_path / "study"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "scan.raw").write_bytes(BIG)
    (tmp_path / "scan.raw").write_bytes(BIG)
    assert content_hash(write_header(folder, form, "below/scan.raw")) == hash_of(VOXELS)
    for name in ("../scan.raw", str(tmp_path / "scan.raw")):
        with pytest.raises(ImageUnsupported, match="not beside it"):
            content_hash(write_header(folder, form, name))
    linked(folder / "link.raw", tmp_path / "scan.raw")
    linked(folder / "links", tmp_path)
    for name in ("link.raw", "links/scan.raw"):
        with pytest.raises(ImageUnsupported, match="not beside it"):
            content_hash(write_header(folder, form, name))


@pytest.mark.parametrize("ending", [*voxel_files.ENDINGS, ".RAW", ".raw.gz", ".img.gz", ".001"])
def test_files_with_the_endings_of_voxels_are_archived(tmp_path, ending):
    is_gzip = ending.endswith(".gz")
    data = gzip.compress(LITTLE) if is_gzip else LITTLE
    (tmp_path / f"scan{ending}").write_bytes(data)
    encoding = "gzip" if is_gzip else "raw"
    text = NRRD + f"endian: little\nencoding: {encoding}\ndata file: ./scan{ending}\n"
    (tmp_path / "a.nhdr").write_text(text)
    assert hash_of(VOXELS) in archived(tmp_path / "a.nhdr", tmp_path / "out").name


def test_compressed_voxels_of_other_programs_are_archived(tmp_path):
    """As SimpleITK names them: ``.zraw`` and ``.raw.gz``."""
    for name in ("a.mhd", "b.nhdr"):
        sitk.WriteImage(sitk.GetImageFromArray(VOXELS), tmp_path / name, useCompression=True)
        assert hash_of(VOXELS) in archived(tmp_path / name, tmp_path / f"out {name}").name
    assert {path.suffix for path in tmp_path.iterdir() if path.is_file()} >= {".zraw", ".gz"}


@pytest.mark.parametrize("target", ["letter.txt", ".scan.raw", "below/scan.raw"])
def test_a_link_is_judged_by_what_it_leads_to(tmp_path, target):
    (tmp_path / target).parent.mkdir(exist_ok=True)
    (tmp_path / target).write_bytes(BIG)
    linked(tmp_path / "scan.raw", target)
    refused(write_header(tmp_path, "mhd", "scan.raw"), tmp_path / "out")


def test_what_was_checked_is_what_is_opened(tmp_path):
    """Not the link, which could lead elsewhere by then."""
    (tmp_path / "scan.raw").write_bytes(BIG)
    linked(tmp_path / "link.raw", tmp_path / "scan.raw")
    header = write_header(tmp_path, "mhd", "link.raw")
    found = voxel_files.beside(header, "link.raw", "send")
    assert found == Path(os.path.realpath(tmp_path / "scan.raw"))
    (tmp_path / "a.img").write_bytes(BIG)
    linked(tmp_path / "b.img", "a.img")
    assert voxel_files.partner(tmp_path / "b.hdr", "b.img", "send").name == "a.img"


def annexed(repository: Path, file: Path, data: bytes) -> None:
    """Write a file as git-annex keeps it: a link to an object that is named by its content."""
    key = repository / ".git" / "annex" / "objects" / "Xx" / "KEY"
    key.mkdir(parents=True, exist_ok=True)
    (key / "KEY").write_bytes(data)
    file.parent.mkdir(parents=True, exist_ok=True)
    linked(file, os.path.relpath(key / "KEY", file.parent))


def test_objects_of_git_annex_are_inside_their_own_repository_alone(tmp_path):
    annexed(tmp_path / "data", tmp_path / "data" / "sub-01" / "scan.raw", BIG)
    header = write_header(tmp_path / "data" / "sub-01", "mhd", "scan.raw")
    assert hash_of(VOXELS) in archived(header, tmp_path / "out").name
    foreign = tmp_path / "foreign"
    (foreign / ".git").mkdir(parents=True)
    linked(foreign / "scan.raw", tmp_path / "data" / ".git" / "annex" / "objects" / "Xx/KEY/KEY")
    refused(write_header(foreign, "mhd", "scan.raw"), foreign / "out")
    (foreign / ".git").rmdir()
    linked(foreign / ".git", tmp_path / "data" / ".git")  # as a stranger could pack it
    refused(write_header(foreign, "mhd", "scan.raw"), foreign / "out")


def test_a_folder_of_links_into_one_other_folder_is_inside(tmp_path):
    """As workflow engines lay out the input of a step."""
    (tmp_path / "store").mkdir()
    (tmp_path / "study").mkdir()
    header = write_header(tmp_path / "store", "mhd", "scan.raw")
    (tmp_path / "store" / "scan.raw").write_bytes(BIG)
    for path in (header, tmp_path / "store" / "scan.raw"):
        linked(tmp_path / "study" / path.name, path)
    assert hash_of(VOXELS) in archived(tmp_path / "study" / header.name, tmp_path / "out").name


def write_pair(folder: Path, kind: str) -> tuple[Path, Path]:
    """Write a pair of NIfTI or of Analyze."""
    folder.mkdir(exist_ok=True)
    magic = b"ni1" if kind == "NIfTI" else b""
    whole = write_nifti(folder / "whole.nii", VOXELS.astype("<i2").T, vox_offset=0, magic=magic)
    header, voxels = folder / "scan.hdr", folder / "scan.img"
    header.write_bytes(whole.read_bytes()[:348])
    voxels.write_bytes(LITTLE)
    whole.unlink()
    return header, voxels


@pytest.mark.parametrize("kind", ["NIfTI", "Analyze"])
def test_the_partner_of_a_pair_lies_beside_it(tmp_path, kind):
    header, voxels = write_pair(tmp_path / "study", kind)
    for path in (header, voxels):
        assert hash_of(VOXELS) in archived(path, tmp_path / f"out {path.suffix}").name
    secret = voxels.rename(tmp_path / "secret.img")
    linked(voxels, secret)
    for path in (header, voxels):
        refused(path, tmp_path / "study" / "out")
        with pytest.raises(ImageUnsupported, match="not beside it"):
            content_hash(path)
    voxels.unlink()
    secret.rename(tmp_path / "study" / "letter.txt")
    linked(voxels, "letter.txt")
    refused(header, tmp_path / "study" / "out")


@pytest.mark.parametrize("more", [LITTLE, bytes(5000)], ids=["twice", "larger"])
def test_a_partner_with_more_voxels_is_another_file(tmp_path, more):
    header, voxels = write_pair(tmp_path / "study", "Analyze")
    voxels.write_bytes(LITTLE + more)
    refused(header, tmp_path / "study" / "out", "more voxels than")


def test_a_partner_that_begins_with_a_header_is_another_file(tmp_path):
    header, voxels = write_pair(tmp_path / "study", "Analyze")
    whole = write_nifti(tmp_path / "whole.nii", VOXELS.T.astype("<i2")).read_bytes()
    voxels.write_bytes((whole + bytes(len(LITTLE)))[: len(LITTLE)])
    size = len(LITTLE)
    assert voxels.stat().st_size == size
    if size < 348:  # too short for a header, as it stands
        big = VOXELS.repeat(4, axis=0).astype("<i2")
        whole = write_nifti(tmp_path / "whole.nii", big.T)
        data = whole.read_bytes()
        header.write_bytes(data[:108] + bytes(4) + data[112:344] + bytes(4))
        voxels.write_bytes(data[: big.nbytes])
    refused(header, tmp_path / "study" / "out", "begins with a header of its own")


def test_a_slice_of_a_series_is_no_link_to_elsewhere(tmp_path):
    image = sitk.GetImageFromArray(VOXELS)
    path = write_series(tmp_path / "study", image, ("s0.dcm", "s1.dcm", "s2.dcm", "s3.dcm"))
    assert len(images.read_header(path).files) == 4
    other = path.with_name("s2.dcm").rename(tmp_path / "other.dcm")
    linked(path.with_name("s2.dcm"), other)
    with pytest.raises(ImageUnsupported, match=r"s2\.dcm: it is beside s0\.dcm by a link alone"):
        images.read_header(path)
    assert SERIES.encode() in other.read_bytes()


HANG = """
import sys
from pathlib import Path
from snapws import Workspace, images, ImageError
from snapws.archive import archive
from snapws.check import check_workspace
path = Path(sys.argv[1])
ws = Workspace()
for use in (lambda: b"".join(images.read_header(path).voxels()),
            lambda: ws.add_anatomical(path), lambda: archive(ws, path.parent / "out")):
    try:
        use()
    except Exception as error:
        print(error)
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs here")
@pytest.mark.parametrize("form", ["mhd", "nhdr", "img", "hdr", "nii", "mha", "nrrd", "vtk", "dcm"])
def test_nothing_waits_for_a_fifo(tmp_path, form):
    """In a process of its own, which would never end."""
    if form in ("mhd", "nhdr"):
        path, fifo = write_header(tmp_path, form, "scan.raw"), tmp_path / "scan.raw"
    elif form in ("img", "hdr"):
        header, voxels = write_pair(tmp_path, "Analyze")
        path, fifo = (header, voxels) if form == "hdr" else (voxels, header)
        fifo.unlink()
    else:
        path = fifo = tmp_path / f"scan.{form}"
    os.mkfifo(fifo)
    done = warm.captured([sys.executable, "-c", HANG, path])
    assert done.returncode == 0
    assert "it is a pipe or a device, not a file" in done.stdout
    assert not done.stderr


def test_a_workspace_whose_header_names_elsewhere_says_so(tmp_path):
    """The header can be looked at; its voxels are neither shown nor sent."""
    (tmp_path / "study").mkdir()
    (tmp_path / "scan.raw").write_bytes(BIG)
    workspace = Workspace()
    workspace.add_anatomical(write_header(tmp_path / "study", "mhd", "../scan.raw"))
    with pytest.raises(ImageUnsupported, match="not beside it"):
        b"".join(images.read_header(workspace.layers()[0].path).voxels())
    with pytest.raises(ImageUnsupported, match="layer 000: .*not beside it"):
        archive(workspace, tmp_path / "out")


@pytest.mark.parametrize("size", ["6 5 4", "6 5 50000"])
def test_names_of_a_header_that_has_too_many_are_not_all_looked_up(tmp_path, monkeypatch, size):
    looked_up = []
    monkeypatch.setattr(voxel_files, "beside", lambda *asked: looked_up.append(asked))
    names = "".join(f"{number}.raw\n" for number in range(50_000))
    header = tmp_path / "many.mhd"
    meta = META.replace("6 5 4", size)
    header.write_text(f"{meta}{MSB}ElementDataFile = LIST\n{names}")
    with pytest.raises(ImageError):
        itk.read_header(header, "send")
    assert len(looked_up) <= 10


def test_a_file_that_a_header_names_often_is_looked_up_once(tmp_path, monkeypatch):
    looked_up = []

    def beside(header, name, purpose):
        looked_up.append(name)
        return header.parent / name

    monkeypatch.setattr(voxel_files, "beside", beside)
    header = tmp_path / "same.mhd"
    header.write_text(META + MSB + "ElementDataFile = LIST\n" + 4 * "a.raw\n")
    itk.read_header(header, "send")
    assert looked_up == ["a.raw"]
