from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapws.errors import RegistryError
from snapws.registry import Registry
from snapws.registry.tree import MAX_LEVELS


def tree(*keys: str) -> Registry:
    """``a.b=1`` sets an entry, ``a.b/`` makes a folder."""
    registry = Registry()
    for key in keys:
        if key.endswith("/"):
            registry.make_folder(key[:-1])
        else:
            name, _, value = key.partition("=")
            registry[name] = value
    return registry


def test_dots_reach_into_folders():
    registry = tree("a.b.c=1")
    assert registry["a.b.c"] == "1"
    assert registry.folder("a.b") == tree("c=1")
    assert registry.folder("a").folder("b")["c"] == "1"
    assert "a.b" not in registry
    assert registry.folder("a.b.c") is None


def test_an_entry_and_a_folder_may_share_a_name():
    registry = tree("a=1", "a.b=2")
    assert registry["a"] == "1"
    assert registry["a.b"] == "2"


def test_a_missing_key_has_a_default_or_raises():
    registry = tree("a.b=1")
    assert registry.get("a.x") == ""
    assert registry.get("x.y", "other") == "other"
    with pytest.raises(RegistryError, match=r"no registry entry 'x\.y'"):
        registry["x.y"]


def test_removing():
    registry = tree("a.b=1", "a.c=2", "d.e=3")
    del registry["a.b"]
    del registry["nothing.there"]
    registry.remove_folder("d")
    registry.remove_folder("nothing.there")
    assert registry == tree("a.c=2")


def test_update_merges_and_the_other_wins():
    registry = tree("f.x=1", "f.y=1", "f.g/")
    registry.update(tree("f.x=2", "f.z=3", "h/"))
    assert registry == tree("f.x=2", "f.y=1", "f.z=3", "f.g/", "h/")


def test_a_copy_is_its_own():
    registry = tree("a.b=1")
    twin = registry.copy()
    twin["a.b"] = "2"
    assert registry["a.b"] == "1"


def test_rename_folder():
    registry = tree("L.a.x=1", "L.b.x=2")
    registry.rename_folder("L.b", "a")
    assert registry == tree("L.a.x=2")
    with pytest.raises(RegistryError, match=r"no registry folder 'L\.c'"):
        registry.rename_folder("L.c", "d")


def test_walk_is_in_canonical_order():
    keys = [
        key for key, _ in tree("b.z=1", "b.Z=1", "b._=1", "E[10].v=1", "E[9].v=1", "a=1").walk()
    ]
    assert keys == ["a", "E[10].v", "E[9].v", "b.Z", "b._", "b.z"]


@pytest.mark.parametrize("text", ["a\0b", "a\x1bb", "\ud800", "\ufffe"])
def test_what_xml_cannot_hold_is_refused_naming_the_key(text):
    registry = Registry()
    with pytest.raises(RegistryError, match=r"value of 'My\.Key'"):
        registry["My.Key"] = text
    with pytest.raises(RegistryError, match="a key holds"):
        registry[text] = "value"
    with pytest.raises(RegistryError, match="a key holds"):
        registry.make_folder(text)
    assert registry == Registry()


def test_no_deeper_than_can_be_read_again():
    deepest = ".".join("k" * (MAX_LEVELS - 1))
    registry = Registry()
    registry[deepest] = "reached"
    assert registry[deepest] == "reached"
    with pytest.raises(RegistryError, match="deeper than 256 levels"):
        registry[f"{deepest}.k"] = "too deep"
    with pytest.raises(RegistryError, match="deeper than 256 levels"):
        registry.make_folder(f"{deepest}.k")


def test_lookups_do_not_slow_down_with_the_number_of_keys():
    """A look-up touches as many dictionaries as the key has parts, however many keys there are."""
    registry = Registry()
    for i in range(2000):
        registry[f"Layers.Layer[{i:03d}].Role"] = str(i)
    touched = []

    class Watched(dict):
        def get(self, *arguments):
            touched.append(arguments[0])
            return super().get(*arguments)

        def __iter__(self):
            raise AssertionError("a look-up went through all keys")

    def watch(folder: Registry) -> None:
        for inner in list(folder._folders.values()):
            watch(inner)
        folder._folders = Watched(folder._folders)
        folder._entries = Watched(folder._entries)

    watch(registry)
    assert registry.get("Layers.Layer[1999].Role") == "1999"
    assert touched == ["Layers", "Layer[1999]", "Role"]


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(), max_size=8))
def test_what_is_set_is_got_or_refused(entries):
    registry = Registry()
    kept = {}
    for key, value in entries.items():
        try:
            registry[key] = value
            kept[key] = value
        except RegistryError:
            assert key not in registry
    assert dict(registry.walk()) == kept
