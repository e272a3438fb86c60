"""The services of the page about models work, with stand-ins for what is too heavy."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from pathlib import Path

import nibabel
import numpy
import pytest

from dss.serving import trial
from snapws import Workspace

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "services-with-models.md"
BLOCK = re.compile(r"<!-- file: (\S+) -->\n```python\n(.*?)^```", re.M | re.S)

posix = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are scripts of POSIX")

#: What the stand-ins have in common: they label what is bright.
SEGMENT = """
import nibabel, numpy
def segment(scan, labels, table=""):
    image = nibabel.load(scan)
    voxels = numpy.asarray(image.dataobj)
    made = nibabel.Nifti1Image((voxels > voxels.mean()).astype("u1"), image.affine)
    if table:
        made.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, table.encode()))
    made.to_filename(labels)
"""

TABLE = (
    '<?xml version="1.0" encoding="UTF-8"?><CaretExtension>'
    '<VolumeInformation Index="0"><LabelTable>'
    '<Label Key="1" Red="1" Green="0" Blue="0.2" Alpha="1"><![CDATA[spleen]]></Label>'
    "</LabelTable></VolumeInformation></CaretExtension>"
)


def services() -> dict[str, str]:
    return dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))


def program(folder: Path, name: str, text: str) -> None:
    file = folder / "bin" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!{sys.executable}\n{SEGMENT}\n{text}", encoding="utf-8")
    file.chmod(0o755)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of a scan; programs of the folder `bin` are found first."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    voxels = numpy.random.default_rng(1).integers(0, 99, (9, 8, 7), numpy.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, numpy.eye(4)), tmp_path / "scan.nii.gz")
    study = Workspace()
    study.add_anatomical(tmp_path / "scan.nii.gz", tags={"Target"})
    study.save(tmp_path / "study.itksnap")
    return tmp_path / "study.itksnap"


def try_out(name: str, study: Path) -> tuple[Workspace, list[str]]:
    """Run a service of the page on a workspace; return the result and the names of its labels."""
    file = study.with_name(name)
    file.write_text(services()[name], encoding="utf-8")
    result = Workspace.open(trial.run(file, study, study.with_name("out"), tell=lambda _: None))
    assert result.layer(tag="Result").array()[...].any()
    return result, [label.name for label in result.labels]


def test_model_beside_the_service(study: Path) -> None:
    numpy.savez(study.with_name("model.npz"), weight=0.5, bias=-25)
    result, names = try_out("own.py", study)
    assert names == ["Found"]
    scan = result.layer(tag="Target").array()[...]
    assert numpy.array_equal(result.layer(tag="Result").array()[...], scan > 50)


@posix
def test_program_in_a_container(study: Path) -> None:
    text = """
import os, sys
words = sys.argv[1:]
mounted = next(w for w in words if w.startswith("--volume=")).partition("=")[2].rpartition(":")
os.chdir(mounted[0])
assert words[-3] == "segment"
print("50%")
segment(*words[-2:])
"""
    program(study.parent, "docker", text)
    assert try_out("contained.py", study)[1] == ["Lesion"]


@posix
def test_total_segmentator(study: Path) -> None:
    text = f"""
import sys
assert sys.argv[1::2] == ["-i", "-o", "--ml"]
segment(sys.argv[2], sys.argv[4], {TABLE!r})
"""
    program(study.parent, "TotalSegmentator", text)
    assert try_out("total.py", study)[1] == ["spleen"]


def test_nnunet(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = study.parent / "packages" / "nnunetv2" / "inference"
    module.mkdir(parents=True)
    text = """
import os
class nnUNetPredictor:
    def initialize_from_trained_model_folder(self, folder, use_folds, checkpoint_name="final"):
        labels = {"background": 0, "tumour": 1}
        self.dataset_json = {"file_ending": ".nii.gz", "labels": labels}
    def predict_from_files(self, scans, names):
        for (scan,), name in zip(scans, names):
            os.makedirs(os.path.dirname(name), exist_ok=True)  # fails for ""
            segment(scan, name + self.dataset_json["file_ending"])
"""
    (module / "predict_from_raw_data.py").write_text(SEGMENT + textwrap.dedent(text))
    monkeypatch.syspath_prepend(study.parent / "packages")
    assert try_out("nnunet.py", study)[1] == ["tumour"]


@pytest.mark.parametrize("name", sorted(services()))
def test_service_is_short(name: str) -> None:
    """At most 15 lines do something."""
    lines = [line for line in services()[name].splitlines() if line.strip()]
    assert len(lines) <= 15
