"""`service.json`: what the check says of one, what the server makes of it, what a job lacks."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import nibabel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dss import Admin, Client, DssError, Middleware, ServiceError, demo
from dss.middleware import ADMINISTRATOR
from dss.parsing import read_service
from dss.records import ServiceTag
from dss.serving.declaration import load
from dss.serving.description import _SERVICE, _TAG, Problem, begin, missing, problems, template
from dss.serving.job import Job
from snapws import Role, Workspace
from snapws.check import check_workspace

_numbers = count(1)


def described(**changes: Any) -> dict[str, Any]:
    """Return a description that is well, with changes; a field that becomes `...` is left out."""
    document = template(f"Described{next(_numbers)}")
    document |= {"shortdesc": "Segments", "longdesc": "All of it", "citation": "Doe 2020"}
    document |= changes
    return {key: value for key, value in document.items() if value is not ...}


def tagged(**changes: Any) -> dict[str, Any]:
    """Return a description with one tag that has these changes."""
    tag = {**template("N")["tags"][0], **changes}
    return described(tags=[{key: value for key, value in tag.items() if value is not ...}])


@pytest.fixture
def check(tmp_path: Path) -> Callable[[object], list[Problem]]:
    """Check a document, text or bytes, as a file in a folder."""

    def run(content: object) -> list[Problem]:
        if not isinstance(content, (str, bytes)):
            content = json.dumps(content, indent=1)
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / "service.json").write_bytes(data)
        return problems(tmp_path)

    return run


def errors(found: list[Problem]) -> list[str]:
    return [problem.where for problem in found if problem.severity == "error"]


# ---------------------------------------------------------------- the check


def test_nothing_is_wrong_with_these(check):
    assert check(described()) == []
    for example in demo.EXAMPLES.values():
        assert problems(example.folder) == []
    assert check(described(url="https://example.org/x", keywords=["a", "ü"])) == []
    longest = {"name": "n" * 40, "version": f"1.0.{'0' * 36}", "shortdesc": "ü" * 78}
    assert check(described(**longest)) == []
    assert check(described(tags=...)) == check(described(keywords=..., citation=...)) == []
    for kind in ("MainImage", "AnatomicImage", "OverlayImage", "Segmentation"):
        assert check(tagged(type=kind, required=False)) == []


@pytest.mark.parametrize(
    ("document", "where", "words"),
    [
        *((described(**{key: ...}), key, "is missing") for key in ("name", "version", "shortdesc")),
        (described(longdesc=...), "longdesc", "page of services fails"),
        (
            described(url=...),
            "url",
            'page of services fails for everybody without it: write .* ""$',
        ),
        (described(name="my service"), "name", "'my service' must consist of letters"),
        (described(name=""), "name", "'' must consist"),
        (described(name="Größe"), "name", "letters A to Z"),
        (described(name="n\n"), "name", "'n' must consist"),
        (described(name=7), "name", "a number instead of a text"),
        (described(name="n" * 41), "name", "41 characters.* 40: shorten it"),
        (described(version="1.0"), "version", "'1.0' is not three numbers.* 1.0.0"),
        (described(version="1.0.0b"), "version", "three numbers"),
        (described(version="1.0.٣"), "version", "three numbers"),
        (described(version=1.5), "version", "a number instead of a text"),
        (described(version=f"1.0.{'0' * 37}"), "version", "41 characters"),
        (described(shortdesc="s" * 79), "shortdesc", "79 characters.* 78"),
        (described(shortdesc="a\nb"), "shortdesc", "several lines"),
        (described(shortdesc=None), "shortdesc", "null instead of a text"),
        (described(longdesc=["a"]), "longdesc", "a list instead of a text"),
        (described(url="javascript:alert(1)"), "url", "does not begin with"),
        (described(citation={}), "citation", "an object instead of a text"),
        (described(keywords="a"), "keywords", "a text instead of a list"),
        (described(keywords=["a", 1]), "keywords[1]", "a number instead of a text"),
        (described(tags={}), "tags", "an object instead of a list"),
        (described(tags=["T1"]), "tags[0]", "a text instead of an object"),
        (tagged(name=...), "tags[0].name", "is missing"),
        (tagged(name="T1 MRI"), "tags[0].name", "'T1 MRI' must be one word"),
        (tagged(name="a,b"), "tags[0].name", "commas"),
        (tagged(name=""), "tags[0].name", "'' must be"),
        (tagged(type=...), "tags[0].type", "is missing"),
        (
            tagged(type="Overlay"),
            "tags[0].type",
            "'Overlay' is not a type .* OverlayImage or Segmentation",
        ),
        (tagged(type="mainimage"), "tags[0].type", "is not a type of layer"),
        (tagged(hint=...), "tags[0].hint", "is missing.* tell the user"),
        (tagged(hint=False), "tags[0].hint", "true or false instead of a text"),
        (tagged(required=...), "tags[0].required", "is missing"),
        (tagged(required="yes"), "tags[0].required", "a text instead of true or false"),
        (tagged(required=1), "tags[0].required", "a number instead of true or false"),
        (described(tags=template("N")["tags"] * 2), "tags[1].name", r"'Target' .* of tags\[0\]"),
        ([], "", "holds a list instead of an object"),
        ("null", "", "holds null"),
        (
            "{",
            "",
            r"^line 1: this is not valid JSON \(expecting .*, at column 2\): correct",
        ),
        ("", "", r"^line 1: this is not valid JSON \(expecting value, at column 1\)"),
        ('{"name": "a",\n}', "", r"^line [12]: this is not valid JSON \(.*, at column"),
        (b'{\n"name": "\xfc"}', "", "^line 2: is not UTF-8"),
        (b"\xef\xbb\xbf{}", "", "byte order mark"),
        ("[" * 100_000, "", "cannot be read|is not valid JSON"),
        ("1" * 5000, "", "cannot be read|a number instead"),
    ],
)
def test_one_error(check, document, where, words):
    (problem,) = check(document)
    assert (problem.severity, problem.where) == ("error", where)
    assert re.search(words, str(problem)), str(problem)


@pytest.mark.parametrize(
    ("document", "where", "what"),
    [
        (described(authors="Doe"), "authors", "is not a known field"),
        (described(**{"a.b": 1}), '["a.b"]', "is not a known field"),
        (tagged(tooltip="x"), "tags[0].tooltip", "is not a known field"),
        (described(shortdesc=""), "shortdesc", "is empty"),
        (described(longdesc=" "), "longdesc", "is empty"),
        (tagged(hint=""), "tags[0].hint", "is empty"),
    ],
)
def test_what_is_worth_a_look_only(check, document, where, what):
    (problem,) = check(document)
    assert (problem.severity, problem.where, problem.what) == ("note", where, what)
    assert problem.line is not None


def test_every_error_is_named_with_its_line(check):
    text = """{
  "name": "a b", "x": {"name": 1, "y": [{"name": 2}, {}]},
  "version": "1.0.0",
  "shortdesc": "a \\"quoted\\" {[,:]} text",
  "version": "1.0.1",
  "url": "",
  "tags": [
    {"name": "A", "type": "MainImage", "hint": "h", "required": true},
    {
      "name": "A",
      "type": "Overlay",
      "hint": "h",
      "hint": "h"
    }
  ],
  "longdesc": "\\ud800",
  "keywords": [],
  "k": [-Infinity, 1.5e-3,
        NaN]
}"""
    found = {(problem.where, problem.line) for problem in check(text)}
    assert found == {
        ("name", 2),
        ("x", 2),
        ("version", 5),
        ("tags[1].name", 10),
        ("tags[1].type", 11),
        ("tags[1].hint", 13),
        ("tags[1].required", 9),
        ("longdesc", 16),
        ("k", 18),
        ("k[0]", 18),
        ("k[2]", 19),
    }
    lines = [problem.line for problem in check(text)]
    assert lines == sorted(lines)
    (twice,) = [problem for problem in check(text) if problem.where == "version"]
    assert str(twice) == "line 5, version: is given twice, first in line 3: remove one"


def test_a_list_that_is_there_twice_is_one_error(check):
    text = json.dumps(described())
    doubled = text[:-1] + ', "tags": ' + json.dumps(template("N")["tags"]) + "}"
    assert errors(check(doubled)) == ["tags"]


_keys = st.sampled_from(["name", "tags", "type", "hint", "url", "", "a.b", "[0]", "ü", '"'])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=st.dictionaries(_keys, _json), indent=st.sampled_from([None, 0, 2]))
def test_whatever_the_document_its_values_are_where_the_check_says(check, document, indent):
    text = json.dumps(document, indent=indent)
    found = check(text)
    assert errors(found)
    lines = text.split("\n")
    for problem in found:
        assert "twice" not in problem.what
        key = problem.where.rpartition(".")[2]
        if problem.line is not None and "missing" not in problem.what and key.isidentifier():
            assert f'"{key}"' in lines[problem.line - 1]
    assert check(text) == found


def test_no_file(tmp_path):
    with pytest.raises(
        ServiceError,
        match=rf"no service\.json in .*{tmp_path.name}: in another folder, .*init writes one",
    ):
        problems(tmp_path)
    with pytest.raises(ServiceError, match="no .*other"):
        problems(tmp_path / "other.json")


# ---------------------------------------------------------------- a service that is begun


def test_what_is_begun_is_well_and_runs(tmp_path, workspace):
    told, code = begin(tmp_path / "a" / "new", "Bright-1.0")
    assert (told.name, code.name) == ("service.json", "my_service.py")
    assert sorted(told.parent.iterdir()) == [code, told]
    assert problems(told) == problems(told.parent)
    assert errors(problems(told)) == []
    assert b"\r" not in told.read_bytes() + code.read_bytes()
    (service,) = load(code).values()
    tags = read_service(json.loads(told.read_text())).tags
    assert service.name == "Bright-1.0"
    assert service.tags == tuple(tag.name for tag in tags)
    assert missing(tags, workspace) == []


def test_the_code_that_is_begun_does_something(tmp_path, workspace):
    class Heard:
        def __init__(self) -> None:
            self.lines: list[str] = []

        def attach(self, attached: object) -> None: ...

        def log(self, category: str, message: str) -> None:
            self.lines.append(message)

        def progress(self, value: float) -> None: ...

    (service,) = load(begin(tmp_path / "new", "Bright")[1]).values()
    (tmp_path / "work").mkdir()
    service(Job(1, workspace, tmp_path / "work", heard := Heard()))
    assert "Marked what is brighter than the mean" in heard.lines
    found = workspace.layer(tag="Result")
    voxels = nibabel.load(workspace.layer(tag="Target").path).get_fdata()
    assert found.role is Role.SEGMENTATION
    assert (nibabel.load(found.path).get_fdata() == (voxels > voxels.mean())).all()
    assert check_workspace(workspace) == ()


@pytest.mark.parametrize("there", ["service.json", "my_service.py"])
def test_nothing_is_replaced(tmp_path, there):
    (tmp_path / there).write_text("mine")
    with pytest.raises(ServiceError, match=f"{there} already exists, and nothing was written"):
        begin(tmp_path, "N")
    (only,) = tmp_path.iterdir()
    assert only.read_text() == "mine"


@pytest.mark.parametrize("name", ["", "a b", "../x", "n" * 41, 'a"'])
def test_a_name_that_no_service_can_have(tmp_path, name):
    with pytest.raises(ServiceError, match=r"^name: .*: (choose|shorten)"):
        begin(tmp_path / "new", name)
    assert not (tmp_path / "new").exists()


# ---------------------------------------------------------------- the middleware


@pytest.fixture(scope="module")
def registered(middleware: Middleware) -> Iterator[Callable[[Any, Path], list[str]]]:
    """Register a description as it is, and give which of the server's calls fail with it."""
    middleware.add_user("pages@example.org", tier="poweruser")
    with middleware.login(ADMINISTRATOR) as boss, middleware.login("pages@example.org") as session:
        boss.retry_for = session.retry_for = 0
        admin, client = Admin(boss), Client(session)
        admin.add_provider("describers")

        def register(document: Any, folder: Path) -> list[str]:
            (folder / "service.json").write_text(json.dumps(document))
            who = ["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=0"]
            for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "x"]):
                subprocess.run(["git", *words], cwd=folder, check=True)
            try:
                hash_ = admin.add_service("describers", str(folder))
            except DssError:
                return ["registration"]
            calls: dict[str, Callable[[], object]] = {
                "page": lambda: session.get_text("services"),
                "list": client.services,
                "detail": lambda: client.service_detail(hash_),
                "ticket": lambda: client.delete(client.create(document["name"])),
            }
            failed = []
            try:
                for name, call in calls.items():
                    try:
                        call()
                    except (DssError, TypeError):
                        failed.append(name)
            finally:
                admin.delete_service("describers", hash_)
            return failed

        yield register


