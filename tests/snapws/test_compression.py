"""Without ISA-L, zlib does the same work."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys

from tests.conformance.replay import RECORDINGS

SCRIPT = """
import sys
sys.modules["isal"] = None  # as where it has no wheel
from pathlib import Path
from snapws import Workspace, compression
from snapws.archive import archive
assert compression._codec.__name__ == "zlib"
workspace = Workspace()
workspace.add_anatomical(sys.argv[1])
print(archive(workspace, sys.argv[2]).files[0])
try:
    workspace.set_main(sys.argv[3])
    archive(workspace, sys.argv[2] + "/again")
except Exception as error:
    print(type(error).__name__)
"""


def test_zlib_in_place_of_isal(tmp_path):
    inputs = RECORDINGS / "inputs"
    words = [inputs / "a.nii.gz", tmp_path, inputs / "truncated.nii.gz"]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    layer, error = done.stdout.split()
    recorded = json.loads((RECORDINGS / "archive_images.json").read_text())["a.nii.gz"]
    assert layer == str(tmp_path / recorded["layer"])
    with gzip.open(layer) as ours, gzip.open(inputs / "a.nii.gz") as theirs:
        assert ours.read()[352:] == theirs.read()[352:]
    assert error == "ImageDamaged"
