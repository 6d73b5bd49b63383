"""Ranks and their metrics: hit rate, NDCG, reciprocal rank, coverage, intervals by resampling.

A rank counts from 0. Where the target is several items (a basket), each has its rank in the same list.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchmetrics import Metric

MISSING = -1
"""The rank of padding: no target item is there."""


def full_ranks(scores: Tensor, target: Tensor, seen: Tensor | None = None) -> Tensor:
    """Ranks of the target items in the whole catalogue, int64 [n, most], `MISSING` where target is 0.

    scores: float [n, items], column j for index j + 1; target: int64 [n, most] indexes; seen: int64
    [n, longest] indexes that are taken off the list (target items stay on it).
    """
    if seen is not None:
        off = torch.zeros(len(scores), scores.shape[1] + 1, dtype=torch.bool, device=scores.device)
        off = off.scatter(1, seen, True)
        off = off.scatter(1, target, False)
        scores = scores.masked_fill(off[:, 1:], -math.inf)
    ranks = torch.full_like(target, MISSING)
    for place in range(target.shape[1]):
        rows = (target[:, place] != 0).nonzero().squeeze(1)
        ranks[rows, place] = _places(scores[rows], target[rows, place, None] - 1)
    return ranks


def _places(scores: Tensor, column: Tensor) -> Tensor:
    """How many items stand before the one in `column` (int64 [n, 1]) of scores float [n, items]: int64 [n].

    Counted, where sorting the catalogue for one rank takes some twenty times as long
    (`python -m benchmarks.ranking`). Equal scores keep the order of the catalogue. A score that is no number stands
    before all others, and an own one behind them.
    """
    own = scores.gather(1, column)
    before = scores.shape[1] - _count(scores <= own)
    tied = (_count(scores == own) > 1).nonzero().squeeze(1)
    if len(tied):
        earlier = torch.arange(scores.shape[1], device=scores.device) < column[tied]
        before[tied] += _count((scores[tied] == own[tied]) & earlier)
    return before


def _count(mask: Tensor) -> Tensor:
    """The true ones of each row: int64 [n]. NumPy counts them in a ninth of PyTorch's time on a CPU."""
    if mask.device.type != "cpu":
        return mask.sum(1)
    return torch.from_numpy(np.count_nonzero(mask.numpy(), axis=1))


def sampled_ranks(scores: Tensor, target: Tensor, others: Tensor) -> Tensor:
    """Rank of one target item among `others`, int64 [n, 1].

    target: int64 [n, 1]; others: int64 [n, negatives]. An item that is among the others itself counts once,
    as in the authors' scorer; an equal score counts as better, so that a constant model ranks last.
    """
    own = scores.gather(1, target - 1)
    better = (scores.gather(1, others - 1) >= own) & (others != target)
    return better.sum(1, keepdim=True)


def hit_rate(ranks: Tensor, k: int) -> Tensor:
    """1 where at least one target item is among the first `k`, float64 [n]."""
    return ((ranks >= 0) & (ranks < k)).any(1).double()


def ndcg(ranks: Tensor, k: int) -> Tensor:
    """Normalised discounted cumulative gain at `k` with gains of 0 and 1, float64 [n]."""
    gains = torch.where((ranks >= 0) & (ranks < k), 1 / (ranks.clamp(min=0) + 2).double().log2(), 0.0)
    ideal = (1 / (torch.arange(k, device=ranks.device) + 2).double().log2()).cumsum(0)
    relevant = (ranks >= 0).sum(1).clamp(1, k)
    return gains.sum(1) / ideal[relevant - 1]


def reciprocal_rank(ranks: Tensor) -> Tensor:
    """1 / (1 + rank) of the first target item, float64 [n]."""
    first = ranks.masked_fill(ranks < 0, torch.iinfo(ranks.dtype).max // 2).min(1).values
    return 1 / (first.double() + 1)


def by_example(ranks: Tensor) -> dict[str, Tensor]:
    """Every figure of each example, float64 [n]."""
    return {"hr@10": hit_rate(ranks, 10), "ndcg@10": ndcg(ranks, 10), "mrr": reciprocal_rank(ranks)}


def coverage(scores: Tensor, k: int) -> set[int]:
    """Columns of the items that are among the first `k` of any row; scores float [n, items]."""
    best = scores.topk(min(k, scores.shape[1]), dim=1).indices
    return set(best.flatten().tolist())


class MeanFigure(Metric):
    """The mean over examples of a figure of their ranks, as a metric of torchmetrics."""

    total: Tensor
    rows: Tensor
    full_state_update = False

    def __init__(self, figure: Callable[[Tensor], Tensor], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.figure = figure
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("rows", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, ranks: Tensor) -> None:
        """ranks int64 [n, most]."""
        self.total += self.figure(ranks).sum().to(self.total)
        self.rows += len(ranks)

    def compute(self) -> Tensor:
        """float32: checkpoints hold and compare scores in it."""
        return (self.total / self.rows).float()


def interval_of_mean(
    values: npt.NDArray[np.float64], seed: int = 0, draws: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap of the mean over users; give paired differences for the interval of a margin."""
    generator = np.random.default_rng(seed)
    means = np.array([values[generator.integers(0, len(values), len(values))].mean() for _ in range(draws)])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
