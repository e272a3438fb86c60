"""How an author declares a service."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dss import service
from dss.errors import ServiceError
from dss.serving.declaration import Service, load
from snapws import Workspace


@pytest.fixture(autouse=True)
def _folders_of_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders of loaded services are searched for modules in their test alone."""
    monkeypatch.setattr(sys, "path", [*sys.path])


def write(folder: Path, text: str, name: str = "a_service.py") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_declared() -> None:
    @service(name="Example", tags=["Target", "Source"], resources={"gpu": 1}, resumable=False)
    def example(job: Any) -> None:
        """Count."""
        job.ticket += 1

    assert isinstance(example, Service)
    assert example.name == "Example"
    assert example.tags == ("Target", "Source")
    assert example.resources == {"gpu": 1}
    assert not example.resumable
    # It can still be called, as a test of its author would.
    given = Workspace()
    job = SimpleNamespace(ticket=1, workspace=given, show_attached=lambda: None)
    assert example(cast(Any, job)) is given
    assert job.ticket == 2


def test_defaults() -> None:
    declared = service(name="Plain")(lambda job: None)
    assert (declared.tags, dict(declared.resources), declared.resumable) == ((), {}, True)


def test_tags_are_a_list() -> None:
    with pytest.raises(ServiceError, match="tags of Example: give a list, not the text 'Target'"):
        service(name="Example", tags="Target")


def test_loaded(tmp_path: Path) -> None:
    write(tmp_path, "WORD = 'helped'\n", "helper_beside_it.py")
    file = write(
        tmp_path,
        "from helper_beside_it import WORD\nfrom dss import service\n"
        "one = service(name='One')(lambda job: WORD)\n"
        "@service(name='Two')\ndef two(job): ...\n"
        "again = one\n",
    )
    declared = load(file)
    assert list(declared) == ["One", "Two"]
    assert cast(Any, declared["One"].function)(None) == "helped"
    job = SimpleNamespace(workspace=Workspace(), show_attached=lambda: None)
    with pytest.raises(ServiceError, match="returned str instead of a workspace"):
        declared["One"](cast(Any, job))


def test_a_file_that_is_saved_twice_in_a_second_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiled file is told from a newer source by its seconds and its size."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for name in ("One", "Two"):
        file = write(
            tmp_path, f"from dss import service\ns = service(name='{name}')(lambda job: 0)\n"
        )
        os.utime(file, (10**9, 10**9))
        assert list(load(file)) == [name]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "declares no service"),
        ("from dss import service\n", "declares no service"),
        (
            "from dss import service\n"
            "a = service(name='A')(lambda job: None)\nb = service(name='A')(lambda job: None)\n",
            "declares two services named A",
        ),
    ],
)
def test_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ServiceError, match=said):
        load(write(tmp_path, text))


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="there is no service file"):
        load(tmp_path / "nothing.py")
    with pytest.raises(ServiceError, match="there is no service file"):
        load(tmp_path)
    with pytest.raises(ServiceError, match="is not a Python file"):
        load(write(tmp_path, "", "service.txt"))


@pytest.mark.parametrize("name", ["json.py", "numpy.py", "my-service.py", "my service.py"])
def test_odd_names(tmp_path: Path, name: str) -> None:
    """A file may be called like a module that is there; that module stays what it is."""
    import json

    file = write(
        tmp_path,
        "import json as other\nfrom dss import service\n"
        "one = service(name='One')(lambda job: None)\n",
        name,
    )
    assert list(load(file)) == ["One"]
    assert json.dumps([1]) == "[1]"
