"""The scanner finds what is there, however it is written, and nothing else."""

from __future__ import annotations

import base64
import gzip
import json
import os
import struct
import unicodedata
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from tests.privacy import markers
from tests.privacy.marking import CHANGED, FOLDER_CHANGED, READ, ZIPPED, Marks
from tests.privacy.scanner import Scanner

PLAIN, ACCENTED = "Zq000Vk", "Zä001ÿK"
INSTANT = 34_567_891


@pytest.fixture
def scanner() -> Scanner:
    return Scanner([PLAIN, ACCENTED, "Zq002Vk"], [INSTANT])


def _references(text: str, form: str) -> bytes:
    return "".join(form.format(ord(letter)) for letter in text).encode()


def _turned(text: str, width: int) -> bytes:
    data = text.encode("latin-1").ljust(8, b"\0")
    return b"".join(data[at : at + width][::-1] for at in range(0, 8, width))


def _named(text: str) -> bytes:
    """Return an empty gzip member with the text as the file's name."""
    name = text.encode("latin-1") + b"\0"
    return struct.pack("<4BIBB", 31, 139, 8, 8, 0, 0, 3) + name + b"\3\0" + bytes(8)


#: How a text can be written.
FORMS: dict[str, Callable[[str], bytes]] = {
    "UTF-8": lambda text: b"\xff\xfe\0" + text.encode() + b"\xc3",
    "Latin-1": lambda text: b"\0\x81" + text.encode("latin-1") + b"\x81",
    "UTF-16, little-endian": lambda text: text.encode("utf-16-le"),
    "UTF-16, big-endian": lambda text: text.encode("utf-16-be"),
    "UTF-16 from an odd byte": lambda text: b"abc" + text.encode("utf-16-le"),
    "UTF-32": lambda text: b"a" + text.encode("utf-32-be"),
    "capitals": lambda text: text.upper().encode(),
    "decomposed": lambda text: unicodedata.normalize("NFD", text).encode(),
    "wide letters": lambda text: "".join(
        chr(ord(letter) + 0xFEE0) if letter.isascii() else letter for letter in text
    ).encode(),
    "XML references": lambda text: _references(text, "&#{};"),
    "XML references, hexadecimal": lambda text: _references(text, "&#x{:X};"),
    "XML references of a percent form": lambda text: (
        b"&#37;%02x&#37;%b"
        % (
            ord(text[0]),
            b"".join(b"%02x&#37;" % byte for byte in text[1:].encode("latin-1")).removesuffix(
                b"&#37;"
            ),
        )
    ),
    "percent form": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()).encode(),
    "percent form of Latin-1": lambda text: "".join(
        f"%{byte:02x}" for byte in text.encode("latin-1")
    ).encode(),
    "JSON": lambda text: json.dumps({text: text}).encode(),
    "program text": lambda text: _references(text, "\\x{:02x}"),
    "octal": lambda text: _references(text, "\\{:03o}"),
    "hexadecimal": lambda text: b"see " + text.encode().hex(" ").encode(),
    "hexadecimal after a digit": lambda text: b"0" + text.encode().hex().encode(),
    "decimal codes": lambda text: " ".join(map(str, text.encode())).encode() + b" 0 ",
    "words of two bytes turned": lambda text: _turned(text, 2),
    "words of four bytes turned": lambda text: b"a" + _turned(text, 4),
    "words of eight bytes turned": lambda text: b"abc" + _turned(text, 8),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64 from the second byte": lambda text: base64.b64encode(b"a" + text.encode()),
    "base64 in a word": lambda text: b"xyz" + base64.b64encode(b"ab" + text.encode() + b"cd"),
    "base64 in lines": lambda text: b"\n".join(
        base64.b64encode(text.encode() * 2)[at : at + 5] for at in range(0, 30, 5)
    ),
    "base64 of gzip": lambda text: base64.b64encode(gzip.compress(text.encode())),
    "base64 of UTF-16": lambda text: base64.urlsafe_b64encode(text.encode("utf-16")),
    "gzip": lambda text: gzip.compress(b"\0" * 500 + text.encode()),
    "second gzip member": lambda text: gzip.compress(b"first") + gzip.compress(text.encode()),
    "gzip after other bytes": lambda text: b"\x1f\x8b" + gzip.compress(text.encode()),
    "gzip in gzip": lambda text: gzip.compress(gzip.compress(text.encode("utf-16"))),
    "gzip cut short": lambda text: gzip.compress(text.encode() + b"\0" * 99)[:-8],
    "gzip's name": lambda text: gzip.compress(b"first") + _named(text),
    "zlib": lambda text: b"x\x9c" + zlib.compress(text.encode(), 9),
}


