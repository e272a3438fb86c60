"""The notebook of the documentation runs, and shows tables, pictures and a widget."""

from __future__ import annotations

import base64
import io
import os

import pytest
from PIL import Image

from tests.docs.pages import DOCS

NOTEBOOKS = sorted(DOCS.glob("notebooks/*.ipynb"))


# Jupyter's own packages warn of each other.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_speaks_of(path, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient, of the extra 'test'")
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient, of the extra 'test'")
    pytest.importorskip("ipykernel", reason="needs ipykernel, of the extra 'test'")
    pytest.importorskip("ipyniivue", reason="needs the extra 'viewer'")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    resources = {"metadata": {"path": os.fspath(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    shown = [
        output.data
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "data" in output
    ]
    tables = [one["text/html"] for one in shown if "text/html" in one]
    assert [table.count("<tr>") for table in tables] == [4, 3, 4]
    for word in ("Atlas", "Grey matter", "color map"):
        assert any(word in table for table in tables), word
    assert len([one for one in shown if "application/vnd.jupyter.widget-view+json" in one]) == 1
    pictures = [one["image/png"] for one in shown if "text/html" not in one and "image/png" in one]
    assert len(pictures) == 2
    for picture in pictures:
        assert Image.open(io.BytesIO(base64.b64decode(picture))).width > 300
