"""The README's Python, run as it stands: on real files, and against the real middleware."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dss import Admin, Middleware, demo
from dss.middleware import ADMINISTRATOR
from snapws import Workspace

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    """The study that the README speaks of, in the current folder."""
    monkeypatch.chdir(tmp_path)
    demo.make_workspace(tmp_path)
    (tmp_path / "seg.nii.gz").write_bytes((demo.images() / "target_labels.nii.gz").read_bytes())
    return tmp_path / "study.itksnap"


def test_a_workspace(study, capsys):
    exec(BLOCKS[0], {})
    result = Workspace.open("result.itksnap")
    assert result.layer(tag="Result").nickname == "Result"
    assert len(list(Path("upload").glob("layer_*.nii.gz"))) == 4
    assert "Template" in capsys.readouterr().out


def test_a_ticket(study, capsys):
    """User and provider of the README, one after the other, but for the wait in between."""
    user_side, provider_side = re.split(r"\n(?=with )", BLOCKS[1])[1:]
    submit, rest = user_side.split("    for news", 1)
    with Middleware() as middleware:
        middleware.publish(demo.EXAMPLES["registration"].folder, "testlab")
        names = {"token": middleware.add_user("user@localhost")}
        names["provider_token"] = middleware.add_user("provider@localhost")
        with middleware.login(ADMINISTRATOR) as session:
            Admin(session).add_user("testlab", "provider@localhost")

        def run(code: str) -> None:
            exec(BLOCKS[1].split("\nwith ")[0] + "\nfrom snapws import Workspace\n", names)
            exec(code.replace("https://dss.itksnap.org", middleware.url), names)

        run(submit)
        run(provider_side)
        names["token"] = middleware.add_user("user@localhost")
        header = submit.split("    ticket = ")[0]
        run(f"{header}    for news{rest}")
        assert "success" in capsys.readouterr().out
        assert names["result"].name == "ticket_00000001_results.itksnap"
