"""The pages of a local middleware, for a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from dss import Middleware
from dss.login import login, user
from dss.middleware import ADMINISTRATOR
from tests import ports

pytest.importorskip("itksnap_dss_server", reason="needs the extra 'middleware'")

PAGES = ("/", "/services", "/token")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Middleware]:
    folder = tmp_path_factory.mktemp("middleware")
    with (
        ports.reserved() as port,
        Middleware(folder, port=port, browser_user="jane@localhost") as running,
    ):
        running.add_user("jane@localhost")
        yield running


@pytest.fixture
def trusting(tmp_path: Path) -> Iterator[Middleware]:
    folder = tmp_path / "middleware"
    with ports.reserved() as port, Middleware(folder, port=port, trusts_browsers=True) as running:
        running.add_user("user@localhost")
        yield running


def is_asked(answer: requests.Response) -> bool:
    return answer.status_code == 401 and 'name="key"' in answer.text


def test_a_page_asks_for_the_key(server: Middleware) -> None:
    for page in (*PAGES, "/admin"):
        assert is_asked(requests.get(server.url + page, timeout=60))
    assert "Google" not in requests.get(f"{server.url}/services", timeout=60).text.replace(
        "without Google", ""
    )


def test_the_key_logs_one_browser_in_once(server: Middleware) -> None:
    server.restart()  # which makes another key
    with requests.Session() as browser, requests.Session() as second:
        answer = browser.get(server.browser_url, timeout=60)
        assert answer.url == f"{server.url}/"  # the key does not stay in the address
        assert answer.status_code == 200
        assert "SameSite=Strict" in answer.history[0].headers["Set-Cookie"]
        for page in PAGES:
            assert "Sign Out" in browser.get(server.url + page, timeout=60).text
        assert browser.get(f"{server.url}/admin", timeout=60).status_code == 401
        assert is_asked(second.get(server.browser_url, timeout=60))
        assert is_asked(second.get(f"{server.url}/?key=", timeout=60))


def test_a_login_by_the_key_leaves_the_token_that_was_printed(server: Middleware) -> None:
    server.restart()
    token = server.add_user("jane@localhost")
    assert requests.get(server.browser_url, timeout=60).status_code == 200
    with login(server.url, token) as session:
        assert user(session) == "jane@localhost"


@pytest.mark.parametrize("page", [*PAGES, "/admin"])
def test_a_page_takes_a_token_and_leads_on(server: Middleware, page: str) -> None:
    token = server.add_user(ADMINISTRATOR, admin=True)
    with requests.Session() as browser:
        form = {"key": f" {token}\n", "to": page}
        answer = browser.post(f"{server.url}/browser-login", form, timeout=60)
        assert (answer.url, answer.status_code) == (server.url + page, 200)
        assert "Sign Out" in answer.text
    assert is_asked(requests.post(f"{server.url}/browser-login", form, timeout=60))


def test_a_login_leads_to_a_page_of_this_server_alone(server: Middleware) -> None:
    for to in ("http://example.org/", "//example.org", "/api/tickets", ""):
        form = {"key": server.add_user("jane@localhost"), "to": to}
        answer = requests.post(
            f"{server.url}/browser-login", form, timeout=60, allow_redirects=False
        )
        assert (answer.status_code, answer.headers["Location"]) == (303, "/")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "example.org"},
        {"Host": "127.0.0.1.example.org:8080"},
        {"Host": "[::1"},
        {"Origin": "http://example.org"},
        {"Origin": "null"},
    ],
    ids=["host", "longer host", "no host", "origin", "null origin"],
)
@pytest.mark.parametrize("path", ["/", "/api/token", "/api/services", "/browser-login"])
def test_pages_of_other_sites_reach_nothing(
    trusting: Middleware, headers: dict[str, str], path: str
) -> None:
    for method in ("GET", "POST"):
        answer = requests.request(method, trusting.url + path, headers=headers, timeout=60)
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers


def test_a_machine_of_ones_own_is_trusted_where_that_is_said(trusting: Middleware) -> None:
    with requests.Session() as browser:
        for page in PAGES:
            answer = browser.get(trusting.url + page, timeout=60)
            assert (answer.url, answer.status_code) == (trusting.url + page, 200)
            assert "Sign Out" in answer.text
    token = requests.get(f"{trusting.url}/api/token", timeout=60).text
    with login(trusting.url, token) as session:
        assert user(session) == "user@localhost"


def test_nobody_is_trusted_elsewhere(server: Middleware) -> None:
    assert requests.get(f"{server.url}/api/token", timeout=60).status_code == 401


def test_the_address_of_a_tunnel_is_one_of_this_machine(server: Middleware) -> None:
    """By ``ssh -L 9000:localhost:8080`` it has another port, and another name."""
    for host in ("localhost:9000", "127.0.0.1:9000", "[::1]:9000"):
        assert is_asked(requests.get(server.url, headers={"Host": host}, timeout=60))


def test_the_list_of_processes_does_not_show_the_key(server: Middleware) -> None:
    psutil = pytest.importorskip("psutil", reason="needs the extra 'service'")
    key = server.browser_url.rpartition("=")[2]
    assert not any(key in word for word in psutil.Process(server.pid).cmdline())