def test_the_template_works_on_the_server(registered, tmp_path):
    assert registered(described(), tmp_path) == []


def test_the_reference_has_every_field_with_its_limit_and_need() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/service-json.md").read_text("utf-8")
    whole, tags = page.split("## A tag")
    assert {*re.findall(r"^\| `(\w+)` \|", whole, re.M)} == {*_SERVICE}
    assert {*re.findall(r"^\| `(\w+)` \|", tags, re.M)} == {*_TAG}
    for name, rule in _SERVICE.items():
        said = re.search(rf"^\| `{name}` \|.*$", whole, re.M)[0]
        assert (rule.absent or "") in said
        assert ("at most" in said) == bool(rule.limit)
        if rule.limit:
            assert f"at most {rule.limit} characters" in said


def test_fields_that_the_server_ignores_are_not_on_its_page_but_in_the_details(
    middleware, open_session, tmp_path
):
    ignored = {
        "keywords": ["unseen-keyword"],
        "citation": "unseen-citation",
        "author": "unseen-author",
        "parameters": [{"name": "unseen-parameter"}],
    }
    document = described(longdesc="seen-longdesc", url="https://example.org/seen", **ignored)
    (tmp_path / "service.json").write_text(json.dumps(document))
    hash_ = middleware.publish(tmp_path, "describers")
    session = open_session(ADMINISTRATOR)
    page = session.get_text("services")
    assert "seen-longdesc" in page
    assert "https://example.org/seen" in page
    assert "unseen" not in page
    details = session.get_text(f"api/services/{hash_}/detail")
    assert json.loads(details) == document


