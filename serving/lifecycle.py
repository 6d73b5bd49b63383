"""Where the server stands between its start and its end: as readiness tells it, and as signals find it."""

import os
import signal
import time
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class Lifecycle:
    """Whether the server has been told to stop; requests are still answered then, and no new ones should be sent."""

    drain_began: float | None = None
    """On the monotonic clock, seconds; None while it serves."""

    @property
    def draining(self) -> bool:
        """It has been told to stop."""
        return self.drain_began is not None

    @property
    def drain_seconds(self) -> float:
        """How long ago it was told to stop; 0 while it serves."""
        return 0.0 if self.drain_began is None else time.monotonic() - self.drain_began

    def drain(self) -> None:
        """Told to stop: from now on it is not ready."""
        if self.drain_began is None:
            self.drain_began = time.monotonic()


def end_at_once() -> None:
    """Until there is a server that can drain, have the signals that stop one end the process, with status 0.

    Python's own handler of SIGTERM ends it with a status that an orchestrator takes for a crash. Settings and ONNX
    Runtime take a second or two to read, so call this before. uvicorn's handlers take its place, and give it back.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    # No exception: it would be raised inside whatever is being imported.
    os._exit(0)
