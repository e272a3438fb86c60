"""One large layer, up and down: this project, curl and itksnap-dss, side by side in one run.

Run: python benchmarks/transfer.py [--quick] [--peer PYTHON] [--megabytes N]

They move an archive of one layer to and from the real middleware on this machine. Every transfer
is a process of its own, logged in when the time begins; those that are compared run in turn. Prints
a Markdown table and the bars; the exit code is 1 if a bar is missed. The server reads a file whole
before it sends it, several times over: 1 GB needs 4 GB of memory.
"""

from __future__ import annotations

import argparse
import math
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import (
    Bar,
    Call,
    Row,
    child,
    in_turn,
    machine,
    peer_python,
    print_bars,
    print_table,
    run,
    write_volume,
    write_workspace,
)

if TYPE_CHECKING:
    from dss import Session

RUNS = 3
MEGABYTES, QUICK_MEGABYTES = 1000, 50

# What the generated volume shrinks to, and how large a slice of it is.
SHRINKS_TO = 0.608
SIDE = 512
SLICE = 2 * SIDE * SIDE

USER, WORKER, PEER_WORKER = "user@example.org", "worker@example.org", "peer@example.org"

UP, RESULT, DOWN = "upload of one file", "archive and upload", "download"
OURS, CURL, PEERS = "this project", "curl", "itksnap-dss 0.2.0"

#: What is measured in turn: the word of its function.
CONTESTANTS = {
    (UP, OURS): "upload",
    (UP, CURL): "upload_by_curl",
    (DOWN, OURS): "download",
    (DOWN, CURL): "download_by_curl",
    (DOWN, PEERS): "download_by_peer",
    (RESULT, OURS): "result",
    (RESULT, PEERS): "result_by_peer",
}


def upload(server: str, login: str, ticket: str, file: str) -> Call:
    from dss.transfer.uploads import upload_files

    session = logged_in(server, login)

    def send() -> int:
        upload_files(session, own_area(ticket), [(Path(file), Path(file).name)])
        return Path(file).stat().st_size

    return send


def upload_by_curl(server: str, login: str, ticket: str, file: str) -> Call:
    form = ["-F", f"filename={Path(file).name}", "-F", "submit=send", "-F", f"myfile=@{file}"]

    def send() -> int:
        curl(login, *form, f"{server}/{own_area(ticket)}")
        return Path(file).stat().st_size

    return send


def download(server: str, login: str, ticket: str, folder: str) -> Call:
    from dss import Provider

    provider = Provider(logged_in(server, login))

    def fetch() -> int:
        provider.download(int(ticket), folder)
        return size_of(folder)

    return fetch


def download_by_curl(server: str, login: str, ticket: str, folder: str) -> Call:
    area = f"{server}/api/pro/tickets/{ticket}/files/input"

    def fetch() -> int:
        for index in (0, 1):
            curl(login, "--output", f"{folder}/{index}", f"{area}/{index}")
        return size_of(folder)

    Path(folder).mkdir()
    return fetch


def download_by_peer(server: str, token: str, ticket: str, folder: str) -> Call:
    client = peers_client(server, token)

    def fetch() -> int:
        client.dssp_download_ticket(int(ticket), folder)
        return size_of(folder)

    return fetch


def result(server: str, login: str, ticket: str, workspace: str) -> Call:
    from dss import Provider
    from snapws import Workspace, archive  # noqa: F401 - what the upload imports

    provider = Provider(logged_in(server, login))
    opened = Workspace.open(workspace)

    def send() -> int:
        provider.upload(int(ticket), opened)
        return 0

    return send


def result_by_peer(server: str, token: str, ticket: str, workspace: str) -> Call:
    client = peers_client(server, token)

    def send() -> int:
        client.dssp_upload_ticket(int(ticket), workspace, "_results")
        return 0

    return send


CALLS = {
    call.__name__: call
    for call in (
        *(upload, upload_by_curl, download, download_by_curl, download_by_peer),
        *(result, result_by_peer),
    )
}


def logged_in(server: str, login: str) -> Session:
    from dss import Session

    session = Session(server, cookie=login)
    session.get_text("api/login")
    return session


def peers_client(server: str, token: str) -> Any:
    """Log the peer in; it insists on a keyring, which a machine without a desktop does not have."""
    import keyring
    import SimpleITK  # noqa: F401 - what the peer imports once it is at work
    from itksnap_dss import DSSClient
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1
        passwords: dict[tuple[str, str], str] = {}  # noqa: RUF012 - there is one

        def get_password(self, service: str, username: str) -> str | None:
            return self.passwords.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.passwords[service, username] = password

    keyring.set_keyring(Memory())
    client = DSSClient(server)
    client.login(token)
    return client


def curl(login: str, *words: str) -> None:
    quiet = ["--silent", "--show-error", "--fail", "--cookie", f"webpy_session_id={login}"]
    subprocess.run(["curl", *quiet, *words], check=True, stdout=subprocess.DEVNULL)


def own_area(ticket: str) -> str:
    return f"api/tickets/{ticket}/files/input"


def size_of(folder: str) -> int:
    return sum(file.stat().st_size for file in Path(folder).iterdir())


