"""What of the documentation nobody types: the reference of the commands, and the pictures.

The build makes the reference. The pictures stand in the folder ``pictures``, so that the pages can
be read without a build; when what they show has changed: python docs/generate.py
"""

from __future__ import annotations

import inspect
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer
from PIL import Image

from dss import demo
from dss.cli.app import app as dss
from dss.serving import trial
from snapws import Workspace
from snapws.cli.app import app as snapws

PROGRAMS = {"snapws": snapws, "dss": dss}

#: What every command takes; the pages say so once.
EVERYWHERE = {"verbose", "quiet", "help"}

BAR = r"\|"  # as it is written in a table

HERE = Path(__file__).parent

#: What the page howto/look-at-a-workspace.md has typed for its pictures.
LOOK = (
    "snapws new study.itksnap target.nii.gz --nickname T1 --tag Target",
    "snapws layers add study.itksnap source.nii.gz --nickname Atlas --tag Source "
    "--color-map Hot --opacity 35%",
    "snapws layers add study.itksnap target_labels.nii.gz --role segmentation "
    "--nickname Tissues --tag Tissues",
    "snapws labels set study.itksnap labels.txt",
    "snapws show study.itksnap -o study.png",
    "snapws show study.itksnap --layers M,S -o tissues.png",
    "snapws labels clear study.itksnap -o changed.itksnap",
    "snapws layers set changed.itksnap O:0 --color-map Jet --quiet",
    "snapws compare study.itksnap changed.itksnap --picture both.png   # exit 1",
)


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
        for source in demo.images().glob("*.*"):
            shutil.copy(source, place)
        for command in LOOK:
            program, *words = shlex.split(command, comments=True)
            executable = Path(sysconfig.get_path("scripts")) / program
            subprocess.run([executable, *words], cwd=place, capture_output=True, check=False)  # noqa: S603 - LOOK
        for name, drawn in {"study": "study", "tissues": "tissues", "compared": "both"}.items():
            _keep(Image.open(place / f"{drawn}.png"), folder / f"{name}.png")

        sent = demo.make_workspace(place / "demo")
        before = Workspace.open(sent.path or "")
        labels = before.layer(tag="SourceSeg")
        labels.display.color_map = "Hot"
        _keep(before.picture(layers=["M", labels.number]), folder / "before.png")
        service = demo.EXAMPLES["registration"].folder / "service.py"
        result = trial.run(service, sent.path, place / "trial", tell=str)
        after = Workspace.open(result)
        _keep(after.picture(layers=["M", "S"]), folder / "after.png")


def _keep(picture: Image.Image, path: Path) -> None:
    """Write a picture in 256 colours, which makes it small."""
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    show(HERE / "pictures")
