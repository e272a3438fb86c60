"""What the process of a job is told to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dss.serving.journal import Step
from snapws.privacy import Privacy


@dataclass(frozen=True)
class Order:
    """Take a ticket from where it stands to its end.

    Attributes:
        ticket: Its number.
        service: Name of its service.
        hash: Hash of its service.
        step: How far it is.
        reason: Why it fails, if it does.
        folder: The folder of its files.
        server: URL of the middleware.
        cookie: The login.
        verify: How the server's certificate is checked, as for `Session`.
        patience: Seconds for which one call is repeated before the job remarks that it waits.
        privacy: What typed text goes along with the result, as for `snapws.archive.archive`.
    """

    ticket: int
    service: str
    hash: str
    step: Step
    reason: str
    folder: Path
    server: str
    cookie: str
    verify: bool | str
    patience: float
    privacy: Privacy

    def __repr__(self) -> str:
        return f"Order({self.ticket}, {self.service!r}, {self.step})"

    def as_json(self) -> dict[str, Any]:
        """Give it as a JSON object."""
        return {**asdict(self), "step": self.step.value, "folder": str(self.folder)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Order:
        """Read what `as_json` gave."""
        step, folder = Step(document["step"]), Path(document["folder"])
        return cls(**{**document, "step": step, "folder": folder})
