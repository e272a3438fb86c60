"""The page docs/reference/dss.md has all that the command does; `tests/docs` runs its examples."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.dss.cli.test_front_door import COMMANDS

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "reference" / "dss.md").read_text(encoding="utf-8")


def test_every_command_is_on_the_page():
    for name in COMMANDS:
        assert re.search(rf"\bdss {name}\b", PAGE), name


def test_the_table_of_the_drop_in_names_commands_that_are_there():
    text = (DOCS / "reference" / "itksnap-wt.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| `-dss\S+` \| `dss ([a-z ]+[a-z])", text, re.MULTILINE)
    assert len(names) == 29
    assert set(names) <= COMMANDS.keys()


def test_fields_of_json_are_documented(user, worker, administrator, claimed, provider, tmp_path):
    (tmp_path / "file").touch()
    provider.attach(claimed, "text", tmp_path / "file")
    provider.log(claimed, "info", "text")
    rows = dict(re.findall(r"^\| (`.*`) \| (.*) \|$", PAGE, re.MULTILINE))
    fields = {
        name: set(re.findall("`([a-z_]+)`", text))
        for names, text in rows.items()
        for name in re.findall("`(.*?)`", names)
    }
    for account, line in (
        (user, "whoami"),
        (user, "services list"),
        (user, "services show Registration"),
        (user, "services stats Registration"),
        (user, "tickets list"),
        (user, f"tickets show {claimed}"),
        (user, f"tickets log {claimed}"),
        (user, f"tickets attachments {claimed}"),
        (worker, "provider services"),
        (worker, f"provider status {claimed}"),
        (administrator, "admin users list lab"),
        (administrator, "admin services list lab"),
        (administrator, "admin tickets list"),
    ):
        found = json.loads(account(f"{line} --json").stdout)
        name = " ".join(line.split()[: 3 if line.startswith("admin") else 2])
        name = "whoami" if line == "whoami" else name
        for record in found if isinstance(found, list) else [found]:
            assert record.keys() <= fields[name], line
