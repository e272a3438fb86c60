"""`snapws show`: saved, said where, or drawn on a terminal that can."""

from __future__ import annotations

import base64
import io
import os
import re
import select
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snapws import Workspace
from snapws.cli import terminal
from tests import warm
from tests.conformance.replay import RECORDINGS

BRAIN = Path(__file__).parents[2] / "fixtures" / "brain"
#: Makes the terminal of its streams its own, as a shell does, and is the command then.
ON_A_TERMINAL = """
import fcntl, sys, termios
from snapws.cli import main
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.exit(main())
"""
PLAIN = {
    name: value
    for name, value in os.environ.items()
    if name not in ("KITTY_WINDOW_ID", "TERM_PROGRAM", "LC_TERMINAL", "TERM")
}


@pytest.fixture(autouse=True)
def _pictures_of_its_own(tmp_path, monkeypatch):
    """A picture without a name stays where temporary files are."""
    monkeypatch.setitem(PLAIN, "TMPDIR", str(tmp_path))


@pytest.fixture
def study(tmp_path) -> Path:
    made = Workspace()
    made.set_main(BRAIN / "target.nii.gz")
    made.add_segmentation(BRAIN / "target_labels.nii.gz", nickname="Tissues")
    (tmp_path / "photo.png").write_bytes(b"not what its name says")
    made.add_overlay(tmp_path / "photo.png").display.sticky = False
    return made.save(tmp_path / "study.itksnap")


def show(*words, **options):
    return warm.run("snapws", "show", *words, environment=PLAIN, **options)


def test_a_picture_is_saved_where_it_is_asked_for(study, tmp_path):
    done = show(study, "-o", tmp_path / "a.png", "--size", "64", "--layers", "M, nickname:Tissues")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'a.png'}\n")
    assert pixels((tmp_path / "a.png").read_bytes()).shape[2] == 3
    expected = np.asarray(Workspace.open(study).picture(size=64))
    np.testing.assert_array_equal(pixels((tmp_path / "a.png").read_bytes()), expected)


def test_an_overlay_that_is_not_sticky_is_a_tile_below_the_main_image(study, tmp_path):
    opened = Workspace.open(study)
    opened.layer("O:0").file = BRAIN / "target.nii.gz"
    opened.save()
    done = show(study, "-o", tmp_path / "all.png", "--size", "64")
    assert (done.returncode, done.stderr) == (0, "")
    everything = pixels((tmp_path / "all.png").read_bytes())
    over = np.asarray(Workspace.open(study).picture(size=64))
    height, width = over.shape[:2]
    np.testing.assert_array_equal(everything[24 : 24 + height, :width], over)
    tile = everything[48 + height :]
    assert tile.shape[0] == height
    assert tile[: height // 2].any()
    opened.layer("O:0").display.sticky = True
    opened.add_mesh(RECORDINGS / "inputs" / "tri.vtk")
    opened.add_mesh(study.with_name("gone.vtk"))
    opened.save()
    done = show(study, "-o", tmp_path / "all.png", "--size", "64")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"snapws: not drawn: mesh:1: its file {study.with_name('gone.vtk')} ")
    over = np.asarray(opened.picture(size=64))
    np.testing.assert_array_equal(pixels((tmp_path / "all.png").read_bytes()), over)


def test_a_picture_with_tiles_counts_those_that_it_leaves_out(study, tmp_path):
    opened = Workspace.open(study)
    for _ in range(15):
        opened.add_overlay(BRAIN / "target.nii.gz")
    opened.save()
    done = show(study, "-o", tmp_path / "all.png", "--size", "16")
    assert done.returncode == 0
    unread, more = done.stderr.splitlines()
    assert unread.startswith("snapws: not drawn: layer 002: ")  # a photo
    assert more.startswith(
        "snapws: not drawn: layer 015 and 2 more tiles: a picture has 12 at most"
    )


