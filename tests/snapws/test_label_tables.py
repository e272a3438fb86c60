"""Label tables of other programs, read by each format's own rule, and written by it."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from snapws import geometry
from snapws.errors import InvalidValue, TextFileError
from snapws.images import read_header
from snapws.label_tables import Labels, carried
from snapws.labels import Label

TABLE = (
    Label(1, "Left hippocampus", (255, 0, 51), 255),
    Label(2, "Lesion", (0, 128, 255), 128),
    Label(7, "Gyrus", (1, 2, 3), 255),
)


def read(text, name="table"):
    return Labels.parse(text.encode(), name)


def caret(labels):
    """As TotalSegmentator writes it: nifti_ext_header.py of its release 2."""
    rows = "".join(
        f'<Label Key="{key}" Red="1.0" Green="0.0" Blue="0.2" Alpha="1"><![CDATA[{name}]]>'
        "</Label>\n"
        for key, name in labels
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?> <CaretExtension><VolumeInformation Index="0">'
        f"<LabelTable>\n{rows}</LabelTable></VolumeInformation></CaretExtension>\n   "
    )


def image_with(path, document, kind=nibabel.Nifti1Image):
    image = kind(np.zeros((2, 2, 2), np.uint8), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, document.encode()))
    image.to_filename(path)
    return path


@pytest.mark.parametrize(
    ("name", "text", "label"),
    [
        ("freesurfer", "#No. Label Name: R G B A\n17 Left-Hippo 220 216 20 0\n", 255),
        ("freesurfer", "17 Left-Hippo 220 216 20 0\n", 255),
        ("freesurfer", "# FreeSurfer\n17 Left-Hippo 220 216 20 55\n", 200),
        ("slicer", "# Color table file x\n17 Left-Hippo 220 216 20 0\n", 0),
        ("slicer", "0 Background 0 0 0 0\n17 Left-Hippo 220 216 20 255\n", 255),
        ("slicer-csv", "LabelValue,Name,Color_R,Color_G,Color_B\n17,Left-Hippo,220,216,20\n", 255),
        ("bids", "name\tindex\tcolor\nLeft-Hippo\t17\t#DCD814\n", 255),
        ("fsleyes", "17 0.8627 0.847 0.0784 Left-Hippo\n", 255),
        ("itksnap", '17 220 216 20 1 1 1 "Left-Hippo"\n', 255),
    ],
)
def test_a_table_is_recognised_by_content_and_its_alpha_read_by_the_rule(name, text, label):
    for content in (text, text.replace("\n", "\r\n"), f"\ufeff{text}"):
        found = read(content)
        assert found.format == name
        assert list(found) == [Label(17, "Left-Hippo", (220, 216, 20), label)]


WRITTEN = Path(__file__).parents[2] / "fixtures" / "label-tables"

THREE = (
    (1, "Lesion", (255, 0, 51)),
    (17, "Left-Part", (220, 216, 20)),
    (53, "Right-Part", (20, 100, 200)),
)


@pytest.mark.parametrize(
    ("file", "name", "alphas"),
    [("freesurfer.ctab", "freesurfer", (128, 255, 255)), ("fsleyes.lut", "fsleyes", (255,) * 3)],
)
def test_tables_that_freesurfer_and_fsleyes_wrote_are_read(file, name, alphas):
    found = Labels.read(WRITTEN / file)
    assert found.format == name
    assert [(one.index, one.name, one.color, one.alpha) for one in found] == [
        (*label, alpha) for label, alpha in zip(THREE, alphas, strict=True)
    ]


def test_the_table_in_an_image_that_totalsegmentator_wrote_is_read():
    image = WRITTEN / "totalsegmentator.nii.gz"
    found = Labels.read(image)
    assert found.format == "totalsegmentator"
    assert [(one.index, one.name) for one in found] == [label[:2] for label in THREE]
    assert read_header(image).shape == (4, 3, 2)


def test_datasets_that_nnunet_described_are_read():
    found = Labels.read(WRITTEN / "nnunet.json")
    assert found.format == "nnunet"
    numbered = list(enumerate([name for _, name, _ in THREE], 1))
    assert [(one.index, one.name) for one in found] == numbered
    regions = Labels.read(WRITTEN / "nnunet-regions.json")
    assert [(one.index, one.name) for one in regions] == [(1, "whole"), (2, "core")]
    assert "regions, which overlap" in regions.notes[0]


def test_a_table_of_slicer_may_have_fractions_and_any_opacity():
    """It writes 255 times what it computes with, to six digits."""
    text = (
        "# Color table file C:/Users/some body/Segmentation.ctbl\n# 4 values\n"
        "0 Background 0 0 0 0\n1 half 127.5 12.75 0.4 255\n2 thin 1 2 3 63.75\n3 (none) 0 0 0 0\n"
    )
    for content in (text, text.replace("\n", "\r\n")):
        found = read(content)
        assert found.format == "slicer"
        assert [(one.name, one.color, one.alpha) for one in found] == [
            ("half", (128, 13, 0), 255),
            ("thin", (1, 2, 3), 64),
            ("(none)", (0, 0, 0), 0),
        ]
    with pytest.raises(TextFileError, match="line 2: a colour"):
        read("# Color table file x\n1 a 1 2 256.5 255\n")


@pytest.mark.parametrize("chosen", [None, "fsleyes", "slicer"])
def test_a_continuous_colour_map_of_slicer_is_no_table_of_labels(chosen):
    """Its lines have the form of FSLeyes: VALUE R G B, the colours from 0 to 1."""
    text = (
        b"# Color procedural file /some/where.txt\n# 3 points\n0 0 0 0\n63 0 0.5 0.49\n255 1 1 1\n"
    )
    with pytest.raises(TextFileError, match="a continuous colour map of 3D Slicer"):
        Labels.parse(text, "t", chosen)


def test_a_table_of_slicer_with_terms_is_read_by_its_columns():
    text = (
        "LabelValue,Name,Color_R,Color_G,Color_B,Color_A,Category_CodingScheme,Type_CodeMeaning\r\n"
        '1,left_kidney,185,102,83,255,SCT,Kidney\r\n5,"mass, right",144,238,144,128,,\r\n'
    )
    found = read(text)
    assert found.format == "slicer-csv"
    assert [(one.index, one.name, one.color, one.alpha) for one in found] == [
        (1, "left_kidney", (185, 102, 83), 255),
        (5, "mass, right", (144, 238, 144), 128),
    ]


def segmentation(path, *segments):
    """Write segments, each a slab of voxels with what is said of it, by the library for them."""
    slicerio = pytest.importorskip("slicerio", reason="needs slicerio, of the extra 'test'")
    affine = np.array([[0.8, 0.6, 0, 10], [-0.6, 0.8, 0, -20], [0, 0, 2, 30], [0, 0, 0, 1.0]])
    made = slicerio.create_segmentation((6, 5, 4), affine)
    for slab, said in segments:
        mask = np.zeros((6, 5, 4), bool)
        mask[slab] = True
        slicerio.add_segment(made, mask, dict(said))
    slicerio.write_segmentation(str(path), made)
    return path


LEFT = (slice(0, 2), {"name": "Left kidney", "color": [0.5, 0.25, 1.0]})
RIGHT = (slice(3, 6), {"id": "S_7", "name": "a \\ b", "color": [0.1, 0.2, 0.3]})
OVER = (slice(1, 4), {"name": "Both", "color": [1.0, 1.0, 0.0]})


def test_segments_that_slicerio_wrote_are_read_with_their_image(tmp_path):
    path = segmentation(tmp_path / "a.seg.nrrd", LEFT, RIGHT)
    found = Labels.read(path)
    assert found.format == "seg-nrrd"
    assert [(one.index, one.name, one.color) for one in found][:1] == [
        (1, "Left kidney", (128, 64, 255))
    ]
    assert [(one.index, one.color) for one in found][1:] == [(2, (26, 51, 76))]
    header = read_header(path)
    values = np.frombuffer(b"".join(header.voxels()), header.dtype).reshape(header.shape, order="F")
    assert (values[:2] == 1).all()
    assert (values[2] == 0).all()
    assert (values[3:] == 2).all()
    to_ras = np.diag([-1.0, -1, 1, 1])
    assert np.allclose(geometry.affine(header)[:, 3], to_ras @ [10, -20, 30, 1])


def test_overlapping_segments_that_slicerio_wrote_are_refused_in_words(tmp_path):
    path = segmentation(tmp_path / "a.seg.nrrd", LEFT, RIGHT, OVER)
    with pytest.raises(TextFileError, match="overlap, and lie in 2 layers"):
        Labels.read(path)


def test_a_table_that_freesurfer_and_slicer_read_differently_is_refused():
    with pytest.raises(TextFileError, match="--format \\(freesurfer, slicer\\)"):
        read("1 a 1 2 3 0\n2 b 1 2 3 255\n")
    found = Labels.parse(b"1 a 1 2 3 0\n2 b 1 2 3 255\n", "t", "slicer")
    assert [label.alpha for label in found] == [0, 255]


@pytest.mark.parametrize(
    "name", ["itksnap", "freesurfer", "slicer", "slicer-csv", "bids", "fsleyes", "nnunet"]
)
def test_what_is_written_is_read_again_and_losses_are_listed(name, tmp_path):
    path = tmp_path / "table"
    notes = Labels(TABLE).write(path, name)
    found = Labels.read(path)
    assert found.format == name
    blank = "-" if name == "freesurfer" else " "
    assert [label.name for label in found] == [f"Left{blank}hippocampus", "Lesion", "Gyrus"]
    assert [label.index for label in found] == [1, 2, 7]
    keeps_alpha = name in ("itksnap", "freesurfer", "slicer", "slicer-csv")
    assert [label.alpha for label in found] == [255, 128 if keeps_alpha else 255, 255]
    assert any("opacity" in note for note in notes) is not keeps_alpha
    if name != "nnunet":
        assert [label.color for label in found] == [label.color for label in TABLE]
    else:
        assert any("colours" in note for note in notes)
        assert any("without a gap" in note for note in notes)


def test_a_table_of_pandas_is_read_and_pandas_reads_ours(tmp_path):
    import pandas as pd

    frame = pd.DataFrame(
        {"index": [1, 4], "name": ["White matter", "n/a"], "abbreviation": ["WM", None]}
    )
    frame.to_csv(tmp_path / "x_dseg.tsv", sep="\t", index=False, na_rep="n/a")
    found = Labels.read(tmp_path / "x_dseg.tsv")
    assert [(one.index, one.name, one.color) for one in found] == [
        (1, "White matter", (255, 0, 0)),
        (4, "Label 4", (255, 255, 0)),
    ]
    assert found.notes == ("a workspace does not hold the columns abbreviation",)
    Labels(TABLE).write(tmp_path / "y_dseg.tsv")
    again = pd.read_csv(tmp_path / "y_dseg.tsv", sep="\t")
    assert again["color"].tolist() == ["#FF0033", "#0080FF", "#010203"]


@pytest.mark.parametrize("name", ["s.nii", "s.nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image], ids=["1", "2"])
def test_the_table_in_a_nifti_header_is_read(tmp_path, name, kind):
    path = image_with(tmp_path / name, caret([(1, "spleen"), (300, "a & <b>")]), kind)
    found = carried(path)
    assert found.format == "totalsegmentator"
    assert [(one.index, one.name, one.color) for one in found] == [
        (1, "spleen", (255, 0, 51)),
        (300, "a & <b>", (255, 0, 51)),
    ]


def test_an_image_without_a_table_carries_none(tmp_path):
    nibabel.Nifti1Image(np.zeros((9, 9, 9), np.uint8), np.eye(4)).to_filename(tmp_path / "s.nii.gz")
    assert carried(tmp_path / "s.nii.gz") is None
    with pytest.raises(TextFileError, match="no label table"):
        Labels.read(tmp_path / "s.nii.gz")


def test_a_document_type_in_a_nifti_header_is_refused(tmp_path):
    document = caret([(1, "x")]).replace("<CaretExtension>", "<!DOCTYPE a><CaretExtension>")
    with pytest.raises(TextFileError, match="document type"):
        Labels.read(image_with(tmp_path / "s.nii", document))


def test_segments_of_slicer_are_read_and_overlapping_ones_refused():
    lines = [
        *("NRRD0005", "type: uint8", "Segment0_Name:=Left kidney", "Segment0_Color:=0.5 0.25 1.0"),
        *("Segment0_LabelValue:=1", "Segment0_Layer:=0", "Segment1_ID:=S_2"),
        *("Segment1_LabelValue:=5", "Segment1_Layer:=0", "", ""),
    ]
    found = read("\n".join(lines))
    assert found.format == "seg-nrrd"
    assert [(one.index, one.name, one.color) for one in found] == [
        (1, "Left kidney", (128, 64, 255)),
        (5, "S_2", (0, 255, 255)),
    ]
    text = "\n".join(lines).replace("Value:=5\nSegment1_Layer:=0", "Value:=1\nSegment1_Layer:=1")
    with pytest.raises(TextFileError, match="overlap, and lie in 2 layers"):
        read(text)


def test_labels_of_nnunet_are_read_in_both_versions_and_regions_by_their_order():
    for labels in ({"background": 0, "tumor": 2}, {"0": "background", "2": "tumor"}):
        assert [(one.index, one.name) for one in read(json.dumps({"labels": labels}))] == [
            (2, "tumor")
        ]
    regions = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}
    found = read(json.dumps({"labels": regions, "regions_class_order": [1, 2, 3]}))
    assert [(one.index, one.name) for one in found] == [
        (1, "whole"),
        (2, "core"),
        (3, "enhancing"),
        (4, "ignore"),
    ]
    assert "regions, which overlap" in found.notes[0]
    with pytest.raises(TextFileError, match="regions_class_order"):
        read(json.dumps({"labels": regions}))


def test_a_dataset_json_keeps_all_but_its_labels(tmp_path):
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({"channel_names": {"0": "T1"}, "labels": {"background": 0}}))
    Labels(TABLE[:2]).write(path)
    assert json.loads(path.read_text()) == {
        "channel_names": {"0": "T1"},
        "labels": {"background": 0, "Left hippocampus": 1, "Lesion": 2},
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("# FreeSurfer\n1 a 1 2 3 0\nx b 1 2 3 0\n", "line 3: the index of a label"),
        ("# FreeSurfer\n1 a 1 2 300 0\n", "line 2: a colour"),
        ("# FreeSurfer\n1 a 1 2 3 0\n1 b 1 2 3 0\n", "line 3: label 1 means"),
        ("# FreeSurfer\n-1 a 1 2 3 0\n", "line 2: the index of a label"),
        ("index\tname\n1.0\ta\n", "line 2: the index of a label"),
        ("index\tname\n1\n", "line 2: 1 columns"),
        ("index\tname\tcolor\n1\ta\tred\n", "line 2: a colour is not of the form #RRGGBB"),
        ("index\tname\n1\ta\x1b[2J\n", "line 2: label 1: its name has a control character"),
        ('{"labels": {"a": true}}', "is not a whole number"),
        ('{"labels": {"a": 1, "a": 2}}', "twice"),
        ("{" * 100000, "line 1"),
    ],
    ids=[
        *("index", "colour", "duplicate", "negative", "fraction", "columns", "hex", "control"),
        *("bool", "key", "deep"),
    ],
)
def test_a_bad_table_is_refused_naming_the_line(text, reason):
    with pytest.raises(TextFileError) as caught:
        read(text, "labels.txt")
    assert "labels.txt, " in str(caught.value)
    assert reason in str(caught.value)


def test_indices_beyond_16_bits_are_read_and_no_label_of_itksnap():
    found = read(
        '# ITK-SnAP Label Description File\n1\t1\t2\t3\t1\t1\t1\t"a"\n'
        '480149202\t24\t128\t100\t1\t1\t1\t"Rostrolateral"\n'
    )
    assert [(one.index, one.name) for one in found.entries] == [
        (1, "a"),
        (480149202, "Rostrolateral"),
    ]
    with pytest.raises(InvalidValue, match="up to 65535"):
        list(found)
