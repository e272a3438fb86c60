"""Drawing a workspace: three views of a large main image, with overlays and a segmentation.

Run: python benchmarks/pictures.py

Every measurement is a process of its own, imports included: what `snapws show` takes. The main
image has 512x512x300 voxels of int16, as have its two overlays, one of which is turned and moved,
and the segmentation; all are gzipped. Prints a Markdown table and the bars; the exit code is 1 if a
bar is missed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measure import Bar, Call, Row, child, in_turn, machine, print_bars, print_table, run

RUNS = 5
SLICES, SIDE = "300", "512"
SECONDS, MEGABYTES = 2.0, 300

ALONE, OVERLAYS, ALL = "main image", "main image, two overlays", "those, and a segmentation"
LAYERS = {ALONE: "0", OVERLAYS: "0,1,2", ALL: "0,1,2,3"}


def prepare(folder: str) -> Call:
    """Prepare to make the workspace."""
    import numpy as np
    from measure import write_volume
    from nibabel.nifti1 import Nifti1Image

    from snapws import Workspace

    place = Path(folder)

    def make() -> int:
        write_volume(str(place / "volume.nii"), SLICES, SIDE)()
        volume = Nifti1Image.from_filename(place / "volume.nii")
        voxels = np.asarray(volume.dataobj)
        for name in ("main", "overlay", "moved"):
            volume.to_filename(place / f"{name}.nii.gz")
        labels = Nifti1Image((voxels // 300).clip(0, 4).astype(np.uint8), volume.affine)
        labels.to_filename(place / "labels.nii.gz")
        made = Workspace()
        made.set_main(place / "main.nii.gz")
        made.add_overlay(place / "overlay.nii.gz").display.color_map = "Jet"
        moved = made.add_overlay(place / "moved.nii.gz")
        cosine, sine = np.cos(0.2), np.sin(0.2)
        moved.transform = [
            [cosine, -sine, 0, 5],
            [sine, cosine, 0, -3],
            [0, 0, 1, 4],
            [0, 0, 0, 1],
        ]
        made.add_segmentation(place / "labels.nii.gz")
        return made.save(place / "study.itksnap").stat().st_size

    return make


def draw(workspace: str, layers: str) -> Call:
    """Prepare to draw layers of it."""

    def show() -> int:
        from snapws import Workspace

        target = Path(workspace).with_name("picture.png")
        Workspace.open(workspace).picture(layers=layers.split(",")).save(target)
        return target.stat().st_size

    return show


def main() -> int:
    rows = {name: Row() for name in LAYERS}
    with tempfile.TemporaryDirectory() as folder:
        run(__file__, "prepare", folder)
        workspace = Path(folder) / "study.itksnap"
        for name, row in in_turn(rows, RUNS):
            row.runs.append(run(__file__, "draw", workspace, LAYERS[name]))
    print(machine())
    print()
    print_table(["what is drawn"], [[name, *row.cells()] for name, row in rows.items()])
    whole = sorted(one.whole for one in rows[OVERLAYS].runs)[RUNS // 2]
    return print_bars(
        "Bars, with two overlays",
        [
            Bar("whole process, s", whole, SECONDS),
            Bar("peak memory, MB", rows[OVERLAYS].peak, MEGABYTES),
        ],
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        child({"prepare": prepare, "draw": draw}, sys.argv[2:])
    else:
        sys.exit(main())
