"""TextCNN: filters slide over the words, and the strongest answer of each is kept.

    int64 ids [n, length]
      → a vector for each word                                [n, length, width]
      → filters over 3, 4 and 5 words, ReLU                   [n, length, filters], three times
      → the largest value of each filter over the text        [n, 3 · filters]
      → dropout → linear                                      [n, classes]

A filter is a soft n-gram: it answers to "not very good" and, less, to "not so great". Where in the text it
was found is forgotten. Kim 2014, "Convolutional Neural Networks for Sentence Classification"
(arXiv:1408.5882), with 300 values a word and 100 filters a size; CNN-rand there is this one, with vectors
learned from nothing.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn

from training.architectures.base import TextNetwork
from training.architectures.words import PAD, Words, masked_max


class TextCNN(TextNetwork):
    """Vectors, filters of several widths, max over time, head."""

    def __init__(
        self,
        words: Words,
        classes: int,
        width: int,
        filters: int,
        sizes: Sequence[int],
        dropout: float,
        spread: float,
    ) -> None:
        super().__init__()
        self.vectors = nn.Embedding(words.vocabulary, width, padding_idx=PAD)
        nn.init.uniform_(self.vectors.weight, -spread, spread)
        self.filters = nn.ModuleList(nn.Conv1d(width, filters, size) for size in sizes)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(filters * len(sizes), classes)

    def forward(self, ids: Tensor) -> Tensor:
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
