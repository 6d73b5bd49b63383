"""TextCNN: filters slide over the words, and the strongest answer of each is kept.

    int64 ids [n, length]
      → a vector for each word                                [n, length, width]
      → filters over 3, 4 and 5 words, ReLU                   [n, length, filters], three times
      → the largest value of each filter over the text        [n, 3 · filters]
      → dropout → linear                                      [n, classes]

A filter is a soft n-gram: it answers to "not very good" and, less, to "not so great". Where in the text it
was found is forgotten.

On a few thousand texts a linear model of n-grams has often more to say than filters over vectors that are learned
from nothing. With `bag` one stands beside them (`bag.BagOfNgrams`), as in Wide & Deep (Cheng et al. 2016,
arXiv:1606.07792), and the answer is the mean of both. In training each text is answered by one of the two, drawn at
random, as in stochastic depth (Huang et al. 2016, arXiv:1603.09382): each learns as if alone, and neither rests on
the other.

Kim 2014, "Convolutional Neural Networks for Sentence Classification"
(arXiv:1408.5882), with 300 values a word and 100 filters a size; CNN-rand there is this one, with vectors
learned from nothing.
"""

import copy
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn

from training.architectures.bag import BagOfNgrams
from training.architectures.base import TextNetwork
from training.architectures.words import PAD, Words, masked_max

BAG_RATE = 25.0
"""Steps of the bag over those of the filters: its own learning rate is so much larger (`bag.toml`)."""

BAG_DROPOUT, BAG_PRIOR = 0.3, 1.0
"""As in `bag.toml`."""


class TextCNN(TextNetwork):
    """Vectors, filters of several widths, max over time, head; and a bag of n-grams, where there is one."""

    def __init__(
        self,
        words: Words,
        classes: int,
        width: int,
        filters: int,
        sizes: Sequence[int],
        dropout: float,
        spread: float,
        bag: int = 0,
    ) -> None:
        super().__init__()
        self.vectors = nn.Embedding(words.vocabulary, width, padding_idx=PAD)
        nn.init.uniform_(self.vectors.weight, -spread, spread)
        self.filters = nn.ModuleList(nn.Conv1d(width, filters, size) for size in sizes)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(filters * len(sizes), classes)
        # The prior is not stepped over: its share of naive Bayes is that of a bag alone.
        prior = BAG_PRIOR / BAG_RATE
        self.bag = (
            BagOfNgrams(classes, 2, bag, prior, BAG_DROPOUT, by_length=True, step=BAG_RATE) if bag else None
        )

    def forward(self, ids: Tensor) -> Tensor:
        logits = self._filtered(ids)
        if self.bag is None:
            return logits
        linear = self.bag(ids)
        if self.training:
            return torch.where(torch.rand(len(ids), 1, device=ids.device) < 0.5, logits, linear)
        return (logits + linear) / 2  # type: ignore[no-any-return]

    def prepare(self, texts: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Count the bag's n-grams."""
        if self.bag is not None:
            self.bag.prepare(texts)

    def head_names(self) -> set[str]:
        """The bag's too: its rows are the n-grams of its own texts."""
        return super().head_names() | {name for name in self.state_dict() if name.startswith("bag.")}

    def deployed(self) -> nn.Module:
        """The same function with the bag's table multiplied out."""
        if self.bag is None:
            return self
        folded = copy.copy(self)
        folded._modules = {**self._modules, "bag": self.bag.deployed()}
        return folded

    def _filtered(self, ids: Tensor) -> Tensor:
        mask = ids != PAD
        # Padding is the zero vector, so a filter that reaches past the end sees the same with and without it.
        words = self.dropout(self.vectors(ids)) * mask[..., None]
        features = [masked_max(self._slide(words, convolution), mask) for convolution in self.filters]
        return self.head(self.dropout(torch.cat(features, 1)))  # type: ignore[no-any-return]

    def _slide(self, words: Tensor, convolution: nn.Module) -> Tensor:
        """[n, length, width] → [n, length, filters]: the answer of each filter with its middle at each word."""
        (size,) = convolution.kernel_size  # type: ignore[misc]
        padded = F.pad(words.transpose(1, 2), ((size - 1) // 2, size // 2))
        return convolution(padded).relu().transpose(1, 2)  # type: ignore[no-any-return]
