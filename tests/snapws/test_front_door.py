from __future__ import annotations

import subprocess
import sys

import pytest

import snapws


def test_all_is_there_and_sorted():
    assert snapws.__all__ == sorted(snapws.__all__)
    for name in snapws.__all__:
        assert getattr(snapws, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        snapws.nonsense  # noqa: B018


def test_every_error_is_in_the_tree_of_its_docstring():
    from snapws import errors

    tree = errors.__doc__
    found = [one for one in vars(errors).values() if isinstance(one, type)]
    for error in found:
        assert issubclass(error, snapws.WorkspaceError)
        line = next(line for line in tree.splitlines() if f"{error.__name__} " in line)
        above = error.__mro__[1]
        indent = len(line) - len(line.lstrip("│├└─ "))
        if error is not snapws.WorkspaceError:
            parent = next(line for line in tree.splitlines() if f"{above.__name__} " in line)
            assert indent > len(parent) - len(parent.lstrip("│├└─ "))


def imported_by(code: str) -> set[str]:
    """Return the top-level packages that are loaded after running some code."""
    script = f"{code}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300
    )
    return set(done.stdout.split())


HEAVY = {"numpy", "nibabel", "requests", "typer", "rich", "SimpleITK"}


def test_importing_loads_no_array_image_network_or_terminal_library():
    assert not imported_by("import snapws") & (HEAVY | {"lxml"})
    assert not imported_by("from snapws import Workspace, Layer, Role, Label") & HEAVY


def test_the_drop_in_loads_none_either(inputs):
    words = ["-i", str(inputs / "gui.itksnap"), "-ll", "-llf", "Seg"]
    loaded = imported_by(f"from snapws.wt import main; main({words})")
    assert "lxml" in loaded
    assert not loaded & HEAVY
