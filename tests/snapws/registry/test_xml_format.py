from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snapws.errors import RegistryError
from snapws.registry import Registry, text_format, xml_format
from snapws.registry.tree import MAX_LEVELS
from tests.conformance.replay import RECORDINGS
from tests.snapws.registry.test_tree import tree

#: What XML can hold, and no dot, which parts a key.
_KEYS = st.text(st.characters(codec="utf-8", exclude_characters=".\0"), max_size=6).filter(
    lambda text: registry_xml_holds(text)
)
_VALUES = st.text(max_size=20).filter(lambda text: registry_xml_holds(text))


def registry_xml_holds(text: str) -> bool:
    try:
        Registry()["key"] = text
    except RegistryError:
        return False
    return True


@st.composite
def registries(draw, levels: int = 3) -> Registry:
    registry = Registry()
    for key, value in draw(st.dictionaries(_KEYS, _VALUES, max_size=4)).items():
        registry[key] = value
    if levels:
        for key in draw(st.lists(_KEYS, max_size=3)):
            registry.make_folder(key).update(draw(registries(levels - 1)))
    return registry


@given(registries())
def test_any_tree_written_and_read_is_itself(registry):
    data = xml_format.to_bytes(registry)
    again = xml_format.parse(data, "file")
    assert again.registry == registry
    assert xml_format.to_bytes(again.registry) == data


@given(registries())
def test_the_text_form_written_and_read_has_the_same_entries(registry):
    data = text_format.to_bytes(registry)
    assert list(text_format.parse(data, "file").walk()) == list(registry.walk())


def read(content: str | bytes) -> Registry:
    data = content if isinstance(content, bytes) else content.encode()
    return xml_format.parse(data, "study.itksnap").registry


def test_entries_last_wins_and_folders_merge():
    dup = (RECORDINGS / "inputs" / "dup.itksnap").read_bytes()
    assert read(dup) == tree("A=2", "F.x=2", "F.y=3")


def test_a_dot_in_a_key_nests():
    folder = '<folder key="a.b"><entry key="c" value="2"/></folder>'
    content = f'<registry><entry key="Left.R" value="1"/>{folder}</registry>'
    assert read(content) == tree("Left.R=1", "a.b.c=2")


def test_names_in_any_case_text_and_comments_ignored():
    content = (
        '<REGISTRY>text<Entry KEY="a" Value="1"/><!-- c --><?pi x?><FOLDER key="f"/></REGISTRY>'
    )
    assert read(content) == tree("a=1", "f/")


def test_the_declared_encoding_counts():
    assert read((RECORDINGS / "inputs" / "latin1.itksnap").read_bytes())[
        "Layers.Layer[000].AbsolutePath"
    ].startswith("/x/p")
    assert read('<registry><entry key="a" value="€"/></registry>'.encode("utf-16"))["a"] == "€"


def test_header_comments_survive():
    gui = (RECORDINGS / "inputs" / "gui.itksnap").read_bytes()
    content = xml_format.parse(gui, "gui")
    assert len(content.comments) == 1
    assert xml_format.to_bytes(content.registry, content.comments) == gui


def test_white_space_in_values_survives():
    registry = tree("a=one\ntwo\tthree\rfour  ")
    assert b"one&#10;two&#9;three&#13;four  " in xml_format.to_bytes(registry)
    assert read(xml_format.to_bytes(registry)) == registry


