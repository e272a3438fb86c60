"""The declaration of subcommands, and the options that all of them have.

A subcommand is a function with Typer's parameters. A parameter that is a dataclass is a group of
options, one per field, so that an option of several subcommands is declared once.
"""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from snapws.cli import render
from snapws.cli.render import Record
from snapws.errors import WorkspaceError
from snapws.workspace import Workspace

Function = Callable[..., None]

#: The default page of the documentation of a subcommand, below docs/.
REFERENCE = "reference/snapws.md"


@dataclass
class Verbosity:
    """How much a program prints: options of each subcommand and of the program itself."""

    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="After an error, say where in the program.")
    ] = False
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")
    ] = False


@dataclass
class Listing:
    """The options of a subcommand that lists something."""

    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False

    def show(self, records: Sequence[Record], columns: Sequence[str]) -> None:
        """Print records as JSON, all fields, or as a table, the fields `columns`."""
        if self.json:
            render.as_json(records)
        else:
            render.table(records, columns)

    def show_lines(self, lines: Sequence[str]) -> None:
        """Print texts as a JSON array, or one per line."""
        if self.json:
            render.as_json(lines)
        else:
            for line in lines:
                render.result(render.printable(line) if sys.stdout.isatty() else line)


@dataclass
class Saving:
    """The options of a subcommand that edits a workspace."""

    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Save here instead of in place.", show_default=False),
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the changes; save nothing.")] = (
        False
    )
    force: Annotated[
        bool,
        typer.Option("--force", help="Overwrite changes that another program has saved meanwhile."),
    ] = False

    @contextmanager
    def edit(self, path: Path) -> Iterator[Workspace]:
        """Open a workspace, and at the end save it, or print the changes of a dry run."""
        if not path.exists():
            raise WorkspaceError(f"the workspace {path} does not exist: make one with snapws new")
        workspace = Workspace.open(path)
        before = dict(workspace.registry.walk())
        yield workspace
        target = self.output or path
        if self.dry_run:
            folder = Path(os.path.abspath(target)).parent  # noqa: PTH100 - not through links
            _print_changes(before, dict(workspace.as_saved_in(folder).registry.walk()))
            render.note(f"dry run: {target} was not written")
            return
        workspace.save(target, force=self.force)
        render.note(f"saved {target}" if self.output else f"saved {target} in place")


def command(
    app: typer.Typer,
    name: str,
    *,
    example: str,
    more: str = REFERENCE,
    errors: tuple[type[Exception], ...] = (WorkspaceError,),
    error_exit_code: int = 1,
) -> Callable[[Function], Function]:
    """Make a function a subcommand. Its docstring is the help text.

    Args:
        app: The app of the program or group.
        name: The name on the command line.
        example: One or more command lines that use it.
        more: The page below docs/ to read more.
        errors: The errors to report in one line, besides `OSError`.
        error_exit_code: The exit code after such an error.
    """

    def add(function: Function) -> Function:
        run = _expanded(function, (*errors, OSError), error_exit_code)
        app.command(name, help=inspect.getdoc(function), epilog=epilog(example, more))(run)
        return function

    return add


def group(text: str, *, example: str, more: str = REFERENCE) -> typer.Typer:
    """Make a group of subcommands about one noun; for the rest see `command`."""
    return typer.Typer(
        help=text,
        epilog=epilog(example, more),
        no_args_is_help=True,
        rich_markup_mode=None,  # plain text works in any terminal and log
    )


def program(text: str, *, example: str, more: str) -> typer.Typer:
    """Make the app of a program, which takes `options`; for the rest see `command`."""
    app = typer.Typer(
        help=text,
        epilog=epilog(example, more),
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(options)
    return app


def epilog(example: str, more: str) -> str:
    """Return the end of each help text: an example, and where to read more."""
    lines = "\n".join(f"  $ {line}" for line in example.splitlines())
    return f"\b\nExample:\n{lines}\n\nMore: docs/{more}"


def _print_version(context: typer.Context, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"{context.info_name} {version('snapws')}")
        raise typer.Exit


def options(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="After an error, say where in the program.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Declare the options of a program itself; subcommands read their values."""


def _expanded(
    function: Function, errors: tuple[type[Exception], ...], error_exit_code: int
) -> Function:
    """Return a function that takes the options of all groups one by one, and reports errors."""
    hints = {**_hints(function), "verbosity": Verbosity}
    hints.pop("return", None)
    defaults = inspect.signature(function).parameters
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters = [_parameter("context", typer.Context)]
    for name, kind in hints.items():
        if name in groups:
            types = get_type_hints(kind, include_extras=True)
            parameters += [_parameter(f.name, types[f.name], _default(f)) for f in fields(kind)]
        else:
            parameters.append(_parameter(name, kind, defaults[name].default))

    parameters, files = _with_named_files(parameters)

    def run(context: typer.Context, **values: Any) -> None:
        for name in files:
            given = values[name]
            values[name] = (
                [_named_file(context, name, one) for one in given]
                if isinstance(given, list)
                else _named_file(context, name, given)
            )
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        verbosity, program = values.pop("verbosity"), context.find_root()
        render.begin(program.info_name or "", quiet=verbosity.quiet or program.params["quiet"])
        with _reporting(
            errors, error_exit_code, verbose=verbosity.verbose or program.params["verbose"]
        ):
            function(**values)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _with_named_files(
    parameters: list[inspect.Parameter],
) -> tuple[list[inspect.Parameter], tuple[str, ...]]:
    """Return the parameters with paths as typed text, and the names of these parameters.

    ``Path("")`` is the current folder, but a script whose variable is unset does not mean that.
    """
    changed, names = [], []
    for one in parameters:
        kind, *infos = get_args(one.annotation) or (None,)
        if get_origin(one.annotation) is Annotated and Path in (kind, *get_args(kind)):
            info = copy(infos[0])
            info.path_type = str
            one = one.replace(annotation=Annotated[kind, info])
            names.append(one.name)
        changed.append(one)
    return changed, tuple(names)


def _named_file(context: typer.Context, name: str, value: str | Path | None) -> Path | None:
    if value == "":
        param: Any = next(one for one in context.command.params if one.name == name)
        raise typer.BadParameter("the value is empty: name a file or folder", context, param)
    return None if value is None else Path(value)


def _hints(function: Function) -> dict[str, Any]:
    """Return the types of the parameters as the function declares them.

    Python 3.10 wraps a type whose default is None in another Optional, which hides the annotation.
    """
    hints = get_type_hints(function, include_extras=True)
    for name, hint in hints.items():
        if get_origin(hint) is not Annotated:
            inner = [part for part in get_args(hint) if get_origin(part) is Annotated]
            hints[name] = inner[0] if inner else hint
    return hints


@contextmanager
def _reporting(
    errors: tuple[type[Exception], ...], error_exit_code: int, *, verbose: bool
) -> Iterator[None]:
    """Report errors of these types in one line, and exit with the code `error_exit_code`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except errors as error:
        if verbose:
            typer.echo(render.readable(traceback.format_exc()), err=True, nl=False)
        render.error(render.message(error))
        raise typer.Exit(error_exit_code) from None


def _parameter(name: str, kind: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)


def _default(field: Field[Any]) -> Any:
    return inspect.Parameter.empty if field.default is MISSING else field.default


def _print_changes(old: Mapping[str, str], new: Mapping[str, str]) -> None:
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            if key in old:
                render.result(render.printable(f"- {key} = {old[key]}"))
            if key in new:
                render.result(render.printable(f"+ {key} = {new[key]}"))