@pytest.mark.parametrize("author", ["Jane Doe", ["Jane Doe"], {"name": "Jane Doe"}])
def test_author_and_parameters_of_the_manual_are_known(check, author):
    assert check(described(author=author, parameters=[{"name": "radius"}])) == []


def test_the_page_shows_it(middleware, open_session, tmp_path):
    begin(tmp_path, name := f"Shown{next(_numbers)}")
    middleware.publish(tmp_path, "describers")
    page = open_session(ADMINISTRATOR).get_text("services")
    assert name in page
    assert template(name)["shortdesc"] in page


@pytest.mark.parametrize("field", [*template("N"), "citation"])
def test_a_field_is_asked_for_where_the_server_fails_without_it(registered, check, field, tmp_path):
    """Exactly there: what the server does without may be left out."""
    document = described(**{field: ...})
    failed = registered(document, tmp_path)
    assert bool(failed) == bool(errors(check(document)))
    expected = {
        "name": ["registration"],
        "version": ["registration"],
        "shortdesc": ["registration"],
        "longdesc": ["page"],
        "url": ["page"],
    }
    assert failed == expected.get(field, [])


@pytest.mark.parametrize(
    "document",
    [
        described(name=None),
        described(name=1),
        described(version=None),
        described(version={}),
        described(shortdesc=1),
        described(shortdesc={"a": 1}),
        described(longdesc="\ud800"),
        described(tags=None),
        described(tags=1),
        described(tags=["T1"]),
        tagged(name=...),
    ],
)
def test_what_makes_the_server_or_a_client_fail_is_refused(registered, check, document, tmp_path):
    assert registered(document, tmp_path)
    assert errors(check(document))


