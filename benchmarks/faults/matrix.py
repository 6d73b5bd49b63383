"""A case of the matrix: a fault, what is expected of the server, and a function that makes it and says what it saw."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.faults.bench import Bench

Run = Callable[[Bench], str]
"""Makes the fault and returns what was seen, in words; raises `Unexpected` where it is not what was expected."""


class Unexpected(Exception):
    """The server did something else; the message is what was seen."""


@dataclass(frozen=True, slots=True)
class Case:
    """One fault. `short`: CI runs it too, so it takes a few seconds at most.

    `alone`: it measures time or memory so finely that no other case may run beside it.
    """

    area: str
    name: str
    done: str
    expected: str
    run: Run
    short: bool
    alone: bool = False


CASES: list[Case] = []


def case(done: str, expected: str, *, short: bool = True, alone: bool = False) -> Callable[[Run], Run]:
    """Register the decorated function as a case: its module is the area, its name the case's."""

    def register(run: Run) -> Run:
        area = run.__module__.rpartition(".")[2]
        CASES.append(Case(area, run.__name__, done, expected, run, short, alone))
        return run

    return register


def expect(holds: bool, seen: str) -> None:
    """`Unexpected` with what was seen, unless it holds."""
    if not holds:
        raise Unexpected(seen)


def seen_in_one_line(text: str) -> str:
    """For a table's cell."""
    return re.sub(r"\s+", " ", text).replace("|", "/").strip()
