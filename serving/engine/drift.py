"""Drift: whether inputs and answers are still spread as the bundle's reference says that they were.

Rows are counted into the reference's bins until a window is full; then each feature is compared, and the next
window begins. A feature is in alarm when both hold:

- significant: Pearson's chi-square of two samples is above its critical value. Windows without drift exceed that with
  a probability of `FALSE_ALARM_RATE` over the number of features (Bonferroni), so the rate holds for the model;
- material: the population stability index (PSI), Σ (p - q) · ln(p / q), is at least `MATERIAL_PSI`. In a large window
  differences are significant that nobody need act on.

So a window without drift alarms at most at that rate (twice as often where the reference holds but 200 rows), and
windows never overlap. All of it runs on the event loop.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple

from inference.processors.base import Processor
from inference.store.reference import Histogram, Reference
from inference.values import Features, Tensors
from serving.engine.cells import Cells

log = logging.getLogger("baton.drift")

FALSE_ALARM_RATE = 0.001
"""Of windows without drift, those in which any feature of the model is in alarm: at most."""

MATERIAL_PSI = 0.1
"""Below it, by the rule of thumb of credit scoring (Siddiqi 2006), the spread is taken as unchanged."""

LEAST_EXPECTED = 10.0
"""Rows that must be expected in a bin, in the smaller sample: twice Cochran's (1954), since the tail is what counts."""

ROWS_A_SECOND = 20.0
"""Rows that are looked at, in the mean: at 20 to 60 µs each about a thousandth of one core, whatever the load."""

ROWS_A_REQUEST = 16
"""Rows of one request that are looked at: they are often alike."""

BURST_WINDOWS = 2
"""Windows that may fill without a pause after a quiet time."""

_ROWS, _WINDOWS, _ALARMS = range(3)


class Verdict(NamedTuple):
    """One feature in one full window."""

    psi: float
    chi_square: float
    critical: float
    """The chi-square must exceed it to be significant."""

    @property
    def alarm(self) -> bool:
        """Whether the feature has drifted."""
        return self.chi_square > self.critical and self.psi >= MATERIAL_PSI


