"""Outlier scores measured on train, scaled on validation, and chosen by foreign rows that were made for choosing.

What is reported of the chosen score is measured elsewhere, on test and on other foreign rows: see `detection`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from inference.configs import ForeignSet
from training.architectures.outliers import (
    SCORES,
    Energy,
    LayersAndEnergy,
    OutlierScore,
    Signals,
    VirtualLogit,
)

RATES = (0.01, 0.05)
"""Shares of validation that lie above the thresholds; the first is that of the answer's `outlier`."""

SHRINKAGE = 0.1
"""Share of the covariance that is its diagonal alone: directions that hardly vary in train are not blown up."""

PRINCIPAL_SHARE = 0.5
"""Of the features' axes, those of the principal space; the paper of ViM takes 1,000 of 2,048."""

LEAST_ROWS_A_FEATURE = 2
"""Rows of train for each feature: a covariance of fewer says nothing of the directions between."""


class OutlierChoice(BaseModel):
    """The chosen score, its thresholds by false-alarm rate, and the figures that it was chosen by.

    candidates: mean AUROC over the choosing sets, by score. sets: of the chosen score, by choosing set.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    score: str
    thresholds: dict[str, float]
    candidates: dict[str, float]
    sets: dict[str, float]


def auroc(own: Tensor, foreign: Tensor) -> float:
    """The probability that a foreign row has the larger score, ties counted half: float [n], float [m]."""
    both = torch.cat([own, foreign]).double()
    _, place, count = torch.unique(both, return_inverse=True, return_counts=True)
    ranks = (count.cumsum(0) - (count - 1) / 2)[place]
    above = ranks[len(own) :].sum() - len(foreign) * (len(foreign) + 1) / 2
    return float(above / (len(own) * len(foreign)))


def shares_above(scores: Tensor, thresholds: Mapping[str, float]) -> dict[str, float]:
    """Share of the rows above each threshold, by its false-alarm rate."""
    return {rate: float((scores > at).double().mean()) for rate, at in thresholds.items()}


def detection(
    name: str, own: Tensor, foreign: Tensor, thresholds: Mapping[str, float], *, generated: bool
) -> ForeignSet:
    """How far the score tells one foreign set from test; scores float [rows]."""
    return ForeignSet(
        name=name,
        generated=generated,
        rows=len(foreign),
        auroc=auroc(own, foreign),
        detected=shares_above(foreign, thresholds),
    )


def feature_scores(train: Signals, labels: Tensor) -> dict[str, OutlierScore]:
    """The scores of features, with their statistics on rows of train: labels int64 [n]."""
    found: dict[str, OutlierScore] = {}
    for name, values in (("mahalanobis", train.features), ("layers", train.layers)):
        if values is not None and len(values) >= LEAST_ROWS_A_FEATURE * values.shape[1]:
            found[name] = SCORES[name](**_mahalanobis(values, labels))
    if train.features is not None and len(train.features) >= LEAST_ROWS_A_FEATURE * train.features.shape[1]:
        found["virtual logit"] = VirtualLogit(**_virtual_logit(train.features, train.logits))
    return found


def choose(
    candidates: Mapping[str, OutlierScore], validation: Signals, foreign: Mapping[str, Signals]
) -> tuple[OutlierScore, OutlierChoice]:
    """The candidate with the highest mean AUROC over `foreign`, on the common scale; the first of equals.

    Where the distance over layers is one, its sum with the energy is one more.
    """
    if "layers" in candidates:
        candidates = {**candidates, "layers and energy": _with_energy(candidates["layers"], validation)}
    own = {name: _raw(score, validation) for name, score in candidates.items()}
    found = {
        name: {kind: auroc(own[name], _raw(score, signals)) for kind, signals in foreign.items()}
        for name, score in candidates.items()
    }
    means = {name: sum(values.values()) / max(1, len(values)) for name, values in found.items()}
    best = max(means, key=lambda name: means[name])
    middle, spread = scale_of(own[best])
    score = candidates[best]
    scaled = SCORES[best](
        **{**score.state_dict(), "middle": torch.tensor(middle), "spread": torch.tensor(spread)}
    )
    thresholds = {str(rate): float(((own[best] - middle) / spread).quantile(1 - rate)) for rate in RATES}
    return scaled, OutlierChoice(score=best, thresholds=thresholds, candidates=means, sets=found[best])


def scale_of(scores: Tensor) -> tuple[float, float]:
    """Median, and from there to the threshold of the first of `RATES`: float64 [rows] of validation."""
    middle = float(scores.quantile(0.5))
    return middle, max(float(scores.quantile(1 - RATES[0])) - middle, 1e-6)


def dump(score: OutlierScore, choice: OutlierChoice) -> dict[str, Any]:
    """As `torch.save` writes it: tensors and text alone."""
    return {"choice": choice.model_dump_json(), "tensors": dict(score.state_dict())}


def restore(content: Mapping[str, Any]) -> tuple[OutlierScore, OutlierChoice]:
    """The reverse of `dump`."""
    choice = OutlierChoice.model_validate_json(content["choice"])
    return SCORES[choice.score](**content["tensors"]), choice


def join(parts: Sequence[Signals]) -> Signals:
    """The signals of several batches as one, without the inputs where lengths differ."""
    features = [part.features for part in parts if part.features is not None]
    layers = [part.layers for part in parts if part.layers is not None]
    return Signals(
        _joined([part.inputs for part in parts]),
        torch.cat([part.logits for part in parts]),
        torch.cat(features) if features else None,
        torch.cat(layers) if layers else None,
    )


def _joined(inputs: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Each input over all batches; rows of token ids are padded at the end to the longest."""
    joined = []
    for tensors in zip(*inputs, strict=True):
        if tensors[0].ndim == 2:
            longest = max(tensor.shape[1] for tensor in tensors)
            tensors = tuple(
                torch.nn.functional.pad(tensor, (0, longest - tensor.shape[1])) for tensor in tensors
            )
        joined.append(torch.cat(tensors))
    return tuple(joined)


