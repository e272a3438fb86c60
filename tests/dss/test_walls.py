"""Which module may import which, by the imports that stand in the files."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for file in (ROOT / "dss").rglob("*.py")
}
NETWORK = {"requests", "urllib3", "http.client"}
# Module outside of dss/http: why it imports one of NETWORK.
NETWORK_EXCEPTIONS = {
    "dss.compat.client": "its methods return `requests.Response`, as those of itksnap-dss do",
}


def for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def nodes(tree: ast.AST, *, deep: bool) -> Iterator[ast.AST]:
    """Walk the code that runs: all of it, or what runs when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if for_types(node) or (not deep and isinstance(node, ast.FunctionDef | ast.Lambda)):
            continue
        yield node
        yield from nodes(node, deep=deep)


def imports(name: str, *, deep: bool = True) -> set[str]:
    """Return the modules that a module imports, as far as their names tell."""
    found = set()
    for node in nodes(ast.parse(FILES[name].read_text(encoding="utf-8")), deep=deep):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{name} has a relative import"
            names = {f"{node.module}.{one.name}" for one in node.names}
            found |= (modules := names & set(FILES))
            if len(modules) < len(names):
                found.add(node.module)
    return found - {name}


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize(("one", "other"), [("runner", "worker"), ("worker", "runner")])
def test_the_two_processes_never_import_one_another(one: str, other: str) -> None:
    mine = [name for name in FILES if within(name, f"dss.serving.{one}")]
    assert len(mine) > 4
    for name in mine:
        assert not [to for to in imports(name) if within(to, f"dss.serving.{other}")], name


def test_no_imports_go_in_a_circle() -> None:
    graph = {name: imports(name, deep=False) & set(FILES) for name in FILES}
    assert len(list(TopologicalSorter(graph).static_order())) > 70


def test_only_http_speaks_to_the_network() -> None:
    speaking = {
        name for name in FILES if any(within(to, one) for to in imports(name) for one in NETWORK)
    }
    outside = {name for name in speaking if not within(name, "dss.http")}
    assert "dss.http.session" in speaking
    assert outside == set(NETWORK_EXCEPTIONS)


def test_http_knows_nothing_of_tickets() -> None:
    for name in FILES:
        if within(name, "dss.http"):
            ours = {to for to in imports(name) if within(to, "dss")}
            assert {to for to in ours if not within(to, "dss.http")} <= {
                "dss.backoff",
                "dss.errors",
                "dss.text",
            }, name


def test_the_runner_loads_no_array_library() -> None:
    code = "import sys, dss.serving.runner; sys.exit(str({'numpy', 'nibabel'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stderr.strip() == "set()"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("dss.cli", "main"),
        ("dss.wt_commands", "COMMANDS"),
        ("dss.login", "login"),
        ("dss.login", "Credentials"),
        ("dss.compat", "DSSClient"),
        ("dss.compat", "WorkspaceWrapper"),
        ("dss.serving.trial", "run"),
        ("dss.serving.runner", "Runner"),
        ("dss.serving.settings", "Settings"),
        ("dss.serving.journal", "Journal"),
    ],
)
def test_a_path_that_was_promised_leads_on(module: str, name: str) -> None:
    assert getattr(import_module(module), name)
