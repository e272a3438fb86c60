"""Archiving one layer: this project, its peers and the limit, side by side in one run.

Run: python benchmarks/archive.py [--quick] [--peer PYTHON] [--t1 IMAGE]

Every measurement is a process of its own; those that are compared run in turn. The time is that of
the call alone, imports done and the workspace open; the whole process is given beside it. The limit
is the slower of MD5 alone and ISA-L's deflate alone, at the archive's level, over the same bytes,
which are in memory already. Two layers of the same archive stand for a downloaded ticket: archived
again, and as gzipped sources from the same bytes under names that say nothing. Prints a Markdown
table and the bars; the exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from measure import (
    Bar,
    Call,
    Row,
    child,
    in_turn,
    machine,
    peer_python,
    print_bars,
    print_table,
    run,
    write_volume,
    write_workspace,
)

PIECE = 1 << 20
TWICE = 2  # layers of the ticket that is archived again

RUNS = 5
LARGE_RUNS = 3

#: Slices and voxels along a slice's side.
VOLUMES = {"32 MB": ("244", "256"), "157 MB": ("300", "512"), "1 GB": ("1907", "512")}

T1 = Path(__file__).parents[1] / "fixtures" / "brain" / "target.nii.gz"

OURS, PEERS, NIBABEL = "this project", "itksnap-dss 0.2.0, export", "nibabel.save"
AFRESH, AGAIN = "this project, two layers, gzipped", "this project, an archive of two layers"
HASH, DEFLATE, ZLIB = "MD5 alone", "ISA-L alone", "zlib 6 alone"

#: What is measured in turn: the word of its function.
CONTESTANTS = {
    OURS: "ours",
    PEERS: "peers",
    NIBABEL: "nibabels",
    HASH: "md5",
    DEFLATE: "deflate",
    AFRESH: "ours",
    AGAIN: "ours",
}


def ours(workspace: str, folder: str) -> Call:
    from snapws import Workspace
    from snapws.archive import archive

    opened = Workspace.open(workspace)
    return lambda: sum(file.stat().st_size for file in archive(opened, folder).files)


def peers(workspace: str, folder: str) -> Call:
    import SimpleITK  # noqa: F401 - what the peer imports once it is at work
    from itksnap_dss import WorkspaceWrapper

    opened = WorkspaceWrapper(workspace)

    def export() -> int:
        opened.export_workspace(str(Path(folder) / "workspace.itksnap"))
        return sum(file.stat().st_size for file in Path(folder).iterdir())

    Path(folder).mkdir()
    return export


def nibabels(workspace: str, folder: str) -> Call:
    import nibabel

    from snapws import Workspace

    image = Workspace.open(workspace).main.path
    target = Path(folder) / "layer.nii.gz"
    target.parent.mkdir()

    def save() -> int:
        nibabel.save(nibabel.load(image), target)
        return target.stat().st_size

    return save


def md5(workspace: str, _: str) -> Call:
    import hashlib

    voxels = in_pieces(workspace)
    hashed = hashlib.md5(usedforsecurity=False)

    def update() -> int:
        for piece in voxels:
            hashed.update(piece)
        return 0

    return update


def deflate(workspace: str, _: str) -> Call:
    from isal import isal_zlib

    from snapws.compression import LEVEL

    voxels = in_pieces(workspace)
    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, 31)
    return lambda: sum(len(compressor.compress(p)) for p in voxels) + len(compressor.flush())


def zlib6(workspace: str, _: str) -> Call:
    import zlib

    voxels = in_pieces(workspace)
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
    return lambda: sum(len(compressor.compress(p)) for p in voxels) + len(compressor.flush())


def in_pieces(workspace: str) -> list[bytes]:
    """Return the file of a workspace's image, inflated, in pieces."""
    import gzip

    from snapws import Workspace

    image = Workspace.open(workspace).main.path
    with (gzip.open if image.suffix == ".gz" else open)(image, "rb") as file:
        return list(iter(lambda: file.read(PIECE), b""))


