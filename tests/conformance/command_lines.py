"""Random command lines, in the form in which recordings of the reference tool are made.

``python -m tests.conformance.command_lines --seed 7 --count 200 >lines.json`` writes them as JSON:
a name and ``argv`` each, over the recorded inputs (``fixtures/recordings/inputs``). Run each
through the reference in a folder with a fresh copy of the inputs and an empty folder ``ar``, add
``rc``, ``stdout``, ``stderr`` and ``files`` as ``fixtures/recordings/README.md`` says, and put the
file into ``fixtures/recordings/random``: `tests.conformance.test_random` replays it.

The same seed gives the same command lines on every machine.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Sequence

WORKSPACES = ("base.itksnap", "gui.itksnap", "mesh.itksnap", "moved/base.itksnap", "order.itksnap")
IMAGES = ("a.nii.gz", "b.nii.gz", "s.nii.gz", "plain.nii", "t4d.nii.gz", "rgb.nii.gz", "no.nii")
MESHES = ("tri.vtk", "tri.stl", "tri.VTK", "tri.obj")
TAGS = ("Target", "Source", "Alpha", "New", "a b", " blank", "a,b", "both", "PC", "")
NAMES = ("T1", "Second image", "Übersicht", "it's", "<&>", "a\\b", "x" * 40, "")
LAYERS = ("0", "1", "002", "3", "9", "M", "main", "Main", "S", "seg", "O:0", "O:-1", "overlay:1")
MORE_LAYERS = ("A:0", "anat:-1", "A:-3", "A:9", "mesh:0", "mesh:-1", "X:1", "s:0", "", "-1")
NUMBERS = ("0", "1", "2", "9", "0.5", "-3", "1e3", "100.25", "x", "1_0", "007")
KEYS = ("Tags", "Role", "My.Own.Key", "LayerMetaData.CustomNickName", "No.Such", "a")
FOLDERS = ("LayerMetaData", "ProjectMetaData", "ImageTransform", "My", "Nothing")
TRANSFORMS = ("affine.mat", "identity.mat", "rotation.mat", "short.mat", "words.mat")
LABELS = ("labels.txt", "labels_more.txt", "labels_bad.txt", "labels_crlf.txt", "nofile.txt")
COLORS = ("Jet", "Grayscale", "Hot", "Blue to black to white", "jet", "Nonsense")


def _contrast(dice: random.Random) -> list[str]:
    kind = dice.choice(("LINEAR", "L", "AUTO", "DEFAULT", "CURVE", "linear"))
    numbers = [dice.choice(NUMBERS) for _ in range(4)]
    return {"LINEAR": [kind, *numbers[:2]], "L": [kind, *numbers[:2]]}.get(
        kind, [kind, "2", *numbers] if kind == "CURVE" else [kind]
    )


def _mode(dice: random.Random) -> list[str]:
    mode = dice.choice(("comp", "mag", "avg", "max", "rgb", "RGB", "grid", "nonsense"))
    return [mode, dice.choice(NUMBERS)] if mode == "comp" else [mode]


def _labels(dice: random.Random) -> list[str]:
    return [dice.choice(LABELS), *dice.choice(([], ["100"], ["-1", "old %s"], ["5", "%s %s"]))]


Words = Sequence[str] | Callable[[random.Random], list[str]]

#: The commands, by their names: what each takes, as choices or as a function of the dice.
COMMANDS: dict[tuple[str, ...], tuple[Words, ...]] = {
    ("-dump",): (),
    ("-registry-get",): (("SaveLocation", "Version", "Layers.Layer[000].Role", *KEYS),),
    ("-registry-set",): (("My.Own.Key", "Layers.Layer[001].Tags", "SaveLocation"), NAMES),
    ("-layers-list", "-ll"): (),
    ("-layers-list-files", "-llf"): (TAGS,),
    ("-layers-pick", "-lp"): ((*LAYERS, *MORE_LAYERS),),
    ("-layers-pick-by-tag", "-lpt", "-lpbt"): (TAGS,),
    ("-layers-add-anat", "-laa"): (IMAGES,),
    ("-layers-add-seg", "-las"): (IMAGES,),
    ("-layers-add-mesh", "-lam"): (MESHES, NUMBERS),
    ("-layers-set-main", "-ls-main", "-lsm"): (IMAGES,),
    ("-layers-set-seg", "-ls-seg", "-lss"): (IMAGES,),
    ("-props-get-filename", "-pgf"): (),
    ("-props-get-transform", "-pgt"): (),
    ("-props-get-mesh-filename", "-pgmf"): (NUMBERS, NUMBERS),
    ("-props-add-mesh-polydata", "-pamp"): (MESHES, NUMBERS),
    ("-props-rename-file", "-prf"): (("new.nii.gz", "ar/new.nii"),),
    ("-props-set-nickname", "-psn"): (NAMES,),
    ("-props-set-colormap",): (COLORS,),
    ("-props-set-contrast",): (_contrast,),
    ("-props-set-mcd",): (_mode,),
    ("-props-set-transform", "-pst"): (TRANSFORMS,),
    ("-props-registry-get", "-prg"): (KEYS,),
    ("-props-registry-set", "-prs"): (KEYS, NAMES),
    ("-props-registry-dump", "-prd"): (FOLDERS, ("folder.txt",)),
    ("-props-registry-load", "-prl"): (FOLDERS, ("folder.txt", "gui.itksnap", "nofile.txt")),
    ("-timepoints-list",): (),
    ("-timepoints-pick-by-tag",): (TAGS,),
    ("-timepoints-pick-by-name",): (("ED", "ES", "Nobody", ""),),
    ("-tags-add", "-ta"): (TAGS,),
    ("-tags-add-exclusive", "-tax"): (TAGS,),
    ("-tags-delete", "-td"): (TAGS,),
    ("-labels-set",): (LABELS,),
    ("-labels-add",): (_labels,),
    ("-labels-clear",): (),
    ("-annot-list",): (),
    ("-p", "-prefix"): (("result: ", "> "),),
    ("-P",): (),
}


def generate(seed: int, count: int) -> dict[str, dict[str, list[str]]]:
    """Return `count` command lines by their names; the same for the same seed."""
    # From text: other seeds are hashed in ways that may differ.
    dice = random.Random(f"command lines {seed}")
    return {f"random_{seed}_{i:04d}": {"argv": _line(dice)} for i in range(count)}


def _line(dice: random.Random) -> list[str]:
    argv = ["-i", dice.choice(WORKSPACES)] if dice.random() < 0.9 else ["-laa", "a.nii.gz"]
    if dice.random() < 0.7:  # most commands need a layer
        argv += ["-lp", dice.choice(LAYERS)]
    for _ in range(dice.randint(1, 8)):
        names, parameters = dice.choice(list(COMMANDS.items()))
        argv.append(dice.choice(names))
        for words in parameters:
            argv += words(dice) if callable(words) else [dice.choice(words)]
    if dice.random() < 0.8:
        argv += ["-o", "out.itksnap"]
    return argv


def main() -> None:
    """Write command lines as JSON to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args()
    json.dump(generate(options.seed, options.count), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
