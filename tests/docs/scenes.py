"""Where the pages are read: each scene is a folder, and who is there."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import nibabel
import numpy
import pytest

from dss import Admin, Client, Credentials, Middleware, Provider, demo
from dss.middleware import ADMINISTRATOR
from snapws import Workspace
from tests import ports
from tests.cli.conftest import path_with, place_study
from tests.docs.reader import VARYING, Reader
from tests.dss.cli.conftest import Account
from tests.dss.serving.lab import until

SERVER, REPOSITORY = "https://dss.itksnap.org", "https://github.com/example/registration.git"
USER, WORKER = "jane@example.org", "provider@example.org"


def _names(folder: Path, shown: str) -> dict[str, str]:
    return dict.fromkeys((folder.as_posix(), str(folder)), shown)


def _port(port: int, shown: str) -> dict[str, str]:
    """Return what the pages show in place of a port."""
    return {f"127.0.0.1:{port}": f"127.0.0.1:{shown}", f"--port {port}": f"--port {shown}"}


@contextmanager
def study(folder: Path) -> Iterator[Reader]:
    """Workspaces of small images with noise in them, in /data/study; nothing varies."""
    place_study(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path_with(folder))
        yield Reader(folder, shown=_names(folder, "/data/study"))


@contextmanager
def empty(folder: Path) -> Iterator[Reader]:
    """An empty folder, /data/jane: the page makes what it speaks of; nothing varies."""
    folder.mkdir()
    yield Reader(folder, shown=_names(folder, "/data/jane"))


@contextmanager
def home(folder: Path, work: str) -> Iterator[Reader]:
    """Jane's home folder, empty, and a free port; she goes to the folder `work` there."""
    folder.mkdir()
    folder = folder.resolve()
    with ports.reserved() as port:
        shown = {
            str(demo.images()): "/home/jane/snapws/fixtures/brain",
            str(folder): "/home/jane",
            **_port(port, "8080"),
        }
        yield Reader(
            folder / work,
            shown=shown,
            varying=VARYING,
            inside=False,
            start=folder,
            home=lambda mark, said: folder,
        )


@contextmanager
def offline(folder: Path) -> Iterator[Reader]:
    """Jane's home folder; her middleware stops when it has all that the job had to tell by then.

    A line whose answer is lost is not sent again, since it would perhaps be there twice.
    """
    with home(folder, "dss-offline") as reader:
        server = reader.folder / "middleware" / "db.sqlite3"

        def told() -> bool:
            with closing(sqlite3.connect(server, timeout=300)) as database:
                words = "select id from ticket_log where message = 'Thinking'"
                return database.execute(words).fetchone() is not None

        reader.meanwhile = {"^C": lambda: until(told)}
        yield reader


def _place_small_study(folder: Path) -> None:
    for name in ("target", "source", "labels"):
        voxels = numpy.arange(60, dtype=numpy.int16).reshape(5, 4, 3) + len(name)
        image = nibabel.Nifti1Image(voxels % 3 if name == "labels" else voxels, numpy.eye(4))
        nibabel.save(image, folder / f"{name}.nii.gz")
    shutil.copy(folder / "labels.nii.gz", folder / "seg.nii.gz")
    study = Workspace()
    study.set_main(folder / "target.nii.gz").nickname = "T1"
    study.add_overlay(folder / "source.nii.gz", nickname="Atlas", tags=["Source"])
    study.add_overlay(folder / "labels.nii.gz", nickname="Tissues", tags=["SourceSeg"])
    study.save(folder / "study.itksnap")
    (folder / "affine.mat").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")


@contextmanager
def lab(folder: Path, *, story: bool = False) -> Iterator[Reader]:
    """A server with a service, a user with a token, and people with a login.

    In the story, the user has a study, and somebody does something elsewhere before some lines.
    """
    folder.mkdir()
    if story:
        _place_small_study(folder)
    with Middleware() as middleware, ExitStack() as stack:
        service = middleware.publish(demo.EXAMPLES["registration"].folder, demo.PROVIDER)
        (repository,) = (middleware.folder / "services").iterdir()
        (folder / "token.txt").write_text(middleware.add_user(USER))
        middleware.add_user(WORKER)
        provider = Provider(stack.enter_context(middleware.login(WORKER)))
        administrator = stack.enter_context(middleware.login(ADMINISTRATOR))
        Admin(administrator).add_user(demo.PROVIDER, WORKER)
        people = {
            "user": Account(folder / "user"),
            "provider": Account(folder / "provider", provider.session),
            "administrator": Account(folder / "administrator", administrator),
        }

        def person(mark: str, said: str) -> Path:
            who = said if mark == "person" else "provider" if mark == "terminal" else "user"
            return people[who].home

        def work() -> None:
            assert provider.claim([service], demo.PROVIDER, "instance_1")
            provider.log(1, "info", "Affine registration")
            provider.attach(1, "Affine matrix", folder / "affine.mat", "text/plain")
            provider.log(1, "info", "Deformable registration")
            provider.upload(1, Workspace.open(folder / "study.itksnap"))
            provider.succeed(1)

        def submit() -> None:
            with Credentials(people["user"].home).open_session() as session:
                Client(session).submit(folder / "study.itksnap", service)

        shown = {
            **_names(folder, "/data/study"),
            middleware.url: SERVER,
            **_port(stack.enter_context(ports.reserved()), "8786"),
            f"{repository.as_posix()} --ref HEAD": f"{REPOSITORY} --ref main",
        }
        reader = Reader(folder, shown=shown, varying=VARYING, home=person)
        if story:
            reader.meanwhile = {
                "dss tickets wait 1 --timeout 1h": work,
                "dss provider services": submit,
                "dss run marks/my_service.py --provider testlab --once": submit,
            }
        yield reader
