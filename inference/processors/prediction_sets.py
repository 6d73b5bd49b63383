"""Prediction sets from probabilities: the scores of labels, and the labels within the quantiles.

Training finds the quantiles by the scores of this module, and serving answers by them. Finding is
`training.evaluate.conformal`'s.
"""

from collections.abc import Sequence

import numpy as np

from inference.configs import Conformal, Score
from inference.values import Array


def label_scores(
    probabilities: Array, score: Score = "lac", penalty: float = 0.0, free_ranks: int = 0
) -> Array:
    """The score of every label as if it were the truth, float32 [rows, classes] → float64 [rows, classes].

    lac: 1 - p (Sadinle, Lei & Wasserman 2019, arXiv:1609.00451). aps: the mass of the labels down to this one (Romano,
    Sesia & Candès 2020, arXiv:2006.02544), not randomised, so that an answer repeats. raps: besides, `penalty` for each
    rank beyond `free_ranks` (Angelopoulos et al. 2021, arXiv:2009.14193).
    """
    wide = probabilities.astype(np.float64)
    scores: Array = 1.0 - wide
    if score == "lac":
        return scores
    order = np.argsort(-wide, axis=1, kind="stable")
    mass = np.minimum(np.take_along_axis(wide, order, axis=1).cumsum(axis=1), 1.0)
    if score == "raps":
        mass = mass + penalty * np.maximum(np.arange(1, wide.shape[1] + 1) - free_ranks, 0)
    np.put_along_axis(scores, order, mass, axis=1)
    return scores


def within(probabilities: Array, conformal: Conformal, coverage: str) -> Array:
    """The labels whose score is within the quantile of that coverage: bool [rows, classes]; a row may have none."""
    by_class = conformal.by == "class"
    most = np.asarray(conformal.class_quantiles[coverage]) if by_class else conformal.quantiles[coverage]
    scores = label_scores(probabilities, conformal.score, conformal.penalty, conformal.free_ranks)
    members: Array = scores <= most
    return members


def prediction_sets(probabilities: Array, conformal: Conformal, coverage: str) -> Array:
    """The sets as they are answered: bool [rows, classes]. The likeliest label is in each, so that none is empty."""
    members = within(probabilities, conformal, coverage)
    members[np.arange(len(members)), probabilities.argmax(axis=1)] = True
    return members


def label_set(probabilities: Sequence[float], order: Sequence[int], conformal: Conformal) -> list[int]:
    """The set of one row by the default coverage, as `prediction_sets` has it, in the given order: likeliest first.

    With the usual score it is found without NumPy, whose calls would take longer than all else of an answer.
    """
    coverage = conformal.default
    if conformal.score != "lac":
        members = prediction_sets(np.array([probabilities]), conformal, coverage)[0]
        return [label for label in order if members[label]]
    if conformal.by == "class":
        most = conformal.class_quantiles[coverage]
    else:
        most = (conformal.quantiles[coverage],) * len(probabilities)
    rest = [label for label in order[1:] if 1.0 - probabilities[label] <= most[label]]
    return [order[0], *rest]
