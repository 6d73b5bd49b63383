"""The highest rate of arrivals that a server sustains: bisected, since above it the queue only grows."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from serving.bench.figures import Round

_CLOSE_ENOUGH = 0.05  # of the rate: the machine's own drift is no smaller
_GROWTH = 1.25  # of a step up or down, until the rate lies between two probes
_PROBES = 16  # 1.25 ** 10 is 9: a start that far off still leaves six to halve

Probe = Callable[[float], Awaitable[Round]]
"""Loads the server with so many requests a second, open loop."""


@dataclass(slots=True)
class Saturation:
    """The rate found (0: not even the lowest was sustained), and every probe on the way: rate, sustained, figures."""

    rate: float = 0.0
    probes: list[tuple[float, bool, Round]] = field(default_factory=list)


async def find_saturation(probe: Probe, share: float, start: float) -> Saturation:
    """Step up or down from `start` until a sustained and a broken rate are known, then halve between.

    A rate is sustained when at least `share` of its requests were good: 0.99 is a limit on the p99.
    """
    found = Saturation()
    low, high, rate = 0.0, math.inf, start
    while len(found.probes) < _PROBES and not (low and high - low <= _CLOSE_ENOUGH * high < math.inf):
        round_ = await probe(rate)
        kept = round_.good >= share * round_.requests
        found.probes.append((rate, kept, round_))
        low, high = (rate, high) if kept else (low, rate)
        rate = low * _GROWTH if math.isinf(high) else (low + high) / 2 if low else high / _GROWTH
    found.rate = low
    return found
