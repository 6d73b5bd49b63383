"""Whether a model is below its baseline: a paired test over the rows that both have answered.

Which baseline stands beside a model is the business of `baselines`; publishing in spite of it, that of the pipeline.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from training.evaluate.report import Report

Array: TypeAlias = npt.NDArray[np.floating] | npt.NDArray[np.bool_]

LEVEL = 0.05
"""Of the test, one-sided: at most one in twenty models as good as their baselines is called worse."""

PERMUTATIONS = 9_999
"""Random signs of the test. All of them are tried where there are fewer: two to the power of the unequal rows."""

FEW_ROWS = 1_000
"""Unequal rows up to which signs are permuted; the mean of more of them is as good as normal."""


@dataclass(frozen=True)
class Gap:
    """Model minus baseline, the mean over the rows.

    standard_error: of `difference`. p_value: one-sided, of a model that is no worse. significant: below at `LEVEL`.
    """

    difference: float
    standard_error: float
    p_value: float
    significant: bool

    @property
    def noticeable(self) -> bool:
        """Whether the model is below by more than a standard error, which deserves a warning.

        One unequal row is exactly one standard error, whichever way the floats round.
        """
        return self.significant or self.difference < -self.standard_error * (1 + 1e-9)


def below_baseline(model: Array, baseline: Array) -> Gap:
    """Compare two models on the same rows, in the same order; `ValueError` where they are not as many, or none.

    model, baseline: float [rows], the score of each row, more is better: 1 for a right answer and 0 for a wrong
    one, or a row's NDCG. The test flips signs of the differences (Fisher 1935); of right and wrong answers that
    is McNemar's exact test.
    """
    scores, others = np.asarray(model, np.float64), np.asarray(baseline, np.float64)
    if scores.shape != others.shape or scores.ndim != 1 or not len(scores):
        raise ValueError(f"scores: got shapes {scores.shape} and {others.shape}, expected the same rows")
    differences = scores - others
    if not np.isfinite(differences).all():
        raise ValueError("scores: got one that is not finite, expected numbers")
    error = float(differences.std(ddof=1) / np.sqrt(len(differences))) if len(differences) > 1 else 0.0
    p_value = _p_value(differences[differences != 0])
    return Gap(float(differences.mean()), error, p_value, p_value < LEVEL)


def gaps(report: Report) -> dict[str, Gap]:
    """The gap to each baseline of the report, by its name."""
    model = np.asarray(report.row_scores)
    return {name: below_baseline(model, np.asarray(rows)) for name, rows in report.baselines.items()}


def describe(name: str, gap: Gap) -> str:
    """One line for the log and the card."""
    told = f"{gap.difference:+.4f} ± {gap.standard_error:.4f} against {name} on the same rows"
    if gap.significant:
        return f"{told}: significantly below it (p {gap.p_value:.2g}, level {LEVEL:g})"
    return f"{told}: below it by more than a standard error" if gap.noticeable else told


def _p_value(unequal: npt.NDArray[np.float64]) -> float:
    """How often a sum as low as this comes by chance when each sign is as likely; 1 of nothing."""
    if len(unequal) < 2:  # too few for SciPy
        return 0.5 if unequal.sum() < 0 else 1.0
    if len(unequal) > FEW_ROWS:
        return float(stats.norm.cdf(unequal.sum() / np.sqrt(np.square(unequal).sum())))
    found = stats.permutation_test(
        (unequal,),
        np.sum,
        permutation_type="samples",
        n_resamples=PERMUTATIONS,
        alternative="less",
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)