class Server:
    """The middleware with a service, its user and its provider, and tickets to measure with."""

    def __init__(self, stack: ExitStack, folder: Path, archive: Path) -> None:
        from dss import Admin, Client, Middleware, Provider
        from dss.middleware import ADMINISTRATOR

        self.middleware = stack.enter_context(Middleware(folder / "middleware"))
        (folder / "service.json").write_text(
            '{"name": "Benchmark", "version": "1", "shortdesc": "x"}'
        )
        self.service = self.middleware.publish(folder, "lab")
        self.middleware.add_user(USER, tier="poweruser")
        for worker in (WORKER, PEER_WORKER):
            self.middleware.add_user(worker)
            with self.middleware.login(ADMINISTRATOR) as session:
                Admin(session).add_user("lab", worker)
        self.user = stack.enter_context(self.middleware.login(USER))
        self.worker = stack.enter_context(self.middleware.login(WORKER))
        self.peer = stack.enter_context(self.middleware.login(PEER_WORKER))
        self.client = Client(self.user)
        self.providers = {OURS: Provider(self.worker), PEERS: Provider(self.peer)}
        self.archive = archive

    def ticket(self, way: str, what: str) -> int:
        """Make a ticket as a transfer needs it: empty, or with the archive and claimed."""
        from dss.transfer.uploads import upload_files

        ticket = self.client.create(self.service)
        if way == UP:
            return ticket
        files = sorted(self.archive.iterdir(), key=lambda file: file.suffix == ".itksnap")
        sent = files if way == DOWN else files[-1:]
        area = own_area(str(ticket))
        upload_files(self.user, area, [(file, file.name) for file in sent])
        self.client.make_ready(ticket)
        claim = self.providers[PEERS if what == PEERS else OURS].claim(
            [self.service], "lab", "benchmark"
        )
        assert claim is not None
        assert claim.ticket == ticket
        return ticket

    def login(self, way: str, what: str) -> str:
        """Give what a transfer logs in with: the peer a token, others a cookie."""
        if what == PEERS:
            return self.middleware.add_user(PEER_WORKER)
        session = self.user if way == UP else self.worker
        assert session.cookie is not None
        return str(session.cookie.value)


def measure(server: Server, plain: Path, folder: Path, peer: str) -> dict[tuple[str, str], Row]:
    """Measure all transfers, in turn."""
    layer = next(server.archive.glob("*.nii.gz"))
    there = [key for key in CONTESTANTS if key[1] != CURL or shutil.which("curl")]
    rows = {key: Row() for key in there}
    for (way, what), row in in_turn(rows, RUNS):
        ticket = server.ticket(way, what)
        target = {UP: layer, RESULT: plain, DOWN: folder / "target"}[way]
        python = peer if what == PEERS else sys.executable
        words = (CONTESTANTS[way, what], server.middleware.url, server.login(way, what))
        row.runs.append(run(__file__, *words, str(ticket), target, python=python))
        if way == DOWN:
            check(folder / "target", layer)
        server.client.delete(ticket)
    return rows


def check(folder: Path, layer: Path) -> None:
    """Make sure that a download has the layer, and remove it."""
    assert max(file.stat().st_size for file in folder.iterdir()) == layer.stat().st_size
    shutil.rmtree(folder)


def bars(rows: dict[tuple[str, str], Row]) -> list[Bar]:
    """Hold the figures to what is promised."""
    held = [Bar(f"{way}: peak memory, MB", rows[way, OURS].peak, 60) for way in (UP, DOWN)]
    for way in (UP, DOWN):
        if (way, CURL) in rows:
            ratio = rows[way, CURL].seconds / rows[way, OURS].seconds
            held.append(Bar(f"{way}: throughput, by curl's", ratio, 0.8, at_least=True))
    return held


def main() -> int:
    from snapws import Workspace
    from snapws.archive import archive

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_MEGABYTES} MB only")
    parser.add_argument("--peer", metavar="PYTHON", help="an interpreter with itksnap-dss 0.2.0")
    parser.add_argument("--megabytes", type=int, metavar="N", help="size of the archived layer")
    options = parser.parse_args()
    megabytes = options.megabytes or (QUICK_MEGABYTES if options.quick else MEGABYTES)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        peer = peer_python(options.peer, folder)
        slices = math.ceil(megabytes * 1e6 / SHRINKS_TO / SLICE)
        write_volume(str(folder / "volume.nii"), str(slices), str(SIDE))()
        plain = folder / "volume.itksnap"
        write_workspace(str(plain), str(folder / "volume.nii"))()
        archive(Workspace.open(plain), folder / "archive")
        server = Server(stack, folder, folder / "archive")
        rows = measure(server, plain, folder, peer)
    print(machine(peer))
    print(
        f"\nOne layer of {SLICE * slices / 1e6:.0f} MB, archived {rows[UP, OURS].size:.0f} MB, on "
        f"loopback. Medians of {RUNS} runs. The peak of curl is at least that of the process that "
        "starts it.\n"
    )
    print_table(
        ["way", "what"],
        [[*key, *row.cells()] for key, row in rows.items()],
    )
    return print_bars("Bars", bars(rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        child(CALLS, sys.argv[2:])
    else:
        sys.exit(main())
