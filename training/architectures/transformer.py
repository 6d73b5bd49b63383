"""Transformer encoder: every word asks every other word for its meaning here.

    int64 ids [n, length]
      → a vector for each word, plus one for its place       [n, length, width]
      → `depth` encoder layers, norm first                   [n, length, width]
      → layer norm, mean and maximum over the words          [n, 2 · width]
      → dropout → linear                                     [n, classes]

    layer:  x → x + attention(norm(x)) → x + MLP(norm(x))

Vaswani et al. 2017, "Attention Is All You Need" (arXiv:1706.03762), the encoder half; norm first is from
Xiong et al. 2020 (arXiv:2002.04745) and needs no long warm-up. Nobody may ask the padding: its score is -∞
before the softmax. Attention itself has no dropout: with it PyTorch leaves its fused kernel, and a training step
on a CPU took five times as long. Without pre-training on much more text it is no better than a bag of n-grams at this
size; it is here because pre-trained models are built like it.
"""

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn

from training.architectures.base import TextNetwork
from training.architectures.words import PAD, Words, masked_max, masked_mean


class Attention(nn.Module):
    """softmax(Q·Kᵀ/√d)·V in `heads` subspaces, over the words alone."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[n, length, width] → the same shape; mask: bool [n, length], false is padding."""
        length, width = x.shape[1:]
        split = self.qkv(x).reshape(-1, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value, mask[:, None, None])
        return self.out(mixed.transpose(1, 2).reshape(-1, length, width))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Attention between words, then an MLP on each word, both added to their input."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x), mask))
        return x + self.dropout(self.mlp(self.norm2(x)))  # type: ignore[no-any-return]


class TransformerEncoder(TextNetwork):
    """Vectors and places, layers, pooling, head."""

    def __init__(
        self, words: Words, classes: int, width: int, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"heads {heads} must divide the width {width}")
        self.vectors = nn.Embedding(words.vocabulary, width, padding_idx=PAD)
        nn.init.normal_(self.vectors.weight, std=0.1)
        self.places = nn.Parameter(0.02 * torch.randn(words.length, width))
        self.layers = nn.ModuleList(Layer(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, ids: Tensor) -> Tensor:
        mask = ids != PAD
        x = self.dropout(self.vectors(ids) + self.places[: ids.shape[1]])
        for layer in self.layers:
            x = layer(x, mask)
        x = self.norm(x)
        pooled = torch.cat([masked_mean(x, mask), masked_max(x, mask)], 1)
        return self.head(self.dropout(pooled))  # type: ignore[no-any-return]