class Drift:
    """One served version's window, and the verdicts on the last full one."""

    def __init__(
        self,
        processor: Processor,
        reference: Reference,
        window_rows: int,
        clock_s: Callable[[], float] = time.monotonic,
        cells: Cells | None = None,
    ) -> None:
        """`cells`: three, for the counts. `clock_s` is given by tests that step time by hand."""
        self.verdicts: dict[str, Verdict] = {}
        self._cells = [0] * 3 if cells is None else cells
        self._processor, self._reference, self._window_rows = processor, reference, window_rows
        self._clock_s = clock_s
        self._most = float(BURST_WINDOWS * window_rows)
        self._budget, self._then_s = self._most, clock_s()
        self._begin()

    @property
    def rows(self) -> int:
        """Rows that were looked at."""
        return self._cells[_ROWS]

    @property
    def windows(self) -> int:
        """Windows that were compared."""
        return self._cells[_WINDOWS]

    @property
    def alarms(self) -> int:
        """Windows with a feature in alarm."""
        return self._cells[_ALARMS]

    def observe(self, features: Sequence[Features], outputs: Sequence[Tensors], rows: int) -> None:
        """A request that was answered: `rows` rows, in one part or in several; raises nothing."""
        most = self._take(min(rows, ROWS_A_REQUEST))
        if not most:
            return
        try:
            if len(features) == 1:
                self._look(*_thin(features[0], outputs[0], rows, most))
            else:
                step = -(-len(features) // most)
                for feature, output in zip(features[::step], outputs[::step], strict=True):
                    self._look(feature, output)
        except Exception:  # the request is answered well, and the fault is ours alone
            log.exception("a row could not be summarised")
            return
        if self._in_window >= self._window_rows:
            self._compare()

    def _take(self, rows: int) -> int:
        """Of so many rows those that may be looked at now."""
        now_s = self._clock_s()
        self._budget = min(self._most, self._budget + (now_s - self._then_s) * ROWS_A_SECOND)
        self._then_s = now_s
        taken = min(rows, int(self._budget))
        self._budget -= taken
        return taken

    def _look(self, features: Features, outputs: Tensors) -> None:
        rows = 0
        for name, values in self._processor.summarise(features, outputs).items():
            counts = self._counts.get(name)
            if counts is not None:
                histogram = self._reference.features[name]
                for value in values.tolist():
                    counts[histogram.place(value)] += 1
            rows = len(values)
        self._cells[_ROWS] += rows
        self._in_window += rows

    def _compare(self) -> None:
        full = {name: counts for name, counts in self._counts.items() if sum(counts)}
        self.verdicts = {
            name: compare(self._reference.features[name], counts, FALSE_ALARM_RATE / len(full))
            for name, counts in full.items()
        }
        self._cells[_WINDOWS] += 1
        drifted = sorted(name for name, verdict in self.verdicts.items() if verdict.alarm)
        if drifted:
            self._cells[_ALARMS] += 1
            log.warning("drift over %d rows in: %s", self._in_window, ", ".join(drifted))
        self._begin()

    def _begin(self) -> None:
        self._in_window = 0
        self._counts = {name: [0] * len(found.counts) for name, found in self._reference.features.items()}


def compare(reference: Histogram, actual: Sequence[int], false_alarm_rate: float) -> Verdict:
    """A window's counts with the reference's, bin by bin; bins too rare to test are counted together."""
    expected_rows, actual_rows = sum(reference.counts), sum(actual)
    bins = _testable(list(zip(reference.counts, actual, strict=True)), expected_rows, actual_rows)
    ratio = math.sqrt(expected_rows / actual_rows)
    chi_square = sum((found * ratio - expected / ratio) ** 2 / (found + expected) for expected, found in bins)
    return Verdict(_psi(bins), chi_square, chi_square_quantile(1 - false_alarm_rate, len(bins) - 1))


_Bin = tuple[int, int]
"""Rows of the reference and of the window."""


def _testable(bins: Sequence[_Bin], expected_rows: int, actual_rows: int) -> list[_Bin]:
    """Bins that both samples are large enough for: rare ones as one, or, if few together, with the smallest."""
    least = LEAST_EXPECTED * max(1.0, expected_rows / actual_rows)
    common = [each for each in bins if each[0] >= least]
    rare = _sum([each for each in bins if each[0] < least])
    if sum(rare) * min(expected_rows, actual_rows) >= LEAST_EXPECTED * (expected_rows + actual_rows):
        return [*common, rare]
    common.sort()
    return [_sum([rare, *common[:1]]), *common[1:]]


def _sum(bins: Sequence[_Bin]) -> _Bin:
    return sum(expected for expected, _ in bins), sum(found for _, found in bins)


def _psi(bins: Sequence[_Bin]) -> float:
    """The population stability index, with half a row more in each bin so that an empty one is no infinity."""
    expected_rows = sum(expected for expected, _ in bins) + len(bins) / 2
    actual_rows = sum(found for _, found in bins) + len(bins) / 2
    shares = [((found + 0.5) / actual_rows, (expected + 0.5) / expected_rows) for expected, found in bins]
    return sum((p - q) * math.log(p / q) for p, q in shares)


def chi_square_quantile(probability: float, freedom: int) -> float:
    """By Wilson and Hilferty's cube (1931), which is up to 7 % too high in the tail: alarms are rarer for it."""
    if freedom < 1:
        return math.inf
    spread = 2 / (9 * freedom)
    return float(freedom * (1 - spread + NormalDist().inv_cdf(probability) * math.sqrt(spread)) ** 3)


def _thin(features: Features, outputs: Tensors, rows: int, most: int) -> tuple[Features, Tensors]:
    """At most `most` of the rows, evenly spaced."""
    if rows <= most:
        return features, outputs
    step = -(-rows // most)
    thinned = {name: array[::step] for name, array in features.tensors.items()}
    return Features(thinned, features.context), {name: array[::step] for name, array in outputs.items()}
