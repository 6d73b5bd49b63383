"""Calibration on validation: temperature, conformal quantiles, an out-of-distribution threshold.

All are fitted on the logits of validation examples. The temperature goes into the graph; the others into
the manifest, measured after that temperature.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from pydantic import BaseModel, ConfigDict
from torch import Tensor

COVERAGES = (0.9, 0.95, 0.99)
DEFAULT_COVERAGE = 0.95
FALSE_ALARM_RATE = 0.01
"""Share of validation that lies above the out-of-distribution threshold."""


class Calibrated(BaseModel):
    """The corrections of a classifier's answers and the thresholds on them; the defaults change nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = 1.0
    quantiles: dict[str, float] = {}
    outlier_threshold: float | None = None


def calibrate(logits: Tensor, labels: Tensor) -> Calibrated:
    """logits: float [rows, classes] of validation, labels: int64 [rows]."""
    logits = logits.double()
    temperature = fit_temperature(logits, labels)
    scaled = logits / temperature
    probabilities = scaled.softmax(1)
    return Calibrated(
        temperature=temperature,
        quantiles={
            str(coverage): conformal_quantile(probabilities, labels, coverage) for coverage in COVERAGES
        },
        outlier_threshold=torch.quantile(-scaled.logsumexp(1), 1 - FALSE_ALARM_RATE).item(),
    )


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The T that minimises the cross-entropy of logits / T (Guo et al. 2017, arXiv:1706.04599).

    Golden-section search over log T in [1/20, 20]: the loss has one minimum in 1/T, being convex in it.
    """
    low, high = math.log(1 / 20), math.log(20)
    shrink = (math.sqrt(5) - 1) / 2

    def loss(log_temperature: float) -> float:
        return F.cross_entropy(logits / math.exp(log_temperature), labels).item()

    while high - low > 1e-5:
        left, right = high - shrink * (high - low), low + shrink * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


def conformal_quantile(probabilities: Tensor, labels: Tensor, coverage: float) -> float:
    """The quantile q such that {label: p ≥ 1 - q} holds the truth with at least this probability.

    Split conformal prediction with the score 1 - p(truth) (Sadinle, Lei & Wasserman 2019, arXiv:1609.00451);
    exact for examples exchangeable with validation.
    """
    scores = 1 - probabilities[torch.arange(len(labels)), labels]
    rank = math.ceil((len(labels) + 1) * coverage)
    return float(scores.sort().values[rank - 1]) if rank <= len(labels) else 1.0


def covered(probabilities: Tensor, labels: Tensor, quantiles: dict[str, float]) -> dict[str, float]:
    """Share of rows whose conformal set holds the truth, by coverage asked for."""
    truth = probabilities[torch.arange(len(labels)), labels]
    return {
        coverage: float((truth >= 1 - quantile).double().mean()) for coverage, quantile in quantiles.items()
    }
