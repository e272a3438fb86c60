"""What the recordings do not show of the DSS commands of the drop-in."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from dss import Admin, Client, Credentials, Middleware, Provider
from dss.middleware import ADMINISTRATOR
from dss.wt_commands import COMMANDS
from snapws import Workspace
from snapws.wt import commands, main
from tests.conformance import replay

_numbers = count(1)


class Office:
    """A middleware with a service, its provider and a user: the drop-in is logged in as both."""

    EMAIL = "user@example.org"

    def __init__(self, server: Middleware, folder: Path) -> None:
        (folder / "service.json").write_text(
            '{"name": "Copy", "version": "1.0", "shortdesc": "Copies", "tags": []}'
        )
        self.url = server.url
        self.service = server.publish(folder, "testlab")
        self.token = lambda: server.add_user(self.EMAIL, tier="xnat")
        self.token()
        with server.login(ADMINISTRATOR) as session:
            Admin(session).add_user("testlab", self.EMAIL)
        self.session = server.login(self.EMAIL)
        self.client = Client(self.session)
        self.provider = Provider(self.session)

    def ready(self) -> int:
        """Make a ticket without files, and queue it."""
        ticket = self.client.create(self.service)
        self.client.make_ready(ticket)
        return ticket

    def claimed(self) -> int:
        """Make a ticket without files, and claim it."""
        ticket = self.ready()
        assert self.claim_all() == [ticket]
        return ticket

    def claim_all(self) -> list[int]:
        """Claim the tickets that wait."""
        found = []
        while claim := self.provider.claim([self.service], "testlab", "instance_1"):
            found.append(claim.ticket)
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Middleware]:
    with Middleware(tmp_path_factory.mktemp("middleware")) as running:
        yield running


@pytest.fixture(scope="module")
def office_of_all_tests(
    server: Middleware, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    office = Office(server, tmp_path_factory.mktemp("service"))
    yield office
    office.session.close()


@pytest.fixture
def office(office_of_all_tests: Office) -> Iterator[Office]:
    """An office where no ticket waits."""
    yield office_of_all_tests
    office_of_all_tests.claim_all()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without a login, and the current folder with the recorded inputs."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    monkeypatch.delenv("ITKSNAP_WT_DSS_SERVER", raising=False)
    replay.place_inputs(tmp_path / "inputs")
    monkeypatch.chdir(tmp_path / "inputs")
    return folder


@pytest.fixture
def login(office: Office, home: Path) -> None:
    """The login of the office's user, kept."""
    Credentials().save(office.session)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command line that works, and give what it prints."""

    def run(*words: object) -> str:
        code = main(["-P", *map(str, words)])
        printed = capsys.readouterr()
        assert (code, printed.err) == (0, "")
        return printed.out

    return run


def messages(client: Client, ticket: int) -> list[str]:
    """Return the log of a ticket without what the server wrote into it."""
    return [entry.message for entry in client.log(ticket)[2:]]


# ---------------------------------------------------------------------------- the table


def test_there_are_29_commands_each_with_its_line_of_help():
    names = [name for command in COMMANDS for name in command.names]
    assert len(names) == len(set(names)) == 29
    assert set(names).isdisjoint(name for one in commands.COMMANDS for name in one.names)
    for command in COMMANDS:
        assert command.help.endswith(".")
        assert "\n" not in command.help
        assert len(command.help) <= 100
        assert command.parameters.count("<") == command.parameters.count(">")


def test_help_lists_them(run: Callable[..., str]):
    out = run("-h")
    for group in ("users", "providers", "administrators"):
        assert f"\nDistributed Segmentation Service: {group}:\n" in out
    assert "  -dssp-tickets-attach <ticket> <description> <file> [mime-type]\n" in out


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("import dss.wt_commands", ["requests", "numpy", "dss.http.session", "dss.client"]),
        ("from snapws.wt import main; main(['-i', 'base.itksnap', '-ll'])", ["dss"]),
        ("from snapws.wt import main; main(['-h'])", ["requests", "numpy", "dss.http.session"]),
    ],
)
def test_start_up_loads_no_more_than_it_needs(code: str, modules: list[str]):
    check = f"{code}; import sys; sys.exit(str(set({modules}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, timeout=300
    )
    assert done.stderr.strip() == "set()"


# ---------------------------------------------------------------------------- the login


def test_a_login_and_a_token_that_fails(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("sys.stdin", io.StringIO(office.token() + "\n"))
    assert main(["-dss-auth", office.url + "/"]) == 0
    out = capsys.readouterr().out
    assert out == (
        f"Paste this link into your browser to obtain a token:  {office.url}/token\n"
        f"  Enter the token: Success: logged in as {office.EMAIL}\n"
    )
    assert Credentials().server == office.url
    for typed in ("wrong\n", "\n", ""):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        assert main(["-dss-auth", office.url]) == 255
        assert capsys.readouterr().err.startswith("snapws-wt: error for command -dss-auth : ")
    assert main(["-dss-tickets-list"]) == 0


def test_a_login_of_itksnap_wt_is_taken_up(office: Office, login: None, run: Callable[..., str]):
    """Its files as curl writes them, after which nobody logged in again."""
    (jar,) = (Path.home() / ".alfabis").glob("cookie_*.jar")
    cookie = office.session.cookie
    assert cookie is not None
    jar.write_text(
        "# Netscape HTTP Cookie File\n# https://curl.se/docs/http-cookies.html\n\n"
        f"#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\twebpy_session_id\t{cookie.value}\n"
    )
    assert "Copy" in run("-dss-services-list")


def test_the_environment_names_another_server(
    office: Office, login: None, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    (Path.home() / ".alfabis" / "server").write_text("http://127.0.0.1:9")
    monkeypatch.setenv("ITKSNAP_WT_DSS_SERVER", office.url)
    assert "Copy" in run("-dss-services-list")


def test_a_home_folder_that_cannot_hold_a_login(
    office: Office,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    (home / ".alfabis").write_text("a file in the way")
    monkeypatch.setattr("sys.stdin", io.StringIO(office.token() + "\n"))
    assert main(["-dss-auth", office.url]) == 255
    assert ".alfabis" in capsys.readouterr().err


# ---------------------------------------------------------------------------- tickets


def test_a_ticket_as_in_the_tutorial(
    office: Office,
    login: None,
    run: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """A user's and a provider's commands, the results used by the next ones as scripts do."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    out = run("-laa", "a.nii.gz", "-ta", "T1", "-dss-tickets-create", "Copy", "-o", "in.itksnap")
    ticket = int(out.splitlines()[-1])
    assert run("-dssp-services-claim", office.service, "testlab", "i1").split()[0] == str(ticket)

    fetched = run("-dssp-tickets-download", f"{ticket:08d}", "work/t1").splitlines()
    assert fetched[-1] == f"work/t1/ticket_{ticket:08d}.itksnap"
    assert all(Path(path).exists() for path in fetched)
    layer = run("-i", fetched[-1], "-llf", "T1").strip()
    run("-i", fetched[-1], "-las", layer, "-psn", "Result", "-o", "result.itksnap")
    out = run("-i", "result.itksnap", "-dssp-tickets-upload", ticket)
    assert out.count("Upload ") == 3
    assert [file.name for file in office.client.files(ticket, "results")] == [
        *(f"{name}.nii.gz" for name in layer_names(Workspace.open("result.itksnap"))),
        f"ticket_{ticket:08d}_results.itksnap",
    ]
    run("-dssp-tickets-success", ticket)
    fetched = run("-dss-tickets-download", ticket, tmp_path / "result").splitlines()
    result = Workspace.open(fetched[-1])
    assert [one.nickname for one in result.layers()] == ["", "Result"]
    assert list((tmp_path / "temporary").iterdir()) == []


