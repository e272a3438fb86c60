"""Files in whose place something else stands: the message says what it is, and the way out."""

from __future__ import annotations

import gzip
import os
import unicodedata
from pathlib import Path

import nibabel
import numpy as np
import pytest

from snapws import Workspace, images, labels, mesh_formats, paths, transform_files
from snapws.archive import archive
from snapws.check import check_workspace
from snapws.errors import (
    ImageError,
    LayerFileMissing,
    MeshError,
    WorkspaceError,
)

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
KEY = b"SHA256E-s123--0123.nii.gz"
PAGE = b"<!DOCTYPE html>\n<html><body>404</body></html>"

#: What stands there, and what has to be said of it.
CONTENTS = {
    "Git LFS": (LFS, ("Git LFS pointer", "git lfs pull")),
    "older Git LFS": (LFS.replace(b"git-lfs.github", b"hawser.github"), ("Git LFS pointer",)),
    "git-annex": (b"/annex/objects/" + KEY + b"\n", ("git-annex pointer", "datalad get")),
    "git-annex link as text": (
        b"../.git/annex/objects/W1/2p/" + KEY + b"/" + KEY,
        ("git-annex pointer", "git annex get"),
    ),
    "git-annex link of Windows": (
        b"..\\.git\\annex\\objects\\W1\\" + KEY,
        ("git-annex pointer", "git annex get"),
    ),
    "page": (PAGE, ("HTML page", "download it again")),
    "page in capitals": (b"\xef\xbb\xbf\r\n<HTML>\r\n<HEAD>", ("HTML page",)),
    "page with a comment": (b"<!-- 404 -->\n <html lang='en'>", ("HTML page",)),
    "XHTML": (b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">\n', ("HTML page",)),
    "storage error": (
        b'<?xml version="1.0"?>\n<Error><Code>NoSuchKey</Code></Error>',
        ("error message of a server",),
    ),
}

READERS = {
    "t1.nii.gz": images.read_header,
    "t1.nii": images.read_header,
    "t1.nrrd": images.read_header,
    "t1.mha": images.read_header,
    "t1.img": images.read_header,
    "t1.dcm": images.read_header,
    "t1": images.read_header,
    "a.vtk": mesh_formats.content,
    "a.vtp": mesh_formats.content,
    "a.stl": mesh_formats.content,
    "a.ply": mesh_formats.content,
    "w.itksnap": Workspace.open,
    "labels.txt": labels.read_file,
    "affine.mat": transform_files.read_itk_or_ras,
}


@pytest.fixture
def scan(tmp_path) -> Path:
    path = tmp_path / "t1.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 3, 2), np.int16), np.eye(4)), path)
    return path


@pytest.fixture
def workspace(scan) -> Workspace:
    made = Workspace()
    made.set_main(scan)
    made.save(scan.with_name("w.itksnap"))
    return made


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", CONTENTS)
def test_what_stands_in_the_place_of_a_file_is_named(tmp_path, name, kind):
    content, words = CONTENTS[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WorkspaceError) as refusal:
        READERS[name](tmp_path / name)
    assert name in str(refusal.value)
    for word in (*words, "not the file itself"):
        assert word in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_page_that_a_server_compressed_is_named(tmp_path):
    (tmp_path / "t1.nii.gz").write_bytes(gzip.compress(PAGE))
    with pytest.raises(ImageError, match="HTML page"):
        images.read_header(tmp_path / "t1.nii.gz")


@pytest.mark.parametrize("name", ["t1.nii.gz", "t1.nii", "t1.nrrd", "t1.mha", "t1.dcm", "t1.hdr"])
@pytest.mark.parametrize(
    ("content", "words"), [(b"", "an empty file"), (bytes(50_000), "only zer")]
)
def test_a_copy_that_was_not_finished_is_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=f"{name}: {words}.* was not finished"):
        images.read_header(tmp_path / name)


def test_voxels_of_0_are_not_taken_for_an_unfinished_copy(tmp_path):
    (tmp_path / "a.img").write_bytes(bytes(50_000))
    (tmp_path / "a.hdr").write_bytes(b"x" * 348)
    with pytest.raises(ImageError) as refusal:
        images.read_header(tmp_path / "a.img")
    assert "zeros" not in str(refusal.value)


def test_a_header_of_a_pair_that_is_a_pointer_is_named(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(np.zeros((4, 3, 2), np.int16), np.eye(4)), tmp_path / "a.img")
    (tmp_path / "a.hdr").write_bytes(LFS)
    with pytest.raises(ImageError, match=r"a\.hdr: a Git LFS pointer"):
        images.read_header(tmp_path / "a.img")


