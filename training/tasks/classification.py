"""Shared by tasks that name a class: cross-entropy, its metrics, calibration and evaluation."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

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
from training.architectures.classifier import ClassifierGraph
from training.architectures.outliers import OUTLIER_OUTPUT, Energy, OutlierScore, Signals
from training.config import TrainConfig
from training.data.examples import BUNDLE_BATCH, Batch, Examples, Loader, seeded
from training.evaluate import metrics as measure
from training.evaluate.calibrate import FALSE_ALARM_RATE, Calibrated, calibrate
from training.evaluate.calibration_error import interval
from training.evaluate.conformal import COVERAGES, describe_sets, least_rows, with_test_figures
from training.evaluate.figures import confusion_matrix, reliability_diagram
from training.evaluate.linear import Baseline
from training.evaluate.outliers import (
    RATES,
    OutlierChoice,
    choose,
    detection,
    feature_scores,
    join,
    shares_above,
)
from training.evaluate.report import Report
from training.evaluate.slices import slice_scores
from training.tasks.base import Facts, Foreign, Monitor, TaskData
from training.tasks.losses import distillation_loss

log = logging.getLogger(__name__)

DISTILLED = "distilled"
"""The key of a batch under which the teacher's logits are."""

OUTLIER_ROWS = 8_192
"""Rows of train that features' means and covariance are measured on."""

CHOOSING_ROWS, MEASURED_ROWS = 500, 2_000
"""Rows of each foreign set that a score is chosen by, and of each that it is measured by, test among them."""

CHOOSING_SEED, MEASURING_SEED = 0, 1
"""Of the foreign rows that are made: other draws for measuring than for choosing."""

ACCURACY, BALANCED_ACCURACY = Monitor("accuracy", "max"), Monitor("balanced_accuracy", "max")

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


def monitor_for(config: TrainConfig) -> Monitor:
    """Accuracy; where each class weighs the same in the loss, so it does in the choice of the epoch.

    With 2 % of positives the accuracy of an epoch that never answers "positive" is 0.98, and the best there is.
    """
    return BALANCED_ACCURACY if config.class_weights == "balanced" else ACCURACY


def balanced_weights(counts: Sequence[int]) -> Tensor:
    """Weight of each class, rows / (classes · rows of the class): float32 [classes], 1 where balanced."""
    rows = torch.tensor(counts, dtype=torch.float32).clamp(min=1)
    return rows.sum() / (len(counts) * rows)


def metrics(facts: ClassFacts) -> MetricCollection:
    """Accuracy, macro F1 and balanced accuracy (the mean recall of the classes) of validation."""
    classes = len(facts.classes)
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(classes, average="micro"),
            "macro_f1": MulticlassF1Score(classes, average="macro"),
            BALANCED_ACCURACY.metric: MulticlassAccuracy(classes, average="macro"),
        }
    )


def calibrate_on(
    model: nn.Module, data: TaskData[Any], inputs: Callable[[Batch], Batch], config: TrainConfig
) -> Calibrated:
    """Fit the temperature and thresholds on the validation examples, in float32."""
    logits, labels = [], []
    with torch.inference_mode():
        for batch in Loader(data.validation, BUNDLE_BATCH, seed=0, training=False):
            logits.append(model(*inputs(batch).values()))
            labels.append(batch["label"])
    found = calibrate(torch.cat(logits), torch.cat(labels), data.calibration, config.coverage_by)
    log.info("temperature %.3f: %s", found.temperature, found.temperature_reason)
    if found.conformal is None:
        log.warning(
            "no prediction sets: %d validation rows, by %s, are too few for a coverage of %s, which takes %d",
            len(data.validation), config.coverage_by, COVERAGES[0], least_rows(COVERAGES[0]),
        )  # fmt: skip
    else:
        log.info("prediction sets: %s", describe_sets(found.conformal))
    return found


def choose_outliers(
    graph: ClassifierGraph,
    train: Examples,
    validation: Examples,
    inputs: Callable[[Batch], Batch],
    foreign: Mapping[str, Examples],
    more: Mapping[str, OutlierScore] = MappingProxyType({}),
) -> tuple[OutlierScore, OutlierChoice]:
    """Measure every score that this graph can have, and take the best on `foreign`, rows made for choosing.

    more: scores that the task measured itself.
    """
    graph = graph.eval()
    rows = torch.randperm(len(train), generator=seeded(0))[:OUTLIER_ROWS]
    learned, labels = _signals(graph, train, inputs, rows)
    candidates = {"energy": Energy(), **feature_scores(learned, labels), **more}
    own, _ = _signals(graph, validation, inputs, torch.arange(len(validation)))
    others = {
        name: _signals(graph, examples, inputs, torch.arange(len(examples)))[0]
        for name, examples in foreign.items()
    }
    return choose(candidates, own, others)


