"""Shared by the text architectures: the facts that a builder is given, and pooling that padding cannot touch.

Token ids are int64 [n, length]; 0 is padding, at the end only. Every architecture derives its mask from the
ids inside the graph, so that a text's answer is the same alone and padded in a batch.
"""

from typing import NamedTuple

from torch import Tensor

PAD = 0


class Words(NamedTuple):
    """Ids run from 0 (padding) to vocabulary - 1; no row is longer than `length` tokens."""

    vocabulary: int
    length: int


def masked_max(x: Tensor, mask: Tensor) -> Tensor:
    """Largest value over the tokens: float [n, length, width], bool [n, length] → [n, width]."""
    # A finite floor: a row of padding alone gives it back, where -inf would turn to NaN in the next layer.
    return x.masked_fill(~mask[..., None], -1e4).amax(1)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens: float [n, length, width], bool [n, length] → [n, width]."""
    kept = mask[..., None].to(x.dtype)
    return (x * kept).sum(1) / kept.sum(1).clamp(min=1)
