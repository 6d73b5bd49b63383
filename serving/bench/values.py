"""The values of a benchmark: loads, the record of requests with their outcomes, and the one error."""

import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

clock = time.perf_counter
"""Seconds; every instant of a benchmark is on this clock."""

TIMEOUT, DISCONNECTED, REFUSED = -1, -2, -3
"""Outcomes without a status: given up here, connection closed under the request, no connection."""

OUTCOMES = {TIMEOUT: "timeout", DISCONNECTED: "disconnected", REFUSED: "refused"}


class BenchError(Exception):
    """The benchmark cannot be run as asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Every connection asks again as soon as it is answered, so a slow server is asked less."""

    connections: int

    def __str__(self) -> str:
        return f"closed, {self.connections} connections"


@dataclass(frozen=True, slots=True)
class Open:
    """Requests arrive `rate` times a second on average, as a Poisson process, whatever the server does.

    Latency counts from the moment a request was due, so the wait for a free one of the `connections` is in it.
    To leave that out is called coordinated omission.
    """

    rate: float
    connections: int

    def __str__(self) -> str:
        return f"open, {self.rate:.0f}/s, {self.connections} connections"


Load = Closed | Open


@dataclass(slots=True)
class Record:
    """One request after the other: when it was due, sent and done (seconds on `clock`), and its outcome.

    Plain arrays, since there may be millions. `statuses` holds HTTP statuses and the negative outcomes.
    """

    began: float = 0.0
    ended: float = 0.0
    """Requests were due between these two; those under way at `ended` are awaited and recorded."""
    due: "array[float]" = field(default_factory=lambda: array("d"))
    sent: "array[float]" = field(default_factory=lambda: array("d"))
    done: "array[float]" = field(default_factory=lambda: array("d"))
    statuses: "array[int]" = field(default_factory=lambda: array("h"))
    stages: dict[str, "Mean"] = field(default_factory=dict)
    cpu_s: float = 0.0
    """Processor seconds that the load generator itself took."""

    def add(self, due: float, sent: float, status: int) -> None:
        """A request that is over now."""
        self.due.append(due)
        self.sent.append(sent)
        self.done.append(clock())
        self.statuses.append(status)

    def add_timing(self, header: bytes) -> None:
        """Add the stages of one answer's `Server-Timing`: `run;dur=0.123, …`, milliseconds."""
        for name, milliseconds in _durations(header):
            mean = self.stages.get(name)
            if mean is None:
                mean = self.stages[name] = Mean()
            mean.total += milliseconds
            mean.count += 1

    def __len__(self) -> int:
        return len(self.statuses)


@dataclass(slots=True)
class Mean:
    """A running mean."""

    total: float = 0.0
    count: int = 0

    @property
    def value(self) -> float:
        """The mean; 0 of nothing."""
        return self.total / self.count if self.count else 0.0


def _durations(header: bytes) -> Iterator[tuple[str, float]]:
    for metric in header.decode("latin-1").split(","):
        name, found, duration = metric.partition(";dur=")
        if found:
            try:
                yield name.strip(), float(duration.partition(";")[0])
            except ValueError:  # the header is free text
                continue
