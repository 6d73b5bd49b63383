"""From a row of class probabilities to an answer; shared by every task that names classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from inference.configs import Conformal, OutOfDistribution
from inference.errors import ManifestInvalid, counted
from inference.processors.prediction_sets import label_set
from inference.values import Array, Prediction, Tensors

if TYPE_CHECKING:
    from inference.store.bundle import Bundle

LABELS_FILE = "labels.json"
_DIGITS = 4  # of a probability in an answer: float32 gives them alike on every machine


def energy(logits: Array) -> Array:
    """The energy score -logsumexp(logits), float32 [rows, classes] → float64 [rows] (Liu et al. 2020)."""
    wide = logits.astype(np.float64)
    top = wide.max(axis=-1)
    score: Array = -(top + np.log(np.exp(wide - top[..., None]).sum(axis=-1)))
    return score


LABEL, CONFIDENCE = ANSWERED = ("label", "confidence")
"""The summary features of an answer: the index of the likeliest label, and its probability."""


def summarise_answers(outputs: Tensors) -> dict[str, Array]:
    """Of `probabilities`, float32 [rows, classes]."""
    probabilities = outputs["probabilities"]
    return {LABEL: probabilities.argmax(axis=1), CONFIDENCE: probabilities.max(axis=1)}


@dataclass(frozen=True, slots=True)
class Classification:
    """Labels, and the measurements on validation of how far to believe them."""

    labels: Sequence[str]
    conformal: Conformal | None
    out_of_distribution: OutOfDistribution | None

    @classmethod
    def from_bundle(cls, bundle: "Bundle") -> Self:
        """Read `labels.json`; there must be one label for each class of the graph."""
        labels = bundle.read_lines(LABELS_FILE)
        outliers = bundle.manifest.out_of_distribution
        needed = ("probabilities", "logits") if outliers and not outliers.output else ("probabilities",)
        classes = {name: bundle.columns(name) for name in needed}
        if set(classes.values()) != {len(labels)}:
            raise ManifestInvalid(
                bundle.path,
                f"{LABELS_FILE}: got {counted(len(labels), 'label')}, expected {classes['probabilities']}",
            )
        if outliers and outliers.output and (columns := bundle.columns(outliers.output)) != 1:
            raise ManifestInvalid(
                bundle.path,
                f"out_of_distribution.output: {outliers.output} has {columns} columns, expected 1",
            )
        conformal = bundle.manifest.conformal
        for coverage, quantiles in conformal.class_quantiles.items() if conformal else ():
            if len(quantiles) != len(labels):
                raise ManifestInvalid(
                    bundle.path,
                    f"conformal.class_quantiles.{coverage}: got {len(quantiles)}, expected {len(labels)}, one a label",
                )
        return cls(labels, conformal, outliers)

    def answer(self, outputs: Tensors) -> Prediction:
        """One row of `probabilities` and `logits`, float32 [1, classes], as a client reads it.

        Keys: `label`, `probability`, and `probabilities` by label, highest first. `label_set` is the prediction set:
        it holds the truth as often as the coverage says. `outlier`: the score of how unlike the training data the row
        is lies above the manifest's threshold.
        """
        row = outputs["probabilities"][0]
        wide = row.tolist()
        # In a tie the lower class comes first, on every machine.
        order = np.argsort(-row, kind="stable").tolist()
        answer: Prediction = {
            "label": self.labels[order[0]],
            "probability": round(wide[order[0]], _DIGITS),
            "probabilities": {self.labels[i]: round(wide[i], _DIGITS) for i in order},
        }
        if self.conformal is not None:
            answer["label_set"] = [self.labels[i] for i in label_set(wide, order, self.conformal)]
        if (outliers := self.out_of_distribution) is not None:
            # The graph's own output, or the energy where the bundle is of an older release.
            scores = outputs[outliers.output][0] if outliers.output else energy(outputs["logits"])
            answer["outlier"] = float(scores[0]) > outliers.threshold
        return answer
