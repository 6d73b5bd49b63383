"""The evaluation of a recommender on test: its figures, the baselines', the margins, slices, a plot.

Model and baselines are ranked on the same examples in the same run; margins are paired, user by user.
"""

from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from inference.manifest import Evaluation, SliceScore
from training.data.examples import EVALUATION_BATCH, Batch
from training.data.histories import Held
from training.data.interactions import Log
from training.evaluate.baselines import (
    DECAY,
    NEIGHBOURS,
    SHRINKAGE,
    Baseline,
    ItemNeighbours,
    Neighbours,
    Popularity,
    Repetition,
)
from training.evaluate.figures import DOTS_PER_INCH, GRID_COLOUR, TRAIN_COLOUR, VALIDATION_COLOUR
from training.evaluate.ranking import by_example, coverage, full_ranks, interval_of_mean, sampled_ranks
from training.evaluate.report import Report

PLOT = "baselines.png"
MAIN = "ndcg@10"
LENGTHS = (1, 10, 50, 200)
"""Lower edges of the slices by length of history, in items."""

Figures = dict[str, Tensor]
"""Each figure of each example, float64 [rows]."""

Scorer = Callable[[Tensor], Tensor]
"""Scores float [n, items] of some rows (int64 [n]) of the examples."""


def ranks_of(scores: Tensor, batch: Batch) -> Tensor:
    """Ranks by the protocol of the data: among the given others, or in the whole catalogue; int64 [n, most]."""
    if "others" in batch:
        return sampled_ranks(scores, batch["target"], batch["others"])
    return full_ranks(scores, batch["target"], batch.get("seen"))


def score_all(held: Held, score: Scorer) -> tuple[Figures, float]:
    """Figures of every example, and the share of the catalogue that is among the first ten of any."""
    parts: list[Figures] = []
    shown: set[int] = set()
    items = 1
    for rows, batch in _chunks(held):
        scores = score(rows)
        parts.append(by_example(ranks_of(scores, batch)))
        shown |= coverage(scores, 10)
        items = scores.shape[1]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}, len(shown) / items


def baselines(log: Log, items: int, validation: Held, *, repeats: bool) -> dict[str, Baseline]:
    """The baselines by name; item neighbours are set as is best on validation."""
    best = _best_neighbours(log, items, validation)
    found: dict[str, Baseline] = {"popularity": Popularity(log, items), "item_knn": best}
    return {**found, "repetition": Repetition(log, items)} if repeats else found


def _best_neighbours(log: Log, items: int, validation: Held) -> ItemNeighbours:
    """As many as are best on validation, then with shrinkage and with decay where those are better."""

    def scored(settings: Neighbours) -> tuple[float, Neighbours, ItemNeighbours]:
        knn = ItemNeighbours(log, items, *settings)
        return float(score_all(validation, _of(knn, validation))[0][MAIN].mean()), settings, knn

    best = max((scored(Neighbours(count)) for count in NEIGHBOURS), key=itemgetter(0))
    best = max(best, scored(best[1]._replace(shrinkage=SHRINKAGE)), key=itemgetter(0))
    best = max(best, scored(best[1]._replace(decay=DECAY)), key=itemgetter(0))
    return best[2]


def report(
    held: Held, score: Scorer, rivals: Mapping[str, Baseline], plots: Path, *, history_lengths: bool
) -> Report:
    """Everything on test. `score` asks the bundle."""
    own, covered = score_all(held, score)
    others = {name: score_all(held, _of(rival, held)) for name, rival in rivals.items()}
    metrics = {**_means(own), "coverage@10": covered}
    for name, (figures, share) in others.items():
        metrics |= {f"{name}: {figure}": value for figure, value in _means(figures).items()}
        metrics[f"{name}: coverage@10"] = share
        low, high = interval_of_mean((own[MAIN] - figures[MAIN]).numpy())
        metrics |= {f"margin over {name}: {MAIN}": float((own[MAIN] - figures[MAIN]).mean())}
        metrics |= {
            f"margin over {name}: {MAIN}, 95% low": low,
            f"margin over {name}: {MAIN}, 95% high": high,
        }
    _plot(plots / PLOT, {"this model": own, **{name: figures for name, (figures, _) in others.items()}})
    slices = _slices(held, own[MAIN]) if history_lengths else ()
    return Report(
        evaluation=Evaluation(split="test", rows=len(held), metrics=metrics, slices=slices),
        pictures={PLOT: f"{MAIN} on test with 95 % intervals, beside the baselines of the same run"},
        row_scores=tuple(own[MAIN].tolist()),
        baselines={
            name.replace("_", " "): tuple(figures[MAIN].tolist()) for name, (figures, _) in others.items()
        },
    )


def _chunks(held: Held) -> Iterator[tuple[Tensor, Batch]]:
    for rows in torch.split(torch.arange(len(held)), EVALUATION_BATCH):
        yield rows, held.batch(rows, torch.Generator())


def _of(rival: Baseline, held: Held) -> Scorer:
    return lambda rows: rival.scores(held, rows)


def _means(figures: Figures) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in figures.items()}


def _slices(held: Held, values: Tensor) -> tuple[SliceScore, ...]:
    """The main figure by length of history, with its interval."""
    lengths = (held.histories.stop - held.histories.start).numpy()
    bins = np.digitize(lengths, LENGTHS)
    scores = []
    for slot, (low_edge, high_edge) in enumerate(zip(LENGTHS, (*LENGTHS[1:], None), strict=True), start=1):
        inside = values[torch.from_numpy(bins == slot)].numpy()
        if not len(inside):
            continue
        low, high = interval_of_mean(inside)
        name = f"{low_edge}+" if high_edge is None else f"{low_edge}–{high_edge - 1}"
        scores.append(
            SliceScore(
                column="items in the history",
                value=name,
                rows=len(inside),
                metric=MAIN,
                score=float(inside.mean()),
                low=low,
                high=high,
            )
        )
    return tuple(scores)


def _plot(target: Path, models: Mapping[str, Figures]) -> None:
    """A bar for each model, the longest being the best."""
    figure = Figure(figsize=(7.0, 0.6 + 0.5 * len(models)), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    for row, (name, figures) in enumerate(reversed(list(models.items()))):
        values = figures[MAIN].numpy()
        mean, (low, high) = values.mean(), interval_of_mean(values)
        colour = VALIDATION_COLOUR if name == "this model" else TRAIN_COLOUR
        axes.barh(row, mean, color=colour, xerr=[[mean - low], [high - mean]], ecolor="#333333", height=0.6)
        axes.annotate(f" {mean:.4f}", (high, row), va="center", fontsize=9)
    axes.set_yticks(range(len(models)), [name.replace("_", " ") for name in reversed(list(models))])
    axes.set_title(MAIN, loc="left", fontsize=11, fontweight="bold")
    axes.grid(axis="x", color=GRID_COLOUR, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)
    figure.savefig(target)
