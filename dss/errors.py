"""The errors of `dss`: one tree, so that one `except DssError` catches them all.

```
DssError
├── Refused             the server refused the call: nothing was done
│   ├── NotLoggedIn     no login, or the server no longer knows it
│   ├── NotPermitted    logged in, but not an administrator, or not a provider of this service
│   ├── NotFound        no such ticket, service, file or route (or it is somebody else's)
│   ├── TicketDeleted   its owner deleted the ticket: stop working on it
│   ├── QuotaReached    the user's limit of open tickets
│   └── WrongState      the ticket is not in the state that the call needs
├── ServerFailed        the server failed (5xx) at a call that may be repeated
├── NetworkFailed       nothing was sent, or a call that may be repeated got no answer
│   └── Unfinished      a ticket was made, and not all of it could be sent: go on with it later
├── OutcomeUnknown      a call that changes something may or may not have been done
├── InvalidResponse     the answer is not of the API's form
├── TransferFailed      a file is truncated, corrupt or changed, or its name is not allowed
│   └── TooLarge        the files have more bytes than a download may have
├── TimedOut            the time to wait for a ticket is over
├── MiddlewareFailed    the local middleware did not start, or failed at a request
├── ServiceError        a service's file or description is invalid, or its work cannot go on
│   ├── CommandFailed   a command of a service failed, or did not make its file
│   └── JobCancelled    the ticket was deleted, its time is up, or the runner stops
├── JournalError        the work folder of a runner is in use, corrupt, or another runner's
└── DemoFailed          the demonstration did not show what it should
```
"""

from __future__ import annotations

from pathlib import Path

from dss.text import shown


class DssError(Exception):
    """Base of every error that `dss` raises on purpose."""


class Refused(DssError):
    """The server refused the call, and did nothing.

    Attributes:
        status: HTTP status of the answer, None where no server was asked.
        text: The server's message, shortened and without control characters.
    """

    remedy = ""

    def __init__(self, message: str, *, status: int | None = None, text: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.text = text


class NotLoggedIn(Refused):
    """There is no login, or the server does not know the login (any more)."""


class NotPermitted(Refused):
    """The user is logged in but may not do this: not an administrator, or not a provider."""


class NotFound(Refused):
    """The ticket, service, file or route does not exist, or belongs to somebody else."""


class TicketDeleted(Refused):
    """The owner deleted the ticket: stop working on the ticket."""


class QuotaReached(Refused):
    """The user has as many tickets as the server allows; finished ones count too."""

    remedy = (
        "finished tickets count, too: delete tickets that are no longer needed (dss tickets list, "
        "dss tickets delete TICKET)"
    )


class WrongState(Refused):
    """The ticket is not in the state that this call needs."""


class ServerFailed(DssError):
    """The server failed at a call that may be repeated, at every attempt.

    Attributes:
        status: HTTP status of the answer: 500 and above, 408 or 429.
    """

    def __init__(self, message: str, *, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


class NetworkFailed(DssError):
    """Nothing reached the server, or a call that may be repeated got no complete answer."""


class Unfinished(NetworkFailed):
    """A ticket was made, but network or server failed before all of it was sent.

    Attributes:
        ticket: The ticket, in state init. `Client.upload` sends the missing files, then
            `Client.make_ready` queues it.
    """

    def __init__(self, message: str, *, ticket: int) -> None:
        super().__init__(message)
        self.ticket = ticket


class OutcomeUnknown(DssError):
    """A call that changes something was sent, and nobody knows whether it was done.

    The message states the possible outcome and how to check it. Such a call is repeated only after
    the server reported that it was not done: otherwise a second claim would take a second ticket,
    and a second log call would double the line.
    """


class InvalidResponse(DssError):
    """The server's response does not have the form that the API prescribes."""


class TransferFailed(DssError):
    """A file could not be transferred completely, or its name is not allowed."""


class TooLarge(TransferFailed):
    """The files have more bytes than a download may have, or than fit on the disk."""


class TimedOut(DssError):
    """The time to wait for a ticket is over."""


class MiddlewareFailed(DssError):
    """The local middleware is not installed, did not start, or refused its input."""


class ServiceError(DssError):
    """A service's file or description is invalid, or a workspace does not meet its requirements."""


class CommandFailed(ServiceError):
    """A command of a service failed, or did not write its output file.

    Attributes:
        output: The file with the command's output.
    """

    def __init__(self, message: str, *, output: Path) -> None:
        super().__init__(message)
        self.output = output


class JobCancelled(ServiceError):
    """The work on a ticket has to end: the ticket was deleted or timed out, or the runner stops."""


class JournalError(DssError):
    """The work folder of a runner is in use, corrupt, or belongs to another runner."""


class DemoFailed(DssError):
    """The demonstration did not show what it should."""


# Status and text of an answer; the first match wins. The middleware uses 400 for most refusals, 401
# for three different ones, and 404 only for routes that do not exist.
_REFUSALS: tuple[tuple[int, str, type[Refused]], ...] = (
    (401, "not logged in", NotLoggedIn),
    (401, "email unrecognized", NotFound),
    (401, "", NotPermitted),
    (403, "", NotPermitted),
    (404, "", NotFound),
    (400, "has been deleted", TicketDeleted),
    (400, "maximum allowed number of open tickets", QuotaReached),
    (400, "has not been claimed", WrongState),
    (400, "changing ticket status", WrongState),
    (400, "cannot set status", WrongState),
    (400, "not found", NotFound),
    (400, "unable to find", NotFound),
    (400, "is not available", NotFound),
    (400, "is not readable", NotFound),
)


def refusal(status: int, text: str, *, call: str, server: str) -> Refused:
    """Return the error for a refusal, chosen by its status and its text.

    Args:
        status: HTTP status of the answer, 400 to 499.
        text: Body of the answer.
        call: Method and path of the request, for the message.
        server: URL of the server, for the message.
    """
    words = shown(text)
    kind = next(
        (k for code, part, k in _REFUSALS if code == status and part in words.lower()), Refused
    )
    if kind is NotLoggedIn:
        message = f"not logged in to {server}; run: dss login {server}"
    else:
        message = f"{words or 'no reason given'} ({server}, {status} to {call})"
        if kind.remedy:
            message += f"; {kind.remedy}"
    return kind(message, status=status, text=words)
