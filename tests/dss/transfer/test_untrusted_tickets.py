"""Tickets and results that somebody filled to reach files of the machine that fetches them."""

from __future__ import annotations

import gzip
import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dss import Client, Provider, Session, TooLarge, TransferFailed
from dss.errors import InvalidResponse
from dss.transfer.uploads import upload_files
from snapws import Workspace
from snapws.registry import xml_format
from tests.dss.downloads import LAYER, archived_layer, get, naming, nifti, workspace_of
from tests.dss.raw_server import RawServer, answer, chunked, listing, sent

FOREIGN = ("nibabel.py", "sitecustomize.py", "x.lnk", "-rf", "a.desktop", "layer_009.nii.gz")


def elsewhere(tmp_path: Path) -> bytes:
    """A workspace whose layer is an image elsewhere on this machine."""
    made = Workspace()
    made.registry["Layers.Layer[000].Role"] = "MainRole"
    made.registry["Layers.Layer[000].AbsolutePath"] = (tmp_path / "secret.nii.gz").as_posix()
    made.registry["SaveLocation"] = "/archive"
    return xml_format.to_bytes(made.registry)


def write(folder: Path, files: dict[str, bytes]) -> list[tuple[Path, str]]:
    """Write files that are to be sent under these names."""
    sources = []
    for number, (name, content) in enumerate(files.items()):
        (folder / f"source_{number}").write_bytes(content)
        sources.append((folder / f"source_{number}", name))
    return sources


@pytest.fixture
def fill(client: Client, provider: Provider, service: str, tmp_path: Path) -> Callable[..., int]:
    """Make a ticket with these files as its input, which `provider` has claimed."""

    def make(files: dict[str, bytes]) -> int:
        ticket = client.create(service)
        area = f"api/tickets/{ticket}/files/input"
        upload_files(client.session, area, write(tmp_path, files))
        client.make_ready(ticket)
        assert provider.claim([service], "testlab", "instance_1")
        return ticket

    return make


@pytest.mark.parametrize("second", ["a.itksnap", "Z.ITKSNAP", "ticket.ItkSnap"])
def test_input_with_two_workspaces_is_refused(
    fill: Callable[..., int], provider: Provider, tmp_path: Path, second: str
) -> None:
    """Whichever of them is looked for by name, the other one might be found."""
    ticket = fill(
        {
            "l.nii.gz": LAYER,
            second: elsewhere(tmp_path),
            "ticket_00000001.itksnap": workspace_of("l.nii.gz"),
        }
    )
    with pytest.raises(TransferFailed, match="2 workspace files in .*, which has to have one"):
        provider.download(ticket, tmp_path / "job")
    assert not (tmp_path / "job").exists()