def layer_names(workspace: Workspace) -> list[str]:
    from tests.snapws.images.test_images import content_hash

    return [f"layer_{layer.number:03d}_{content_hash(layer.path)}" for layer in workspace.layers()]


def test_messages_arrive_as_they_were_given(office: Office, login: None, run: Callable[..., str]):
    ticket = office.claimed()
    given = ["a&b=c", "50% + 1 = %41", "naïve – 日本 €", "x" * 5000, "one\ntwo\x1b[2J", '"q", \\']
    for message in given:
        assert run("-dssp-tickets-log", ticket, "warning", message) == ""
    assert messages(office.client, ticket) == given
    lines = run("-dss-tickets-log", ticket).splitlines()[2:]
    printed = [line.split("  ", 2)[2] for line in lines]
    assert [line.split("  ")[1] for line in lines] == ["warning"] * len(given)
    assert printed == [*given[:4], "one two [2J", given[5]]


def test_attachments(office: Office, login: None, run: Callable[..., str]):
    ticket = office.claimed()
    text = run(
        *("-dssp-tickets-attach", ticket, "A matrix", "affine.mat", "text/plain"),
        *("-dssp-tickets-attach", ticket, "An image", "a.nii.gz"),
        *("-dssp-tickets-log", ticket, "info", "see", "-dss-tickets-log", ticket),
    )
    shown = [line.rpartition(" : ")[2] for line in text.splitlines() if line.startswith("  @ http")]
    assert sorted(shown) == ["A matrix", "An image"]
    attached = office.client.log(ticket)[-1].attachments
    assert {one.description: one.mime_type for one in attached} == {
        "A matrix": "text/plain",
        "An image": "application/octet-stream",
    }


