"""The process that claims tickets, and has each worked on in a process of its own.

Nothing here imports `dss.serving.worker`, nor the other way: the two speak by
`dss.serving.messages` alone.
"""

from dss.serving.runner.loop import Runner

__all__ = ["Runner"]