def mhd(folder: Path, voxels: str = "a.raw") -> Path:
    pytest.importorskip("SimpleITK")
    path = folder / "a.mhd"
    path.write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 4 3 2\n"
        f"ElementType = MET_SHORT\nElementDataFile = {voxels}\n"
    )
    return path


def pair(folder: Path) -> Path:
    nibabel.save(nibabel.Nifti1Pair(np.zeros((4, 3, 2), np.int16), np.eye(4)), folder / "a.img")
    (folder / "a.img").unlink()
    return folder / "a.hdr"


@pytest.mark.parametrize(("make", "voxels"), [(mhd, "a.raw"), (pair, "a.img")])
@pytest.mark.parametrize("kind", ["Git LFS", "git-annex", "page"])
def test_voxels_in_whose_place_something_else_stands(tmp_path, make, voxels, kind):
    path = make(tmp_path)
    content, words = CONTENTS[kind]
    (tmp_path / voxels).write_bytes(content)
    with pytest.raises(ImageError) as refusal:
        list(images.read_header(path).voxels())
    assert f"{path.name}: its voxels are in {voxels}, a" in str(refusal.value)
    assert words[0] in str(refusal.value)


@pytest.mark.parametrize(("make", "voxels"), [(mhd, "a.raw"), (pair, "a.img")])
def test_a_missing_file_of_voxels_is_named_and_not_its_header(
    workspace, tmp_path, make, voxels, capfd
):
    path = make(tmp_path)
    workspace.add_overlay(path)
    expected = f"{path}: its voxels are in {voxels}, which is not there"
    with pytest.raises(ImageError) as refusal:
        list(images.read_header(path).voxels())
    assert str(refusal.value) == expected
    (problem,) = check_workspace(workspace)
    assert (problem.kind, problem.message) == ("image", expected)
    with pytest.raises(WorkspaceError) as failure:
        archive(workspace, tmp_path / "out")
    assert expected in str(failure.value)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_a_missing_header_of_a_pair_is_named(tmp_path):
    pair(tmp_path).rename(tmp_path / "gone")
    (tmp_path / "a.img").write_bytes(bytes(48))
    with pytest.raises(ImageError, match=r"a\.img: its header is in a\.hdr, which is not there"):
        images.read_header(tmp_path / "a.img")


# ------------------------------------------------------------------------ names that lead nowhere


def missing(workspace: Workspace, file: str) -> str:
    """Return what check says of the main image's file, and that `layer` says the same."""
    workspace.main.stored_path = file
    (problem,) = check_workspace(workspace)
    assert problem.kind == "file"
    with pytest.raises(LayerFileMissing) as refusal:
        workspace.layer("M")
    assert problem.message in str(refusal.value)
    return problem.message


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_dangling_link_says_where_it_leads(workspace, tmp_path):
    (tmp_path / "x.nii.gz").symlink_to("nowhere/y.nii.gz")
    (tmp_path / "z.nii.gz").symlink_to("x.nii.gz")
    for name in ("x.nii.gz", "z.nii.gz"):
        said = missing(workspace, str(tmp_path / name))
        assert said.endswith("is a link to nowhere/y.nii.gz, which is not there")
        assert "annex" not in said


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_dangling_link_of_git_annex_has_its_way_out(workspace, tmp_path):
    (tmp_path / "x.nii.gz").symlink_to(".git/annex/objects/W1/2p/K/K")
    said = missing(workspace, str(tmp_path / "x.nii.gz"))
    assert (
        "is a link to .git/annex/objects/W1/2p/K/K, which is not there: run git annex get" in said
    )
    assert "datalad get" in said


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_file_behind_a_dangling_link_to_a_folder(workspace, tmp_path):
    (tmp_path / "sub").symlink_to("/mnt/unplugged")
    said = missing(workspace, str(tmp_path / "sub" / "t1.nii.gz"))
    assert f"is behind {tmp_path / 'sub'}, a link to /mnt/unplugged, which is not there" in said


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_dangling_link_beside_a_workspace_that_has_moved(workspace, tmp_path):
    (tmp_path / "x.nii.gz").symlink_to(".git/annex/objects/W1/2p/K/K")
    workspace.saved_in = "/home/jane/study"
    said = missing(workspace, "/home/jane/study/x.nii.gz")
    assert f"is not there; {tmp_path / 'x.nii.gz'} is a link to .git/annex" in said


def test_a_name_that_differs_in_case_alone(workspace, tmp_path):
    (tmp_path / "Sub").mkdir()
    (tmp_path / "t1.nii.gz").rename(tmp_path / "Sub" / "T1.nii.gz")
    if (tmp_path / "sub" / "t1.nii.gz").exists():
        pytest.skip("this file system finds names in any case")
    said = missing(workspace, str(tmp_path / "sub" / "t1.NII.gz"))
    there = (tmp_path / "Sub" / "T1.nii.gz").as_posix()
    assert f"is not there, but {there} is, whose name differs in upper and lower case alone" in said


