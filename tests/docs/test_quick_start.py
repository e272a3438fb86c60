"""The commands of the page about a service in a shell run as they stand, one by one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from snapws import Workspace
from tests import ports

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "service-in-a-shell.md"
LIMIT = 540

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the commands are bash's")


def commands() -> list[str]:
    """Return the commands of the page, in their order."""
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a reader with the extra `demo`, a home of his own and no login."""
    binaries = folder / "installed"
    binaries.mkdir()
    greedy = f"#!{sys.executable}\nimport sys\nfrom dss.greedy import run\nsys.exit(run())\n"
    (binaries / "greedy").write_text(greedy, encoding="utf-8")
    (binaries / "greedy").chmod(0o755)
    (folder / "home").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ITKSNAP_WT_")}
    installed = Path(sys.executable).parent
    path = os.pathsep.join([str(binaries), str(installed), os.environ["PATH"]])
    return {**kept, "PATH": path, "HOME": str(folder / "home"), "GIT_CONFIG_GLOBAL": os.devnull}


@contextmanager
def serving(words: str, folder: Path, variables: dict[str, str]) -> Iterator[None]:
    """Run the command of the other terminal until the block is over; wait until it offers."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {words}"],
            cwd=folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
        )
    try:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("offers"):
                break
        else:
            raise AssertionError((folder / "server.log").read_text())
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT)


@pytest.fixture
def port() -> Iterator[int]:
    with ports.reserved() as port:
        yield port


def test_commands_of_the_page_run_as_they_stand(tmp_path: Path, port: int) -> None:
    server, *lines = [line.replace("8080", str(port)) for line in commands()]
    variables = environment(tmp_path)
    # Every command has to succeed, those in pipes and substitutions, too.
    script = tmp_path / "typed.sh"
    script.write_text("set -euo pipefail\nshopt -s inherit_errexit\n" + "\n".join(lines) + "\n")
    with serving(server, tmp_path, variables):
        done = subprocess.run(
            ["bash", "-x", str(script)],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            encoding="utf-8",
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for page, shown in PAGES.items():
            answer = requests.get(f"http://localhost:{port}{page}", timeout=60)
            assert answer.status_code == 200
            assert shown in answer.text, page
    assert "logged in as administrator@localhost" in done.stdout + done.stderr
    (fetched,) = (tmp_path / "fetched").glob("*.itksnap")
    result = Workspace.open(fetched)
    named = [layer.nickname for layer in result.layers()]
    assert named[-3:] == ["Resliced Source Image", "Deformation Field", "Resliced Segmentation"]
    assert set(result.layer("S").array()[...].ravel()) == {0, 1, 2}


PAGES = {
    "/": "DSS",
    "/services": "RegistrationExample",
    "/token": "You must accept the terms of service",
    "/admin": "Admin Tasks",
}


def test_greedy_of_the_path_is_used_where_the_extra_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dss import greedy

    other = tmp_path / "greedy"
    shutil.copy("/bin/sh", other)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(greedy, "find_spec", lambda _: None)
    monkeypatch.setattr("sys.argv", ["/nowhere/greedy", "-c", "exit 7"])
    assert greedy.run() == 7
