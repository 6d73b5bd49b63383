"""Shared by tasks that name a class: cross-entropy, its metrics, calibration and evaluation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

from inference.configs import Conformal, OutOfDistribution
from inference.manifest import Calibration, Evaluation
from inference.predictor import Predictor
from inference.values import Payload
from training.config import TrainConfig
from training.data.examples import BUNDLE_BATCH, Batch, Examples, Loader
from training.evaluate import metrics as measure
from training.evaluate.calibrate import DEFAULT_COVERAGE, FALSE_ALARM_RATE, Calibrated, calibrate, covered
from training.evaluate.figures import confusion_matrix, reliability_diagram
from training.evaluate.linear import Baseline
from training.evaluate.report import Report
from training.evaluate.slices import slice_scores
from training.tasks.base import Facts
from training.tasks.losses import distillation_loss

DISTILLED = "distilled"
"""The key of a batch under which the teacher's logits are."""

GOLDEN_EXAMPLES = 10
"""They are replayed whenever a bundle is opened, so that each costs start-up time."""


@dataclass(frozen=True)
class ClassFacts(Facts):
    """The classes in the order of the logits, and how many rows of train each has."""

    classes: tuple[str, ...]
    class_counts: tuple[int, ...]


def loss(logits: Tensor, batch: Batch, config: TrainConfig, facts: ClassFacts) -> Tensor:
    """Cross-entropy with the configured smoothing and class weights, beside that of a teacher's answers.

    batch: `label` int64 [n] or float [n, classes]; with a teacher `DISTILLED`, its logits float [n, classes].
    """
    weights = None
    if config.class_weights == "balanced":
        weights = balanced_weights(facts.class_counts).to(logits.device)
    hard = F.cross_entropy(logits, batch["label"], weights, label_smoothing=config.label_smoothing)
    if DISTILLED not in batch:
        return hard
    soft = distillation_loss(logits, batch[DISTILLED], config.distill_temperature)
    return (1 - config.distill_weight) * hard + config.distill_weight * soft


def balanced_weights(counts: Sequence[int]) -> Tensor:
    """Weight of each class, rows / (classes · rows of the class): float32 [classes], 1 where balanced."""
    rows = torch.tensor(counts, dtype=torch.float32).clamp(min=1)
    return rows.sum() / (len(counts) * rows)


def metrics(facts: ClassFacts) -> MetricCollection:
    """Accuracy and macro F1 of validation."""
    classes = len(facts.classes)
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(classes, average="micro"),
            "macro_f1": MulticlassF1Score(classes, average="macro"),
        }
    )


def calibrate_on(model: nn.Module, examples: Examples, inputs: Callable[[Batch], Batch]) -> Calibrated:
    """Fit the temperature and thresholds on the validation examples, in float32."""
    logits, labels = [], []
    with torch.inference_mode():
        for batch in Loader(examples, BUNDLE_BATCH, seed=0, training=False):
            logits.append(model(*inputs(batch).values()))
            labels.append(batch["label"])
    return calibrate(torch.cat(logits), torch.cat(labels))


def golden_rows(labels: Tensor, classes: int) -> list[int]:
    """The first validation row of each class, up to ten classes."""
    chosen = [int((labels == label).nonzero()[0, 0]) for label in range(classes) if (labels == label).any()]
    return chosen[:GOLDEN_EXAMPLES]


def evaluate(
    predictor: Predictor,
    payloads: Sequence[Payload],
    labels: Tensor,
    classes: Sequence[str],
    calibrated: Calibrated,
    plots: Path,
    columns: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Report:
    """Send every payload through the bundle and score the answers; labels int64 [rows].

    columns: values by row to score apart.
    """
    logits = torch.from_numpy(
        np.concatenate([row["logits"] for row, _ in predictor.rows(payloads, BUNDLE_BATCH)])
    )
    probabilities = logits.double().softmax(1)
    uncalibrated = (logits.double() * calibrated.temperature).softmax(1)
    counts = measure.confusion(probabilities, labels)
    confusion_matrix(counts, classes, plots / "confusion_matrix.png")
    reliability_diagram(
        {
            "before": measure.reliability(uncalibrated, labels),
            "after": measure.reliability(probabilities, labels),
        },
        plots / "reliability.png",
    )
    return Report(
        evaluation=Evaluation(
            split="test",
            rows=len(labels),
            metrics=measure.classification_metrics(probabilities, labels),
            per_class=measure.class_scores(counts, classes),
            confusion=counts,
            slices=slice_scores(columns, (logits.argmax(1) == labels).tolist()),
        ),
        row_scores=tuple((logits.argmax(1) == labels).double().tolist()),
        calibration=Calibration(
            temperature=calibrated.temperature,
            ece_before=measure.expected_calibration_error(uncalibrated, labels),
            ece_after=measure.expected_calibration_error(probabilities, labels),
            bins=measure.ECE_BINS,
        ),
        conformal=_conformal(calibrated, probabilities, labels),
        out_of_distribution=_out_of_distribution(calibrated),
        pictures={
            "confusion_matrix.png": "Confusion matrix on test: rows are the truth, columns the guess",
            "reliability.png": "Reliability on test, before and after temperature scaling",
        },
    )


def with_baseline(report: Report, baseline: Baseline, labels: Tensor, config: TrainConfig) -> Report:
    """The report with the baseline's figures on the same rows; labels int64 [rows].

    With balanced class weights a row counts by the inverse of its class, as in the loss: the mean score of either is
    then the balanced accuracy.
    """
    answers = torch.from_numpy(baseline.answers)
    classes = int(torch.cat([answers, labels]).max()) + 1
    counts = labels.bincount(minlength=classes).tolist()
    balanced = config.class_weights == "balanced"
    weights = (balanced_weights(counts)[labels] if balanced else torch.ones(len(labels))).double()
    figures = {
        "accuracy": multiclass_accuracy(answers, labels, classes, average="micro"),
        "macro_f1": multiclass_f1_score(answers, labels, classes, average="macro"),
    }
    metrics = {f"{baseline.name}: {name}": float(value) for name, value in figures.items()}
    evaluation = report.evaluation.model_copy(update={"metrics": {**report.evaluation.metrics, **metrics}})
    own = torch.tensor(report.row_scores, dtype=torch.float64) * weights
    others = (answers == labels).double() * weights
    return report.model_copy(
        update={
            "evaluation": evaluation,
            "row_scores": tuple(own.tolist()),
            "baselines": {**report.baselines, baseline.name: tuple(others.tolist())},
        }
    )


def _conformal(calibrated: Calibrated, probabilities: Tensor, labels: Tensor) -> Conformal | None:
    """None where nothing was calibrated, as a task may choose."""
    if not calibrated.quantiles:
        return None
    return Conformal(
        quantiles=calibrated.quantiles,
        covered=covered(probabilities, labels, calibrated.quantiles),
        default=str(DEFAULT_COVERAGE),
    )


def _out_of_distribution(calibrated: Calibrated) -> OutOfDistribution | None:
    if calibrated.outlier_threshold is None:
        return None
    return OutOfDistribution(threshold=calibrated.outlier_threshold, false_alarm_rate=FALSE_ALARM_RATE)