# ---------------------------------------------------------------- a workspace


def tag(name: str, kind: str, hint: str = "", *, required: bool = True) -> ServiceTag:
    return ServiceTag(name, kind, hint, required)


@pytest.fixture
def layers(workspace: Workspace) -> Workspace:
    """Main image Target, overlay Source, segmentation Seg, overlays Twice, mesh Surface."""
    for number, name in enumerate(("Seg", "Twice", "Twice", "Gone")):
        file = workspace.folder / f"{number}.nii.gz"
        file.write_bytes((workspace.folder / "source.nii.gz").read_bytes())
        if name == "Seg":
            workspace.add_segmentation(file, tags=[name], any_size=True)
        else:
            workspace.add_overlay(file, tags=[name])
    file.unlink()
    surface = workspace.folder / "surface.vtk"
    surface.write_text("# vtk DataFile Version 3.0\nx\nASCII\nDATASET POLYDATA\n")
    workspace.add_mesh(surface, tags=["Surface"])
    return workspace


MAIN, ANATOMIC, OVERLAY = "the main image", "the main image or an overlay", "an overlay"
SEGMENTATION = "a segmentation"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Target", "MainImage"),
        ("Target", "AnatomicImage"),
        ("Target", "Whatever"),
        ("Source", "AnatomicImage"),
        ("Source", "OverlayImage"),
        ("Seg", "Segmentation"),
        ("Seg", ""),
        ("Surface", "Whatever"),
    ],
)
def test_a_tag_in_its_place(layers, name, kind):
    assert missing([tag(name, kind)], layers) == []