def _raw(score: OutlierScore, signals: Signals) -> Tensor:
    with torch.inference_mode():
        return score.raw(signals).double()


def _with_energy(layers: OutlierScore, validation: Signals) -> LayersAndEnergy:
    factor = _raw(layers, validation).std() / _raw(Energy(), validation).std().clamp(min=1e-6)
    return LayersAndEnergy(**{**layers.state_dict(), "factor": factor.float()})


def _mahalanobis(values: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Class means and the whitening of their common, shrunk covariance: float [n, width], int64 [n]."""
    wide = values.double()
    classes = torch.unique(labels)
    means = torch.stack([wide[labels == label].mean(0) for label in classes])
    within = wide - means[torch.searchsorted(classes, labels)]
    covariance = within.T @ within / len(within)
    diagonal = covariance.diagonal().diag()
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * diagonal
    shrunk += 1e-6 * shrunk.diagonal().mean() * torch.eye(len(shrunk), dtype=torch.float64)
    variances, axes = torch.linalg.eigh(shrunk)
    whitening = axes / variances.clamp(min=torch.finfo(torch.float64).tiny).sqrt()
    centre = wide.mean(0)
    return {
        "whitening": whitening.float(),
        "centre": centre.float(),
        "means": ((means - centre) @ whitening).float(),
    }


def _virtual_logit(features: Tensor, logits: Tensor) -> dict[str, Tensor]:
    """The axes of least variance, and the factor by which their length is as large as the largest logit."""
    wide = features.double()
    centre = wide.mean(0)
    _, axes = torch.linalg.eigh((wide - centre).T @ (wide - centre) / len(wide))
    others = axes[:, : max(1, round((1 - PRINCIPAL_SHARE) * len(axes)))]
    length = ((wide - centre) @ others).norm(dim=1).mean()
    factor = logits.double().amax(1).mean() / length.clamp(min=1e-12)
    return {"others": others.float(), "centre": centre.float(), "factor": factor.float()}