def test_a_failed_ticket(office: Office, login: None, run: Callable[..., str]):
    ticket = office.claimed()
    assert run("-dssp-tickets-fail", ticket, "no 'Target'") == "failed\n"
    assert run("-dss-tickets-wait", ticket).endswith("\n\nTicket completed with status: failed\n")
    assert messages(office.client, ticket) == ["no 'Target'"]
    assert run("-dss-tickets-delete", ticket) == "deleted\n"
    assert run("-dssp-tickets-status", ticket) == "deleted\n"


def test_late_failure_does_not_destroy_a_result(
    office: Office, login: None, run: Callable[..., str], capsys: pytest.CaptureFixture[str]
):
    ticket = office.claimed()
    run("-dssp-tickets-success", ticket)
    assert main(["-dssp-tickets-fail", str(ticket), "the shell has ended"]) != 0
    assert f"ticket {ticket} is success already" in capsys.readouterr().err
    assert office.client.status(ticket).value == "success"
    assert "the shell has ended" not in messages(office.client, ticket)


def test_waiting_ends_by_the_clock(
    office: Office,
    login: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    """The clock stands still while the server is asked, so that no answer comes too late."""
    ticket = office.ready()
    now = [0.0]
    clock = SimpleNamespace(
        monotonic=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds)
    )
    monkeypatch.setattr("dss.tickets.time", clock)
    assert main(["-dss-tickets-wait", str(ticket), "9", "-registry-get", "never"]) == 1
    assert now[0] >= 9
    printed = capsys.readouterr()
    assert "Ticket received and queued" in printed.out
    assert "never" not in printed.out
    assert "9 s" in printed.err
    assert f"ticket {ticket}" in printed.err


def test_waiting_shows_what_comes(
    office: Office,
    login: None,
    run: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
):
    ticket = office.claimed()
    steps = iter(
        [
            lambda: office.provider.log(ticket, "info", "half"),
            lambda: office.provider.progress(ticket, 0.5),
            lambda: office.provider.succeed(ticket),
        ]
    )
    monkeypatch.setattr("dss.tickets.time.sleep", lambda _: next(steps)())
    out = run("-dss-tickets-wait", ticket, "0")
    assert [line.split()[-1] for line in out.splitlines() if " info " in line][-1] == "half"
    assert out.count("#") == 78, "the bar is drawn in the end, and on terminals"
    assert out.endswith(" 100% \n\nTicket completed with status: success\n")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    ticket = office.claimed()
    steps = iter(
        [lambda: office.provider.progress(ticket, 0.5), lambda: office.provider.succeed(ticket)]
    )
    out = run("-dss-tickets-wait", ticket)
    assert f"\r{'#' * 39}{' ' * 39} 50% \r" in out