@pytest.mark.parametrize("text", [PLAIN, ACCENTED])
@pytest.mark.parametrize("form", FORMS)
def test_a_text_is_found_however_it_is_written(scanner, tmp_path, form, text):
    (tmp_path / "file").write_bytes(FORMS[form](text))
    assert [(found.marker, found.file) for found in scanner.folder(tmp_path)] == [(text, "file")]


def test_names_are_read(scanner, tmp_path):
    (tmp_path / f"of {PLAIN.upper()}").mkdir()
    (tmp_path / f"of {PLAIN.upper()}" / f"{unicodedata.normalize('NFD', ACCENTED)}.nii").touch()
    assert [(found.marker, found.how) for found in scanner.folder(tmp_path)] == [
        (PLAIN, "name"),
        (ACCENTED, "name"),
    ]


def test_targets_of_links_are_read_and_not_followed(scanner, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("Zq002Vk")
    try:
        (folder / "dangling").symlink_to(f"/home/{PLAIN}")
        (folder / "link").symlink_to(tmp_path / "elsewhere")
    except OSError as error:
        pytest.skip(f"no symbolic links here: {error.strerror}")
    assert list(scanner.folder(folder)) == [(PLAIN, "dangling", "link target")]


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="Python sets no extended attributes here")
def test_extended_attributes_are_read(scanner, tmp_path):
    (tmp_path / "file").touch()
    try:
        os.setxattr(tmp_path / "file", f"user.{PLAIN}", gzip.compress(ACCENTED.encode()))
    except OSError as error:
        pytest.skip(f"the file system takes no extended attributes: {error.strerror}")
    assert [(found.marker, found.file) for found in scanner.folder(tmp_path)] == [
        (PLAIN, "file"),
        (ACCENTED, "file"),
    ]


def test_times_are_read(scanner, tmp_path):
    for name, times in {"a": (INSTANT, 0), "b": (0, INSTANT), "c": (0, 0)}.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, times)
    (tmp_path / "d").write_bytes(b"abc" + gzip.compress(b"", mtime=INSTANT))
    (tmp_path / "e").write_text(f"changed: {INSTANT}")
    found = {(one.file, one.how) for one in scanner.folder(tmp_path)}
    assert found == {
        ("a", "time of access"),
        ("b", "time of change"),
        ("d", "bytes, gzip time"),
        ("e", "bytes, latin-1"),
    }


def test_nothing_is_found_where_nothing_is(tmp_path):
    marks = Marks()
    for number in range(700):
        marks(str(number))
    noise = np.random.default_rng(1).bytes(20_000)
    (tmp_path / "noise").write_bytes(noise)
    (tmp_path / "text").write_bytes(base64.b64encode(noise[:2000]) + gzip.compress(noise[:2000]))
    assert Scanner(marks.places, [CHANGED, READ]).folder(tmp_path) == []


def test_the_study_shows_every_marker(tmp_path):
    study = markers.build(tmp_path / "study")
    scanner = Scanner(study.marks.places, [CHANGED, READ, ZIPPED, FOLDER_CHANGED])
    found = {finding.marker for finding in scanner.folder(study.folder)}
    assert {place.name for text, place in study.marks.places.items() if text not in found} == set()
    assert str(ZIPPED) in found
    assert len(study.marks.places) > 600


def test_this_machine_has_every_place(tmp_path):
    study = markers.build(tmp_path / "study", ["nii"], ["stl-binary"])
    if study.marks.absent:
        pytest.skip("; ".join(f"{name}: {why}" for name, why in study.marks.absent.items()))
    shown = {place.name for place in study.marks.places.values()}
    assert {"name of a link", "name of a linked folder", "extended attribute of a mesh"} <= shown
