"""What the tutorial says of its service; `test_pages` types the page in from beginning to end."""

from __future__ import annotations

import ast
from pathlib import Path

from dss import demo
from tests.docs.pages import blocks, text

SERVICE = Path(demo.__file__).parent / "examples" / "registration"


def test_the_service_is_the_example():
    files = {
        block.said: block.text for block in blocks(text("tutorial.md")) if block.mark == "file"
    }
    for shown, file in {"service.json": "service.json", "my_service.py": "service.py"}.items():
        assert files[f"registration/{shown}"] == (SERVICE / file).read_text(encoding="utf-8")


def test_25_lines_do_something():
    """Neither blank lines, nor comments, nor docstrings; a statement counts each line it takes."""
    code = (SERVICE / "service.py").read_text(encoding="utf-8")
    tree = ast.parse(code)
    idle = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef)) and ast.get_docstring(node):
            said = node.body[0]
            idle |= set(range(said.lineno, said.end_lineno + 1))
    working = [
        line
        for number, line in enumerate(code.splitlines(), 1)
        if number not in idle and line.strip() and not line.strip().startswith("#")
    ]
    assert 10 < len(working) <= 25
