"""Where the server stands between its start and its end, as readiness tells it."""

from dataclasses import dataclass


@dataclass(slots=True)
class Lifecycle:
    """`draining`: it has been told to stop; requests are still answered, and no new ones should be sent."""

    draining: bool = False
