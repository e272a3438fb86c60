"""What a notebook shows of a workspace and of its parts."""

from __future__ import annotations

import io
import sys

import pytest
from lxml import html
from PIL import Image
from typer.testing import CliRunner

from dss.records import Ticket, TicketList, TicketStatus
from snapws import Label, Workspace, compare_workspaces
from snapws.cli.app import app
from snapws.label_tables import Labels

HOSTILE = '<script>alert("1")</script>&amp;\x9b31m'


def cells(shown: object) -> list[list[str]]:
    """Return the words of a table in HTML, all of whose elements are those of a table."""
    table = html.fragment_fromstring(shown._repr_html_())
    assert {one.tag for one in table.iter()} <= {"table", "thead", "tbody", "tr", "th", "td"}
    assert not [one for one in table.iter() if one.attrib]
    return [[cell.text or "" for cell in row] for row in table.iter("tr")]


def printed(*words: object) -> list[list[str]]:
    """Return the words of each line that a command prints."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    return [line.split() for line in result.stdout.splitlines()]


def words(rows: list[list[str]]) -> list[list[str]]:
    return [" ".join(row).split() for row in rows]


def test_a_notebook_shows_the_tables_that_the_command_prints(base):
    file = base.path
    listed = printed("layers", "list", file)
    assert len(listed) == 1 + len(base.layers()) > 2
    assert words(cells(base)) == words(cells(base.layers())) == listed
    assert words(cells(base.layers()[1])) == [listed[0], listed[2]]
    mesh = base.add_mesh(base.folder / "tri.vtk", nickname="Cortex", tags=["A", "B"])
    mesh.add_polydata("/missing.vtp", 2)
    base.save()
    surfaces = printed("meshes", "list", file)
    assert len(surfaces) > 2
    assert words(cells(base.meshes())) == surfaces
    assert words(cells(mesh)) == [surfaces[0], *surfaces[-2:]]
    base.labels = [Label(3, "Left"), Label(9, "Right", (1, 2, 3), 128, visible=False)]
    base.save()
    assert words(cells(base.labels)) == printed("labels", "list", file)
    assert cells(Labels(base.labels)) == cells(base.labels)
    changed = Workspace.open(file)
    changed.labels = ()
    changed.layers()[1].transform = [[1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 2], [0, 0, 0, 1]]
    changed.save(file.with_name("changed.itksnap"))
    found = compare_workspaces(base, changed)
    assert words(cells(found)) == printed("compare", file, changed.path)
    assert len(cells(found)) == 1 + len(found) == 5


def test_tickets_are_shown_as_they_are_listed():
    tickets = TicketList([Ticket(7, HOSTILE, TicketStatus.SUCCESS), Ticket(8, "b", "?")])
    shown = cells(tickets)
    assert shown[0] == ["Id", "Service", "Status"]
    assert shown[1] == ["7", HOSTILE.replace("\x9b", "?"), "success"]
    assert cells(tickets[0]) == shown[:2]
    assert cells(TicketList()) == shown[:1]


def test_no_text_of_a_workspace_is_markup(base):
    base.main.nickname, base.main.tags = HOSTILE, [HOSTILE]
    base.main.stored_path = f"/missing/{HOSTILE}"
    base.labels = [Label(1, HOSTILE)]
    harmless = HOSTILE.replace("\x9b", "?")
    assert cells(base)[1][2:4] == [harmless, harmless]
    assert cells(base)[1][5] == f"/missing/{harmless}"
    assert cells(base.labels)[1][-1] == harmless
    other = Workspace.open(base.path)
    assert any(harmless in row for row in cells(compare_workspaces(other, base)))


def test_the_picture_is_that_of_show(base):
    for shown, layers in ((base, None), (base.layers()[1], [1])):
        found = Image.open(io.BytesIO(shown._repr_png_()))
        assert found.tobytes() == base.picture(layers=layers).tobytes()


@pytest.mark.parametrize("lost", ["a file", "Pillow", "the main image"])
def test_without_what_a_picture_takes_the_table_is_shown_alone(base, monkeypatch, lost):
    if lost == "a file":
        base.main.path.unlink()
    elif lost == "Pillow":
        monkeypatch.setitem(sys.modules, "PIL", None)
    else:
        base = Workspace()
    assert base._repr_png_() is None
    assert cells(base)[0][0] == "Number"


def test_lists_stay_what_they_are(base):
    layers, labels = base.layers(), base.labels
    assert isinstance(layers, list)
    assert isinstance(labels, tuple)
    assert repr(layers) == repr(list(layers))
    assert labels == tuple(labels)
