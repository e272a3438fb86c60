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
    from dss.admin import Admin as Admin
    from dss.client import Client as Client
    from dss.errors import (
        CommandFailed as CommandFailed,
    )
    from dss.errors import (
        DemoFailed as DemoFailed,
    )
    from dss.errors import (
        DssError as DssError,
    )
    from dss.errors import (
        InvalidResponse as InvalidResponse,
    )
    from dss.errors import (
        JobCancelled as JobCancelled,
    )
    from dss.errors import (
        JournalError as JournalError,
    )
    from dss.errors import (
        MiddlewareFailed as MiddlewareFailed,
    )
    from dss.errors import (
        NetworkFailed as NetworkFailed,
    )
    from dss.errors import (
        NotFound as NotFound,
    )
    from dss.errors import (
        NotLoggedIn as NotLoggedIn,
    )
    from dss.errors import (
        NotPermitted as NotPermitted,
    )
    from dss.errors import (
        OutcomeUnknown as OutcomeUnknown,
    )
    from dss.errors import (
        QuotaReached as QuotaReached,
    )
    from dss.errors import (
        Refused as Refused,
    )
    from dss.errors import (
        ServerFailed as ServerFailed,
    )
    from dss.errors import (
        ServiceError as ServiceError,
    )
    from dss.errors import (
        TicketDeleted as TicketDeleted,
    )
    from dss.errors import (
        TimedOut as TimedOut,
    )
    from dss.errors import (
        TooLarge as TooLarge,
    )
    from dss.errors import (
        TransferFailed as TransferFailed,
    )
    from dss.errors import (
        Unfinished as Unfinished,
    )
    from dss.errors import (
        WrongState as WrongState,
    )
    from dss.http.session import Session as Session
    from dss.login import Credentials as Credentials
    from dss.middleware import Middleware as Middleware
    from dss.provider import Provider as Provider
    from dss.records import TicketStatus as TicketStatus
    from dss.serving.declaration import service as service
    from dss.serving.job import Job as Job

#: The module of each name, which is imported with the name's first use.
_HOME = {
    "Admin": "admin",
    "Client": "client",
    "CommandFailed": "errors",
    "Credentials": "login",
    "DemoFailed": "errors",
    "DssError": "errors",
    "InvalidResponse": "errors",
    "Job": "serving.job",
    "JobCancelled": "errors",
    "JournalError": "errors",
    "Middleware": "middleware",
    "MiddlewareFailed": "errors",
    "NetworkFailed": "errors",
    "NotFound": "errors",
    "NotLoggedIn": "errors",
    "NotPermitted": "errors",
    "OutcomeUnknown": "errors",
    "Provider": "provider",
    "QuotaReached": "errors",
    "Refused": "errors",
    "ServerFailed": "errors",
    "ServiceError": "errors",
    "Session": "http.session",
    "TicketDeleted": "errors",
    "TicketStatus": "records",
    "TimedOut": "errors",
    "TooLarge": "errors",
    "TransferFailed": "errors",
    "Unfinished": "errors",
    "WrongState": "errors",
    "service": "serving.declaration",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'dss' has no attribute {name!r}")
    return getattr(import_module(f"dss.{_HOME[name]}"), name)
