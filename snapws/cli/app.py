"""The app of the `snapws` command, which imports the subcommand that is asked for alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from snapws.cli.frame import REFERENCE, command, epilog, program

if TYPE_CHECKING:
    import typer

_HELP = """List, edit, check and archive ITK-SNAP workspaces.

Edits are saved in place, or elsewhere with -o FILE; --dry-run shows what would change.
A LAYER is named by number, M (main), S (first segmentation), O:N (overlay), A:N (anatomical),
mesh:N, tag:TAG or nickname:NAME.
"""

_EXAMPLE = """\
snapws new study.itksnap t1.nii.gz --nickname T1 --tag Target
snapws info study.itksnap
snapws layers files study.itksnap --tag Target
snapws transform get study.itksnap tag:Source
snapws layers add study.itksnap t2.nii.gz --nickname T2 --color-map Jet -o out.itksnap
"""

_LOOK = "howto/look-at-a-workspace.md"
_SLICER = "howto/open-in-slicer.md"


class _Command(NamedTuple):
    """A subcommand: the module and name of its function, and the arguments of `command`."""

    module: str
    function: str
    example: str
    more: str = REFERENCE
    error_exit_code: int = 1


_COMMANDS = {
    "new": _Command("workspaces", "new", "snapws new new.itksnap t1.nii.gz --nickname T1"),
    "build": _Command("build", "build", "snapws build cohort.tsv", "howto/check-a-cohort.md"),
    "info": _Command("info", "info", "snapws info study.itksnap"),
    "show": _Command("pictures", "show", "snapws show study.itksnap -o picture.png", _LOOK),
    "view": _Command("view", "view", "snapws view study.itksnap", _LOOK),
    "report": _Command("report", "report", "snapws report study.itksnap -o report.html", _LOOK),
    "open": _Command("open", "open_", "snapws open study.itksnap", _LOOK),
    "export": _Command("export", "export", "snapws export study.itksnap study.mrb", _SLICER),
    "check": _Command("workspaces", "check", "snapws check study.itksnap"),
    "compare": _Command(
        "compare",
        "compare",
        "snapws compare study.itksnap archive/workspace.itksnap --picture both.png",
        _LOOK,
        error_exit_code=2,
    ),
    "relocate": _Command(
        "workspaces",
        "relocate",
        "snapws relocate windows.itksnap --from C:/Users/Me --to /data",
        "howto/move-a-workspace.md",
    ),
    "archive": _Command(
        "workspaces", "archive", "snapws archive study.itksnap archive/", "howto/anonymise.md"
    ),
    "verify": _Command(
        "workspaces",
        "verify",
        "snapws verify archive/ --against study.itksnap",
        "howto/anonymise.md",
    ),
}
_WT = "wt"

#: Groups of subcommands, each in the module of its name.
_GROUPS = (
    *("layers", "meshes", "tags", "labels", "transform", "timepoints", "annotations"),
    "registry",
)


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """Return the app for a command line: with the subcommand that it begins with, or with all.

    Importing all subcommands takes longer than most of them take to run.
    """
    first = arguments[0] if arguments else ""
    return _app([first] if first in {*_COMMANDS, *_GROUPS} else [*_COMMANDS, _WT, *_GROUPS])


def __getattr__(name: str) -> Any:
    """Return `app`, the app with all subcommands, which is made with its first use."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = app_for(())
    return found


def _app(names: Sequence[str]) -> typer.Typer:
    found = program(_HELP, example=_EXAMPLE, more=REFERENCE)
    for name in names:
        if name == _WT:
            _add_wt(found)
        elif name in _GROUPS:
            found.add_typer(_member(name, "app"), name=name)
        else:
            module, function, example, more, code = _COMMANDS[name]
            add = command(found, name, example=example, more=more, error_exit_code=code)
            add(_member(module, function))
    return found


def _add_wt(app: typer.Typer) -> None:
    wt: Callable[..., Any] = _member("workspaces", "wt")
    app.command(
        _WT,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        add_help_option=False,
        help=wt.__doc__,
        epilog=epilog(
            "snapws wt -P -i study.itksnap -llf Target", more="howto/replace-itksnap-wt.md"
        ),
    )(wt)


def _member(module: str, name: str) -> Any:
    return getattr(import_module(f"snapws.cli.{module}"), name)
