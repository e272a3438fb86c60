"""Make `at_work.svg`, the picture of the README: a terminal, and what came of it.

Run in the repository, installed with the extra ``demo``: python docs/at_work.py
"""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import sysconfig
import tempfile
from html import escape
from pathlib import Path

from PIL import Image

TARGET = Path(__file__).with_name("at_work.svg")
COMMANDS = (
    "dss demo demo",
    "snapws layers list demo/result/ticket_00000001_results.itksnap",
    "snapws show demo/result/ticket_00000001_results.itksnap --layers M,S -o result.png",
)
PICTURE = "result.png"
HOME = "/home/jane"  # where the commands seem to be typed
WIDTH, MARGIN, LINE, LETTER = 1080, 20, 19, 13


def main() -> None:
    """Run the commands, and draw them and their result."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        said = [line for command in COMMANDS for line in run(command, folder)]
        with Image.open(folder / PICTURE) as image:
            TARGET.write_text(drawn(said, image), encoding="utf-8")


def run(command: str, folder: Path) -> list[str]:
    """Give a command as it is typed, and what it says."""
    program, *words = command.split()
    executable = Path(sysconfig.get_path("scripts")) / program
    done = subprocess.run(  # noqa: S603 - the commands above
        [executable, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stderr}")
    text = (done.stderr + done.stdout).replace(str(folder.resolve()), HOME)
    return [f"$ {command}", *text.splitlines(), ""]


def drawn(lines: list[str], image: Image.Image) -> str:
    """Write lines of a terminal and a picture below them as SVG."""
    high = round(image.height * (WIDTH - 2 * MARGIN) / image.width)
    top = 2 * MARGIN + LINE * len(lines)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    inlined = base64.b64encode(file.getvalue()).decode("ascii")
    texts = "".join(
        f'<text x="{MARGIN}" y="{MARGIN + LINE * number}" fill="{color(line)}">{line}</text>\n'
        for number, line in enumerate(map(as_it_stands, lines), 1)
    )
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + high + MARGIN}">
<rect width="100%" height="100%" rx="8" fill="#101418"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
 font-size="{LETTER}">
{texts}</g>
<image x="{MARGIN}" y="{top}" width="{WIDTH - 2 * MARGIN}" height="{high}"
 href="data:image/jpeg;base64,{inlined}"/>
</svg>
"""


def as_it_stands(line: str) -> str:
    """Escape a line; spaces would be drawn as one."""
    return escape(line).replace(" ", "\u00a0")


def color(line: str) -> str:
    """Tell what is typed from what is said."""
    return "#8fd18f" if line.startswith("$") else "#dddddd"


if __name__ == "__main__":
    main()