def test_without_a_terminal_that_can_it_says_where_the_file_is(study):
    done = show(study, "--layers", "M", "--slices", "28,35,30", "--size", "64")
    file = Path(done.stdout.strip())
    try:
        assert (done.returncode, file.name, done.stderr) == (0, "study.png", "")
        expected = Workspace.open(study).picture(layers=["M"], slices=(28, 35, 30), size=64)
        np.testing.assert_array_equal(pixels(file.read_bytes()), np.asarray(expected))
        if os.name == "posix":  # nobody else can see it
            assert file.parent.stat().st_mode & 0o077 == 0
    finally:
        file.unlink()
        file.parent.rmdir()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--slices", "1,2"], "three indices"),
        (["--slices", "a,b,c"], "'a,b,c' is not a valid voxel"),
        (["--slices", "1,2,300"], "there is no axial slice 300, only 0 to 62"),
        (["--layers", "O:1"], "no layer is 'O:1'"),
        (["-o", "picture.itksnap"], "ends in .png"),
        (["-o", "nowhere/picture.png"], "No such file"),
        (["-o", "photo.png"], "photo.png is the image of layer 002"),
    ],
)
def test_what_cannot_be_shown_is_one_line(study, tmp_path, words, said):
    before = sorted(tmp_path.iterdir())
    done = show(study, *words, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert said in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_size_that_would_take_gigabytes_is_no_size(study):
    done = show(study, "--size", "2049")
    assert (done.returncode, done.stdout) == (2, "")
    assert "2048" in done.stderr


def test_a_time_point_that_is_not_there_is_one_line(study):
    done = show(study, "--layers", "M", "--time-point", "2")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "snapws: error: what is drawn has one time point, not 2\n"


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


# ------------------------------------------------------------------------- terminals


def on_terminal(study: Path, answer: bytes, **environment: str) -> bytes:
    """What it sends to a terminal that so answers the question for its attributes."""
    pty = pytest.importorskip("pty", reason="Windows has no such terminals")
    outer, inner = pty.openpty()
    child = started(study, inner, **environment)
    os.close(inner)
    said, end = b"", time.monotonic() + 300
    try:
        while time.monotonic() < end and select.select([outer], [], [], 30)[0]:
            try:
                piece = os.read(outer, 65536)
            except OSError:  # how Linux says that nobody is left on the other side
                break
            if not piece:
                break
            said += piece
            if said.endswith(b"\x1b[c"):
                os.write(outer, answer)
        assert child.wait(300) == 0
    finally:
        child.kill()
        child.wait()
        os.close(outer)
    return said


def started(study: Path, terminal: int, before: str = "", **environment: str) -> warm.Process:
    return warm.Process(
        [sys.executable, "-c", before + ON_A_TERMINAL, "show", study, "--size", "48"],
        **dict.fromkeys(("stdin", "stdout", "stderr"), terminal),
        env={**PLAIN, **environment},
        start_new_session=True,
    )


def expected(study: Path) -> np.ndarray:
    return np.asarray(Workspace.open(study).picture(size=48))


@pytest.mark.parametrize("environment", [{"KITTY_WINDOW_ID": "1"}, {"TERM": "xterm-ghostty"}])
def test_kitty(study, environment):
    said = on_terminal(study, b"", **environment)
    parts = re.findall(rb"\x1b_G([^;]*);([^\x1b]*)\x1b\\", said)
    assert b"".join(b"\x1b_G%s;%s\x1b\\" % part for part in parts) == said.rstrip(b"\r\n")
    assert parts[0][0].startswith(b"a=T,f=100,")
    assert [control[-3:] for control, _ in parts] == [b"m=1"] * (len(parts) - 1) + [b"m=0"]
    assert all(len(piece) <= 4096 for _, piece in parts)
    np.testing.assert_array_equal(
        pixels(base64.b64decode(b"".join(piece for _, piece in parts))), expected(study)
    )


@pytest.mark.parametrize("environment", [{"TERM_PROGRAM": "iTerm.app"}, {"LC_TERMINAL": "iTerm2"}])
def test_iterm2(study, environment):
    said = on_terminal(study, b"", TERM="xterm-256color", **environment)
    found = re.fullmatch(rb"\x1b\]1337;File=inline=1;size=(\d+):([^\x07]*)\x07\r\n", said)
    data = base64.b64decode(found[2])
    assert len(data) == int(found[1])
    np.testing.assert_array_equal(pixels(data), expected(study))


def test_sixel(study):
    said = on_terminal(study, b"\x1b[?62;4;22c", TERM="xterm")
    asked, _, drawn = said.partition(b"\x1bP")
    assert asked == b"\x1b[c"
    found = decoded(drawn.partition(b"\x1b\\")[0].decode())
    there = expected(study).astype(int)
    assert found.shape == there.shape
    assert np.abs(found - there).max() <= 16  # as many colours as sixel has, in hundredths
    assert np.abs(found - there).mean() < 1


@pytest.mark.parametrize(
    ("answer", "term"),
    [(b"\x1b[?62;22c", "xterm"), (b"\x1b[?1;2c", "vt100"), (b"", "dumb"), (b"\x1b[?64;1c", "tmux")],
)
def test_a_terminal_that_cannot_draw(study, answer, term):
    environment = {"TERM": term, **({"KITTY_WINDOW_ID": "1"} if term == "tmux" else {})}
    said = on_terminal(study, answer, **environment)
    file = Path(said.removeprefix(b"\x1b[c").decode().strip())
    assert file.name == "study.png"
    np.testing.assert_array_equal(pixels(file.read_bytes()), expected(study))
    file.unlink()
    file.parent.rmdir()


@pytest.mark.parametrize("answer", [b"\x1b[?4;6c", b"\xff\xfe\0;4;c", b"4c" * 40])
def test_what_does_not_say_that_it_draws_sixel(study, answer):
    """Its class is no feature, and what somebody types meanwhile is no answer."""
    assert b"study.png" in on_terminal(study, answer, TERM="xterm")


def test_a_terminal_that_goes_away_is_not_waited_for(study):
    """As where a session ends and its programs are told to go on."""
    pty = pytest.importorskip("pty", reason="Windows has no such terminals")
    outer, inner = pty.openpty()
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    child = started(study, inner, ignoring, TERM="xterm")
    os.close(inner)
    try:
        said = b""
        while not said.endswith(b"\x1b[c"):
            said += os.read(outer, 64)
        os.close(outer)
        child.wait(300)
    finally:
        child.kill()
        child.wait()


def test_a_silent_terminal_is_not_waited_for_long(study):
    assert b"study.png" in on_terminal(study, b"", TERM="xterm")


def decoded(text: str) -> np.ndarray:
    """Read sixel as a terminal does, sign by sign."""
    head, width, height = re.match(r'(q"1;1;(\d+);(\d+))', text).groups()
    picture = np.full((int(height), int(width), 3), -1)
    colors: dict[int, list[int]] = {}
    current, x, top = 0, 0, 0
    token = re.compile(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)([?-~])|([?-~])|(\$)|(-)")
    at = len(head)
    while at < len(text):
        found = token.match(text, at)
        assert found, text[at : at + 20]
        at = found.end()
        number, red, green, blue, count, repeated, single, back, down = found.groups()
        if number is not None:
            current = int(number)
            if red is not None:
                colors[current] = [round(int(part) * 255 / 100) for part in (red, green, blue)]
        elif back or down:
            x, top = 0, top + (6 if down else 0)
        else:
            bits, wide = ord(repeated or single) - 63, int(count or 1)
            for row in range(6):
                if bits >> row & 1:
                    picture[top + row, x : x + wide] = colors[current]
            x += wide
    assert picture.min() >= 0  # every pixel was drawn
    return picture


def test_a_picture_of_one_colour_can_be_encoded():
    image = Image.new("RGB", (7, 8), (255, 0, 0))
    text = terminal.encoded(image, "sixel")
    np.testing.assert_array_equal(
        decoded(text.removeprefix("\x1bP").partition("\x1b\\")[0]), np.asarray(image)
    )