def test_a_name_that_differs_in_unicode_form_alone(workspace, tmp_path):
    composed, decomposed = (
        unicodedata.normalize(form, "Schädel.nii.gz") for form in ("NFC", "NFD")
    )
    (tmp_path / "t1.nii.gz").rename(tmp_path / decomposed)
    if (tmp_path / composed).exists():
        pytest.skip("this file system finds names in either form")
    said = missing(workspace, str(tmp_path / composed))
    assert f"but {(tmp_path / decomposed).as_posix()} is, whose name differs in how" in said


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
@pytest.mark.parametrize("name", [name for name in READERS if name != "t1.img"])  # needs a .hdr
def test_whatever_reads_a_file_says_why_it_is_not_there(tmp_path, name):
    (tmp_path / name).symlink_to(".git/annex/objects/K/K")
    with pytest.raises(WorkspaceError, match="it is a link to .git/annex.*datalad get"):
        READERS[name](tmp_path / name)
    (tmp_path / name.upper()).write_bytes(b"x")
    (tmp_path / name).unlink()
    if not (tmp_path / name).exists():
        with pytest.raises(WorkspaceError, match="it is not there, but .*, whose name differs"):
            READERS[name](tmp_path / name)


def test_a_name_without_a_similar_file_is_missing(workspace, tmp_path):
    assert missing(workspace, str(tmp_path / "other.nii.gz")).endswith("is not there")
    assert missing(workspace, str(tmp_path / "no" / "such" / "x.nii")).endswith("is not there")
    assert missing(workspace, "/home/jane/x.nii").endswith("is not there")


def test_a_file_that_appears_is_found_in_its_folder(workspace, tmp_path):
    file = str(tmp_path / "late.nii.gz")
    assert missing(workspace, file).endswith("is not there")
    (tmp_path / "LATE.nii.gz").write_bytes(b"")
    if Path(file).exists():
        pytest.skip("this file system finds names in any case")
    assert "LATE.nii.gz is, whose name" in missing(workspace, file)


# --------------------------------------------------------------------------------- file: URLs


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///data/t1.nii.gz", "/data/t1.nii.gz"),
        ("FILE:///data/my%20scan%C3%A4.nii", "/data/my scanä.nii"),
        ("file://localhost/data/t1.nii", "/data/t1.nii"),
        ("file:/data/t1.nii", "/data/t1.nii"),
        ("file:///C:/data/t1.nii", "C:/data/t1.nii"),
        ("file://server/share/t1.nii", "//server/share/t1.nii"),
        ("/data/100%25.nii", "/data/100%25.nii"),
        ("https://example.org/a%20b.nii", "https://example.org/a%20b.nii"),
        ("file-name.nii", "file-name.nii"),
    ],
)
def test_a_file_url_is_a_path(url, path):
    assert paths.local(url) == path
    assert paths.is_url(url) is path.startswith("https:")


def test_a_layer_with_a_file_url_is_read(workspace, scan, tmp_path):
    spaced = scan.rename(tmp_path / "my scan.nii.gz")
    workspace.main.stored_path = spaced.as_uri()
    assert workspace.layer("M").path == spaced
    assert check_workspace(workspace) == ()
    assert workspace.add_overlay(spaced.as_uri()).stored_path == spaced.as_posix()
    workspace.save(tmp_path / "w.itksnap")
    assert Workspace.open(tmp_path / "w.itksnap").main.stored_path == spaced.as_posix()
    moved = tmp_path / "moved"
    moved.mkdir()
    spaced.rename(moved / spaced.name)
    workspace.main.stored_path = spaced.as_uri()
    (moved / "w.itksnap").write_bytes(
        (tmp_path / "w.itksnap")
        .read_bytes()
        .replace(spaced.as_posix().encode(), spaced.as_uri().encode())
    )
    assert Workspace.open(moved / "w.itksnap").layer("M").path == moved / spaced.name


@pytest.mark.parametrize("kind", ["LZ4", "LZMA"])
def test_a_compressed_mesh_says_how_to_write_it_anew(tmp_path, kind):
    (tmp_path / "a.vtp").write_text(
        f'<VTKFile type="PolyData" version="1.0" compressor="vtk{kind}DataCompressor">'
        "<PolyData></PolyData></VTKFile>"
    )
    with pytest.raises(MeshError, match=f"compressed by {kind}: save the mesh anew with ZLib"):
        mesh_formats.scrubbed(tmp_path / "a.vtp")
