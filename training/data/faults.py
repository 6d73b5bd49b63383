"""Faults of data in few lines: those that most rows have come first, and the rest are counted.

A fault is a line that begins with a file, a row or both. Which faults there are is for the readers.
"""

import re
from collections.abc import Sequence

from training.errors import DataError

SHOWN = 10
"""Lines on the screen."""

_SAME_WORDS = 4
"""Words after the place by which two faults are of one kind: names, numbers and texts that differ come later."""
_PLACE = re.compile(r"^.*?: ")
_VARYING = re.compile(r"'[^']*'|\d+")


def kind_of(fault: str) -> str:
    """What kind of fault it is: its first words, without names and numbers."""
    message = _PLACE.sub("", fault, count=1)
    return " ".join(_VARYING.sub("…", message).split()[:_SAME_WORDS])


def worst_first(faults: Sequence[str], shown: int = SHOWN) -> list[str]:
    """At most `shown` faults, of each kind in turn, the kind with the most rows first."""
    kinds: dict[str, list[str]] = {}
    for fault in faults:
        kinds.setdefault(kind_of(fault), []).append(fault)
    if len(faults) <= shown:
        return [fault for group in _by_size(kinds) for fault in group]
    groups = _by_size(kinds)[:shown]
    share, more = divmod(shown, len(groups))
    taken = [group[: share + (place < more)] for place, group in enumerate(groups)]
    return [fault for group in taken for fault in group]


def counted(faults: Sequence[str]) -> str:
    """How many there are of each kind, the most first: `12 × text is empty, 3 × no JSON`."""
    kinds: dict[str, int] = {}
    for fault in faults:
        kind = kind_of(fault)
        kinds[kind] = kinds.get(kind, 0) + 1
    ordered = sorted(kinds.items(), key=lambda kind: -kind[1])
    listed = ", ".join(f"{count:,} × {kind}" for kind, count in ordered[:SHOWN])
    return listed if len(ordered) <= SHOWN else f"{listed}, …"


def refuse(name: str, faults: Sequence[str]) -> None:
    """A strict run stops at any fault: DataError with the worst of them."""
    if not faults:
        return
    lines = worst_first(faults)
    if len(faults) > len(lines):
        lines = [*lines, f"… and {len(faults) - len(lines):,} more: {counted(faults)}"]
    raise DataError(f"{name}: {len(faults):,} faults:\n" + "\n".join(lines))


def _by_size(kinds: dict[str, list[str]]) -> list[list[str]]:
    return sorted(kinds.values(), key=len, reverse=True)