_HEAD = '<?xml version="1.0"?>\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "study.itksnap: the file is empty"),
        ("  \n", "study.itksnap: the file is empty"),
        ("hello", "line 1: "),
        ("<registry>\n<folder key='a'>", "line 2: Premature end of data"),
        (
            "<registry>\n<folder key='a",
            "line 2: AttValue: ' expected; the file is damaged, cut short",
        ),
        (_HEAD + "<project/>", "line 2: not a registry, its root element is <project>"),
        ("<registry>\n<thing/></registry>", "line 2: unknown element <thing>"),
        ("<registry>\n\n<entry value='b'/></registry>", "line 3: <entry> has no 'key' attribute"),
        ("<registry><folder/></registry>", "line 1: <folder> has no 'key' attribute"),
        ('<registry xmlns="u"/>', "not a registry"),
        ("<registry><a:entry xmlns:a='u' key='k' value='v'/></registry>", "unknown element"),
        (
            _HEAD + '<!DOCTYPE registry [\n<!ENTITY who "Jane">\n]>\n<registry/>',
            "line 3: declares an XML entity",
        ),
        (
            '<!DOCTYPE registry [<!ENTITY % p "x">]><registry/>',
            "line 1: declares an XML entity",
        ),
        (
            '<!DOCTYPE registry [<!ENTITY x SYSTEM "file:///etc/passwd">]><registry/>',
            "line 1: declares an XML entity",
        ),
        (
            '<!DOCTYPE registry SYSTEM "x"><registry>\n<entry key="a" value="b&who;"/></registry>',
            "line 2: Entity 'who' not defined",
        ),
        ('<registry><entry key="a" value="&who;"/></registry>', "line 1: Entity 'who'"),
        ("<registry><entry key='a' value='\x1b'/></registry>", "line 1: "),
        ("hello", "line 1: no XML, and so no ITK-SNAP workspace; snapws new makes one from"),
        (_HEAD, "no <registry> where it should begin: the file may be cut short"),
    ],
)
def test_refused_with_line_and_reason(content, message):
    with pytest.raises(RegistryError) as caught:
        read(content)
    assert message in str(caught.value)
    assert str(caught.value).startswith("study.itksnap")
    assert "\n" not in str(caught.value)


def test_an_entity_bomb_is_refused():
    entities = '<!ENTITY a "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">' + "".join(
        f'<!ENTITY {name} "{f"&{chr(ord(name) - 1)};" * 10}">' for name in "bcdefghi"
    )
    with pytest.raises(RegistryError):
        read(f'<!DOCTYPE registry [{entities}]><registry><entry key="k" value="&i;"/></registry>')


def nested(folders: int) -> str:
    return "<registry>" + "<folder key='a'>" * folders + "</folder>" * folders + "</registry>"


def test_256_levels_and_no_more():
    read(nested(MAX_LEVELS - 1))
    for folders in (MAX_LEVELS, 5000):
        with pytest.raises(RegistryError, match="line 1: more than 256 levels"):
            read(nested(folders))
    dotted = ".".join("a" * MAX_LEVELS)
    with pytest.raises(RegistryError, match="line 1: .*deeper than 256 levels"):
        read(f"<registry><folder key='{dotted}'/></registry>")


def test_the_deepest_tree_that_can_be_made_is_read_again():
    registry = Registry()
    registry[".".join("k" * (MAX_LEVELS - 1))] = "reached"
    again = read(xml_format.to_bytes(registry))
    assert again == registry
    assert again.copy() == registry
    assert list(again.walk()) == list(registry.walk())
    assert text_format.parse(text_format.to_bytes(registry), "file") == registry


_BYTES = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda pieces: b"".join(pieces),
        st.lists(
            st.sampled_from(
                [
                    *[b"<registry>", b"</registry>", b"<folder key='Layers'>", b"</folder>"],
                    *[b"<entry ", b"key='a' ", b"value='1'", b"/>", b"<!--", b"-->", b"&#0;"],
                    *[b"<?xml version='1.0' encoding='ebcdic-cp-us'?>", b"\xff\xfe"],
                    *[b"<![CDATA[", b"]]>", b"<!DOCTYPE r ["],
                ]
            ),
            max_size=12,
        ),
    ),
)


@given(_BYTES)
@example(b"<?xml version='1.0' encoding='nonsense'?><registry/>")
@example(b"\xef\xbb\xbf<registry/>")
@example(b"\xff\xfe<\0r\0")
def test_any_bytes_give_a_registry_or_a_registry_error(data):
    try:
        content = xml_format.parse(data, "file")
    except RegistryError as error:
        assert str(error).startswith("file")
    else:
        xml_format.to_bytes(content.registry, content.comments)


def test_the_text_form_refuses_what_is_not_of_it():
    with pytest.raises(RegistryError, match="file, line 2: not of the form"):
        text_format.parse(b"a = 1\nnonsense\n", "file")
    with pytest.raises(RegistryError, match="file, line 1: the text is not UTF-8"):
        text_format.parse(b"a = %ff\n", "file")
    with pytest.raises(RegistryError, match="file, line 1: the value of 'a'"):
        text_format.parse(b"a = %00\n", "file")


def test_the_text_form_reads_lines_typed_by_hand():
    assert text_format.parse(b"a.b=1\r\n\n c = two%20words \n", "file") == tree(
        "a.b=1", "c=two words"
    )
