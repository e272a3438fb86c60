"""Workspaces that are served on the loopback interface, and what a browser would ask for."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import nibabel
import pytest

from snapws import Workspace
from snapws.viewer.server import Viewer

if find_spec("ipyniivue") is None:
    pytest.skip("needs the extra 'viewer'", allow_module_level=True)


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)


class Served:
    """A viewer that runs, and requests to it."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.root = urlsplit(viewer.address).path

    def ask(self, path: str, *, method: str = "GET", **headers: str) -> Reply:
        with closing(http.client.HTTPConnection("127.0.0.1", self.viewer.port, timeout=60)) as line:
            line.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                line.putheader(name, value)
            line.endheaders()
            reply = line.getresponse()
            return Reply(reply.status, dict(reply.getheaders()), reply.read())

    def get(self, path: str) -> Reply:
        return self.ask(self.root + path)

    def layer(self, number: int) -> nibabel.Nifti1Image:
        reply = self.get(f"w/0/layer/{number}.nii")
        assert reply.status == 200, reply.body
        return nibabel.Nifti1Image.from_bytes(reply.body)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Serves workspaces until the test ends."""
    running = []

    def start(*workspaces: Workspace) -> Served:
        paths = []
        for number, workspace in enumerate(workspaces):
            paths.append(tmp_path / f"study{number}.itksnap")
            workspace.save(paths[-1])
        viewer = Viewer(paths)
        thread = threading.Thread(target=viewer.serve)
        thread.start()
        running.append((viewer, thread))
        return Served(viewer)

    yield start
    for viewer, thread in running:
        viewer.close()
        thread.join()
