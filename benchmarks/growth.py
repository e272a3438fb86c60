"""Growth: what commands take of a workspace of more and more tiny layers, and of more labels.

Run: python benchmarks/growth.py [COUNT …]

Every measurement is a process of its own, imports included. Each layer is an image of 8x8x8 voxels
of its own file; all but the main one are overlays. Labels are all in the table, and each is that
of voxels of a segmentation of 64x64x64. Prints Markdown tables and the bars; the exit code is 1 if
a bar is missed. Pictures have a budget (`snapws.pictures`): beyond it, `show` and
`report` say so in a line, which counts as their time.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from measure import Bar, Call, Row, child, machine, print_bars, print_table, run

COUNTS = (10, 100, 1000, 4000)
SECONDS, MEGABYTES = 10.0, 1000  # of a picture and a report of 1,000 layers
LABELS = (100, 1000, 10_000, 65_535)
LINEAR = 1.6  # times as long for each layer of 4,000 as for each of 1,000


def prepare(folder: str, count: str) -> Call:
    """Prepare to make the workspace."""
    import numpy as np
    from nibabel.nifti1 import Nifti1Image

    from snapws import Workspace

    place = Path(folder)

    def make() -> int:
        voxels = np.arange(512, dtype=np.int16).reshape(8, 8, 8)
        Nifti1Image(voxels, np.eye(4)).to_filename(place / "0.nii.gz")
        data = (place / "0.nii.gz").read_bytes()
        made = Workspace()
        main = made.set_main(place / "0.nii.gz")
        section = made.registry.folder("Layers")
        assert section is not None
        overlay = made.add_overlay(place / "0.nii.gz", nickname="Overlay", tags=["Tag"])
        for number in range(1, int(count)):
            (place / f"{number}.nii.gz").write_bytes(data)
            folder = section.make_folder(f"Layer[{number:03d}]")
            folder.update(overlay.registry)
            folder["AbsolutePath"] = str(place / f"{number}.nii.gz")
        main.nickname = "Main"
        return made.save(place / "study.itksnap").stat().st_size

    return make


def prepare_labels(folder: str, count: str) -> Call:
    """Prepare to make a workspace of many labels."""
    import numpy as np
    from nibabel.nifti1 import Nifti1Image

    from snapws import Label, Workspace

    place = Path(folder)

    def make() -> int:
        voxels = (np.arange(64**3) % int(count) + 1).astype(np.uint16).reshape(64, 64, 64)
        for name in ("main", "labels"):
            Nifti1Image(voxels, np.eye(4)).to_filename(place / f"{name}.nii.gz")
        made = Workspace.new(place / "main.nii.gz")
        made.add_segmentation(place / "labels.nii.gz")
        made.labels = [Label(number, f"Label {number}") for number in range(1, int(count) + 1)]
        return made.save(place / "study.itksnap").stat().st_size

    return make


def open_(workspace: str) -> Call:
    """Prepare to open it."""
    from snapws import Workspace

    return lambda: len(Workspace.open(workspace).layers())


def command(*words: str) -> Call:
    """Prepare to run a command."""
    import io
    from contextlib import redirect_stderr, redirect_stdout

    from snapws.cli.app import app

    def do() -> int:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), suppress(SystemExit):
            app(list(words), prog_name="snapws")
        return 0

    return do


COMMANDS = {
    "layers list": ("layers", "list", "{}"),
    "layers files": ("layers", "files", "{}"),
    "info": ("info", "{}"),
    "check": ("check", "{}"),
    "archive": ("archive", "{}", "{}.archive"),
    "verify": ("verify", "{}.archive", "--against", "{}"),
    "compare": ("compare", "{}", "{}"),
    "show": ("show", "{}", "-o", "{}.png"),
    "report": ("report", "{}", "-o", "{}.html"),
}


OF_LABELS = {
    "labels list": ("labels", "list", "{}"),
    "labels volumes": ("labels", "volumes", "{}"),
    **{name: COMMANDS[name] for name in ("info", "check", "archive", "show", "report")},
}


Rows = dict[tuple[str, int], Row]


def grown(preparation: str, counts: Sequence[int], commands: Mapping[str, Sequence[str]]) -> Rows:
    """Return the figures of commands, by name and number of layers or labels."""
    rows: Rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            place = Path(folder) / str(count)
            place.mkdir()
            run(__file__, preparation, place, str(count))
            workspace = str(place / "study.itksnap")
            rows["open", count] = row = Row()
            row.runs.append(run(__file__, "open", workspace))
            for name, words in commands.items():
                rows[name, count] = row = Row()
                filled = [word.format(workspace) for word in words]
                row.runs.append(run(__file__, "command", *filled))
                print(f"{name}, {count}: {row.seconds:.1f} s, {row.peak:.0f} MB", file=sys.stderr)
    return rows


def show(rows: Rows, what: str) -> None:
    """Print a table of figures."""
    table = [[name, f"{count:,}", *row.cells()] for (name, count), row in sorted(rows.items())]
    print_table(["what", what], table)


def main(counts: list[int]) -> int:
    rows = grown("prepare", counts, COMMANDS)
    of_labels = grown("prepare_labels", LABELS, OF_LABELS)
    print(machine())
    print()
    show(rows, "layers")
    print()
    show(of_labels, "labels")
    bars = []
    for name in ("show", "report"):
        if row := rows.get((name, 1000)):
            bars.append(Bar(f"{name} of 1,000 layers, s", row.seconds, SECONDS))
            bars.append(Bar(f"{name} of 1,000 layers, MB", row.peak, MEGABYTES))
    for name in ("open", *COMMANDS):
        less, more = rows.get((name, 1000)), rows.get((name, 4000))
        if less and more and more.seconds > 1:
            bars.append(Bar(f"{name}, growth", more.seconds / less.seconds / 4, LINEAR))
    return print_bars("Bars", bars)


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        child(
            {
                "prepare": prepare,
                "prepare_labels": prepare_labels,
                "open": open_,
                "command": command,
            },
            sys.argv[2:],
        )
    else:
        sys.exit(main([int(word) for word in sys.argv[1:]] or list(COUNTS)))
