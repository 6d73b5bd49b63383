"""Figures of a classifier from its probabilities; torchmetrics where it has them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
)

from inference.manifest import ClassScore

ECE_BINS = 15


def classification_metrics(probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy, macro F1, negative log-likelihood and calibration error.

    probabilities: float [rows, classes], labels: int64 [rows].
    """
    classes = probabilities.shape[1]
    truth = probabilities[torch.arange(len(labels)), labels]
    return {
        "accuracy": multiclass_accuracy(probabilities, labels, classes, average="micro").item(),
        "macro_f1": multiclass_f1_score(probabilities, labels, classes, average="macro").item(),
        "nll": -truth.clamp(min=1e-12).log().mean().item(),
        "ece": expected_calibration_error(probabilities, labels),
    }


def expected_calibration_error(probabilities: Tensor, labels: Tensor) -> float:
    """Mean gap between confidence and accuracy over equal-width bins, weighted by rows (Guo et al. 2017)."""
    classes = probabilities.shape[1]
    return float(multiclass_calibration_error(probabilities, labels, classes, n_bins=ECE_BINS, norm="l1"))


def confusion(probabilities: Tensor, labels: Tensor) -> tuple[tuple[int, ...], ...]:
    """Counts [truth][guess]."""
    matrix = multiclass_confusion_matrix(probabilities, labels, probabilities.shape[1])
    return tuple(tuple(row) for row in matrix.tolist())


def class_scores(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> tuple[ClassScore, ...]:
    """Precision, recall and F1 of each class from the confusion counts; 0 where nothing was guessed."""
    scores = []
    for k, name in enumerate(names):
        hits, rows, guesses = matrix[k][k], sum(matrix[k]), sum(row[k] for row in matrix)
        scores.append(
            ClassScore(
                label=name,
                precision=hits / guesses if guesses else 0.0,
                recall=hits / rows if rows else 0.0,
                f1=2 * hits / (rows + guesses) if rows + guesses else 0.0,
                rows=rows,
            )
        )
    return tuple(scores)


class ReliabilityBin(NamedTuple):
    """The rows whose confidence falls between two bounds."""

    confidence: float
    accuracy: float
    rows: int


def reliability(probabilities: Tensor, labels: Tensor, bins: int = ECE_BINS) -> list[ReliabilityBin]:
    """Mean confidence and accuracy of every bin of confidence that has rows, in order."""
    confidence, guess = probabilities.max(1)
    right = (guess == labels).double()
    place = (confidence * bins).long().clamp(max=bins - 1)
    found = []
    for k in range(bins):
        inside = place == k
        if inside.any():
            mean, share = confidence[inside].mean().item(), right[inside].mean().item()
            found.append(ReliabilityBin(mean, share, int(inside.sum())))
    return found
