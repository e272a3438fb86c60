"""The work for one ticket, step by step.

Each step writes its result to the ticket's folder, whole or not at all, and starts over if an
earlier attempt was interrupted. The next step begins when the runner has noted this step in the
journal.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dss.backoff import Backoff
from dss.client import Client
from dss.errors import (
    DssError,
    InvalidResponse,
    JobCancelled,
    NetworkFailed,
    NotFound,
    NotLoggedIn,
    NotPermitted,
    OutcomeUnknown,
    Refused,
    ServerFailed,
    ServiceError,
    TicketDeleted,
    TransferFailed,
    WrongState,
)
from dss.provider import Provider
from dss.records import ServiceTag, TicketStatus
from dss.serving import failure, gpus
from dss.serving.description import missing
from dss.serving.job import Attached, Job, from_elsewhere
from dss.serving.journal import Outcome, Step
from dss.serving.messages import Deleted, Delivered, Order, Reached, Waiting
from dss.serving.results import OriginalWorkspace
from dss.serving.workdir import FAILURE, OUTPUT, REPORTS, TEMPORARY, WORK
from dss.serving.worker.outbox import Outbox
from dss.serving.worker.reports import ServerReports
from dss.transfer.downloads import archive_names, skipped_words, unsent_words
from snapws import Workspace, WorkspaceError
from snapws.archive_names import LAYER_NAME, MESH_NAME
from snapws.files import listed

if TYPE_CHECKING:
    from dss.http.session import Session
    from dss.serving.declaration import Service
    from dss.serving.worker.channel import Channel
    from dss.transfer.uploads import Sent

T = TypeVar("T")

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_SERVER_LIMIT = 24 * 3600.0  # seconds for which a server may fail at the same call
_REFUSED_LIMIT = 2 * 3600.0  # or refuse it, as a proxy refuses a file that is too large

_RESULT = "result.itksnap"
_TOLD = "failure_told"


class TicketRun:
    """The work for one ticket, from its present step to its end.

    Args:
        service: The service of the ticket.
        file: The file that declares the service.
        order: The runner's order: the ticket, its folder, its step and limits.
        session: The login.
        channel: The connection to the runner.
    """

    def __init__(
        self, service: Service, file: Path, order: Order, session: Session, channel: Channel
    ) -> None:
        self._service = service
        self._file = file
        self._order = order
        self._session = session
        self._provider = Provider(session)
        self._channel = channel
        self._reason = order.reason
        self._input = order.folder / "input"
        self._workspace: Path | None = None  # fetched and checked by this process
        self._skipped: Sequence[str] = ()
        self._unsent: Sequence[str] = ()
        self._result = order.folder / _RESULT
        self._archive = order.folder / "result"
        self._reports: ServerReports | None = None

    def run(self) -> None:
        """Take the remaining steps.

        Raises:
            JobCancelled: The work was cancelled.
            NotLoggedIn: The server no longer knows the login.
        """
        take = {
            Step.CLAIMED: self._download,
            Step.DOWNLOADED: self._process,
            Step.PROCESSED: self._package,
            Step.PACKAGED: self._upload,
            Step.UPLOADED: self._succeed,
            Step.FAILING: self._report_failure,
        }
        try:
            step = self._take(self._order.step, self._begin)
            while step is not Step.FINISHED:
                step = self._take(step, take[step])
        except TicketDeleted:
            self._finish(Outcome.DELETED)
        except (NotFound, NotPermitted, WrongState):  # the ticket is not ours any more
            self._finish(Outcome.RELEASED)
        finally:
            if self._reports:
                self._reports.close()

    def _begin(self) -> Step:
        """Return the step to begin with, after a look at the server and the disk."""
        step = self._order.step
        if step is Step.CLAIMED:  # the failure of an earlier claim is not one of this claim
            for name in (FAILURE, _TOLD):
                (self._order.folder / name).unlink(missing_ok=True)
        status = self._retry_until_available(lambda: self._provider.status(self._order.ticket))
        if status is TicketStatus.DELETED:
            return self._finish(Outcome.DELETED)
        if status is not TicketStatus.CLAIMED:
            # An earlier process reported the end and died, or somebody else changed the status.
            ours = {Step.UPLOADED: Outcome.SUCCESS, Step.FAILING: Outcome.FAILED}.get(step)
            return self._finish(ours if ours and ours.value == status else Outcome.RELEASED)
        left = {Step.PROCESSED: self._result, Step.PACKAGED: self._archive}.get(step)
        if step not in (Step.DOWNLOADED, Step.PROCESSING) and (left is None or left.exists()):
            return step
        if step is not Step.DOWNLOADED and not self._service.resumable:
            return self._fail("the work was cut short, and this service cannot take it up again")
        # Begin with the download: this process works only on a workspace that it has checked
        # itself, and it fetches files again that the function may have changed.
        return Step.CLAIMED

    def _take(self, step: Step, take: Callable[[], Step]) -> Step:
        """Take one step; an error fails the ticket, unless the network is the cause."""
        try:
            return take()
        except (JobCancelled, NotLoggedIn, TicketDeleted):
            raise
        except (DssError, WorkspaceError, OSError) as error:
            if step is Step.FAILING:
                raise
            self._make_room(error)
            return self._fail(failure.told(error))

    # ---------------------------------------------------------------- steps

    def _download(self) -> Step:
        aside = self._order.folder / "coming"
        if self._input.exists() and not aside.exists():
            self._input.replace(aside)
        for file in aside.iterdir() if aside.exists() else ():
            # Names of layers hold a checksum; files without one are fetched again.
            if not (LAYER_NAME.fullmatch(file.name) or MESH_NAME.fullmatch(file.name)):
                _remove(file)
        # Files of an earlier claim or attempt are removed, but not the position of the user's bar.
        kept = (aside.name, OUTPUT, *([] if self._order.step is Step.CLAIMED else [REPORTS]))
        for left in self._order.folder.iterdir():
            if left.name not in kept:
                _remove(left)
        name = self._retry_until_available(lambda: self._fetch(aside))
        aside.replace(self._input)
        self._workspace = self._input / name
        if self._order.step is not Step.CLAIMED:
            return Step.DOWNLOADED  # already in the journal, which counts the attempts at this step
        return self._reach(Reached(Step.DOWNLOADED, moved=_size(self._input.iterdir())))

    def _fetch(self, folder: Path) -> str:
        """Fetch the ticket's files into a folder, remove all others, and return the workspace."""

        def skipped(names: Sequence[str]) -> None:
            self._skipped = names

        def unsent(meshes: Sequence[str]) -> None:
            self._unsent = meshes

        try:
            workspace = self._provider.download(
                self._order.ticket,
                folder,
                max_size=self._order.max_size,
                skipped=skipped,
                unsent=unsent,
            )
            names = archive_names(workspace)
            for left in folder.iterdir():  # by an earlier attempt with another workspace
                if left.name not in names:
                    _remove(left)
            return workspace.name
        except TransferFailed:
            # If a proxy sent a page in place of a file, the list fails, too, and is retried.
            self._provider.files(self._order.ticket)
            raise

    def _process(self) -> Step:
        assert self._workspace  # noqa: S101 - the download always comes first
        workspace = Workspace.open(self._workspace)
        lacking = missing(self._retry_until_available(self._tags), workspace)
        if lacking:
            return self._fail("; ".join(lacking))
        workdir = self._order.folder / WORK
        shutil.rmtree(workdir, ignore_errors=True)
        self._result.unlink(missing_ok=True)
        workdir.mkdir()
        os.chdir(workdir)
        self._use_own_temporary_folder()
        Outbox(self._order.folder / REPORTS).clear()  # this attempt writes its lines again
        reports = self._open_reports()
        if self._skipped:
            reports.log("warning", skipped_words(self._skipped))
        if self._unsent:
            reports.log("warning", unsent_words(self._unsent))
        given = OriginalWorkspace(workspace)
        job = Job(self._order.ticket, workspace, workdir, reports)
        self._channel.on_cancel = job.cancel
        self._reach(Reached(Step.PROCESSING))
        try:
            with gpus.memory_told(job.log):
                result = self._service(job)
        except BaseException as error:
            if job.cancelled:
                raise JobCancelled(str(error)) from error
            self._make_room(error)
            # If the function's result is invalid, the reason says all; a traceback would not help.
            if not isinstance(error, ServiceError) or failure.arose_in(error, self._file):
                more = failure.full(error, self._file)
                (self._order.folder / FAILURE).write_text(more, encoding="utf-8")
            return self._fail(failure.told(error))
        finally:
            job.close()
            self._channel.on_cancel = self._session.abort
        for warning in given.warnings(result):
            reports.log("warning", warning)
        result.save(self._result)
        if foreign := from_elsewhere(result, self._order.folder):
            reports.log("warning", foreign)
        return self._reach(Reached(Step.PROCESSED))

    def _use_own_temporary_folder(self) -> None:
        """Keep temporary files in the ticket's folder, which others cannot read."""
        folder = self._order.folder / TEMPORARY
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        os.environ.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder)))
        tempfile.tempdir = None

    def _package(self) -> Step:
        from snapws.archive import archive

        report = archive(Workspace.open(self._result), self._archive, privacy=self._order.privacy)
        return self._reach(Reached(Step.PACKAGED, moved=_size(report.files)))

    def _upload(self) -> Step:
        files = sorted(listed(self._archive), key=lambda file: file.suffix == ".itksnap")

        def sent(file: Sent) -> None:
            self._channel.tell(Delivered(file.name, file.size))

        self._retry_until_available(
            lambda: self._provider.send(self._order.ticket, files, verify=True, sent=sent)
        )
        return self._reach(Reached(Step.UPLOADED, moved=_size(files)))

    def _succeed(self) -> Step:
        return self._end_with(Outcome.SUCCESS)

    def _report_failure(self) -> Step:
        more, reports = self._order.folder / FAILURE, self._open_reports()
        told = self._order.folder / _TOLD
        if not told.exists():
            if more.exists():
                reports.attach(Attached("What went wrong", more, "text/plain"))
            reports.log("error", self._reason)
            told.touch()
        return self._end_with(Outcome.FAILED)

    # ---------------------------------------------------------------- how steps end

    def _reach(self, reached: Reached) -> Step:
        self._channel.tell(reached)
        return reached.step

    def _fail(self, reason: str) -> Step:
        self._reason = reason
        return self._reach(Reached(Step.FAILING, reason=reason))

    def _finish(self, outcome: Outcome) -> Step:
        return self._reach(Reached(Step.FINISHED, outcome))

    def _end_with(self, outcome: Outcome) -> Step:
        """Deliver the pending reports to the user, then report the end of the ticket, once."""
        status = TicketStatus(outcome.value)

        def report() -> Outcome:
            now = self._provider.status(self._order.ticket)
            if now is TicketStatus.CLAIMED:
                self._open_reports().flush(self._channel.cancelled.is_set)
                self._refuse_cancelled()
                self._provider.set_status(self._order.ticket, status)
            elif now is not status:
                return Outcome.DELETED if now is TicketStatus.DELETED else Outcome.RELEASED
            return outcome

        return self._finish(self._retry_until_available(report))

    def _make_room(self, error: BaseException) -> None:
        """Remove the function's files if the disk is full."""
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            shutil.rmtree(self._order.folder / WORK, ignore_errors=True)

    def _retry_until_available(self, call: Callable[[], T]) -> T:
        """Make a call, and retry it until the server is available again."""
        begin, backoff = time.monotonic(), Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        since: dict[float, float] = {}  # start of a series of refusals, by its limit
        lost: DssError
        while True:
            self._refuse_cancelled()
            try:
                return call()
            except (NotLoggedIn, TicketDeleted, WrongState):
                raise
            except (NetworkFailed, OutcomeUnknown) as error:
                since, lost = {}, error
            except (InvalidResponse, Refused, ServerFailed) as error:
                # The answer may come from a proxy: a page for a login, or about maintenance. An
                # administrator may have removed this login from the provider, and add it again.
                lost = error
                meant = isinstance(error, Refused) and not isinstance(
                    error, (NotFound, NotPermitted)
                )
                limit = _REFUSED_LIMIT if meant else _SERVER_LIMIT
                now = time.monotonic()
                if now - since.setdefault(limit, now) > limit:
                    raise
            waited = time.monotonic() - begin
            self._channel.say(Waiting(f"{lost} (for {waited:.0f} s)"))
            self._channel.cancelled.wait(backoff.next())

    def _tags(self) -> list[ServiceTag]:
        """Return the required tags, of the server's description and of the service's file."""
        try:
            described = list(Client(self._session).service_detail(self._order.hash).tags)
        except NotFound as error:
            if error.status == 404:  # the server always has this route: the answer is a proxy's
                raise
            described = []  # the service was withdrawn after the ticket was made
        known = {tag.name for tag in described if tag.required}
        further = [ServiceTag(tag, "", "", True) for tag in self._service.tags if tag not in known]
        return described + further

    def _open_reports(self) -> ServerReports:
        if self._reports is None:
            self._reports = ServerReports(
                Provider(self._session.clone()),
                self._order.ticket,
                self._order.folder / REPORTS,
                deleted=lambda: self._channel.say(Deleted()),
            )
        return self._reports

    def _refuse_cancelled(self) -> None:
        if self._channel.cancelled.is_set():
            raise JobCancelled(f"the work on ticket {self._order.ticket} was cancelled")


def _remove(path: Path) -> None:
    """Remove a file or folder of an earlier attempt.

    Raises:
        ServiceError: It cannot be removed; a container may have created it as another user.
    """
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        raise ServiceError(
            f"{path.name} of an earlier attempt cannot be removed: "
            f"{Path(error.filename or path).name}: {error.strerror}"
        ) from error


def _size(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)
