"""What an administrator does: `dss admin`."""

from __future__ import annotations

import json
import subprocess
from itertools import count

import pytest

from tests.dss.cli.conftest import DESCRIPTION, USER, WORKER

_numbers = count(1)


@pytest.fixture
def lab(administrator) -> str:
    """A provider that no other test has."""
    name = f"lab{next(_numbers)}"
    assert administrator(f"admin providers add {name}").output == f"dss: added provider {name}\n"
    return name


def test_providers_are_added_listed_and_deleted(administrator, lab):
    assert lab in json.loads(administrator("admin providers list --json").stdout)
    assert f"{lab}\n" in administrator("admin providers list").stdout
    administrator(f"admin providers delete {lab}")
    administrator.fails(["admin", "providers", "add", "a/b"], "a provider cannot be named 'a/b'")


def test_users_of_a_provider_are_added_listed_and_deleted(administrator, lab):
    emails = [USER, WORKER]
    for email in emails:
        administrator(f"admin users add {lab} {email}")
    found = json.loads(administrator(f"admin users list {lab} --json").stdout)
    assert [one["email"] for one in found] == emails
    assert emails[0] in administrator(f"admin users list {lab}").stdout
    administrator(f"admin users delete {lab} {emails[0]}")
    administrator(f"admin users delete {lab} {found[1]['id']}")
    assert json.loads(administrator(f"admin users list {lab} --json").stdout) == []
    administrator.fails(f"admin users delete {lab} {emails[0]}", "has no user", "users: none")
    administrator.fails(f"admin users add {lab} no@example.org", "Email unrecognized")


def test_services_of_a_provider_are_added_listed_and_deleted(
    administrator, lab, middleware, tmp_path, monkeypatch
):
    name = f"Service{next(_numbers)}"
    text = json.dumps({**DESCRIPTION, "name": name})
    (tmp_path / "service.json").write_text(text, encoding="utf-8")
    service = middleware.publish(tmp_path, "testlab")
    repository = next(
        folder
        for folder in (middleware.folder / "services").iterdir()
        if f'"{name}"' in (folder / "service.json").read_text(encoding="utf-8")
    )
    words = ["admin", "services", "add", lab, str(repository)]
    assert administrator(words).output == f"{service}\n"
    monkeypatch.chdir(repository.parent)  # where the server is not
    assert administrator(f"admin services add {lab} {repository.name}").output == f"{service}\n"
    assert json.loads(administrator([*words, "--ref", service, "--json"]).stdout) == [service]
    found = json.loads(administrator(f"admin services list {lab} --json").stdout)
    assert [(one["name"], one["hash"]) for one in found] == [(name, service)]
    assert administrator(f"admin services list {lab}").stdout.split()[-1] == service
    administrator(f"admin services delete {lab} {name}")
    # The server lists it as long as another provider offers it.
    administrator(f"admin services delete testlab {service}")
    assert json.loads(administrator(f"admin services list {lab} --json").stdout) == []
    administrator.fails(f"admin services delete {lab} {name}", "no service is named")
    administrator.fails(["admin", "services", "add", lab, str(middleware.folder)], "Git")


def test_a_repository_without_a_description_is_refused(administrator, lab, tmp_path):
    folder = tmp_path / "repository"
    for words in (
        ["init", "--quiet", "--template=", str(folder)],
        [
            *("-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@localhost"),
            *("commit", "--quiet", "--allow-empty", "-m", "Begin"),
        ],
    ):
        subprocess.run(["git", *words], check=True, timeout=300)
    words = ["admin", "services", "add", lab, str(folder)]
    missing = f"there is no service.json at the top of the repository {folder}"
    administrator.fails([*words, "--patience", "0", "--server", "http://127.0.0.1:9"], missing)
    (folder / "service.json").touch()  # but it is not committed
    administrator.fails(words, "service.json", "committed there, at the top", "dss service check")


def test_tickets_of_all_users_are_listed_and_purged(administrator, claimed, provider, client):
    found = json.loads(administrator("admin tickets list --json").stdout)
    row = next(one for one in found if one["id"] == claimed)
    assert row.pop("minutes") >= 0
    assert row.keys() == {"id", "email", "service", "status"}
    assert (row["service"], row["status"]) == ("Registration", "claimed")
    assert "Registration  claimed" in administrator("admin tickets list").stdout
    provider.succeed(claimed)
    result = administrator("admin tickets purge completed --hours 100000")
    assert (result.stdout, result.stderr) == ("", "dss: deleted tickets: 0\n")
    assert [ticket.id for ticket in client.tickets()] == [claimed]
