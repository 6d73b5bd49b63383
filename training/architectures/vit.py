"""Vision Transformer: the image cut into patches, each patch a word.

    float [n, C, H, W]
      → each p×p patch projected to `width` (a convolution of stride p)   [n, width, H/p, W/p]
      → as a sequence, with a learned position added                      [n, patches, width]
      → `depth` encoder layers, norm first                                [n, patches, width]
      → layer norm, mean over the patches                                 [n, width]
      → linear                                                            [n, classes]

    layer:  x → x + attention(norm(x)) → x + MLP(norm(x))

Nothing but the patches says that pixels are neighbours, so it needs more data than a convolution, or more
augmentation (Touvron et al. 2021, arXiv:2012.12877). The mean over patches is as good as a class token and
simpler (Beyer et al. 2022, arXiv:2205.01580).
"""

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn

from training.architectures.base import ImageNetwork


class Attention(nn.Module):
    """Every patch asks every patch: softmax(Q·Kᵀ/√d)·V in `heads` subspaces (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[n, patches, width] → the same shape."""
        patches, width = x.shape[1:]
        split = self.qkv(x).reshape(-1, patches, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).reshape(-1, patches, width))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Attention between patches, then an MLP on each patch, both added to their input."""

    def __init__(self, width: int, heads: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.dropout(self.mlp(self.norm2(x)))  # type: ignore[no-any-return]


class VisionTransformer(ImageNetwork):
    """Patches, positions, layers, head."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        channels, high, wide = shape
        if high % patch or wide % patch or width % heads:
            raise ValueError(f"patch {patch} must divide {high}×{wide}, and heads {heads} the width {width}")
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        self.position = nn.Parameter(0.02 * torch.randn(1, (high // patch) * (wide // patch), width))
        self.layers = nn.Sequential(*(Layer(width, heads, 4, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.layers(tokens)).mean(1))  # type: ignore[no-any-return]
