"""`DSSClient` against the real middleware: names and results as of `itksnap-dss` 0.2.0."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import numpy
import pytest

from dss import Admin, Client, Credentials, Middleware
from dss.compat import DSSClient
from dss.errors import NetworkFailed, NotLoggedIn, NotPermitted, TicketDeleted, WrongState
from dss.records import TicketStatus
from snapws import Workspace

pytestmark = pytest.mark.skipif(not find_spec("pandas"), reason="needs the extra 'compat'")

_numbers = count(1)

SIGNATURES = {
    "__init__": ["server", "verify"],
    "login": ["token"],
    "login_if_needed": [],
    "dssp_list_services": [],
    "dssp_available_services": ["services"],
    "dssp_claim_ticket": ["services", "provider", "provider_code"],
    "dssp_wait_for_ticket": ["services", "provider", "provider_code", "timeout", "interval"],
    "dssp_list_ticket_files": ["ticket"],
    "dssp_download_ticket": ["ticket", "outdir"],
    "dssp_set_progress": ["ticket", "progress", "chunk_start", "chunk_end"],
    "dssp_log": ["ticket", "category", "message"],
    "dssp_set_status": ["ticket", "status"],
    "dssp_attach": ["ticket", "desc", "filename", "mime_type"],
    "dssp_upload_ticket": ["ticket", "workspace_file", "wsfile_suffix"],
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without a login."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    monkeypatch.delenv("ITKSNAP_WT_DSS_SERVER", raising=False)
    return folder


@pytest.fixture
def description(description: Path) -> Path:
    """That of a service whose name and version look like something else than text."""
    file = description / "service.json"
    service = {**json.loads(file.read_text(encoding="utf-8")), "name": "NA"}
    service["version"] = f"1.{next(_numbers)}0"
    file.write_text(json.dumps(service), encoding="utf-8")
    return description


@pytest.fixture
def lab(new_user: Callable[[], str]) -> str:
    """Name of a provider that no other test has."""
    return "lab_of_" + new_user().partition("@")[0]


@pytest.fixture
def service(middleware: Middleware, description: Path, lab: str) -> str:
    return middleware.publish(description, lab)


@pytest.fixture
def token(
    middleware: Middleware, admin: Admin, service: str, lab: str, new_user: Callable[[], str]
) -> str:
    """Token of a user who provides `service` and nothing else."""
    email = new_user()
    admin.add_user(lab, email)
    return middleware.add_user(email)


@pytest.fixture
def old(middleware: Middleware, token: str) -> DSSClient:
    """The client of that user, logged in."""
    client = DSSClient(middleware.url)
    client.login(token)
    return client


def is_text(column: Iterable[object]) -> bool:
    return all(type(value) is str for value in column)


def test_all_methods_have_their_arguments():
    methods = {
        name: [word for word in inspect.signature(method).parameters if word != "self"]
        for name, method in inspect.getmembers(DSSClient, inspect.isfunction)
        if name == "__init__" or not name.startswith("_")
    }
    assert methods == SIGNATURES


def test_tables(old: DSSClient, client: Client, service: str, lab: str, workspace: Workspace):
    services = old.dssp_list_services()
    assert list(services) == ["service", "version", "hash", "provider"]
    assert services.values.tolist() == [["NA", services["version"].iloc[0], service, lab]]
    assert services["version"].iloc[0].endswith("0")
    assert all(is_text(services[name]) for name in services)

    assert old.dssp_available_services([service]) is None
    assert old.dssp_claim_ticket([service], "testlab", "instance_1") is None
    ticket = client.submit(workspace, service)

    available = old.dssp_available_services([service])
    assert list(available) == ["service", "service_name", "ready_tickets"]
    assert available.values.tolist() == [[service, "NA", 1]]
    assert available["ready_tickets"].dtype == "int64"

    claimed = old.dssp_claim_ticket([service], "testlab", "instance_1")
    assert list(claimed) == ["ticket", "service", "status"]
    assert claimed.values.tolist() == [[ticket, service, "claimed"]]
    assert type(claimed["ticket"].iloc[0]) is numpy.int64

    files = old.dssp_list_ticket_files(claimed["ticket"].iloc[0])
    assert list(files) == ["index", "filename"]
    assert files["index"].tolist() == [0, 1, 2]
    assert files["filename"].iloc[-1] == f"ticket_{ticket:08d}.itksnap"
    assert is_text(files["filename"])


def test_an_empty_table_has_its_columns(old: DSSClient, client: Client, service: str):
    client.make_ready(client.create(service))
    ticket = old.dssp_claim_ticket([service], "testlab", "instance_1")["ticket"].iloc[0]
    files = old.dssp_list_ticket_files(ticket)
    assert list(files) == ["index", "filename"]
    assert len(files) == 0
    assert files["index"].dtype == "int64"


@pytest.mark.parametrize("form", [int, numpy.int64, str, "{:08d}".format])
def test_forms_of_a_ticket(
    old: DSSClient, client: Client, service: str, tmp_path: Path, form: Callable[[int], int | str]
):
    number = client.create(service)
    client.make_ready(number)
    old.dssp_claim_ticket([service], "testlab", "instance_1")
    ticket = form(number)
    (tmp_path / "values.txt").write_text("1 2 3")
    response = old.dssp_attach(ticket, "Values", str(tmp_path / "values.txt"))
    assert response.status_code == 200
    assert response.text.isdecimal()
    assert old.dssp_log(ticket, "warning", "50% & more") is None
    assert old.dssp_set_progress(ticket, 0.5, 0.0, 0.5) is None
    assert old.dssp_set_status(ticket, "failed") is None
    detail = client.detail(number)
    assert detail.status is TicketStatus.FAILED
    assert [(one.category, one.message) for one in detail.log[2:]] == [("warning", "50% & more")]
    (attachment,) = detail.log[-1].attachments
    assert (attachment.description, attachment.mime_type) == (
        "Values",
        "application/octet-stream",
    )


def test_waiting_for_a_ticket(
    old: DSSClient, client: Client, service: str, monkeypatch: pytest.MonkeyPatch
):
    pauses = []

    def submit_meanwhile(seconds: float) -> None:
        pauses.append(seconds)
        client.make_ready(client.create(service))

    monkeypatch.setattr("dss.provider.time.sleep", submit_meanwhile)
    assert old.dssp_wait_for_ticket([service], "testlab", "instance_1", timeout=0) is None
    assert pauses == []
    found = old.dssp_wait_for_ticket([service], "testlab", "instance_1", interval=7)
    assert found["status"].tolist() == ["claimed"]
    assert pauses == [7]


def test_a_login_is_kept(middleware: Middleware, token: str, monkeypatch: pytest.MonkeyPatch):
    prompts = []

    def type_token(prompt: str) -> str:
        prompts.append(prompt)
        return token

    monkeypatch.setattr("getpass.getpass", type_token)
    with pytest.raises(NotLoggedIn, match="dss login"):
        DSSClient(middleware.url).dssp_list_services()
    response = DSSClient(middleware.url).login()
    assert response.status_code == 200
    assert response.text.startswith("logged in as user")
    assert prompts == [f"Token (from {middleware.url}/token): "]

    again = DSSClient(middleware.url + "/")
    assert again.login_if_needed() is None
    assert len(again.dssp_list_services()) > 0
    assert len(prompts) == 1, "the login that was kept is taken up"

    with pytest.raises(NotLoggedIn, match="did not accept the token"):
        again.login("used or wrong")
    assert len(again.dssp_list_services()) > 0, "a token that fails leaves the login alone"


def test_login_if_needed_asks_where_the_server_forgot(
    middleware: Middleware, token: str, monkeypatch: pytest.MonkeyPatch
):
    client = DSSClient(middleware.url)
    client.login(token)
    kept = Credentials().open_session(middleware.url)
    with kept, pytest.raises(NotPermitted):
        # A token that fails ends the session that it is sent with.
        kept.post_form("api/login", {"token": "wrong"}, if_lost=None)
    with pytest.raises(NotLoggedIn):
        client.dssp_list_services()
    monkeypatch.setattr("getpass.getpass", lambda _: middleware.add_user("other@example.org"))
    client.login_if_needed()
    assert client.dssp_list_services().empty


def test_errors(old: DSSClient, client: Client, service: str):
    with pytest.raises(ValueError, match="neither failed nor success"):
        old.dssp_set_status(1, "done")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="invalid literal"):
        old.dssp_log("one", "info", "text")
    with pytest.raises(NotPermitted):
        old.dssp_claim_ticket(["0" * 40], "testlab", "instance_1")
    ticket = client.create(service)
    with pytest.raises(WrongState):
        old.dssp_list_ticket_files(ticket)
    client.make_ready(ticket)
    old.dssp_claim_ticket([service], "testlab", "instance_1")
    client.delete(ticket)
    with pytest.raises(TicketDeleted):
        old.dssp_set_status(ticket, "failed")


def test_certificates_are_checked_as_asked_for(middleware: Middleware, token: str):
    DSSClient(middleware.url, verify=False).login(token)
    for call in (lambda it: it.login("token"), lambda it: it.dssp_list_services()):
        with pytest.raises(NetworkFailed, match=r"no/such\.pem"):
            call(DSSClient(middleware.url, verify="no/such.pem"))


def test_without_pandas(middleware: Middleware, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'snapws\[compat\]'"):
        DSSClient(middleware.url)


def test_pandas_comes_with_the_first_client():
    code = "import sys, dss.compat; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0


# What follows is a script as people have it, its import alone changed.


def provide(server: str, tickets: int, work: Path) -> None:
    client = DSSClient(server)
    client.login()
    services = client.dssp_list_services()
    wanted = [services["hash"].iloc[0]]
    for _ in range(tickets):
        found = client.dssp_wait_for_ticket(
            services=wanted,
            provider=services["provider"].iloc[0],
            provider_code="instance_1",
            timeout=300,
        )
        if found is not None:
            ticket = found["ticket"].iloc[0]
            process(client, ticket, f"{work}/ticket_{ticket}")


def process(client: DSSClient, ticket: int, folder: str) -> None:
    try:
        client.dssp_log(ticket, "info", "Fetching the input")
        client.dssp_download_ticket(ticket, folder)
        client.dssp_set_progress(ticket, 0.2)
        study = Workspace.open(f"{folder}/ticket_{ticket:08d}.itksnap")
        target = study.layer(tag="Target").path
        study.add_segmentation(target, nickname="Result")
        study.save(f"{folder}/result.itksnap")
        client.dssp_set_progress(ticket, 0.8)
        client.dssp_attach(ticket, "Workspace", f"{folder}/result.itksnap", "text/xml")
        client.dssp_log(ticket, "info", "Processed")
        client.dssp_upload_ticket(ticket, f"{folder}/result.itksnap", "_results")
        client.dssp_set_progress(ticket, 1.0)
        client.dssp_set_status(ticket, "success")
    except Exception as error:  # noqa: BLE001 - as such scripts have it
        client.dssp_log(ticket, "error", f"Failed: {error}")
        client.dssp_set_status(ticket, "failed")


def test_a_provider_script(
    middleware: Middleware,
    client: Client,
    service: str,
    token: str,
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    good = client.submit(workspace, service)
    workspace.layer(tag="Target").remove_tag("Target")
    bad = client.submit(workspace, service)
    monkeypatch.setattr("getpass.getpass", lambda _: token)
    provide(middleware.url, 2, tmp_path)

    detail = client.detail(good)
    assert detail.status is TicketStatus.SUCCESS
    assert [entry.message for entry in detail.log[2:]] == ["Fetching the input", "Processed"]
    assert [one.description for one in detail.log[-1].attachments] == ["Workspace"]
    result = Workspace.open(client.download(good, tmp_path / "result"))
    assert result.path is not None
    assert result.path.name == f"ticket_{good:08d}_results.itksnap"
    (segmentation,) = [layer for layer in result.layers() if layer.nickname == "Result"]
    assert segmentation.path.parent == tmp_path / "result"

    detail = client.detail(bad)
    assert detail.status is TicketStatus.FAILED
    assert detail.log[-1].category == "error"
    assert "Target" in detail.log[-1].message


def test_the_name_of_the_result_has_the_suffix_that_is_asked_for(
    old: DSSClient, client: Client, service: str, workspace: Workspace, tmp_path: Path
):
    ticket = client.submit(workspace, service)
    old.dssp_claim_ticket([service], "testlab", "instance_1")
    old.dssp_upload_ticket(ticket, workspace.save(tmp_path / "study.itksnap"))
    assert client.files(ticket, "results")[-1].name == f"ticket_{ticket:08d}.itksnap"
