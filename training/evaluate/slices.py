"""A metric by part of the test split, with its 95 % interval: where a model is worse than its mean."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from inference.manifest import SliceScore
from training.data.vision import Images
from training.errors import ConfigError

Z = 1.959964
"""The normal quantile of a 95 % interval."""

QUARTERS = ("lowest quarter", "second quarter", "third quarter", "highest quarter")


def slice_scores(columns: Mapping[str, Sequence[str]], right: Sequence[bool]) -> tuple[SliceScore, ...]:
    """Accuracy of each value of each column; `columns` hold one value a row."""
    scores = []
    for column, values in columns.items():
        for value in sorted(set(values)):
            hits = [hit for hit, own in zip(right, values, strict=True) if own == value]
            low, high = wilson(sum(hits), len(hits))
            scores.append(
                SliceScore(
                    column=column,
                    value=value,
                    rows=len(hits),
                    metric="accuracy",
                    score=sum(hits) / len(hits),
                    low=low,
                    high=high,
                )
            )
    return tuple(scores)


def wilson(hits: int, rows: int) -> tuple[float, float]:
    """The score interval for a share (Wilson 1927), which stays inside 0…1 for few rows too."""
    share, spread = hits / rows, Z * Z / rows
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(share * (1 - share) / rows + spread / (4 * rows))
    # At the ends the interval closes exactly; the sum would miss it by a rounding.
    return 0.0 if hits == 0 else middle - half, 1.0 if hits == rows else middle + half


def image_columns(expected: Sequence[str], examples: Images, classes: Sequence[str]) -> dict[str, list[str]]:
    """The columns that images are sliced by: `label`, and the quarters of their `brightness` or `contrast`."""
    grey = examples.pixels.float().flatten(1)
    known = {"brightness": lambda: quarters(grey.mean(1)), "contrast": lambda: quarters(grey.std(1))}
    columns = {}
    for name in expected:
        if name == "label":
            columns[name] = [classes[label] for label in examples.labels.tolist()]
        elif name in known:
            columns[name] = known[name]()
        else:
            raise ConfigError(f"slice: {name!r} is no column of images; there are label, {', '.join(known)}")
    return columns


def quarters(values: Tensor) -> list[str]:
    """The quarter of all rows that each falls into."""
    bounds = torch.quantile(values, torch.tensor([0.25, 0.5, 0.75]))
    return [QUARTERS[quarter] for quarter in torch.bucketize(values, bounds).tolist()]


def worst_gap(scores: Sequence[SliceScore]) -> float:
    """The largest difference between two values of one column."""
    columns = {score.column for score in scores}
    found = [[score.score for score in scores if score.column == column] for column in columns]
    return max((max(one) - min(one) for one in found), default=0.0)
