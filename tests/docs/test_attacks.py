"""The table of attacks names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.docs import pages

TESTS = Path(__file__).parents[1]
NAMED = re.findall(r"`([\w/]+\.py)::([\w:]+)`", pages.text("explanation/reliability.md"))


def names_in(file: Path) -> set[str]:
    """Return the tests of a file, those of a class as ``Class::test``."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            inner = (one for one in node.body if isinstance(one, ast.FunctionDef))
            found.update(f"{node.name}::{one.name}" for one in inner)
    return found


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_tests_that_the_table_names_exist(file):
    named = {name for one, name in NAMED if one == file}
    assert named <= names_in(TESTS / file)


def test_the_table_names_tests():
    assert len(NAMED) > 50
