"""Outlier scores: their statistics against brute force, and the choice by foreign rows."""

import numpy as np
import pytest
import torch

from training.architectures.outliers import Energy, Mahalanobis, Signals
from training.evaluate.outliers import SHRINKAGE, auroc, choose, dump, feature_scores, restore


def signals(features: torch.Tensor, logits: torch.Tensor | None = None) -> Signals:
    return Signals((), torch.zeros(len(features), 2) if logits is None else logits, features, None)


def blobs(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two classes with one covariance: features float [rows, 4], labels int64 [rows]."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, rows)
    mixing = np.random.default_rng(9).normal(size=(4, 4))
    features = draw.normal(size=(rows, 4)) @ mixing + 5 * labels[:, None]
    return torch.from_numpy(features).float(), torch.from_numpy(labels)


def test_auroc_is_the_share_of_pairs_with_the_foreign_row_above() -> None:
    own, foreign = torch.tensor([0.0, 1.0, 1.0, 3.0]), torch.tensor([1.0, 2.0, 0.5])
    pairs = [1.0 if b > a else 0.5 if a == b else 0.0 for a in own for b in foreign]
    assert auroc(own, foreign) == pytest.approx(sum(pairs) / len(pairs))


def test_the_distance_is_that_to_the_nearest_class_under_the_common_covariance() -> None:
    features, labels = blobs(400, 0)
    score = feature_scores(signals(features), labels)["mahalanobis"]
    wide = features.double().numpy()
    means = np.stack([wide[labels == label].mean(0) for label in (0, 1)])
    within = wide - means[labels.numpy()]
    covariance = within.T @ within / len(within)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(np.diag(covariance))
    inverse = np.linalg.inv(shrunk + 1e-6 * np.trace(shrunk) / 4 * np.eye(4))
    expected = [min(np.sqrt((x - m) @ inverse @ (x - m)) for m in means) for x in wide[:20]]
    np.testing.assert_allclose(score.raw(signals(features[:20])).numpy(), expected, rtol=1e-3)


def test_the_score_that_tells_the_foreign_rows_apart_is_chosen_and_its_threshold_is_one() -> None:
    features, labels = blobs(400, 0)
    own, _ = blobs(1000, 1)
    foreign = torch.from_numpy(np.random.default_rng(2).normal(size=(100, 4))).float() * 30
    candidates = {"energy": Energy(), **feature_scores(signals(features), labels)}
    score, choice = choose(candidates, signals(own), {"noise": signals(foreign)})
    assert choice.score == "mahalanobis"
    assert choice.candidates["energy"] == 0.5
    assert choice.sets["noise"] > 0.95
    assert choice.thresholds["0.01"] == pytest.approx(1.0)
    with torch.inference_mode():
        found = score(signals(own))
    assert found.shape == (1000, 1)
    assert float(found.median()) == pytest.approx(0.0, abs=1e-3)
    assert (found > choice.thresholds["0.05"]).double().mean().item() == pytest.approx(0.05, abs=0.002)


def test_too_few_rows_for_a_covariance_leave_the_energy_alone() -> None:
    features, labels = blobs(7, 0)
    assert feature_scores(signals(features), labels) == {}


def test_a_score_is_the_same_when_it_is_read_again() -> None:
    features, labels = blobs(400, 0)
    score, choice = choose(feature_scores(signals(features), labels), signals(features), {})
    again, same = restore(dump(score, choice))
    assert same == choice
    assert isinstance(again, Mahalanobis)
    torch.testing.assert_close(again(signals(features)), score(signals(features)))
