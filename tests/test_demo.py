"""A ticket all the way: real images, real registration, the real middleware."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import nibabel
import numpy as np
import pytest

from dss import Middleware, demo, greedy
from dss.cli import trials
from dss.errors import DemoFailed, JournalError, MiddlewareFailed, TimedOut
from dss.middleware import running
from dss.serving.runner import Runner
from snapws import Role, Workspace
from tests.dss.serving.lab import until

#: The affine part of the known map between the two brains, from the README of the images.
KNOWN_AFFINE = np.array(
    [
        [1.0472, 0.0916, 0.0551, 4.2224],
        [-0.0871, 0.9552, 0.0670, -4.9771],
        [-0.0478, -0.0771, 1.0377, 1.7784],
        [0, 0, 0, 1],
    ]
)
DSS = Path(sysconfig.get_path("scripts")) / "dss"


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    lines: list[str] = []
    return folder, demo.run(folder, lines.append), lines


def test_the_labels_are_where_they_belong(demonstration):
    _, result, _ = demonstration
    found = [re.fullmatch(r"(.*): overlap .* ([\d.]+)", line) for line in result.findings]
    assert {one[1] for one in found} == {"Grey matter", "White matter"}
    for one in found:
        assert float(one[2]) >= demo.REQUIRED_OVERLAP


def test_the_brain_is_not_mirrored(demonstration):
    """The template is symmetric: the overlap alone would not tell left from right."""
    folder, _, _ = demonstration
    affine = np.loadtxt(folder / "work" / "ticket_00000001" / "work" / "affine.mat")
    assert np.allclose(affine[:3, :3], KNOWN_AFFINE[:3, :3], atol=0.06)


def test_the_result_is_a_workspace_of_six_layers(demonstration):
    folder, result, _ = demonstration
    workspace = Workspace.open(result.workspace)
    assert result.workspace.parent == folder / "result"
    assert [(layer.role, layer.nickname, layer.tags) for layer in workspace.layers()] == [
        (Role.MAIN, "Template", ("Target",)),
        (Role.OVERLAY, "Subject", ("Source",)),
        (Role.OVERLAY, "Subject's tissues", ("SourceSeg",)),
        (Role.OVERLAY, "Resliced source", ()),
        (Role.SEGMENTATION, "Resliced labels", ("Result",)),
        (Role.OVERLAY, "Deformation field", ()),
    ]
    assert workspace.layers()[5].display.color_map == "Jet"
    assert [label.name for label in workspace.labels] == ["Grey matter", "White matter"]
    for layer in workspace.layers():
        assert re.fullmatch(r"layer_\d{3}_[0-9a-f]{32}\.nii\.gz", layer.path.name)
        assert nibabel.load(layer.path).shape[:3] in ((57, 71, 63), (82, 72, 56))


def test_every_step_is_told(demonstration):
    _, _, lines = demonstration
    text = "\n".join(lines)
    pictures = (
        "After affine registration",
        "After deformable registration",
        "Labels on the target",
    )
    for step in ("Affine", "Deformable", "[Affine matrix]", *(f"[{one}]" for one in pictures)):
        assert step in text


def test_nothing_is_left_running(demonstration):
    folder, _, _ = demonstration
    import psutil

    commands = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if str(folder) in command]


def test_what_is_known_to_be_wrong_is_not_shown_as_right(demonstration, tmp_path):
    _, result, _ = demonstration
    judge = demo.EXAMPLES["registration"].judge
    truth = nibabel.load(demo.images() / "target_labels.nii.gz")
    shifted = nibabel.Nifti1Image(np.roll(truth.dataobj, 9, 0), truth.affine)
    nibabel.save(shifted, tmp_path / "shifted.nii")
    workspace = Workspace()
    workspace.add_anatomical(demo.images() / "target.nii.gz")
    workspace.labels = Workspace.open(result.workspace).labels
    layer = workspace.add_segmentation(demo.images() / "target_labels.nii.gz", tags={"Result"})
    assert [finding[-5:] for finding in judge(workspace)] == ["1.000", "1.000"]
    workspace.remove(layer)
    workspace.add_segmentation(tmp_path / "shifted.nii", tags={"Result"})
    with pytest.raises(DemoFailed, match="Grey matter: .* less than"):
        judge(workspace)


@pytest.mark.parametrize(("module", "name"), [("PIL", "Pillow"), ("picsl_greedy", "greedy")])
def test_what_is_lacking_is_said_at_once(tmp_path, monkeypatch, module, name):
    monkeypatch.setattr(demo, "find_spec", lambda given: None if given == module else given)
    lines: list[str] = []
    with pytest.raises(DemoFailed, match=rf"lacks {name}; run: pip install 'snapws\[demo\]'"):
        demo.run(tmp_path / "demo", lines.append)
    assert lines == []
    assert not (tmp_path / "demo").exists()


def test_the_neck_cut_needs_no_registration(tmp_path):
    lines: list[str] = []
    result = demo.run(tmp_path, lines.append, "neckcut")
    assert result.findings == ("kept 180 mm, 9 mm of them above the head",)
    assert "Top of the head" in "\n".join(lines)


def test_greedy_that_fails_says_so(tmp_path):
    words = [*greedy.GREEDY, "-d", "3", "-rf", "nothing.nii.gz", "-rm", "a.nii", "b.nii"]
    assert subprocess.run(words, cwd=tmp_path, capture_output=True, timeout=300).returncode == 1


def test_the_middleware_in_the_foreground(tmp_path):
    """`dss middleware` prints an address and tokens that work, and stops when told to.

    Who is named twice has one token, and the administrator's rights stay.
    """
    from dss import Admin
    from dss.login import login, user
    from dss.middleware import ADMINISTRATOR

    words = [
        DSS,
        "middleware",
        tmp_path / "mw",
        "--user",
        ADMINISTRATOR,
        "--user",
        "user@localhost",
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            words = [process.stdout.readline().split() for _ in range(4)]
            url = words[0][1]
            assert words[1] == ["pages", f"{url}/?key={words[1][1].rpartition('=')[2]}"]
            for _, token, email in words[2:]:
                with login(url, token) as session:
                    assert user(session) == email.strip("()")
                    if user(session) == ADMINISTRATOR:
                        Admin(session).add_provider("lab")
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == ""
        assert process.wait(timeout=300) == 0


def test_a_middleware_with_an_example_serves_tickets(tmp_path):
    """What the server's own containers gave, in one command; a token more while it runs."""
    from dss import Client
    from dss.login import login
    from dss.login import user as logged_in

    home = {**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    home["XDG_STATE_HOME"] = str(tmp_path / "state")

    def token(email):
        words = [DSS, "middleware", "token", email]
        return subprocess.run(words, env=home, capture_output=True, text=True, timeout=300)

    words = [DSS, "middleware", "--example", tmp_path / "mw"]
    with subprocess.Popen(words, env=home, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline().split() for _ in range(5)]
            url, (offers, service, name) = lines[0][1], lines[4]
            assert (offers, name) == ("offers", "(MRI-NeckCut)")
            for _, printed, email in lines[2:4]:
                with login(url, printed) as session:  # no login of the example has used it up
                    assert logged_in(session) == email.strip("()")
            with login(url, token("user@localhost").stdout.strip()) as session:
                user = Client(session)
                workspace = demo.make_workspace(tmp_path / "study", "neckcut")
                ticket = user.submit(workspace, service)
                for news in user.wait(ticket, timeout=300, interval=0.5):
                    status = news.status
                assert status == "success"
                result = Workspace.open(user.download(ticket, tmp_path / "result"))
            assert demo.EXAMPLES["neckcut"].judge(result)
            unknown = token("nobody@localhost")
            assert unknown.returncode == 1
            assert unknown.stderr.startswith("dss: error: no user nobody@localhost")
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == ""
        assert process.wait(timeout=300) == 0
    ended = token("user@localhost")
    assert ended.returncode == 1
    assert "none of yours runs on this machine" in ended.stderr


def test_one_middleware_of_several_is_chosen_by_its_port(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with Middleware(tmp_path / "a") as one, Middleware(tmp_path / "b") as other:
        assert running() == {one.port: one.folder, other.port: other.folder}
        with pytest.raises(MiddlewareFailed, match=r"which middleware\? 2 run"):
            trials._running(0)
        assert trials._running(other.port).folder == other.folder
    assert running() == {}


def test_the_command_reports_errors_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    done = subprocess.run(
        [DSS, "middleware", str(tmp_path / "file")], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"dss: error: {tmp_path / 'file'} cannot hold the middleware's ")
    assert done.stderr.endswith("; choose another folder\n")
    assert len(done.stderr.splitlines()) == 1


def test_a_port_that_is_none(tmp_path):
    words = [DSS, "middleware", "--port", "70000"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    with pytest.raises(MiddlewareFailed, match="70000 is not a valid port"):
        Middleware(tmp_path / "mw", port=70000).start()
    assert not (tmp_path / "mw").exists()


def test_the_demonstration_does_not_load_greedy_itself():
    code = "import dss.demo, sys; sys.exit('picsl_greedy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0


def test_a_login_is_kept(tmp_path):
    """`dss login` takes a token and keeps the session for the next time."""
    from dss import Client, Credentials

    with Middleware() as middleware:
        token = middleware.add_user("user@localhost")
        environment = {**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
        words = [DSS, "login", middleware.url, "--token", "-"]
        done = subprocess.run(
            words, input=f"{token}\n", env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0
        assert done.stdout == f"logged in to {middleware.url} as user@localhost\n"
        with Credentials(tmp_path).open_session() as session:
            assert Client(session).tickets() == []
        again = subprocess.run(
            words, input=f"{token}\n", env=environment, capture_output=True, text=True, timeout=300
        )
        assert again.returncode == 1
        assert again.stderr.startswith("dss: error: ")
        assert token not in again.stderr
        with Credentials(tmp_path).open_session() as session:
            assert Client(session).tickets() == []


def test_why_the_runner_has_ended_is_what_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: Runner) -> None:
        raise JournalError("the folder is in use")

    def serve(middleware: Middleware) -> None:
        with demo.serving(middleware, "neckcut", tmp_path / "work"):
            until(lambda: "the runner has ended: the folder is in use" in caplog.text)
            raise TimedOut("nothing has come")

    monkeypatch.setattr(Runner, "run", refuse)
    with (
        Middleware(tmp_path / "middleware") as middleware,
        pytest.raises(JournalError, match="in use"),
    ):
        serve(middleware)
