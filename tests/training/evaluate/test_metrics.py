"""Metrics agree with versions written out by hand."""

import math

import pytest
import torch

from training.data.examples import seeded
from training.evaluate.metrics import ECE_BINS, class_scores, classification_metrics, confusion, reliability

ROWS, CLASSES = 400, 5
LABELS = torch.randint(0, CLASSES, (ROWS,), generator=seeded(1))
LOGITS = 3 * torch.randn(ROWS, CLASSES, generator=seeded(2), dtype=torch.float64)
LOGITS[torch.arange(ROWS), LABELS] += 2.5
PROBABILITIES = LOGITS.softmax(1)


def test_metrics_agree_with_brute_force() -> None:
    guesses, truths = PROBABILITIES.argmax(1).tolist(), LABELS.tolist()
    pairs = list(zip(guesses, truths, strict=True))
    f1s = []
    for k in range(CLASSES):
        hits = sum(guess == truth == k for guess, truth in pairs)
        f1s.append(2 * hits / (guesses.count(k) + truths.count(k)))
    bins: dict[int, list[tuple[float, bool]]] = {}
    for row, (guess, truth) in enumerate(pairs):
        confidence = PROBABILITIES[row, guess].item()
        bins.setdefault(min(ECE_BINS - 1, int(confidence * ECE_BINS)), []).append(
            (confidence, guess == truth)
        )
    ece = sum(abs(sum(c for c, _ in rows) - sum(r for _, r in rows)) for rows in bins.values()) / ROWS
    expected = {
        "accuracy": sum(guess == truth for guess, truth in pairs) / ROWS,
        "macro_f1": sum(f1s) / CLASSES,
        "nll": -sum(math.log(PROBABILITIES[row, truth]) for row, truth in enumerate(truths)) / ROWS,
        "ece": ece,
    }
    assert classification_metrics(PROBABILITIES, LABELS) == pytest.approx(expected, abs=1e-6)
    scores = class_scores(confusion(PROBABILITIES, LABELS), list("abcde"))
    assert [score.f1 for score in scores] == pytest.approx(f1s)
    assert sum(found.rows for found in reliability(PROBABILITIES, LABELS)) == ROWS


def test_confusion_has_truth_in_rows_and_guess_in_columns() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    assert confusion(probabilities, torch.tensor([0, 1, 1])) == ((1, 0), (1, 1))


def test_class_that_never_occurs_scores_zero_without_a_division_by_zero() -> None:
    (_, _, empty) = class_scores(((2, 0, 0), (0, 3, 0), (0, 0, 0)), "abc")
    assert (empty.precision, empty.recall, empty.f1, empty.rows) == (0, 0, 0, 0)
