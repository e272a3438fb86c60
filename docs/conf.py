"""How the documentation becomes a site: ``sphinx-build -W --keep-going -b html docs build/docs``.

The reference of the commands is made first, into ``_generated``, from the programs themselves.
Nothing comes from the network.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version as version_of
from pathlib import Path

from docutils.nodes import Element
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import GoogleDocstring

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402 - it stands beside this file

project = "snapws"
copyright = "the authors of snapws"  # noqa: A001 - so Sphinx calls it
version = release = version_of("snapws")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_generated", "examples"]
nitpicky = True

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# Names between single backticks in docstrings become links where they are known; types of other
# packages are only named, since links to their sites would need the network.
default_role = "py:obj"
autodoc_member_order = "bysource"
napoleon_google_docstring = napoleon_numpy_docstring = False  # `google_docstring` does it
napoleon_use_ivar = True
OTHERS = (
    "collections|contextlib|datetime|http|nibabel|np|npt|numpy|lxml|os|pandas|pathlib|requests|PIL"
)
nitpick_ignore_regex = [
    ("py:obj", r".*"),
    ("py:class", rf"({OTHERS})\.\w.*"),
    (
        "py:class",
        r"Path|Image|NiiVue|Nifti1Image|Privacy|Function|Category|(dss|snapws)\.[\w.]+\.[RT]|(tuple|Mapping)\[str",
    ),  # for type checkers
    (
        "py:class",
        r"Limits|Executor|Contact|Marks|Purpose|Format|WrittenFormat|hooks\.Rule|"
        r"snapws\.deflate\.Deflaters|"
        r"snapws\.comparison\.facts\.ComparedItem|(dss\.[\w.]+\.)?(Received|Allowance)",
    ),  # of the inside
    ("py:class", r"dss\.compat\.registry\.\w+"),  # described without a link: snapws has that name
]

html_theme = "furo"
html_title = "snapws"
html_copy_source = False
html_show_sourcelink = False


def setup(app: Sphinx) -> None:
    """Have the reference of the commands made before pages are read."""
    app.connect("builder-inited", lambda _: generate.commands(HERE / "_generated" / "commands"))
    app.connect("autodoc-process-docstring", google_docstring)
    app.connect("missing-reference", through_the_front_door)


def google_docstring(
    app: Sphinx, what: str, name: str, item: object, options: object, lines: list[str]
) -> None:
    """Read a docstring as Google writes it.

    Those of properties and constants are read as those of methods are: napoleon would take what
    stands before their first colon for a type.
    """
    kind = "method" if what in {"attribute", "data", "property"} else what
    lines[:] = GoogleDocstring(lines, app.config, app, kind, name, item, options).lines()


def through_the_front_door(
    app: Sphinx, environment: BuildEnvironment, node: pending_xref, content: Element
) -> Element | None:
    """Take `snapws.Workspace` to where it is described, under the module that it is written in."""
    package, _, name = node.get("reftarget", "").partition(".")
    if package not in {"snapws", "dss"} or name not in import_module(package).__all__:
        return None
    home = getattr(import_module(package), name)
    where = f"{home.__module__}.{home.__qualname__}"
    domain, document = environment.domains.python_domain, node.get("refdoc")
    return domain.resolve_xref(
        environment, document, app.builder, node["reftype"], where, node, content
    )