@pytest.mark.parametrize(
    ("name", "kind", "place", "wanted"),
    [
        ("Target", "OverlayImage", f"000, {MAIN}", OVERLAY),
        ("Target", "Segmentation", f"000, {MAIN}", SEGMENTATION),
        ("Source", "MainImage", f"001, {OVERLAY}", MAIN),
        ("Source", "Segmentation", f"001, {OVERLAY}", SEGMENTATION),
        ("Seg", "MainImage", f"002, {SEGMENTATION}", MAIN),
        ("Seg", "AnatomicImage", f"002, {SEGMENTATION}", ANATOMIC),
        ("Seg", "OverlayImage", f"002, {SEGMENTATION}", OVERLAY),
    ],
)
def test_a_tag_on_a_layer_of_another_type(layers, name, kind, place, wanted):
    (line,) = missing([tag(name, kind)], layers)
    assert line == f"the tag {name} is on layer {place}: give it to {wanted} instead"


@pytest.mark.parametrize(
    ("name", "kind", "line"),
    [
        ("None", "MainImage", f"no layer has the tag None: give it to {MAIN}"),
        ("None", "AnatomicImage", f"no layer has the tag None: give it to {ANATOMIC}"),
        ("None", "Whatever", "no layer has the tag None: give it to a layer"),
        ("Surface", "Segmentation", "only a mesh has the tag Surface: give it to a segmentation"),
        ("Twice", "OverlayImage", "2 layers have the tag Twice (003, 004): leave it on one, "),
        ("Twice", "Whatever", "2 layers have the tag Twice (003, 004): leave it on one, a layer"),
        ("Gone", "OverlayImage", "the file of layer 005 with the tag Gone does not exist: open "),
    ],
)
def test_a_tag_that_no_layer_can_be_picked_by(layers, name, kind, line):
    (found,) = missing([tag(name, kind)], layers)
    assert found.startswith(line)
    assert str(layers.folder) not in found


def test_each_lack_is_a_line_with_its_hint(layers):
    asked = [
        tag("A", "MainImage", "The anatomical\nimage"),
        tag("Source", "OverlayImage", "fine"),
        tag("B", "Segmentation", required=False),
        tag("Source", "MainImage", "A scan"),
    ]
    assert missing(asked, layers) == [
        "no layer has the tag A: give it to the main image (The anatomical image)",
        "the tag Source is on layer 001, an overlay: give it to the main image instead (A scan)",
    ]
    assert missing([], Workspace()) == []


def test_a_layer_on_a_server(layers):
    layers.layers(tag="Source")[0].stored_path = "https://example.org/source.nii.gz"
    (line,) = missing([tag("Source", "OverlayImage")], layers)
    assert line.startswith("tag Source: layer 001 is at https://example.org/source.nii.gz")


def test_a_role_that_is_not_documented(layers):
    layers.layers(tag="Source")[0].registry["Role"] = "FutureRole"
    (line,) = missing([tag("Source", "OverlayImage")], layers)
    assert "layer 001, a layer of another kind: give it to an overlay" in line
    assert missing([tag("Source", "Future")], layers) == []
