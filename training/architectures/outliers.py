"""Scores of how unlike the training data a row is, as the last nodes of a classifier's graph.

Each is a module of buffers alone, which `training.evaluate.outliers` measures on train and validation. A score is
shifted and scaled so that the median of validation is 0 and its threshold 1.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.architectures.bag import MODULUS, SPREAD_FACTOR
from training.architectures.words import PAD

OUTLIER_OUTPUT = "outlier_score"
"""The graph's output, float32 [n, 1]."""

GAIN_STEPS = 16
"""Steps of a nat in which the table of word pairs is stored: a byte reaches 16 nats."""


class Signals(NamedTuple):
    """A model's inputs and the values on its way to an answer, from which scores are computed.

    inputs: in the model's order. logits: float [n, classes]. features: float [n, width], those that the last linear
    layer is given; layers: the same beside the spatial means of the layers before. None where a model has none.
    """

    inputs: tuple[Tensor, ...]
    logits: Tensor
    features: Tensor | None
    layers: Tensor | None


class OutlierScore(nn.Module):
    """The contract: `raw` gives a score, larger where a row is stranger; `forward` gives it on the common scale."""

    middle: Tensor
    spread: Tensor

    def __init__(self, **tensors: Tensor) -> None:
        """tensors: the buffers by name, as `state_dict` gives them back."""
        super().__init__()
        tensors = {"middle": torch.tensor(0.0), "spread": torch.tensor(1.0), **tensors}
        for name, value in tensors.items():
            self.register_buffer(name, value)

    def raw(self, signals: Signals) -> Tensor:
        """Float [n]."""
        raise NotImplementedError

    def forward(self, signals: Signals) -> Tensor:
        """Float32 [n, 1]."""
        return ((self.raw(signals) - self.middle) / self.spread)[:, None]


class Energy(OutlierScore):
    """-logsumexp(logits) (Liu et al. 2020, arXiv:2010.03759)."""

    def raw(self, signals: Signals) -> Tensor:
        return -signals.logits.logsumexp(1)


class Mahalanobis(OutlierScore):
    """Distance to the nearest class mean under the classes' common covariance (Lee et al. 2018, arXiv:1807.03888).

    whitening: float [width, width], centre: float [width]; means: float [classes, width], whitened.
    """

    whitening: Tensor
    centre: Tensor
    means: Tensor

    def values(self, signals: Signals) -> Tensor:
        """The features that are measured, float [n, width]."""
        return _known(signals.features, "features")

    def raw(self, signals: Signals) -> Tensor:
        z = (self.values(signals) - self.centre) @ self.whitening
        apart = (z * z).sum(1, keepdim=True) - 2 * z @ self.means.T + (self.means * self.means).sum(1)
        return apart.amin(1).clamp(min=1e-6).sqrt()


class LayersMahalanobis(Mahalanobis):
    """The same over the spatial means of every layer: a foreign image differs in its first layers already."""

    def values(self, signals: Signals) -> Tensor:
        return _known(signals.layers, "layers")


class LayersAndEnergy(LayersMahalanobis):
    """The distance over layers and the energy in one sum: the one sees odd images, the other odd things in them.

    factor: float, the deviation of the distance over that of the energy.
    """

    factor: Tensor

    def raw(self, signals: Signals) -> Tensor:
        return super().raw(signals) - self.factor * signals.logits.logsumexp(1)


class VirtualLogit(OutlierScore):
    """Length of the features outside of their principal space, against the energy (ViM, arXiv:2203.10807).

    others: float [width, width - principal]; centre: float [width]; factor: float, the paper's alpha.
    """

    others: Tensor
    centre: Tensor
    factor: Tensor

    def raw(self, signals: Signals) -> Tensor:
        outside = (_known(signals.features, "features") - self.centre) @ self.others
        length = (outside * outside).sum(1).clamp(min=1e-12).sqrt()
        return self.factor * length - signals.logits.logsumexp(1)


def _known(values: Tensor | None, name: str) -> Tensor:
    """`ValueError` for a model without them, of which such a score cannot be a candidate."""
    if values is None:
        raise ValueError(f"{name}: this model has none")
    return values


class WordPairs(OutlierScore):
    """Mean surprise of a text's words given the word before, in nats, against that of a training text as long.

    word: float [ids], surprise of a word by itself. before: float [ids], an unseen successor's surprise on top of it.
    gain: uint8 [buckets], the part that a known pair takes off, in `GAIN_STEPS` of a nat. most: of a single word.
    expected, deviation: float [longest + 1], by the number of words.
    """

    word: Tensor
    before: Tensor
    gain: Tensor
    most: Tensor
    expected: Tensor
    deviation: Tensor

    def surprise(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """int64 ids [n, length] → of each word float [n, length], 0 at padding; and whether it is a word."""
        previous = torch.cat([torch.zeros_like(ids[:, :1]), ids[:, :-1]], 1)
        gain = self.gain[pair_buckets(previous, ids, len(self.word), len(self.gain))].float() / GAIN_STEPS
        each = self.word[ids] + self.before[previous] - gain
        words = ids != PAD
        return torch.where(words, each.clamp(min=0).minimum(self.most), 0.0), words

    def raw(self, signals: Signals) -> Tensor:
        (ids,) = signals.inputs
        surprise, words = self.surprise(ids)
        count = words.sum(1)
        place = count.clamp(min=1, max=len(self.expected) - 1)
        return (surprise.sum(1) / count.clamp(min=1) - self.expected[place]) / self.deviation[place]


def pair_buckets(previous: Tensor, ids: Tensor, vocabulary: int, buckets: int) -> Tensor:
    """The row of the table for each pair of neighbours, int64; the first word's neighbour is `PAD`."""
    key = (previous * vocabulary + ids) % MODULUS  # below 2³¹, so that the product stays inside int64
    return key * SPREAD_FACTOR % MODULUS % buckets


SCORES: dict[str, type[OutlierScore]] = {
    "energy": Energy,
    "mahalanobis": Mahalanobis,
    "layers": LayersMahalanobis,
    "layers and energy": LayersAndEnergy,
    "virtual logit": VirtualLogit,
    "word pairs": WordPairs,
}
"""By the names that a manifest gives."""
