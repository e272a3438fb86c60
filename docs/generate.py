"""What the build of the documentation makes: the reference of the commands, and the pictures."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel
import typer
from typer.testing import CliRunner

from dss import demo
from dss.cli.app import app as dss
from dss.serving import trial
from snapws import Workspace, pictures
from snapws.cli.app import app as snapws

PROGRAMS = {"snapws": snapws, "dss": dss}

#: What every command takes; the pages say so once.
EVERYWHERE = {"verbose", "quiet", "help"}

BAR = r"\|"  # as it is written in a table


def everything(folder: Path) -> None:
    """Make all of it."""
    commands(folder / "commands")
    show(folder / "pictures")


# -------------------------------------------------------------------- commands


def commands(folder: Path) -> None:
    """Write a page for each program, and what it says of each command in a file of its own."""
    for program, app in PROGRAMS.items():
        page = []
        for words, command in walk(app, program):
            described = usage(words, command)
            _write(folder / f"{words.replace(' ', '-')}.md", described)
            page += [f"### `{words}`", summary(command), described]
        _write(folder / f"{program}.md", "\n\n".join(page))


def walk(app: typer.Typer, program: str) -> Iterator[tuple[str, Any]]:
    """Give each command of a program: what is typed, and what click knows of it."""

    def below(group: Any, words: str) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from below(command, f"{words} {name}")
            else:
                yield f"{words} {name}", command

    return below(typer.main.get_command(app), program)


def summary(command: Any) -> str:
    """Give what the help text of a command says."""
    return inspect.cleandoc(command.help or "").replace("\x08", "")


def usage(words: str, command: Any) -> str:
    """Give how a command is called, and a table of what it takes, as Markdown."""
    context = command.make_context(words, [], resilient_parsing=True)
    called = f"```text\n{words} {' '.join(command.collect_usage_pieces(context))}\n```"
    taken = [one for one in command.get_params(context) if one.name not in EVERYWHERE]
    records = filter(None, (one.get_help_record(context) for one in taken))
    rows = [f"| `{name.replace('|', BAR)}` | {_cell(meaning)} |" for name, meaning in records]
    return "\n".join(
        [called, "", "| takes | what it is |", "| --- | --- |", *rows] if rows else [called]
    )


def _cell(text: str) -> str:
    """Give a text as it stands in a cell of a table."""
    return re.sub(r"([<*_`[])", r"\\\1", re.sub(r"\s+", " ", text)).replace("|", BAR)


def _write(path: Path, text: str) -> None:
    """Write a file where it has changed, so that only what has changed is built again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


# -------------------------------------------------------------------- pictures


def show(folder: Path) -> None:
    """Draw the study of the how-to pages, and what the registration of the tutorial gives."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as temporary:
        place = Path(temporary)
        jane = study(place / "jane")
        pictures.save(jane.picture(), folder / "study.png")
        pictures.save(jane.picture(layers=["M", "S"]), folder / "tissues.png")
        jane.labels, jane.layer("O:0").display.color_map = (), "Jet"
        one, other = place / "jane" / "study.itksnap", jane.save(place / "jane" / "changed.itksnap")
        both = folder / "compared.png"
        CliRunner().invoke(snapws, ["compare", str(one), str(other), "--picture", str(both)])

        sent = demo.make_workspace(place / "demo")
        before = Workspace.open(sent.path or "")
        before.add_segmentation(before.layer(tag="SourceSeg").path)
        pictures.save(before.picture(layers=["M", "S"]), folder / "before.png")
        service = demo.EXAMPLES["registration"].folder / "service.py"
        result = trial.run(service, sent.path, place / "trial", tell=str)
        after = Workspace.open(result)
        pictures.save(after.picture(layers=["M", "S"]), folder / "after.png")


def study(folder: Path) -> Workspace:
    """Make the study of the how-to pages: a head, as it comes from a hospital.

    The names and headers of its images say whose head it is; so do texts of the workspace.
    """
    folder.mkdir()
    scan, atlas, tissues = "doe_jane_T1.nii.gz", "atlas.nii.gz", "doe_jane_tissues.nii.gz"
    for source, name in {"target": scan, "source": atlas, "target_labels": tissues}.items():
        image = nibabel.load(demo.images() / f"{source}.nii.gz")
        image.header["descrip"] = b"Doe^Jane 1974-03-12"
        image.to_filename(folder / name)
    workspace = Workspace()
    workspace.set_main(folder / scan).nickname = "T1 of Jane Doe"
    workspace.main.tags = ("Target",)
    overlay = workspace.add_overlay(folder / atlas, nickname="Atlas", tags=["Source"])
    overlay.display.color_map, overlay.display.opacity = "Hot", 90
    workspace.add_segmentation(folder / tissues, nickname="Tissues", tags=["Tissues"])
    workspace.labels = demo.make_workspace(folder.with_name("demo")).labels
    workspace.registry["Hospital.Patient"] = "Doe^Jane"
    workspace.save(folder / "study.itksnap")
    return workspace
