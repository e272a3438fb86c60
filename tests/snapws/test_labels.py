from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapws import Label, labels
from snapws.errors import InvalidValue, TextFileError

_LABELS = st.builds(
    Label,
    index=st.integers(1, 65535),
    name=st.text(
        st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp"), exclude_characters='"'),
        max_size=20,
    ),
    color=st.tuples(*[st.integers(0, 255)] * 3),
    alpha=st.integers(0, 255),
    visible=st.booleans(),
    mesh_visible=st.booleans(),
)
_TABLES = st.lists(_LABELS, max_size=6, unique_by=lambda label: label.index).map(
    lambda table: tuple(sorted(table, key=lambda label: label.index))
)


def test_a_label_file(inputs):
    table = labels.read_file(inputs / "labels.txt")
    assert table[0] == Label(0, "Clear Label", (0, 0, 0), 0, False, False)
    assert table[2] == Label(2, "CA1 (head)", (0, 128, 255), 89, True, False)
    assert table[3] == Label(5, "Naïve – label", (12, 34, 56), 127, False, True)
    assert [label.index for label in table] == [0, 1, 2, 5, 10]


def test_tabs_crlf_no_break_blanks_and_order():
    data = '2\t1\t2\t3\t1\t1\t1\t"b\u00a0b"\r\n\r\n1 1 2 3 0.5 1 1 "a "\r\n'.encode()
    table = labels.parse(data, "file")
    assert [(label.index, label.name) for label in table] == [(1, "a "), (2, "b\u00a0b")]


def test_lines_that_end_with_cr_alone():
    data = b'# old\r1 255 0 0 1 1 1 "Left"\r2 0 255 0 1 1 1 "Right"\r'
    assert [label.name for label in labels.parse(data, "file")] == ["Left", "Right"]
    with pytest.raises(TextFileError, match="file, line 2: 'x' is not a valid index"):
        labels.parse(b'1 255 0 0 1 1 1 "Left"\rx 0 255 0 1 1 1 "Right"\r', "file")


@pytest.mark.parametrize(
    ("text", "name"),
    [('"Left" "hippocampus"', "Left"), ('"a "quoted" b"', "a "), ('"CA" 1', "CA"), ('""x"', "")],
)
def test_a_name_ends_at_the_second_quotation_mark(text, name):
    (label,) = labels.parse(f"1 1 2 3 1 1 1 {text}".encode(), "file")
    assert label.name == name


def test_two_labels_in_a_line_are_refused():
    line = b'1 255 0 0 1 1 1 "Left" 2 0 255 0 1 1 1 "Right"\n'
    with pytest.raises(TextFileError, match="file, line 1: '2' begins a second label"):
        labels.parse(line, "file")


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"# comments\n# alone\n", b"\xef\xbb\xbf"], ids=range(4)
)
def test_a_file_without_labels_is_refused(data):
    with pytest.raises(TextFileError, match="file, line 1: the file has no label"):
        labels.parse(data, "file")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_refused(encoding):
    with pytest.raises(TextFileError, match="file, line 1: UTF-16.* save it as UTF-8"):
        labels.parse('1 1 2 3 1 1 1 "one"'.encode(encoding), "file")


@pytest.mark.parametrize(
    ("line", "word", "column"),
    [
        ('1 2 3 4 0,5 1 1 "x"', "0,5", "opacity"),
        ('1 2 3 4 255 1 1 "x"', "255", "opacity"),
        ('1 2 3 4 -0.1 1 1 "x"', "-0.1", "opacity"),
        ('1 2 3 4 nan 1 1 "x"', "nan", "opacity"),
        ('1 256 3 4 1 1 1 "x"', "256", "red"),
        ('1 2 -3 4 1 1 1 "x"', "-3", "green"),
        ('1 2 3 4.0 1 1 1 "x"', "4.0", "blue"),
        ('1_0 2 3 4 1 1 1 "x"', "1_0", "index"),
        ('65536 2 3 4 1 1 1 "x"', "65536", "index"),
        ('1 2 3 4 1 yes 1 "x"', "yes", "visibility"),
        ("1 2 3 4 1 1 1 x", "x", "name in quotation marks"),
    ],
)
def test_the_word_that_is_wrong_is_named(line, word, column):
    with pytest.raises(TextFileError) as refusal:
        labels.parse(f"# comment\n\n{line}\n".encode(), "file")
    assert str(refusal.value).startswith(f"file, line 3: {word!r} is not a")
    assert column in str(refusal.value)