def test_claiming_waits_for_a_ticket(
    office: Office,
    login: None,
    run: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    while office.provider.claim([office.service], "testlab", "instance_1"):
        pass
    claim = ["-dssp-services-claim", f"{office.service},{office.service}", "testlab", "i"]
    assert main([*claim, "0", "-registry-get", "never"]) == 1
    assert capsys.readouterr() == ("", "Timed out waiting for available tickets\n")
    made = []
    monkeypatch.setattr("dss.provider.time.sleep", lambda _: made.append(office.ready()))
    assert run(*claim, "60") == f"{made[0]}  {office.service}  claimed  \n"


def test_no_ticket_is_made_of_a_workspace_that_cannot_be_archived(
    office: Office, login: None, capsys: pytest.CaptureFixture[str]
):
    before = office.client.tickets()
    assert main(["-dss-tickets-create", "Copy"]) == 255
    Path("a.nii.gz").unlink()
    assert main(["-i", "base.itksnap", "-dss-tickets-create", "Copy"]) == 255
    assert "a.nii.gz" in capsys.readouterr().err
    assert office.client.tickets() == before


def test_lists_of_an_administrator(
    server: Middleware, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    token = server.add_user(ADMINISTRATOR, admin=True)
    monkeypatch.setattr("sys.stdin", io.StringIO(token))
    run("-dss-auth", server.url)
    name = f"lab{next(_numbers)}"
    assert run("-dssa-providers-add", name) == "success\n"
    assert name in run("-dssa-providers-list").split()
    assert run("-dssa-providers-services-list", name) == ""


def test_progress(office: Office, login: None, run: Callable[..., str]):
    ticket = office.claimed()
    assert run("-dssp-tickets-set-progress", ticket, "0", "0.5", "0.5") == "success\n"
    assert run("-dssp-tickets-set-progress", ticket, "0.5", "1", ".5") == "success\n"
    assert run("-dss-tickets-progress", ticket) == "0.5\n"


# ---------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["-dss-tickets-log"], "too few arguments"),
        (["-dss-tickets-log", "one"], "'one' is not a whole number"),
        (["-dss-tickets-log", "9999"], "9999 not found"),
        (["-dss-tickets-download", "9999", "x"], "9999 not found"),
        (["-dss-tickets-wait", "9999"], "9999 not found"),
        (["-dss-services-detail", "f" * 40], "f" * 40),
        (["-dssp-services-claim", ",", "testlab", "i"], "names no service"),
        (["-dssp-services-claim", "0" * 40, "testlab", "i"], "not a provider"),
        (
            ["-dssp-tickets-log", "TICKET", "fatal", "x"],
            "'fatal' is not one of info, warning, error",
        ),
        (
            ["-dssp-tickets-set-progress", "TICKET", "0", "1", "2"],
            "progress and its part must be within 0 to 1",
        ),
        (["-dssp-tickets-set-progress", "TICKET", "0", "1", "x"], "'x' is not a number"),
        (["-dssp-tickets-attach", "TICKET", "no", "no.txt"], "no.txt"),
        (["-dssp-tickets-upload", "TICKET"], "no main image"),
        (["-dssa-providers-list"], "Insufficient privileges"),
        (["-dssa-providers-users-delete", "testlab", "me"], "'me' is not a whole number"),
    ],
)
def test_refusals(
    office: Office,
    login: None,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    cause: str,
):
    if "TICKET" in words:
        words = [str(office.claimed()) if word == "TICKET" else word for word in words]
    assert main(words) == 255
    printed = capsys.readouterr()
    assert printed.out in ("", "\n")
    assert printed.err.startswith(f"snapws-wt: error for command {words[0]} : ")
    assert cause in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not Path("x").exists()


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.names != ("-dss-auth",)])
def test_nothing_works_without_a_login(command: commands.Command, capsys):
    words = ["1"] * command.parameters.count("<")
    assert main([*command.names, *words]) == 255
    assert "not logged in to any server" in capsys.readouterr().err
