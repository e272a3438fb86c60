from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dss import Client, NetworkFailed, Session, TransferFailed
from dss.http.multipart import FileBody
from dss.transfer.listing import list_files
from dss.transfer.uploads import archived, upload_files
from snapws import Workspace, WorkspaceError
from tests.dss.downloads import AREA
from tests.dss.raw_server import RawServer, answer, listing


@pytest.mark.parametrize("name", ["a b", ".x", "ü", "", "x" * 256, "x/y", 'a"b', "a\n", "a\r\nb"])
def test_name_that_must_not_be_sent(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(TransferFailed, match="a file cannot be sent as"):
        FileBody(tmp_path / "file", name, {})


def test_file_that_is_not_there(raw: RawServer, tmp_path: Path) -> None:
    raw.answers = [listing()]
    with raw.session() as session, pytest.raises(TransferFailed, match="No such file"):
        upload_files(session, AREA, [(tmp_path / "none", "none")])
    assert len(raw.requests) == 1


@pytest.mark.parametrize("size", [0, 500_000, 1_500_000])
def test_file_that_changes_while_it_is_sent(
    client: Client, service: str, tmp_path: Path, size: int
) -> None:
    area = f"api/tickets/{client.create(service)}/files/input"
    file = tmp_path / "layer.nii.gz"
    file.write_bytes(bytes(1_000_000))
    body = FileBody(file, file.name, {})
    file.write_bytes(bytes(size))
    with pytest.raises(TransferFailed, match="changed while it was sent; nothing was stored"):
        client.session.post_body(area, body, if_lost="?")
    assert list_files(client.session, area) == []


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 3_000_001])
def test_bytes_arrive_as_they_are(client: Client, service: str, tmp_path: Path, size: int) -> None:
    area = f"api/tickets/{client.create(service)}/files/input"
    file = tmp_path / "layer.nii.gz"
    file.write_bytes(b"\r\n--\x00\xff" * (size // 6) + b"x" * (size % 6))
    upload_files(client.session, area, [(file, file.name)])
    received = client.session.get_file(f"{area}/0", tmp_path / "back")
    assert (received.name, received.size) == (file.name, size)
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


def test_upload_that_is_not_listed(raw: RawServer, tmp_path: Path) -> None:
    (tmp_path / "w").write_text("x")
    raw.answers = [listing(), answer(b"success"), answer(b"success"), listing("a")]
    with raw.session() as session, pytest.raises(TransferFailed, match=r"sent files: \['b'\]"):
        upload_files(session, AREA, [(tmp_path / "w", "a"), (tmp_path / "w", "b")])


def test_archive_is_removed(workspace: Workspace) -> None:
    with archived(workspace) as making:
        files = list(making)
        assert all(file.is_file() for file in files)
        assert files[-1].suffix == ".itksnap"
        assert files[0].parent.parent == Path(tempfile.gettempdir())
    assert not files[0].parent.exists()
    Path(workspace.main.path).unlink()
    with pytest.raises(WorkspaceError), archived(workspace) as making:
        next(making)


def files_to_send(folder: Path) -> list[tuple[Path, str]]:
    for name in ("layer", "other", "workspace"):
        (folder / name).write_bytes(name.encode() * 1000)
    return [(folder / name, name) for name in ("layer", "other", "workspace")]


def uploads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Gets the names of the files that are sent."""
    names: list[str] = []
    post = Session.post_body

    def watched(
        session: Session, path: str, body: FileBody, *rest: object, **more: object
    ) -> object:
        names.append(body._file.name)
        return post(session, path, body, *rest, **more)

    monkeypatch.setattr(Session, "post_body", watched)
    return names


def test_upload_is_taken_up_where_it_stopped(
    client: Client, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    area = f"api/tickets/{client.create(service)}/files/input"
    files = files_to_send(tmp_path)
    (tmp_path / "part").write_bytes(b"layer" * 10)
    upload_files(client.session, area, [files[0], (tmp_path / "part", "other")])
    names = uploads(monkeypatch)
    upload_files(client.session, area, files)
    assert names == ["other", "workspace"]
    for entry in list_files(client.session, area):
        client.session.get_file(f"{area}/{entry.index}", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == entry.name.encode() * 1000


def test_upload_that_is_verified(
    client: Client, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored as something else is sent again, and reported if that does not help."""
    area = f"api/tickets/{client.create(service)}/files/input"
    files = files_to_send(tmp_path)
    wrong = [1]
    read = FileBody.__iter__

    def changed(body: FileBody) -> Iterator[bytes]:
        for piece in read(body):
            if wrong[0] and piece.startswith(b"other"):
                wrong[0] -= 1
                piece = piece[:-1] + b"?"
            yield piece

    monkeypatch.setattr(FileBody, "__iter__", changed)
    names = uploads(monkeypatch)
    upload_files(client.session, area, files, verify=True)
    assert names == ["layer", "other", "workspace", "other"]
    wrong[0] = 9
    (tmp_path / "other").write_bytes(b"other")
    with pytest.raises(TransferFailed, match="has not stored other as it was sent"):
        upload_files(client.session, area, files, verify=True)
    assert len(names) == 4 + 3


def test_verified_upload_that_cannot_be_read_back(raw: RawServer, tmp_path: Path) -> None:
    files = files_to_send(tmp_path)[:1]
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nabc"
    raw.answers = [listing(), answer(b"success"), listing("layer"), listing("layer"), short]
    with raw.session() as session, pytest.raises(NetworkFailed, match="could not be read back"):
        upload_files(session, AREA, files, verify=True)


def test_upload_that_is_read_back_without_its_name(raw: RawServer, tmp_path: Path) -> None:
    """It may be there as it should: nobody can tell."""
    files = files_to_send(tmp_path)[:1]
    raw.answers = [listing("layer"), listing("layer"), answer(b"layer" * 1000)]
    words = "layer could not be read back: layer came without its name"
    with raw.session() as session, pytest.raises(NetworkFailed, match=words):
        upload_files(session, AREA, files)


def test_upload_beside_a_name_that_must_not_touch_a_disk(raw: RawServer, tmp_path: Path) -> None:
    raw.answers = [listing("../x")]
    with raw.session() as session, pytest.raises(TransferFailed) as caught:
        upload_files(session, AREA, files_to_send(tmp_path))
    assert str(caught.value).endswith("the files of this ticket cannot be put on a disk")
    assert len(raw.requests) == 1
