"""What docstrings say, and what they have to.

Ruff's rules (D) see to it that each public module, class, function and method has a docstring of
Google's form. They do not look at constants, fields and members of enumerations, nor at whether an
error that is raised is named, nor do they run examples: these tests do.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import dss
import snapws
from tests.docs.pages import DOCS

ROOT = Path(__file__).parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("snapws", "dss")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def source(module: str) -> str:
    return MODULES[module].read_text(encoding="utf-8")


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(source(module))


def on_the_site() -> list[str]:
    """Return the modules that the reference of the site has."""
    pages = sorted((DOCS / "reference" / "python").glob("*.md"))
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    return re.findall(r"^\.\. automodule:: (\S+)$", text, re.MULTILINE)


def public(
    body: list[ast.stmt], path: str = ""
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    """Return the public classes, functions and methods; a setter is its property's."""
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
            if any(ast.unparse(one).endswith(".setter") for one in node.decorator_list):
                continue
            yield f"{path}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{path}{node.name}.")


@pytest.mark.parametrize("module", [name for name in MODULES if ">>> " in source(name)])
def test_examples_run(module):
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted
    assert not found.failed


def test_there_are_examples_where_they_teach():
    taught = ("labels", "transforms", "specifications", "privacy", "geometry", "registry.tree")
    for module in ("snapws", "dss", "snapws.workspace", *(f"snapws.{name}" for name in taught)):
        assert ">>> " in source(module), module
        assert "+SKIP" not in source(module), module


def test_every_public_name_has_a_docstring():
    lacking = [
        f"{module}.{name}"
        for module in MODULES
        for name, node in public(parsed(module).body)
        if not ast.get_docstring(node)
    ]
    assert not lacking


@pytest.mark.parametrize("module", on_the_site())
def test_every_field_says_what_it_is(module):
    """In the class's docstring, or beside it."""
    lines = source(module).splitlines()
    for name, node in public(parsed(module).body):
        kind = "".join(
            ast.unparse(one) for one in [*getattr(node, "bases", ()), *node.decorator_list]
        )
        if not isinstance(node, ast.ClassDef) or not re.search("dataclass|NamedTuple|Enum", kind):
            continue
        text = ast.get_docstring(node) or ""
        for field in node.body:
            targets = getattr(field, "targets", [getattr(field, "target", None)])
            for target in targets:
                if isinstance(target, ast.Name) and not target.id.startswith("_"):
                    beside = lines[field.lineno - 2 : field.lineno + 1]
                    said = re.search(rf"\b{target.id}\b", text) or any(
                        "#:" in one for one in beside
                    )
                    assert said, f"{name}.{target.id}"


def docstrings(module: str) -> Iterator[str]:
    for node in ast.walk(parsed(module)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield ast.get_docstring(node) or ""


def messages(module: str) -> Iterator[str]:
    """Return the texts of errors that a module raises, with braces where values go."""
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            for text in node.exc.args:
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield text.value
                elif isinstance(text, ast.JoinedStr):
                    yield "".join(
                        str(one.value) if isinstance(one, ast.Constant) else "{}"
                        for one in text.values
                    )


def test_docstrings_begin_with_a_verb_of_the_field():
    """The twelve lines of CONTRIBUTING.md, as far as a check can hold them."""
    wrong = re.compile(r"(Give|Tell|Hear|Say|Take note)\b")
    assert [text for module in MODULES for text in docstrings(module) if wrong.match(text)] == []


def test_no_message_ends_in_none():
    wrong = re.compile(r"\b(is|are) none\b(?! of)")
    assert [text for module in MODULES for text in messages(module) if wrong.search(text)] == []


def test_entries_of_sections_begin_with_a_capital_letter():
    section = re.compile(r"^(?:Args|Raises|Attributes):\n((?: +.*\n?)+)", re.MULTILINE)
    entry = re.compile(r"^    [\w.*]+: ([a-z].*)", re.MULTILINE)
    texts = (text for module in MODULES for text in docstrings(module))
    assert [
        found for text in texts for part in section.findall(text) for found in entry.findall(part)
    ] == []


@pytest.mark.parametrize("module", on_the_site())
def test_errors_that_are_raised_are_named(module):
    for name, node in public(parsed(module).body):
        if isinstance(node, ast.FunctionDef):
            text = ast.get_docstring(node) or ""
            for error in raised(node):
                assert re.search(rf"\b{error}: ", text), f"{name} raises {error}"


def raised(function: ast.FunctionDef) -> Iterator[str]:
    """Return the errors that a function makes itself, and not by a helper."""
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            name = ast.unparse(node.exc.func)
            if name[0].isupper():
                yield name


def test_the_front_door_is_on_the_site():
    modules = on_the_site()
    for package in (snapws, dss):
        for name in package.__all__:
            home = getattr(package, name).__module__
            assert home in modules, name
