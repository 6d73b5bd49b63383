"""Faults of a file of events by kind: counted, and named up to a limit, since a million of them would fill the memory.

Which faults there are is for `events`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from training.errors import DataError

LISTED = 1000
"""Rows of each kind that are named one by one."""

SHOWN = 10
"""Lines of a refusal."""


def always(message: str) -> Callable[[int], str]:
    """The same message for every row."""
    return lambda _: message


@dataclass
class _Kind:
    """How many rows have the fault, and the first of them: number and message."""

    count: int = 0
    named: list[tuple[int, str]] = field(default_factory=list)


class Faults:
    """The faults of one file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._kinds: dict[str, _Kind] = {}

    def __len__(self) -> int:
        return sum(kind.count for kind in self._kinds.values())

    def add(self, kind: str, numbers: npt.NDArray[np.integer], message: Callable[[int], str]) -> None:
        """Rows of these numbers, in the order of the file; message: of the row at a place in `numbers`."""
        if not len(numbers):
            return
        found = self._kinds.setdefault(kind, _Kind())
        found.count += len(numbers)
        room = max(0, LISTED - len(found.named))
        found.named += [(number, message(place)) for place, number in enumerate(numbers[:room].tolist())]

    def lines(self) -> list[str]:
        """A line for each kind, that of the most rows first, then the other rows that are named."""
        kinds = sorted(self._kinds.items(), key=lambda kind: -kind[1].count)
        heads, rest = [], []
        for name, kind in kinds:
            lines = [f"{self._file}, row {number}: {message}" for number, message in kind.named]
            others = f" ({name}: {kind.count:,} rows)" if kind.count > 1 else ""
            heads.append(f"{lines[0]}{others}")
            rest += lines[1:]
            if kind.count > len(lines):
                rest.append(f"{self._file}: {kind.count - len(lines):,} more rows: {name}")
        return heads + rest

    def refuse(self) -> None:
        """A strict run stops at any fault: `DataError` with the worst of them."""
        if not len(self):
            return
        lines = self.lines()
        shown = lines[:SHOWN] + ([f"… and {len(lines) - SHOWN:,} more lines"] if len(lines) > SHOWN else [])
        raise DataError("\n".join([f"{self._file}: {len(self):,} faults:", *shown]))
