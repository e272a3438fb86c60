"""What is in `deploy` is of its form, and its commands run as they are."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from dss import Admin, Middleware
from dss.cli.shared import seconds
from dss.middleware import ADMINISTRATOR

yaml = pytest.importorskip("yaml", reason="needs the extra 'docs'")

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT_TIME = re.compile(r"([0-9]+)(min|s|h)")


def unit() -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parsed.optionxform = str  # type: ignore[method-assign, assignment]
    parsed.read_string((DEPLOY / "dss-run.service").read_text(encoding="utf-8"))
    return parsed


def compose() -> dict[str, dict[str, dict[str, object]]]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def commands() -> dict[str, list[str]]:
    """Return the words behind ``dss`` of each command."""
    found = {"unit": shlex.split(unit()["Service"]["ExecStart"])[1:]}
    for name, service in compose()["services"].items():
        found[name] = list(service["command"])
    return found


def grace(words: list[str]) -> float:
    return seconds(words[words.index("--grace") + 1])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A middleware whose provider ``testlab`` offers a service."""
    folder = tmp_path_factory.mktemp("deploy")
    description = {"name": "quiet", "version": "1.0", "shortdesc": "Does nothing", "tags": []}
    (folder / "service.json").write_text(json.dumps(description), encoding="utf-8")
    with Middleware(folder / "middleware") as running:
        running.publish(folder, "testlab")
        running.add_user("worker@localhost")
        with running.login(ADMINISTRATOR) as session:
            Admin(session).add_user("testlab", "worker@localhost")
        yield running


@pytest.mark.parametrize("name", ["unit", "runner"])
def test_a_runner_starts_by_its_command(server, tmp_path, name):
    """As it stands, but for the folders, and until nothing waits."""
    places = {"/etc/dss": tmp_path / "etc", "/var/lib/dss": tmp_path / "var"}
    for place in places.values():
        place.mkdir()
    text = "from dss import service\n@service(name='quiet')\ndef quiet(job):\n    pass\n"
    (tmp_path / "etc" / "service.py").write_text(text, encoding="utf-8")
    words = commands()[name]
    for meant, place in places.items():
        words = [word.replace(meant, str(place)) for word in words]
    dss = Path(sys.executable).with_name("dss")
    env = {**os.environ, "HOME": str(tmp_path / "var"), "DSS_TOKEN": ""}
    env["DSS_TOKEN"] = server.add_user("worker@localhost")
    for command in ([dss, "login", server.url], [dss, *words, "--once"]):
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "var" / "work").is_dir()


def test_a_middleware_starts_by_its_command(tmp_path):
    words = [word.replace("/var/lib/dss", str(tmp_path)) for word in commands()["middleware"]]
    assert words[-2:] == ["--port", "8080"]
    words[-1] = "0"  # that one may be taken here
    command = [Path(sys.executable).with_name("dss"), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline().startswith("URL    http://127.0.0.1:")
        finally:
            process.terminate()
        process.stdout.read()


def test_the_unit_starts_the_command_that_is_installed():
    command = shlex.split(unit()["Service"]["ExecStart"])
    assert command[0] == "/opt/snapws/bin/dss"
    assert "/opt/snapws" in (DEPLOY.parent / "docs/howto/deploy-a-service.md").read_text("utf-8")


def test_a_runner_is_left_more_time_than_it_takes():
    service = unit()["Service"]
    number, what = UNIT_TIME.fullmatch(service["TimeoutStopSec"]).groups()
    left = int(number) * {"s": 1, "min": 60, "h": 3600}[what]
    assert left > grace(commands()["unit"])
    assert service["KillMode"] == "mixed"
    runner = compose()["services"]["runner"]
    assert seconds(runner["stop_grace_period"]) > grace(commands()["runner"])


def test_the_middleware_is_where_its_address_is():
    """It listens on the loopback address alone."""
    for service in compose()["services"].values():
        assert service["network_mode"] == "host"
        assert "ports" not in service


def test_the_image_installs_extras_that_there_are():
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    (extras,) = re.findall(r"/src\[([\w,]+)\]", text)
    project = (DEPLOY.parent / "pyproject.toml").read_text(encoding="utf-8")
    for extra in extras.split(","):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE)
    assert 'ENTRYPOINT ["dss"]' in text
    words = [line.split()[0] for line in text.splitlines() if line and line[0] not in "# "]
    assert words[0] == "FROM"
    assert {*words} <= {"FROM", "RUN", "COPY", "USER", "ENV", "WORKDIR", "VOLUME", "ENTRYPOINT"}
