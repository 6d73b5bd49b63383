"""Calibration on validation: the temperature, the prediction sets, an out-of-distribution threshold.

The temperature goes into the graph; the others into the manifest, measured after that temperature. `temperature` and
`conformal` know how each is found; this module knows on which rows.
"""

from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor

from inference.configs import Conformal
from inference.values import Array
from training.data.splits import Rows
from training.evaluate.conformal import LEAST_DEFAULT, By, choose_scoring, fit_sets
from training.evaluate.temperature import Temperature, choose_temperature

FALSE_ALARM_RATE = 0.01
"""Share of validation that lies above the out-of-distribution threshold."""


class Calibrated(BaseModel):
    """The corrections of a classifier's answers and the thresholds on them; the defaults change nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = 1.0
    temperature_reason: str = ""
    conformal: Conformal | None = None
    outlier_threshold: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _older_run(cls, found: Any) -> Any:
        """`calibration.json` of a run that was begun before sets had a record of their own."""
        if not isinstance(found, dict) or "quantiles" not in found:
            return found
        rest = {name: value for name, value in found.items() if name != "quantiles"}
        if found["quantiles"]:
            rest["conformal"] = Conformal(
                quantiles=found["quantiles"], covered={}, default=str(LEAST_DEFAULT)
            )
        return rest


def calibrate(logits: Tensor, labels: Tensor, apart: Rows | None = None, by: By = "all") -> Calibrated:
    """logits: float [rows, classes] of validation, labels: int64 [rows].

    apart: the rows that did not choose the epoch. They alone give the quantiles, and the others the temperature and the
    score. None: validation is too small to divide. Then every row gives a quantile its score by a temperature that was
    fitted without it, and the sets make no allowance for the choice of the epoch.
    """
    logits = logits.double()
    chosen, conformal = _whole(logits, labels, by) if apart is None else _divided(logits, labels, apart, by)
    scaled = logits / chosen.value
    return Calibrated(
        temperature=chosen.value,
        temperature_reason=chosen.reason,
        conformal=conformal,
        outlier_threshold=torch.quantile(-scaled.logsumexp(1), 1 - FALSE_ALARM_RATE).item(),
    )


def _whole(logits: Tensor, labels: Tensor, by: By) -> tuple[Temperature, Conformal | None]:
    chosen = choose_temperature(logits, labels)
    return chosen, fit_sets(_answers(logits / chosen.held_out[:, None]), labels.numpy(), by=by)


def _divided(logits: Tensor, labels: Tensor, apart: Rows, by: By) -> tuple[Temperature, Conformal | None]:
    choosing = torch.from_numpy(np.setdiff1d(np.arange(len(labels)), apart))
    chosen = choose_temperature(logits[choosing], labels[choosing])
    answers, truths = _answers(logits / chosen.value), labels.numpy()
    scoring = choose_scoring(answers[choosing], truths[choosing], by)
    accuracy = float((answers[choosing].argmax(axis=1) == truths[choosing]).mean())
    return chosen, fit_sets(
        answers[apart], truths[apart], by=by, scoring=scoring, accuracy=accuracy, apart=True
    )


def _answers(scaled: Tensor) -> Array:
    """The probabilities as the graph gives them, in float32: there the sure ones tie at 1."""
    probabilities: Array = scaled.float().softmax(1).numpy()
    return probabilities
