"""The quantiles of prediction sets, and the score that makes them shortest. Temperatures are `temperature`'s.

Quantiles come from rows whose scores nothing was fitted on. So the sets of fresh rows hold the truth at least as often
as was asked for, in the mean over draws of the calibration rows. Where scores do not tie, they hold it at most
1 / (rows + 1) oftener.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from inference.configs import Conformal, Score
from inference.processors.prediction_sets import label_scores, prediction_sets, within
from inference.values import Array

COVERAGES = (0.9, 0.95, 0.99)
HIGHER_COVERAGES = (0.995, 0.999)
"""Offered where the calibration rows have a quantile for them: a model may be right more often than 0.99."""

LEAST_DEFAULT = 0.95
MISTAKES_LEFT = 0.5
"""The default level leaves so large a share of the mistakes of the label alone at most. At the model's own accuracy a
set of one label would do, and no set could ever tell a doubt."""

LEAST_CHOOSING_ROWS = 500
"""Below it the score is lac: differences of a few hundredths of a label are within their error."""

SIGNIFICANT = 2.0
"""Standard errors by which another score's sets must be shorter than those of lac."""

By = Literal["all", "class"]


@dataclass(frozen=True)
class Scoring:
    """A score with the parameters of raps."""

    score: Score = "lac"
    penalty: float = 0.0
    free_ranks: int = 0

    def of(self, probabilities: Array) -> Array:
        """float32 [rows, classes] → float64 [rows, classes]."""
        return label_scores(probabilities, self.score, self.penalty, self.free_ranks)

    def highest(self, classes: int) -> float:
        """A quantile that no label exceeds."""
        return 1.0 + (self.penalty * classes if self.score == "raps" else 0.0)


LAC = Scoring()
SCORINGS = (
    LAC,
    Scoring("aps"),
    *(Scoring("raps", penalty, free) for penalty in (0.01, 0.1, 0.5) for free in (1, 2, 5)),
)
"""Penalties and free ranks in the range that Angelopoulos et al. (2021) try."""


def fit_sets(
    probabilities: Array,
    labels: Array,
    *,
    by: By = "all",
    scoring: Scoring = LAC,
    accuracy: float | None = None,
    apart: bool = False,
) -> Conformal | None:
    """The quantiles of every coverage; None where the rows are too few for any.

    probabilities: float32 [rows, classes] of calibration rows, labels: int64 [rows]. accuracy: of the label alone, by
    which the default coverage is chosen; default: on these rows. A class, or a whole split, without rows enough for a
    coverage has the quantile that no label exceeds, so its sets are wider and the promise holds.
    """
    rows, classes = probabilities.shape
    scores = scoring.of(probabilities)[np.arange(rows), labels]
    top = scoring.highest(classes)
    groups = [scores[labels == k] for k in range(classes)] if by == "class" else [scores]
    usable = [level for level in (*COVERAGES, *HIGHER_COVERAGES) if _has_quantile(groups, level)]
    if not usable:
        return None
    if accuracy is None:
        accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    levels = sorted({*COVERAGES, *usable})
    return Conformal(
        quantiles={str(level): conformal_quantile(scores, level, top) for level in levels},
        covered={},
        default=str(default_coverage(usable, accuracy)),
        score=scoring.score,
        penalty=scoring.penalty,
        free_ranks=scoring.free_ranks,
        by=by,
        class_quantiles={
            str(level): tuple(conformal_quantile(group, level, top) for group in groups) for level in levels
        }
        if by == "class"
        else {},
        rows=rows,
        apart=apart,
        standard_error={str(level): _standard_error(groups, level) for level in levels},
    )


def conformal_quantile(scores: Array, coverage: float, highest: float = 1.0) -> float:
    """The score of rank ⌈(rows + 1) · coverage⌉ of float64 [rows]; `highest` where there are too few rows."""
    rank = _rank(len(scores), coverage)
    return float(np.partition(scores, rank - 1)[rank - 1]) if rank <= len(scores) else highest


def least_rows(coverage: float) -> int:
    """Rows below which no quantile has this coverage: 9 for 0.9, 19 for 0.95, 99 for 0.99."""
    return math.ceil(round(coverage / (1 - coverage), 6))


