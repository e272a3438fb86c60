"""Every block of every page is run, and what the pages show is what comes."""

from __future__ import annotations

from functools import partial

import pytest

from tests.docs import scenes
from tests.docs.pages import Block, blocks, lines, names, text
from tests.docs.reader import LANGUAGES

#: Where a page is read, if not at the study.
SCENES = {
    "tutorial.md": partial(scenes.home, work="dss-tutorial"),
    "howto/anonymise.md": scenes.empty,
    "howto/check-a-cohort.md": scenes.empty,
    "howto/labels-from-freesurfer.md": scenes.empty,
    "howto/local-middleware.md": partial(scenes.home, work="dss-trial"),
    "howto/look-at-a-workspace.md": scenes.empty,
    "howto/move-a-workspace.md": scenes.empty,
    "howto/open-in-slicer.md": scenes.empty,
    "howto/read-from-python.md": scenes.empty,
    "howto/registrations.md": scenes.empty,
    "howto/replace-itksnap-wt.md": scenes.empty,
    "howto/results-of-a-network.md": scenes.empty,
    "howto/scale-a-service.md": scenes.lab,
    "howto/send-a-cohort.md": partial(scenes.home, work="dss-cohort"),
    "howto/work-offline.md": scenes.offline,
    "howto/write-a-service.md": scenes.lab,
    "index.md": partial(scenes.home, work="."),
    "reference/formats.md": scenes.empty,
    "reference/dss.md": partial(scenes.lab, story=True),
}

#: Pages whose blocks begin afresh each; those of other pages follow on each other.
AFRESH = ("reference/snapws.md", "reference/itksnap-wt.md")

#: What is not run, by page: the first line of each block. The page says why.
NOT_RUN = {
    "howto/deploy-a-service.md": [
        "$ podman build --file deploy/Containerfile --tag snapws .",
        "$ podman compose --file deploy/compose.yaml run --rm runner login http://127.0.0.1:8080",
    ],
    "index.md": [
        '$ python3 -m venv .venv && . .venv/bin/activate && python -m pip install --quiet ".[demo]"'
    ],
    "howto/service-in-a-shell.md": [
        "$ dss middleware --example --port 8080 --trust-loopback --browser-user "
        "administrator@localhost",
        '$ mkdir -p bin my_service/desc work && ln -sf "$(command -v snapws-wt)" bin/itksnap-wt && '
        'export PATH="$PWD/bin:$PATH"',
        "$ cp \"$(python -c 'from dss import examples; print(examples.__path__[0])')/registration/"
        'service.json" my_service/desc/',
        '$ BRAIN=$(python -c "from dss import demo; print(demo.images())")',
        "$ AFFINE_MAT=$WORKDIR/affine.mat WARP=$WORKDIR/warp.nii.gz "
        "COMBINED_WARP=$WORKDIR/warp_combined.nii.gz",
        "$ RESULT_WSP=$WORKDIR/result.itksnap",
    ],
    "howto/look-at-a-workspace.md": [
        "$ snapws view study.itksnap",
        "$ snapws view study.itksnap --no-browser --port 8642 --idle 30",
    ],
    "reference/snapws.md": ["$ snapws view study.itksnap"],
    "howto/scale-a-service.md": ["$ pip install dask-jobqueue"],
    "howto/registrations.md": [
        "$ antsRegistrationSyN.sh -d 3 -t a -f target.nii.gz -m source.nii.gz -o ants_"
    ],
    "howto/tickets-from-python.md": ["from dss import Client, Provider, TicketStatus"],
    "tutorial.md": ["$ python3 -m venv .venv"],
    "howto/notebooks.md": ["import IPython.display", "workspace.view()"],
    "explanation/reliability.md": [
        "$ python -m tests.chaos --seconds 600 --tickets 200 --seed 100"
    ],
}


def chapters() -> list[tuple[str, list[Block]]]:
    """Return what is read in one go: a page, or one block."""
    found = []
    for name in names():
        page = [block for block in blocks(text(name)) if block.language != "text"]
        page = blocks(text(name)) if page else []
        if name in AFRESH:
            found += [(name, [block]) for block in page]
        elif page:
            found.append((name, page))
    return found


@pytest.mark.parametrize(
    ("name", "chapter"),
    [pytest.param(*one, id=f"{one[0]}-{one[1][0].number}") for one in chapters()],
)
def test_what_is_shown_is_what_comes(name, chapter, tmp_path, monkeypatch):
    for variable in ("ITKSNAP_WT_DSS_SERVER", "DSS_TOKEN", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "here"
    with SCENES.get(name, scenes.study)(folder) as reader:
        monkeypatch.chdir(folder)
        read = [line for block in chapter for line in lines(block.text)]
        typed = {line.command for line in read} | {"^C" for line in read if "^C" in line.shown}
        assert set(reader.meanwhile) <= typed  # else a command would wait for it in vain
        try:
            for block in chapter:
                reader.do(block)
            reader.finish()
        finally:
            reader.close()


def test_every_language_is_one_that_is_run():
    for name in names():
        for block in blocks(text(name)):
            assert block.language.partition(" ")[0] in LANGUAGES, (name, block.text)
            assert block.language != "text" or not block.text.startswith("$ "), (name, block.text)
            assert text(name).count("\n```") == 2 * len(blocks(text(name))), name


def test_what_is_not_run_says_why():
    left_out = {
        name: [block for block in blocks(text(name)) if block.mark == "not run"] for name in names()
    }
    first_lines = {
        name: [block.text.splitlines()[0] for block in found]
        for name, found in left_out.items()
        if found
    }
    assert first_lines == NOT_RUN
    assert all(len(block.said.split()) > 5 for found in left_out.values() for block in found)


def test_a_wrong_page_is_noticed(tmp_path):
    """The reader itself: what does not come as it is shown, ends it."""
    pages = (
        "```console\n$ snapws layers pick study.itksnap M\n/data/study/other.nii.gz\n```\n",
        "```console\n$ snapws layers pick study.itksnap M\n```\n",
        "```console\n$ snapws layers files study.itksnap --tag Nothing\n```\n",
        "```python\nprint(1)\n```\n\n```text\n2\n```\n",
        "```python\nprint(1)\n```\n",
        "```json\n{\n```\n",
        "```cobol\nDISPLAY 1\n```\n",
        "```console\n$ printf 'one\\ntwo\\n'\ntwo\none\n```\n",
        "```console\n$ printf 'one\\ntwo\\n'\none\n```\n",
        "```console\n$ printf 'one\\n'\none\ntwo\n```\n",
        "```console\n$ printf 'one\\ntwo\\nthree\\n'\n...\ntwo\n```\n",
    )
    for number, page in enumerate(pages):
        (block, *_) = blocks(page)
        with scenes.study(tmp_path / str(number)) as reader:
            with pytest.raises((AssertionError, ValueError, KeyError)):
                reader.do(block)
            reader.close()
