"""Where the server stands between its start and its end, as readiness tells it."""

import time
from dataclasses import dataclass


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
