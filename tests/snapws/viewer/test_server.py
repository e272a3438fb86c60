"""The viewer's server answers the page that has its address, and nobody else."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from snapws import Workspace
from snapws.cli.app import app
from snapws.errors import InvalidValue, PictureError
from snapws.viewer import bundle
from snapws.viewer.server import Viewer

_RUN = "from snapws.cli import main; main()"
SECRET = "not named by any workspace"


@pytest.fixture
def study(tmp_path: Path) -> Workspace:
    for name in ("main", "overlay"):
        voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
        nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(tmp_path / f"{name}.nii.gz")
    (tmp_path / "secret.txt").write_text(SECRET)
    ws = Workspace()
    ws.set_main(tmp_path / "main.nii.gz").nickname = "T1"
    ws.add_overlay(tmp_path / "overlay.nii.gz", nickname="T2")
    return ws


def test_the_page_and_its_parts_are_served(serve, study):
    served = serve(study)
    for path, kind in {
        "": "text/html",
        "view.js": "text/javascript",
        "view.css": "text/css",
        "niivue.js": "text/javascript",
        "workspaces.json": "application/json",
        "w/0/contents.json": "application/json",
        "w/0/cursor.json": "application/json",
        "w/0/layer/0/1.json": "application/json",
        "w/0/layer/0.nii": "application/octet-stream",
        "alive": "application/json",
    }.items():
        reply = served.get(path)
        assert reply.status == 200, path
        assert reply.headers["Content-Type"].partition(";")[0] == kind
        assert int(reply.headers["Content-Length"]) == len(reply.body)
    names = [one["name"] for one in served.get("w/0/contents.json").value["layers"]]
    assert names == ["T1", "T2"]


def test_niivue_comes_from_the_installed_package_and_exports_its_class(serve, study):
    reply = serve(study).get("niivue.js")
    found = bundle.find_bundle()
    assert reply.body == found.path.read_bytes() + found.tail
    assert re.fullmatch(rb"\nexport\{[\w$]+ as Niivue\};\n", found.tail)


@pytest.mark.parametrize("content", [None, b"export default {}"])
def test_a_missing_or_unknown_niivue_is_refused_in_one_line(tmp_path, monkeypatch, content):
    class Found:
        origin = str(tmp_path / "__init__.py")

    if content is not None:
        (tmp_path / "static").mkdir()
        (tmp_path / "static" / "widget.js").write_bytes(content)
    monkeypatch.setattr(bundle, "find_spec", lambda _: None if content is None else Found)
    with pytest.raises(PictureError, match="the extra viewer") as refusal:
        Viewer([])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/view.js",
        "/niivue.js",
        "/w/0/layer/0.nii",
        "/wrong/w/0/layer/0.nii",
        "/%s",
        "/%sx/",
        "/%s/w/0/layer/main.nii.gz",
        "/%s/w/0/layer/../../secret.txt",
        "/%s/../secret.txt",
        "/%s/%%2e%%2e/secret.txt",
        "/%s/w/0/layer/-1.nii",
        "/%s/w/0/layer/1234567.nii",
        "/%s/w/0/layer/%%D9%%A3.nii",
    ],
)
def test_nothing_else_is_served(serve, study, path):
    served = serve(study)
    token = served.root.strip("/")
    reply = served.ask(path % token if "%s" in path else path)
    assert reply.status == 404
    assert SECRET.encode() not in reply.body
    assert b"niivue" not in reply.body.lower()
    assert token.encode() not in reply.body


@pytest.mark.parametrize("path", ["w/1/contents.json", "w/0/layer/7.nii", "w/0/layer/7/1.json"])
def test_a_number_that_nothing_has_is_refused_with_a_reason(serve, study, path):
    reply = serve(study).get(path)
    assert reply.status == 422
    assert reply.value["error"].startswith("there is no ")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "example.org"},
        {"Host": "127.0.0.1.example.org:80"},
        {"Host": ""},
        {"Host": "[::1"},
        {"Origin": "http://example.org"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
    ],
    ids=lambda headers: "-".join(f"{name}={value}" for name, value in headers.items()),
)
def test_requests_for_another_machine_or_of_another_page_are_refused(serve, study, headers):
    served = serve(study)
    reply = served.ask(f"{served.root}w/0/layer/0.nii", **headers)
    assert reply.status == 403
    assert served.root.strip("/").encode() not in reply.body


def test_a_tunnel_from_another_port_and_the_page_itself_are_answered(serve, study):
    served = serve(study)
    assert served.ask(f"{served.root}alive", Host="localhost:9999").status == 200
    own = f"127.0.0.1:{served.viewer.port}"
    assert served.ask(f"{served.root}alive", Host=own, Origin=f"http://{own}").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_sent(serve, study, method):
    served = serve(study)
    assert served.ask(served.root, method=method).status == 501


def test_every_answer_has_the_policy(serve, study):
    served = serve(study)
    for path in ("", "view.js", "w/0/layer/0.nii", "w/9/contents.json"):
        headers = served.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
    assert "Server" not in headers or "Python" not in headers["Server"]


def test_the_address_for_the_browser_leads_to_the_page_once(serve, study):
    served = serve(study)
    path = "/" + served.viewer.first_address.rpartition("/")[2]
    assert served.ask(path, Host="example.org").status == 403
    first, second = served.ask(path), served.ask(path)
    assert (first.status, first.headers["Location"]) == (303, served.root)
    assert second.status == 404


def test_a_damaged_layer_says_why_and_the_others_are_served(serve, study, tmp_path):
    whole = (tmp_path / "overlay.nii.gz").read_bytes()
    (tmp_path / "overlay.nii.gz").write_bytes(whole[:-15])
    study.add_overlay(tmp_path / "gone.nii.gz", nickname="gone")
    served = serve(study)
    errors = [one["error"] for one in served.get("w/0/contents.json").value["layers"]]
    assert errors[:2] == ["", ""]
    assert "gone.nii.gz" in errors[2]
    assert served.get("w/0/layer/0.nii").status == 200
    with pytest.raises(http.client.IncompleteRead):
        served.get("w/0/layer/1.nii")
    why = served.get("w/0/layer/1/1.json")
    assert why.status == 422
    assert "overlay.nii.gz" in why.value["error"]
    assert served.get("w/0/layer/2.nii").value["error"] == errors[2]


def test_a_workspace_without_a_main_image_is_refused_and_another_one_is_shown(serve, study):
    served = serve(Workspace(), study)
    assert served.get("w/0/contents.json").status == 422
    assert served.get("w/1/contents.json").status == 200


def test_a_taken_port_is_refused_in_one_line(serve, study):
    served = serve(study)
    with pytest.raises(InvalidValue, match="choose another --port"):
        Viewer([], port=served.viewer.port)


def test_it_ends_when_nobody_asked_for_long_enough(study, tmp_path):
    viewer = Viewer([], idle=0)
    thread = threading.Thread(target=viewer.serve)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    viewer.release()


def _command(study: Workspace, tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    study.save(tmp_path / "study.itksnap")
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, "view", "study.itksnap", "--no-browser", *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.skipif(os.name == "nt", reason="no interrupt can be sent to one process there")
def test_the_command_prints_the_address_and_the_tunnel_and_ends_by_an_interrupt(study, tmp_path):
    with _command(study, tmp_path) as process:
        try:
            address = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/[\w-]{32}/", address)
            with urllib.request.urlopen(f"{address}w/0/contents.json", timeout=60) as reply:
                assert reply.status == 200
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=300)
        finally:
            process.kill()
    port = address.split(":")[2].partition("/")[0]
    assert process.returncode == 0, errors
    assert rest == ""
    assert f"ssh -N -L {port}:127.0.0.1:{port} " in errors
    assert "Traceback" not in errors


def test_the_command_refuses_a_workspace_that_is_not_there(study, tmp_path):
    with _command(study, tmp_path, "missing.itksnap") as several:
        try:
            assert several.stdout.readline().startswith("http://127.0.0.1:")
        finally:
            several.kill()
    (tmp_path / "study.itksnap").unlink()
    result = CliRunner().invoke(app, ["view", str(tmp_path / "study.itksnap"), "--no-browser"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "study.itksnap" in result.stderr


def test_the_command_ends_after_an_idle_time(study, tmp_path):
    with _command(study, tmp_path, "--idle", "0.001") as process:
        try:
            _, errors = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 0, errors


@pytest.mark.parametrize("number", ["1e200", "1e308"])
def test_numbers_that_no_header_holds_are_refused_with_a_reason(serve, study, number):
    study.layers()[1].registry["ImageTransform.IsIdentity"] = "0"
    study.layers()[1].registry["ImageTransform.Matrix.Element[0][0]"] = number
    study.main.display.contrast = [(-1e308, 0), (1e308, 1)]
    served = serve(study)
    for path, word in (("w/0/layer/1.nii", "transform"), ("w/0/layer/0/1.json", "contrast")):
        reply = served.get(path)
        assert reply.status == 422
        assert f"set another {word}" in reply.value["error"] or word == "transform"
        assert word in reply.value["error"]
    assert served.get("w/0/layer/0.nii").status == 200


def test_whoever_has_not_the_address_does_not_keep_it_from_being_idle(study, tmp_path):
    viewer = Viewer([study.save(tmp_path / "study.itksnap")], idle=0.02)
    thread = threading.Thread(target=viewer.serve)
    thread.start()
    asked = 0
    while thread.is_alive() and asked < 600:
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{viewer.port}/wrong", timeout=60).close()
        asked += 1
        thread.join(0.2)
    assert not thread.is_alive()
    assert asked > 1
    viewer.release()