CALLS = {
    **{call.__name__: call for call in (ours, peers, nibabels, md5, deflate, zlib6)},
    **{call.__name__: call for call in (write_volume, write_workspace)},
}


def measure(image: Path, folder: Path, runs: int, peer: str) -> dict[str, Row]:
    """Measure all that is compared on one image, in turn."""
    downloaded = folder / "downloaded"
    sources = dict.fromkeys(CONTESTANTS, make_workspace(folder / "plain.itksnap", image))
    run(__file__, "ours", make_workspace(folder / "ticket.itksnap", *[image] * TWICE), downloaded)
    renamed = [folder / f"scan{number}.nii.gz" for number in range(TWICE)]
    for layer, scan in zip(sorted(downloaded.glob("*.nii.gz")), renamed, strict=True):
        shutil.copy(layer, scan)
    sources[AFRESH] = make_workspace(folder / "renamed.itksnap", *renamed)
    sources[AGAIN] = downloaded / "workspace.itksnap"

    rows = {name: Row() for name in CONTESTANTS}
    for name, row in in_turn(rows, runs):
        python = peer if name == PEERS else sys.executable
        target = folder / "target"
        row.runs.append(run(__file__, CONTESTANTS[name], sources[name], target, python=python))
        shutil.rmtree(target, ignore_errors=True)
    return rows


def make_workspace(workspace: Path, *images: Path) -> Path:
    run(__file__, "write_workspace", workspace, *images)
    return workspace


def bars(rows: dict[str, Row]) -> list[Bar]:
    """Hold the figures of one image to what is promised."""
    own = rows[OURS]
    limit = max(rows[HASH].seconds, rows[DEFLATE].seconds)
    return [
        Bar("time, by the limit's", own.seconds / limit, 1.5),
        Bar("itksnap-dss's time, by ours", rows[PEERS].seconds / own.seconds, 4, at_least=True),
        Bar("size, by that of zlib 6", own.size / rows[ZLIB].size, 1.05),
        Bar("peak memory, MB", own.peak, 120),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the smallest volume alone")
    parser.add_argument("--peer", metavar="PYTHON", help="an interpreter with itksnap-dss 0.2.0")
    parser.add_argument("--t1", metavar="IMAGE", type=Path, default=T1, help="a real T1")
    options = parser.parse_args()
    judged = "32 MB" if options.quick else "157 MB"
    table: dict[str, dict[str, Row]] = {}
    with tempfile.TemporaryDirectory() as name:
        peer = peer_python(options.peer, Path(name))
        for volume in ["32 MB"] if options.quick else [*VOLUMES, "T1"]:
            folder = Path(name) / volume.replace(" ", "")
            folder.mkdir()
            image = options.t1.resolve() if volume == "T1" else folder / "volume.nii"
            if volume != "T1":
                run(__file__, "write_volume", image, *VOLUMES[volume])
            runs = LARGE_RUNS if volume == "1 GB" else RUNS
            table[volume] = measure(image, folder, runs, peer)
            if volume != "1 GB":  # where it takes minutes
                small = table[volume][ZLIB] = Row()
                small.runs.append(run(__file__, "zlib6", folder / "plain.itksnap", ""))
            shutil.rmtree(folder)
        print(machine(peer))
    print(
        f"\nOne layer of int16 voxels, smooth plus noise, uncompressed; T1 is {options.t1.name} as "
        f"it is. Medians of {RUNS} runs, of {LARGE_RUNS} for 1 GB. "
        "The three last lines have their input in memory and write nothing.\n"
    )
    print_table(
        ["volume", "what"],
        [
            [volume, what, *row.cells(memory=what not in (HASH, DEFLATE, ZLIB))]
            for volume, rows in table.items()
            for what, row in sorted(rows.items(), key=lambda each: "alone" in each[0])
        ],
    )
    held = bars(table[judged])
    if not options.quick:
        growth = table["1 GB"][OURS].peak - table["157 MB"][OURS].peak
        held.append(Bar("peak memory at 1 GB, MB more", growth, 5))
    return print_bars(f"Bars on the volume of {judged}", held)


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        child(CALLS, sys.argv[2:])
    else:
        sys.exit(main())
