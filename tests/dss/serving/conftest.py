from __future__ import annotations

from tests.dss.serving.lab import lab

__all__ = ["lab"]
