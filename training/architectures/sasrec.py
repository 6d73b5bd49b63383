"""SASRec: a causal Transformer over the items of a history; the last state tells the next item.

    history int64 [n, length], padded with 0 on the left, the most recent item last
      → item embedding · √width + position embedding          [n, length, width]
      → `depth` decoder layers, norm first, causal            [n, length, width]
      → layer norm                                            [n, length, width]
      → last position · item embeddingsᵀ + item bias          [n, items]

Kang & McAuley 2018, "Self-Attentive Sequential Recommendation" (arXiv:1808.09781). Its loss is the full
softmax, or one over many sampled items, at every position, in place of one sampled negative. That closed its gap to
BERT4Rec (Klenitskiy & Vasilev 2023, "Turning Dross Into Gold Loss", arXiv:2309.07602; Petrov &
Macdonald 2023, "gSASRec", arXiv:2308.07192).

Positions are counted from the end, so a padded and an unpadded history have the same answer. The newest item always
has the last position, as in the paper, which pads every history to the full length.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn

from training.architectures.base import LogStatistics, Recommender
from training.architectures.dropout import ByteDropout


class CausalAttention(nn.Module):
    """Each position asks itself and the items before it (Vaswani et al. 2017, masked)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        """x [n, length, width], allowed bool [n, 1, length, length] → [n, length, width]."""
        rows, length, width = x.shape
        split = self.qkv(x).reshape(rows, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        return self.out(mixed.transpose(1, 2).reshape(rows, length, width))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Attention to the past, then an MLP on each position, both added to their input."""

    def __init__(self, width: int, heads: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), CausalAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, expansion * width),
            nn.GELU(),
            ByteDropout(dropout),
            nn.Linear(expansion * width, width),
        )
        self.dropout = ByteDropout(dropout)

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x), allowed))
        return x + self.dropout(self.mlp(self.norm2(x)))  # type: ignore[no-any-return]


class SASRec(Recommender):
    """Items, positions, layers; the item embeddings are also the output layer."""

    def __init__(
        self,
        items: int,
        length: int,
        width: int,
        depth: int,
        heads: int,
        expansion: int,
        dropout: float,
        sampled: int,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"heads {heads} must divide the width {width}")
        self.length, self.width, self.sampled = length, width, sampled
        self.item = nn.Embedding(items + 1, width, padding_idx=0)
        self.position = nn.Embedding(length, width)
        self.layers = nn.ModuleList(Layer(width, heads, expansion, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(items))
        self.dropout = ByteDropout(dropout)
        nn.init.normal_(self.item.weight[1:].detach(), std=width**-0.5)
        nn.init.normal_(self.position.weight, std=0.02)

    def states(self, history: Tensor) -> Tensor:
        """int64 [n, length] → float [n, length, width]; states of padding are never looked at."""
        length = history.shape[1]
        from_end = (torch.arange(length, device=history.device) + (self.length - length)).clamp(min=0)
        x = self.dropout(self.item(history) * self.width**0.5 + self.position(from_end))
        allowed = _allowed(history)
        for layer in self.layers:
            x = layer(x, allowed)
        return self.norm(x)  # type: ignore[no-any-return]

    def scores(self, states: Tensor) -> Tensor:
        """float [rows, width] → float [rows, items]; column j is the item of index j + 1."""
        return F.linear(states, self.item.weight[1:], self.bias)

    def loss(self, batch: Mapping[str, Tensor], log: LogStatistics) -> Tensor:
        """Of every position of sequences; of baskets, where an event is more than one item."""
        if "next" not in batch:
            return super().loss(batch, log)
        present = batch["history"] != 0
        return self.softmax_loss(self.states(batch["history"])[present], batch["next"][present])

    def softmax_loss(self, states: Tensor, following: Tensor) -> Tensor:
        """Cross-entropy of the item that followed: states float [rows, width], following int64 [rows] → a scalar."""
        if not self.sampled:
            return F.cross_entropy(self.scores(states), following - 1)
        weight, items, expected = self.item.weight[1:], len(self.bias), following - 1
        drawn = torch.randint(0, items, (self.sampled,), device=states.device)
        # The drawn items stand for all: log(items / sampled) makes their sum an estimate of the whole one's.
        rest = F.linear(states, weight[drawn], self.bias[drawn]).float() + math.log(items / self.sampled)
        rest = rest.masked_fill(drawn == expected[:, None], -1e4).logsumexp(1)
        right = (states.float() * weight[expected].float()).sum(1) + self.bias[expected]
        return (torch.logaddexp(right, rest) - right).mean()

    def forward(self, history: Tensor) -> Tensor:
        return self.scores(self.states(history)[:, -1])


def _allowed(history: Tensor) -> Tensor:
    """bool [n, 1, length, length]: a query may look at items up to itself, never at padding.

    Padding may look at itself alone: a row of nothing would be a softmax over nothing, and its NaN would
    spread.
    """
    place = torch.arange(history.shape[1], device=history.device)
    past = place[:, None] >= place
    itself = place[:, None] == place
    return ((past & (history != 0)[:, None, :]) | itself)[:, None]