def _signals(
    graph: ClassifierGraph, examples: Examples, inputs: Callable[[Batch], Batch], rows: Tensor
) -> tuple[Signals, Tensor]:
    """Of those rows, int64 [n], with their labels."""
    parts, labels = [], []
    with torch.inference_mode():
        for some in torch.split(rows, BUNDLE_BATCH):
            batch = examples.batch(some, torch.Generator())
            parts.append(graph.signals(*inputs(batch).values()))
            labels.append(batch["label"])
    return join(parts), torch.cat(labels)


def outlier_record(choice: OutlierChoice) -> OutOfDistribution:
    """The manifest's account of the chosen score; the first rate decides the answer's `outlier`."""
    rate = str(RATES[0])
    return OutOfDistribution(
        threshold=choice.thresholds[rate],
        false_alarm_rate=RATES[0],
        score=choice.score,
        output=OUTLIER_OUTPUT,
        thresholds=choice.thresholds,
        candidates=choice.candidates,
        chosen_by=choice.sets,
    )


def measure_outliers(
    predictor: Predictor, own: Sequence[Payload], foreign: Sequence[Foreign], thresholds: Mapping[str, float]
) -> dict[str, Any]:
    """The fields of an `Evaluation` about outliers, through the bundle; own: payloads of test."""
    scores = _outlier_scores(predictor, own)
    measured = {one.name: _outlier_scores(predictor, one.payloads) for one in foreign}
    cut = [shares_above(measured[one.name], thresholds) for one in foreign if one.kind == "first words"]
    return {
        "false_alarms": shares_above(scores, thresholds),
        "first_words": cut[0] if cut else {},
        "foreign": tuple(
            detection(one.name, scores, measured[one.name], thresholds, generated=one.kind == "generated")
            for one in foreign
            if one.kind != "first words"
        ),
    }


def _outlier_scores(predictor: Predictor, payloads: Sequence[Payload]) -> Tensor:
    """Float32 [rows]."""
    rows = [outputs[OUTLIER_OUTPUT][0, 0] for outputs, _ in predictor.rows(payloads, BUNDLE_BATCH)]
    return torch.tensor(np.array(rows))


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
    right = logits.argmax(1) == labels
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
            slices=slice_scores(columns, right.tolist()),
        ),
        row_scores=tuple(right.double().tolist()),
        calibration=_calibration(calibrated, uncalibrated, probabilities, labels),
        conformal=_conformal(calibrated, logits, labels),
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
    classes = len(report.evaluation.per_class)
    weights = torch.ones(len(labels), dtype=torch.float64)
    if config.class_weights == "balanced":
        # Test may lack a class.
        _, place, counts = torch.unique(labels, return_inverse=True, return_counts=True)
        weights = balanced_weights(counts.tolist())[place].double()
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


def _calibration(
    calibrated: Calibrated, uncalibrated: Tensor, probabilities: Tensor, labels: Tensor
) -> Calibration:
    """Probabilities float64 [rows, classes], before the temperature and behind it."""
    low, high, noise = interval(probabilities, labels)
    return Calibration(
        temperature=calibrated.temperature,
        ece_before=measure.expected_calibration_error(uncalibrated, labels),
        ece_after=measure.expected_calibration_error(probabilities, labels),
        bins=measure.ECE_BINS,
        method="none" if calibrated.temperature == 1 else "temperature",
        reason=calibrated.temperature_reason,
        ece_low=low,
        ece_high=high,
        ece_noise=noise,
    )


def _conformal(calibrated: Calibrated, logits: Tensor, labels: Tensor) -> Conformal | None:
    """None where nothing was calibrated, as a task may choose; probabilities in float32, as they are served."""
    if calibrated.conformal is None:
        return None
    return with_test_figures(calibrated.conformal, logits.float().softmax(1).numpy(), labels.numpy())


def _out_of_distribution(calibrated: Calibrated) -> OutOfDistribution | None:
    if calibrated.outlier_threshold is None:
        return None
    return OutOfDistribution(threshold=calibrated.outlier_threshold, false_alarm_rate=FALSE_ALARM_RATE)