def default_coverage(usable: Sequence[float], accuracy: float) -> float:
    """The lowest level, from `LEAST_DEFAULT` on, that leaves half of the mistakes; else the highest that there is."""
    enough = 1 - MISTAKES_LEFT * (1 - accuracy)
    return next((level for level in usable if level >= max(LEAST_DEFAULT, enough)), usable[-1])


def choose_scoring(probabilities: Array, labels: Array, by: By = "all") -> Scoring:
    """The score whose sets are shortest on held-out halves of these rows, by significantly more than chance; else lac.

    These rows must not be the calibration rows: sets that were chosen for being short there would be too short.
    """
    rows, classes = probabilities.shape
    if rows < LEAST_CHOOSING_ROWS or classes < 3:
        return LAC
    half = np.random.default_rng(rows).permutation(rows) % 2 == 0
    sizes = {scoring: _held_out_sizes(probabilities, labels, half, by, scoring) for scoring in SCORINGS}
    usual = sizes[LAC]
    best = min(sizes, key=lambda scoring: float(sizes[scoring].mean()))
    fall = usual - sizes[best]
    return best if fall.mean() > SIGNIFICANT * fall.std() / math.sqrt(rows) else LAC


def describe_sets(conformal: Conformal) -> str:
    """The score, the rows and the promise in a line, for the log and the card."""
    rows = f"{conformal.rows:,} calibration rows " + (
        "that chose nothing" if conformal.apart else "that chose the epoch, too, since validation is small"
    )
    raps = f" with {conformal.penalty:g} a rank beyond {conformal.free_ranks}"
    score = conformal.score + (raps if conformal.score == "raps" else "")
    return f"score {score}, by {conformal.by}, {rows}; answers have coverage {conformal.default}"


def with_test_figures(conformal: Conformal, probabilities: Array, labels: Array) -> Conformal:
    """With the figures of test rows: float32 [rows, classes], int64 [rows]."""
    rows = np.arange(len(labels))
    held = {level: within(probabilities, conformal, level)[rows, labels] for level in conformal.quantiles}
    sizes = {
        level: float(prediction_sets(probabilities, conformal, level).sum(axis=1).mean()) for level in held
    }
    present = np.unique(labels).tolist()
    found: Mapping[str, object] = {
        "covered": {level: float(inside.mean()) for level, inside in held.items()},
        "sizes": sizes,
        "lowest": {
            level: min(float(inside[labels == k].mean()) for k in present) for level, inside in held.items()
        },
    }
    return conformal.model_copy(update=found)


def _rank(rows: int, coverage: float) -> int:
    return math.ceil(round((rows + 1) * coverage, 6))  # 0.9 is a little more than nine tenths in binary


def _has_quantile(groups: Sequence[Array], coverage: float) -> bool:
    """Whether most groups have rows enough, so that a set is not nearly always every label."""
    return 2 * sum(_rank(len(group), coverage) <= len(group) for group in groups) > len(groups)


def _standard_error(groups: Sequence[Array], coverage: float) -> float:
    """Of the coverage of fresh rows, over draws of the calibration rows: with rank k of n it is Beta(k, n + 1 - k)."""
    rows = sum(map(len, groups))
    variance = 0.0
    for group in groups:
        count, rank = len(group), _rank(len(group), coverage)
        if rank <= count:
            variance += (count / rows) ** 2 * rank * (count + 1 - rank) / ((count + 1) ** 2 * (count + 2))
    return math.sqrt(variance)


def _held_out_sizes(probabilities: Array, labels: Array, half: Array, by: By, scoring: Scoring) -> Array:
    """Labels in the set of each row, float64 [rows], at the default level of the other half; all where it has none."""
    rows, classes = probabilities.shape
    sizes = np.full(rows, float(classes))
    accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    for inside in (half, ~half):
        found = fit_sets(probabilities[~inside], labels[~inside], by=by, scoring=scoring, accuracy=accuracy)
        if found is not None:
            sizes[inside] = prediction_sets(probabilities[inside], found, found.default).sum(axis=1)
    return sizes
