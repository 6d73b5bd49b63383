"""The evaluation of a recommender beside its baselines."""

from pathlib import Path

import pytest
import torch

from training.data.histories import Held, Spans
from training.data.interactions import make_log
from training.evaluate.baselines import Baseline, ItemNeighbours, Popularity
from training.evaluate.ranking_report import MAIN, PLOT, baselines, ranks_of, report, score_all

USERS, ITEMS = 12, 30
ROWS = torch.arange(USERS)
LOG = make_log([user for user in range(USERS) for _ in range(2)], [1, 2] * USERS, range(2 * USERS))


def held(others: torch.Tensor | None = None) -> Held:
    """Every history is items 1 and 2, and the user takes item 3 + user next."""
    history = Spans(torch.tensor([1, 2] * USERS), 2 * ROWS, 2 * ROWS + 2)
    return Held(ROWS, history, Spans(ROWS + 3, ROWS, ROWS + 1), 5, False, others is None, (), (), others)


def knowing(rows: torch.Tensor) -> torch.Tensor:
    scores = torch.zeros(len(rows), ITEMS)
    scores[torch.arange(len(rows)), rows + 2] = 1.0
    return scores


def test_the_protocol_follows_from_the_batch() -> None:
    scores = torch.arange(ITEMS, 0, -1).float().expand(USERS, -1)
    filtered = held().batch(ROWS, torch.Generator())
    assert ranks_of(scores, filtered)[0].tolist() == [0], "items 1 and 2 are taken off the list"
    sampled = held(others=torch.tensor([[1, 2]] * USERS)).batch(ROWS, torch.Generator())
    assert ranks_of(scores, sampled)[0].tolist() == [2]


def test_figures_are_by_example_and_coverage_by_catalogue() -> None:
    figures, covered = score_all(held(), knowing)
    assert figures["hr@10"].tolist() == [1.0] * USERS
    assert 10 / ITEMS <= covered <= 1


def test_margins_over_a_baseline_carry_an_interval_and_the_plot_is_there(tmp_path: Path) -> None:
    found = report(held(), knowing, {"popularity": Popularity(LOG, ITEMS)}, tmp_path, history_lengths=True)
    metrics = found.evaluation.metrics
    margin = metrics[f"margin over popularity: {MAIN}"]
    assert margin == pytest.approx(metrics[MAIN] - metrics[f"popularity: {MAIN}"])
    low, high = (metrics[f"margin over popularity: {MAIN}, 95% {end}"] for end in ("low", "high"))
    assert low <= margin <= high
    assert found.pictures.keys() == {PLOT}
    assert (tmp_path / PLOT).stat().st_size > 0
    assert [(one.value, one.rows, one.score) for one in found.evaluation.slices] == [("1–9", USERS, 1.0)]


def test_every_row_is_kept_beside_the_baselines_for_the_paired_test(tmp_path: Path) -> None:
    rivals: dict[str, Baseline] = {
        "popularity": Popularity(LOG, ITEMS),
        "item_knn": ItemNeighbours(LOG, ITEMS, 5),
    }
    found = report(held(), knowing, rivals, tmp_path, history_lengths=True)
    assert found.row_scores == (1.0,) * USERS
    assert found.baselines.keys() == {"popularity", "item knn"}
    assert {len(rows) for rows in found.baselines.values()} == {USERS}


def test_buying_the_same_again_is_a_baseline_of_shops_alone() -> None:
    assert baselines(LOG, ITEMS, held(), repeats=False).keys() == {"popularity", "item_knn"}
    assert baselines(LOG, ITEMS, held(), repeats=True).keys() == {"popularity", "item_knn", "repetition"}
