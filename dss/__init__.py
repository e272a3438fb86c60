"""The Distributed Segmentation Service: its users, providers and administrators.

>>> from dss import TicketStatus, service
>>> TicketStatus("failed").final
True
>>> @service(name="Bright", tags=["Target"])
... def bright(job):
...     job.log("Hello")
>>> bright.name, bright.tags
('Bright', ('Target',))

`dss.login.login` gives a `Session`; `Client`, `Provider` and `Admin` are made from one.
Importing this package loads no other; each comes with the first use of what needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dss.admin import Admin
    from dss.client import Client
    from dss.errors import (
        CommandFailed,
        DemoFailed,
        DssError,
        InvalidResponse,
        JobCancelled,
        JournalError,
        MiddlewareFailed,
        NetworkFailed,
        NotFound,
        NotLoggedIn,
        NotPermitted,
        OutcomeUnknown,
        QuotaReached,
        Refused,
        ServerFailed,
        ServiceError,
        TicketDeleted,
        TimedOut,
        TooLarge,
        TransferFailed,
        Unfinished,
        WrongState,
    )
    from dss.http.session import Session
    from dss.login import Credentials
    from dss.middleware import Middleware
    from dss.provider import Provider
    from dss.records import TicketStatus
    from dss.serving.declaration import service
    from dss.serving.job import Job

__all__ = [
    "Admin",
    "Client",
    "CommandFailed",
    "Credentials",
    "DemoFailed",
    "DssError",
    "InvalidResponse",
    "Job",
    "JobCancelled",
    "JournalError",
    "Middleware",
    "MiddlewareFailed",
    "NetworkFailed",
    "NotFound",
    "NotLoggedIn",
    "NotPermitted",
    "OutcomeUnknown",
    "Provider",
    "QuotaReached",
    "Refused",
    "ServerFailed",
    "ServiceError",
    "Session",
    "TicketDeleted",
    "TicketStatus",
    "TimedOut",
    "TooLarge",
    "TransferFailed",
    "Unfinished",
    "WrongState",
    "service",
]

_HOME = {
    "Admin": "admin",
    "Client": "client",
    "Credentials": "login",
    "Job": "serving.job",
    "Middleware": "middleware",
    "Provider": "provider",
    "Session": "http.session",
    "TicketStatus": "records",
    "service": "serving.declaration",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'dss' has no attribute {name!r}")
    return getattr(import_module(f"dss.{_HOME.get(name, 'errors')}"), name)
