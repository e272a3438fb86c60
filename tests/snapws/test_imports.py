"""The modules of snapws do not import one another in circles."""

from __future__ import annotations

import ast
from pathlib import Path

import snapws

PACKAGE = Path(snapws.__file__).parent


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_for_types(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def imports(path: Path, modules: set[str]) -> set[str]:
    """Return the modules that a module loads, in functions too; not those for types alone."""
    found = set()
    nodes: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if is_for_types(node):
            continue
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                found.add(submodule if submodule in modules else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & modules


def reachable(start: str, graph: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        for name in graph[ahead.pop()] - seen:
            seen.add(name)
            ahead.append(name)
    return seen


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    reach = {name: reachable(name, graph) for name in graph}
    return {
        frozenset(other for other in reach[name] if name in reach[other])
        for name in graph
        if name in reach[name]
    }


def test_a_circle_is_found():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert circles(graph) == {frozenset({"b", "c"})}


def test_no_module_loads_another_that_loads_it_again():
    paths = {module_name(path): path for path in PACKAGE.rglob("*.py")}
    assert len(paths) > 100
    # Names of the front door are loaded when they are asked for; their home never asks for them.
    graph = {name: imports(path, set(paths)) - {"snapws"} for name, path in paths.items()}
    assert circles(graph) == set()
