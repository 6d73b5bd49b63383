"""How far a run of inputs is, what it found, and whether the memory of its process grows meanwhile."""

import gc
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_EARLY = 0.05
"""The share of the inputs after which memory is measured first: by then every cache has been filled once."""
_SAY_EVERY_S = 10.0
_MOST_FAULTS = 20


@dataclass(frozen=True, slots=True)
class Report:
    """What one process did. `faults`: number of the input and what it did, a few at most."""

    inputs: int
    seconds: float
    faults: tuple[tuple[int, str], ...]
    early_bytes: int
    end_bytes: int
    outcomes: dict[str, int] = field(default_factory=dict)

    @property
    def growth(self) -> float:
        """The end's resident memory over the early one, less one."""
        return self.end_bytes / self.early_bytes - 1.0


class Watch:
    """Told of every input of the run from number `begin` to `end`."""

    def __init__(self, begin: int, end: int) -> None:
        self._begin, self._end = begin, end
        self._began = self._said = time.monotonic()
        self._early = begin + max(1, round((end - begin) * _EARLY)) - 1
        self._early_bytes = 0
        self._faults: list[tuple[int, str]] = []
        self.outcomes: dict[str, int] = {}

    def done(self, number: int) -> None:
        """An input has been run."""
        if number == self._early:
            self._early_bytes = resident_bytes()
        if number % 256 == 0 and time.monotonic() - self._said > _SAY_EVERY_S:
            self._said = time.monotonic()
            done = number + 1 - self._begin
            rate = done / (self._said - self._began)
            print(f"{done} of {self._end - self._begin}, {rate:.0f}/s, {len(self._faults)} found",
                  file=sys.stderr, flush=True)  # fmt: skip

    def fault(self, number: int, said: str) -> None:
        """An input did what none may."""
        if len(self._faults) < _MOST_FAULTS:
            self._faults.append((number, said))
            print(f"input {number}: {said}", file=sys.stderr, flush=True)

    def count(self, outcome: str) -> None:
        """How an input ended."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def report(self) -> Report:
        """The run is over."""
        seconds = time.monotonic() - self._began
        end_bytes = resident_bytes()
        return Report(
            self._end - self._begin,
            seconds,
            tuple(self._faults),
            self._early_bytes or end_bytes,
            end_bytes,
            self.outcomes,
        )


def resident_bytes() -> int:
    """Of this process, without what only waits to be collected."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