def test_latin1_is_read():
    assert labels.parse('1 1 2 3 1 1 1 "Größe"'.encode("latin-1"), "file")[0].name == "Größe"


@pytest.mark.parametrize(
    "line",
    [
        "1 10 20 30 1 1 1",
        '1 10 20 30 1 1 1 "one',
        "1 10 20 30 1 1 1 one",
        '1 zz 20 30 1 1 1 "one"',
        '1 10 20 256 1 1 1 "one"',
        '1 10 20 30 1.5 1 1 "one"',
        '1 10 20 30 nan 1 1 "one"',
        '65536 10 20 30 1 1 1 "one"',
        '-1 10 20 30 1 1 1 "one"',
        "2 51 3 50 4 52 5 49",
    ],
)
def test_a_bad_line_is_named(line):
    with pytest.raises(TextFileError, match="labels.txt, line 2: "):
        labels.parse(f"# comment\n{line}\n".encode(), "labels.txt")


def test_a_missing_file(tmp_path):
    with pytest.raises(TextFileError, match="nothing.txt: No such file"):
        labels.read_file(tmp_path / "nothing.txt")


@given(_TABLES)
def test_a_file_written_and_read_is_itself(table):
    assert labels.parse(labels.format_file(table).encode(), "file")[1:] == table


@pytest.mark.parametrize("name", ['the "left" one', '"', "a\rb"])
def test_a_name_that_itk_snap_would_cut_is_not_written(name):
    with pytest.raises(InvalidValue, match="label 3: .* cannot hold a .*: rename the label"):
        labels.format_file([Label(3, name)])


def test_a_line_break_does_not_fit_a_file():
    with pytest.raises(InvalidValue, match="label 3: .*line break"):
        labels.format_file([Label(3, "two\nlines")])


def test_the_label_table_equals_the_assigned_labels(base):
    base.labels = [Label(3, "three"), Label(1, "one"), Label(0, "clear"), Label(3, "III")]
    assert base.labels == (Label(1, "one"), Label(3, "III"))
    base.labels = [Label(7, "seven")]
    table = base.main.registry.folder("ProjectMetaData.IRIS.LabelTable")
    assert list(table.folders) == ["Element[0]"]
    base.labels = ()
    assert base.labels == ()
    assert dict(table.entries) == {"NumberOfElements": "0"}


@given(_TABLES)
def test_a_table_written_and_read_is_itself(table):
    from snapws.registry import Registry

    folder = Registry()
    labels.write_table(folder, table)
    assert labels.read_table(folder) == table


@pytest.mark.parametrize(("key", "value"), [("Color", "1 2"), ("Alpha", "x"), ("Color", "1 2 300")])
def test_a_damaged_table(base, key, value):
    base.labels = [Label(1, "one")]
    base.main.registry[f"ProjectMetaData.IRIS.LabelTable.Element[0].{key}"] = value
    with pytest.raises(InvalidValue):
        base.labels  # noqa: B018


def test_shifted():
    table = [Label(0, "clear"), Label(1, "one"), Label(3, "three")]
    moved = labels.shifted(table, 100, "right %s (100%%)")
    assert [(label.index, label.name) for label in moved] == [
        (101, "right one (100%)"),
        (103, "right three (100%)"),
    ]


@pytest.mark.parametrize("pattern", ["left", "%s and %s", "%d", "100%"])
def test_a_pattern_has_exactly_one_name(pattern):
    with pytest.raises(InvalidValue, match="exactly one %s"):
        labels.shifted([Label(1, "one")], 0, pattern)


def test_a_shift_out_of_range():
    with pytest.raises(InvalidValue, match="label 65636"):
        labels.shifted([Label(65535, "last")], 101)


def test_labels_have_the_colours_of_itksnap_in_its_order():
    first = ["ff0000", "00ff00", "0000ff", "ffff00", "00ffff", "ff00ff", "ffefd5", "0000cd"]
    assert [bytes(labels.new_color(i)).hex() for i in range(1, 9)] == first
    assert labels.new_color(130) == (160, 82, 45)
    assert [labels.new_color(131 + i) for i in range(6)] == [
        labels.new_color(1 + i) for i in range(6)
    ]
    assert len({labels.new_color(i) for i in range(1, 131)}) == 129  # magenta stands twice
    assert labels.new_color(0) == (0, 0, 0)
    assert Label(7, "new").color == labels.new_color(7)
    assert Label(7, "white", (255, 255, 255)).color == (255, 255, 255)