def test_only_files_that_the_workspace_names_are_fetched(
    fill: Callable[..., int], provider: Provider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = dict.fromkeys(FOREIGN, b"import os")
    ticket = fill({"l.nii.gz": LAYER, **files, "w.itksnap": workspace_of("l.nii.gz")})
    with caplog.at_level(logging.WARNING, "dss"):
        path = provider.download(ticket, tmp_path / "job")
    assert {file.name for file in path.parent.iterdir()} == {"l.nii.gz", "w.itksnap"}
    (line,) = caplog.messages
    assert line.startswith("6 files that the workspace does not name are not fetched: ")
    assert all(name in line for name in FOREIGN)


@pytest.mark.parametrize("at", ["/archive", "/home/jane/study", "C:\\Users\\Jane", "."])
def test_meshes_that_were_never_sent_are_left_out_with_a_warning(
    raw: RawServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, at: str
) -> None:
    """Programs that send none name theirs where they are on the machine of the user."""
    made = xml_format.parse(workspace_of("l.nii.gz", "a.vtk", "b.vtk", "c.vtk"), "w").registry
    surfaces = "MeshLayers.Layer[001].MeshTimePoints.TimePoint[000].PolyData"
    separator = "\\" if "\\" in at else "/"
    for place in ("[000]", "[001]"):
        name = f"gone{place[2:4]}.vtk"
        made[f"{surfaces}{place}.AbsolutePath"] = separator.join((at, name))
    made[f"{surfaces}[002].AbsolutePath"] = "/archive/b.vtk"
    made["MeshLayers.Layer[000].NickName"] = "Gone"
    made["MeshLayers.Layer[002].NickName"] = "Kept"
    names = listing("l.nii.gz", "b.vtk", "c.vtk", "w.itksnap")
    mesh = b"# vtk DataFile Version 3.0\n"
    answers = [names, sent("w.itksnap", xml_format.to_bytes(made)), names]
    answers += [sent("l.nii.gz", LAYER), sent("b.vtk", mesh), sent("c.vtk", mesh), names]
    with caplog.at_level(logging.WARNING, "dss"):
        path = get(raw, tmp_path / "out", *answers)
    assert {file.name for file in path.parent.iterdir()} == {
        *("l.nii.gz", "b.vtk", "c.vtk", "w.itksnap")
    }
    fetched = Workspace.open(path)
    assert [[Path(one.file).name for one in mesh.polydata()] for mesh in fetched.meshes()] == [
        ["b.vtk"],
        ["c.vtk"],
    ]
    assert fetched.meshes()[1].nickname == "Kept"
    (line,) = caplog.messages
    assert line == (
        "3 meshes that the workspace names were never sent, and the workspace goes on without: "
        "mesh:0 (a.vtk), mesh:1 (gone00.vtk), mesh:1 (gone01.vtk)"
    )


def test_a_result_with_an_unsent_mesh_is_fetched_twice_to_the_same_folder(
    client: Client, provider: Provider, claimed: int, tmp_path: Path
) -> None:
    own = f"ticket_{claimed:08d}_results.itksnap"
    files = {"l.nii.gz": LAYER, own: workspace_of("l.nii.gz", "a.vtk")}
    upload_files(
        provider.session, f"api/pro/tickets/{claimed}/files/results", write(tmp_path, files)
    )
    first = client.download(claimed, tmp_path / "result").read_bytes()
    assert client.download(claimed, tmp_path / "result").read_bytes() == first
    assert Workspace.open(tmp_path / "result" / own).meshes() == []


def test_an_image_that_was_never_sent_stays_an_error(raw: RawServer, tmp_path: Path) -> None:
    names = listing("w.itksnap", "a.vtk")
    answers = [names, naming("l.nii.gz", "a.vtk"), names]
    with pytest.raises(TransferFailed, match="'l.nii.gz', is not among the files"):
        get(raw, tmp_path / "out", *answers)
    assert not (tmp_path / "out").exists()


def test_result_that_was_sent_twice_is_fetched_without_its_old_layers(
    client: Client,
    provider: Provider,
    claimed: int,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Damaged ones, too, and another workspace."""
    name, layer = archived_layer(tmp_path)
    old = {"layer_000_" + 32 * "0" + ".nii.gz": b"cut off", "other.itksnap": b"old"}
    own = f"ticket_{claimed:08d}_results.itksnap"
    area = f"api/pro/tickets/{claimed}/files/results"
    files = {**old, name: layer, own: workspace_of(name)}
    upload_files(provider.session, area, write(tmp_path, files))
    with caplog.at_level(logging.WARNING, "dss"):
        path = client.download(claimed, tmp_path / "result")
    assert {file.name for file in path.parent.iterdir()} == {name, own}
    (line,) = caplog.messages
    assert all(one in line for one in old)


@pytest.mark.parametrize(
    "name",
    ["nibabel.py", "x.lnk", "x.nii.gz.py", "-rf.stl", "mesh.desktop", "mesh.vrml", "mesh"],
)
def test_mesh_is_not_put_under_a_name_that_programs_run(
    raw: RawServer, tmp_path: Path, name: str
) -> None:
    made = Workspace()
    key = "MeshLayers.Layer[000].MeshTimePoints.TimePoint[000].PolyData[000]"
    made.registry[f"{key}.AbsolutePath"] = f"/archive/{name}"
    made.registry["SaveLocation"] = "/archive"
    first = sent("w.itksnap", xml_format.to_bytes(made.registry))
    names = listing(name, "w.itksnap")
    with pytest.raises(TransferFailed, match="must not be put into a folder under this name"):
        get(raw, tmp_path / "out", names, first, sent(name, b"x"), names)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["-rf.nii.gz", "--help.nii"])
def test_image_is_not_put_under_the_name_of_an_option(
    raw: RawServer, tmp_path: Path, name: str
) -> None:
    names = listing(name, "w.itksnap")
    with pytest.raises(TransferFailed, match="must not be put into a folder under this name"):
        get(raw, tmp_path / "out", names, naming(name), sent(name, LAYER), names)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["-rf.itksnap", "-.ITKSNAP"])
def test_workspace_is_not_put_under_the_name_of_an_option(
    raw: RawServer, tmp_path: Path, name: str
) -> None:
    with pytest.raises(TransferFailed, match="must not be put into a folder under this name"):
        get(raw, tmp_path / "out", listing(name))
    assert not (tmp_path / "out").exists()


def _pair(image: bytes) -> bytes:
    return image[:344] + b"ni1\0" + image[348:]


OTHER_FORMATS = {
    "MetaImage": lambda _: b"NDims = 1\nDimSize = 9\nElementType = MET_UCHAR\n" * 20,
    "NRRD": lambda _: b"NRRD0004\ntype: uchar\ndimension: 1\nsizes: 9\n" * 20,
    "one half of a pair": _pair,
    "Analyze": lambda image: image[:344] + bytes(4) + image[348:],
    "HDF5": lambda _: b"\x89HDF\r\n\x1a\n" + bytes(999),
    "DICOM": lambda _: bytes(128) + b"DICM" + bytes(999),
}


@pytest.mark.parametrize("kind", OTHER_FORMATS)
@pytest.mark.parametrize("name", ["l.nii", "l.nii.gz"])
def test_image_is_nifti_by_its_bytes(raw: RawServer, tmp_path: Path, kind: str, name: str) -> None:
    """A library that looks into a file, and not at its name, would open what its header names."""
    body = OTHER_FORMATS[kind](nifti(tmp_path))
    body = gzip.compress(body) if name.endswith(".gz") else body
    names = listing(name, "w.itksnap")
    with pytest.raises(TransferFailed, match="not a single-file NIfTI image"):
        get(raw, tmp_path / "out", names, naming(name), sent(name, body))
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name != "posix", reason="links need no permission on POSIX only")
def test_layer_is_not_reached_through_a_link_in_the_folder(raw: RawServer, tmp_path: Path) -> None:
    """Where the folder is the one that the workspace was saved in, a path is taken as it is."""
    (tmp_path / "patients" / "below").mkdir(parents=True)
    (tmp_path / "patients" / "l.nii.gz").write_bytes(LAYER)
    out = tmp_path / "out"
    out.mkdir()
    (out / "link").symlink_to(tmp_path / "patients" / "below")
    made = Workspace()
    made.registry["Layers.Layer[000].Role"] = "MainRole"
    made.registry["Layers.Layer[000].AbsolutePath"] = f"{out}/link/../l.nii.gz"
    made.registry["SaveLocation"] = str(out)
    names = listing("l.nii.gz", "w.itksnap")
    first = sent("w.itksnap", xml_format.to_bytes(made.registry))
    with pytest.raises(TransferFailed, match="is not beside the workspace"):
        get(raw, out, names, first, sent("l.nii.gz", LAYER), names)


def test_layer_whose_name_has_a_backslash_is_refused(raw: RawServer, tmp_path: Path) -> None:
    """On this system that is a part of a name, of a file that is then looked for elsewhere."""
    names = listing("l.nii.gz", "w.itksnap")
    with pytest.raises(TransferFailed, match="is not beside the workspace"):
        get(raw, tmp_path, names, naming("x\\l.nii.gz"), sent("l.nii.gz", LAYER), names)


# ------------------------------------------------------------------------------ sizes


@pytest.mark.parametrize("framing", [sent, chunked])
def test_download_has_a_limit(
    raw: RawServer, tmp_path: Path, framing: Callable[[str, bytes], bytes]
) -> None:
    """It is cut off there, not tried again, and nothing of it is left."""
    names, body = listing("l.stl", "w.itksnap"), bytes(range(256)) * 4000
    raw.answers = [names, naming("l.stl"), framing("l.stl", body), names]
    with raw.session() as session, pytest.raises(TooLarge, match=r"more than the 500 kB that"):
        Client(session).download(1, tmp_path / "out", max_size=500_000)
    assert not (tmp_path / "out").exists()
    assert len(raw.requests) == 3
    raw.answers = [names, naming("l.stl"), framing("l.stl", body), names]
    with raw.session() as session:
        Client(session).download(1, tmp_path / "out", max_size=1_100_000)


def test_limit_is_for_all_files_and_for_those_that_are_there(
    raw: RawServer, tmp_path: Path
) -> None:
    name, layer = archived_layer(tmp_path)
    names, out = listing(name, "l.stl", "w.itksnap"), tmp_path / "out"
    files = [naming(name, "l.stl"), sent(name, layer), sent("l.stl", bytes(5000)), names]
    most = len(layer) + 4999
    for _ in range(2):  # of the second download, the layer is there
        raw.answers = [names, *files]
        with raw.session() as session, pytest.raises(TooLarge):
            Client(session).download(1, out, max_size=most)
        assert [file.name for file in out.iterdir()] == [name]
    raw.answers = [names, *files]
    with raw.session() as session:
        Client(session).download(1, out, max_size=most + 2000)


@pytest.mark.parametrize("call", ["result", "input", "attachment"])
def test_limit_is_nine_tenths_of_the_free_disk_by_default(
    raw: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr("dss.transfer.allowance.shutil.disk_usage", lambda _: Usage)
    names, body = listing("l.stl", "w.itksnap"), bytes(901)
    raw.answers = [names, naming("l.stl"), sent("l.stl", body), names]
    if call == "attachment":
        raw.answers = [answer(body)]
    words = "more than the 900 bytes that .* nine tenths of the free disk space"
    with raw.session() as session, pytest.raises(TooLarge, match=words):
        fetch(call, session, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def fetch(call: str, session: Session, target: Path) -> None:
    from dss.records import Attachment

    if call == "attachment":
        one = Attachment(1, "", "text/plain", "http://x/blobs/00000000")
        Client(session).fetch_attachment(one, target)
    elif call == "input":
        Provider(session).download(1, target)
    else:
        Client(session).download(1, target)


def test_workspace_that_would_fill_the_memory_is_refused(
    raw: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dss.transfer.downloads._MOST_WORKSPACE", 100)
    with pytest.raises(TooLarge, match="more than the 100 bytes that"):
        get(raw, tmp_path / "out", listing("w.itksnap"), sent("w.itksnap", bytes(101)))
    assert not (tmp_path / "out").exists()


def test_file_that_is_read_back_is_read_no_further_than_it_is_long(tmp_path: Path) -> None:
    """A server that sends for ever does not keep the one who compares."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hung_up = threading.Event()
        thread = threading.Thread(target=_send_much, args=(listener, hung_up))
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Session(address, retry_for=0.2) as session:
            name, _ = session.get_digest("api/x", 10**6)
        thread.join(300)
    assert name == "x"
    assert hung_up.is_set()


def _send_much(listener: socket.socket, hung_up: threading.Event) -> None:
    """Send the beginning of an answer, and 2 GB of it unless whoever asked hangs up."""
    connection, _ = listener.accept()
    connection.settimeout(30)
    head = 'HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename="x"\r\n'
    with connection:
        try:
            connection.recv(65536)
            connection.sendall(f"{head}Content-Length: {2 * 10**9}\r\n\r\n".encode())
            for _ in range(2 * 10**9 // 65536):
                connection.sendall(bytes(65536))
        except ConnectionError:
            hung_up.set()


LONG: dict[str, Callable[[Session], object]] = {
    "services": lambda s: Client(s).services(),
    "tickets": lambda s: Client(s).tickets(),
    "log": lambda s: Client(s).log(1),
    "attachments": lambda s: Client(s).attachments(1),
    "files": lambda s: Client(s).files(1, "results"),
    "status": lambda s: Client(s).status(1),
    "input": lambda s: Provider(s).files(1),
    "claim": lambda s: Provider(s).services(),
}


@pytest.mark.parametrize("call", LONG)
def test_answer_that_is_no_file_has_a_limit(raw: RawServer, call: str) -> None:
    raw.answers = [chunked("", b"1,x,init\r\n" * (2**20 + 1))]
    words = "answered with more than 10 MB of text: no more is read"
    with raw.session() as session, pytest.raises(InvalidResponse, match=words):
        LONG[call](session)
    assert len(raw.requests) == 1


def test_name_that_no_disk_holds_is_refused(raw: RawServer) -> None:
    """And is not compared with others, which takes long for names of many accents."""
    raw.answers = [listing("a\u0301" * 128 + ".gz")]
    with raw.session() as session, pytest.raises(TransferFailed, match="not a plain file name"):
        Client(session).files(1, "results")
