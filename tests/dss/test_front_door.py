from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import dss

ROOT = Path(__file__).parents[2]


def python(program: str) -> str:
    words = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_is_light() -> None:
    loaded = python(
        "import sys, dss; print(*{m.split('.')[0] for m in sys.modules}); dss.DssError; "
        "print(*{m.split('.')[0] for m in sys.modules})"
    ).split()
    assert "dss" in loaded
    assert not {"requests", "typer", "rich", "numpy", "nibabel", "lxml", "snapws"} & set(loaded)


def test_everything_offered_is_there() -> None:
    assert dss.__all__ == sorted(dss.__all__)
    for name in dss.__all__:
        assert getattr(dss, name) is not None


def test_all_errors_are_offered() -> None:
    kinds = {
        name
        for name, kind in vars(dss.errors).items()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert kinds <= set(dss.__all__)


def test_nothing_else_is_there() -> None:
    with pytest.raises(AttributeError, match="module 'dss' has no attribute 'nonsense'"):
        dss.nonsense  # noqa: B018
