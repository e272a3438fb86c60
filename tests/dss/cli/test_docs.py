"""The page docs/dss.md: its examples, one after the other, against the real middleware."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import nibabel
import numpy
import pytest
from typer.testing import CliRunner

from dss import Admin, Client, Middleware, Provider, demo
from dss.middleware import ADMINISTRATOR
from snapws import Workspace
from snapws.cli.app import app as snapws
from tests.cli.console import Example, blocks
from tests.dss.cli.conftest import Account
from tests.dss.cli.test_front_door import COMMANDS

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "dss.md").read_text(encoding="utf-8")
SERVER, REPOSITORY = "https://dss.itksnap.org", "https://github.com/example/registration.git"
USER, WORKER = "jane@example.org", "provider@example.org"

#: Who sits at the command line in a section; the user where none is named.
PEOPLE = {"Provide": "provider", "Serve": "provider", "Administer": "administrator"}

#: What differs from run to run.
VARYING = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-03-02 10:20:30"),
    (r"\d\d:\d\d:\d\d", "10:20:30"),
    (r"\d+(\.\d+)? (s|ms|kB|MB|bytes)\b", r"4 \2"),
    (r"runner_[0-9a-f]{6}", "runner_123456"),
    (r"process \d+", "process 1234"),
    (r"(last heard|mean duration): [\d.e-]+", r"\1: 4"),
    (r"/blobs/[0-9a-f]+", "/blobs/12345678"),
    (r"(success|failed|ready) +[\d.e-]+$", r"\1   4.2"),
)


def alike(text: str) -> str:
    """Give a text without what differs from run to run."""
    for pattern, same in VARYING:
        text = re.sub(pattern, same, text, flags=re.MULTILINE)
    return text


class Story:
    """A server with a service, and three people in a folder each."""

    def __init__(self, folder: Path, middleware: Middleware, stack: ExitStack) -> None:
        self.folder, self.middleware = folder, middleware
        for name in ("target", "source", "labels"):
            voxels = numpy.arange(60, dtype=numpy.int16).reshape(5, 4, 3) + len(name)
            image = nibabel.Nifti1Image(voxels % 3 if name == "labels" else voxels, numpy.eye(4))
            nibabel.save(image, folder / f"{name}.nii.gz")
        nibabel.save(image, folder / "seg.nii.gz")
        self.study = Workspace()
        self.study.set_main(folder / "target.nii.gz").nickname = "T1"
        self.study.add_overlay(folder / "source.nii.gz", nickname="Atlas", tags=["Source"])
        self.study.add_overlay(folder / "labels.nii.gz", nickname="Tissues", tags=["SourceSeg"])
        self.study.save(folder / "study.itksnap")
        (folder / "affine.mat").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
        description = demo.EXAMPLES["registration"].folder
        self.service = middleware.publish(description, demo.PROVIDER)
        (self.repository,) = (middleware.folder / "services").iterdir()
        (folder / "token.txt").write_text(middleware.add_user(USER))
        middleware.add_user(WORKER)
        self.provider = Provider(stack.enter_context(middleware.login(WORKER)))
        administrator = stack.enter_context(middleware.login(ADMINISTRATOR))
        Admin(administrator).add_user(demo.PROVIDER, WORKER)
        self.accounts = {
            "user": Account(folder / "user"),
            "provider": Account(folder / "provider", self.provider.session),
            "administrator": Account(folder / "administrator", administrator),
        }
        #: What happens elsewhere before a line.
        self.meanwhile: dict[str, Callable[[], None]] = {
            "dss tickets wait 1 --timeout 3600": self._work,
            "dss provider services": lambda: self._submit(self.study),
            "dss run marks/my_service.py --provider testlab --once": lambda: self._submit(
                folder / "study.itksnap"
            ),
        }

    def _work(self) -> None:
        assert self.provider.claim([self.service], demo.PROVIDER, "instance_1")
        self.provider.log(1, "info", "Affine registration")
        self.provider.attach(1, "Affine matrix", self.folder / "affine.mat", "text/plain")
        self.provider.log(1, "info", "Deformable registration")
        self.provider.upload(1, self.study)
        self.provider.succeed(1)

    def _submit(self, study: Workspace | Path) -> None:
        from dss import Credentials

        with Credentials(self.accounts["user"].home).open_session() as session:
            Client(session).submit(study, self.service)

    def run(self, person: str, example: Example) -> str:
        """Run an example, hold its exit code, and give what it prints as the page shows it."""
        self.meanwhile.pop(example.line, lambda: None)()
        line = example.line.replace(SERVER, self.middleware.url)
        words = shlex.split(line.replace(REPOSITORY, self.repository.as_posix()), comments=True)
        words = ["HEAD" if word == "main" else word for word in words]
        stated = re.search(r"# exit ([0-9]+)$", line)
        code = int(stated[1]) if stated else 0
        stdin = None
        if "<" in words:
            words, stdin = words[:-2], Path(words[-1]).read_text()
        program = words.pop(0)
        if program == "snapws":
            result = CliRunner().invoke(snapws, words, prog_name="snapws")
            assert result.exit_code == code, result.output
        else:
            assert program == "dss"
            result = self.accounts[person](words, code, stdin=stdin)
        shown = result.output.replace(self.middleware.url, SERVER)
        for name in (self.folder.as_posix(), str(self.folder)):
            shown = shown.replace(name, "/data/study")
        return shown.replace("\\", "/") if os.name == "nt" else shown


@pytest.fixture
def story(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Middleware() as middleware, ExitStack() as stack:
        yield Story(tmp_path, middleware, stack)


def examples() -> list[tuple[str, Example]]:
    """Give who types what, in the order of the page."""
    sections = re.split(r"^## (.*)\n", PAGE, flags=re.MULTILINE)[1:]
    return [
        (PEOPLE.get(title, "user"), example)
        for title, text in zip(sections[::2], sections[1::2], strict=True)
        for block in blocks(text)
        for example in block
    ]


def test_the_page_from_beginning_to_end(story):
    for person, example in examples():
        shown = story.run(person, example)
        assert alike(shown) == alike(example.output), example.line
    assert not story.meanwhile


def test_every_command_is_on_the_page():
    for name in COMMANDS:
        assert re.search(rf"\bdss {name}\b", PAGE), name


def test_the_table_of_the_drop_in_names_commands_that_are_there():
    text = (DOCS / "itksnap-wt.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| `-dss\S+` \| `dss ([a-z ]+[a-z])", text, re.MULTILINE)
    assert len(names) == 29
    assert set(names) <= COMMANDS.keys()


def test_fields_of_json_are_documented(user, worker, administrator, claimed, provider, tmp_path):
    (tmp_path / "file").touch()
    provider.attach(claimed, "text", tmp_path / "file")
    provider.log(claimed, "info", "text")
    rows = dict(re.findall(r"^\| (`.*`) \| (.*) \|$", PAGE, re.MULTILINE))
    fields = {
        name: set(re.findall("`([a-z_]+)`", text))
        for names, text in rows.items()
        for name in re.findall("`(.*?)`", names)
    }
    for account, line in (
        (user, "whoami"),
        (user, "services list"),
        (user, "services show Registration"),
        (user, "services stats Registration"),
        (user, "tickets list"),
        (user, f"tickets show {claimed}"),
        (user, f"tickets log {claimed}"),
        (user, f"tickets attachments {claimed}"),
        (worker, "provider services"),
        (worker, f"provider status {claimed}"),
        (administrator, "admin users list lab"),
        (administrator, "admin services list lab"),
        (administrator, "admin tickets list"),
    ):
        found = json.loads(account(f"{line} --json").stdout)
        name = " ".join(line.split()[: 3 if line.startswith("admin") else 2])
        name = "whoami" if line == "whoami" else name
        for record in found if isinstance(found, list) else [found]:
            assert record.keys() <= fields[name], line
