"""From records to figures: those of one round, and their median and interval over several."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from serving.bench.values import OUTCOMES, Record

_RESAMPLES = 2000  # 50 of them lie beyond each bound of a 95 % interval
_LEVEL = 0.95
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Latency(_Figures):
    """Milliseconds from when requests were due to when they were answered whole."""

    mean: float = 0.0
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    max: float = 0.0


class Round(_Figures):
    """The figures of one server under one load in one round."""

    requests: int
    """Due in the round, and over: each counts under exactly one outcome."""
    outcomes: dict[str, int]
    """By HTTP status, and `timeout`, `disconnected`, `refused`."""
    rate: float
    """Right answers (200) a second, counted while the load lasted."""
    good: int
    """Right answers that took no longer than the limit, if one was given."""
    latency_ms: Latency
    """Of the right answers."""
    refusal_ms: Latency
    """Of the answers with 429."""
    wait_ms: Latency
    """From due to sent: open loop's wait for a connection, and the generator's own lateness."""
    server_ms: dict[str, float]
    """Means by stage of the times in the answers' `Server-Timing`."""
    generator_cpu: float
    """Cores that the load generator itself took; near 1 it is the generator that was measured."""


class Interval(_Figures):
    """The median over the rounds, and where it lies with 95 % confidence (None of a single round)."""

    median: float
    low: float | None = None
    high: float | None = None


def summarize(record: Record, limit_ms: float | None = None) -> Round:
    """One round's figures; an answer within `limit_ms` milliseconds counts as good."""
    due, sent, done = (np.frombuffer(column, np.float64) for column in (record.due, record.sent, record.done))
    statuses = np.frombuffer(record.statuses, np.int16)
    right, took = statuses == 200, (done - due) * 1e3
    good = right if limit_ms is None else right & (took <= limit_ms)
    seconds = record.ended - record.began
    return Round(
        requests=len(record),
        outcomes={name_of(status): count for status, count in sorted(Counter(statuses.tolist()).items())},
        rate=float((right & (done <= record.ended)).sum()) / seconds,
        good=int(good.sum()),
        latency_ms=_latency(took[right]),
        refusal_ms=_latency(took[statuses == 429]),
        wait_ms=_latency((sent - due)[sent > 0] * 1e3),
        server_ms={name: mean.value for name, mean in record.stages.items()},
        generator_cpu=record.cpu_s / seconds,
    )


def name_of(status: int) -> str:
    """The name of an outcome in results."""
    return OUTCOMES.get(status, str(status))


def interval(values: Sequence[float], seed: int = 0) -> Interval:
    """The median with its bootstrapped confidence interval; rounds are independent, requests are not."""
    found = float(np.median(values))
    if len(values) < 2:
        return Interval(median=found)
    generator = np.random.default_rng(seed)
    resampled = np.median(generator.choice(values, (_RESAMPLES, len(values))), axis=1)
    low, high = np.quantile(resampled, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(median=found, low=float(low), high=float(high))


def over_rounds(rounds: Sequence[Round], figure: Callable[[Round], float]) -> Interval:
    """One figure of every round."""
    return interval([figure(each) for each in rounds])


def ratio(rounds: Sequence[Round], reference: Sequence[Round], figure: Callable[[Round], float]) -> Interval:
    """A figure over the reference's in the same round, so that the machine's drift cancels."""
    return ratio_of([figure(each) for each in rounds], [figure(each) for each in reference])


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """Pair by pair; a pair whose reference is 0 is left out."""
    return interval([a / b for a, b in zip(ours, theirs, strict=True) if b > 0] or [0.0])


def _latency(milliseconds: NDArray[np.float64]) -> Latency:
    if not milliseconds.size:
        return Latency()
    quantiles = np.quantile(milliseconds, list(QUANTILES.values()))
    named = dict(zip(QUANTILES, map(float, quantiles), strict=True))
    return Latency(mean=float(milliseconds.mean()), max=float(milliseconds.max()), **named)
