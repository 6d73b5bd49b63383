"""Ranks of the expected items by counting, beside the same ranks by sorting the catalogue, by turns in one run."""

import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.result import Claim, parser, shown, write
from serving.bench.figures import interval
from training.evaluate.ranking import MISSING, full_ranks

ROWS = 500
"""Of a batch of the evaluation (`training.data.examples.EVALUATION_BATCH`)."""

SHAPES = ((1_000, 1), (3_416, 1), (20_000, 1), (3_416, 20))
"""Items of the catalogue, and items of the largest basket."""

LEAST_RATIO = 10.0
"""For one item of a catalogue of 3,416, that of MovieLens 1M."""


def sorted_ranks(scores: Tensor, target: Tensor) -> Tensor:
    """The ranks by their definition: a stable sort of the whole catalogue; arguments as of `full_ranks`."""
    order = scores.argsort(dim=1, descending=True, stable=True)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    ranks = torch.empty_like(order).scatter(1, order, places)
    return ranks.gather(1, (target - 1).clamp(min=0)).masked_fill(target == 0, MISSING)


def main() -> int:
    """Measure, write, and say whether the promise holds."""
    cli = parser("ranking", __doc__)
    cli.add_argument("--rounds", type=int, default=9)
    given = cli.parse_args()
    torch.set_num_threads(1)
    rows, ratios = [], {}
    for items, most in SHAPES:
        scores, target = _batch(items, most)
        turns = [
            (_seconds(sorted_ranks, scores, target), _seconds(full_ranks, scores, target))
            for _ in range(given.rounds)
        ]
        ratio = interval([slow / quick for slow, quick in turns])
        ratios[items, most] = ratio.median
        before, after = (interval([1e3 * turn[side] for turn in turns]) for side in (0, 1))
        rows.append((f"{items:,}", str(most), shown(before), shown(after), shown(ratio, "{:.1f}")))
    found = ratios[3_416, 1]
    claim = Claim(
        text="time by sorting over time by counting, one item of 3,416",
        expected=f"at least {LEAST_RATIO:g}",
        actual=f"{found:.1f}",
        kept=found >= LEAST_RATIO,
    )
    columns = ("items", "largest basket", f"sorting, ms a batch of {ROWS}", "counting", "ratio")
    return write(given.out, columns, rows, [claim])


def _batch(items: int, most: int) -> tuple[Tensor, Tensor]:
    """Scores and baskets of one item up to `most`, padded on the left."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(ROWS, items, generator=generator)
    target = torch.randint(1, items + 1, (ROWS, most), generator=generator)
    sizes = torch.randint(1, most + 1, (ROWS, 1), generator=generator)
    return scores, target.where(torch.arange(most) >= most - sizes, 0)


def _seconds(rank: Callable[[Tensor, Tensor], Tensor], scores: Tensor, target: Tensor) -> float:
    start = time.perf_counter()
    rank(scores, target)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
