"""Residual network: blocks that learn a correction to their input instead of a new image.

    float [n, C, H, W]
      → stem: conv (stride s) → batch norm → ReLU                        [n, w₁, H/s, W/s]
      → stage 1: blocks at full width of the stem                        [n, w₁, H/s, W/s]
      → stage k: the first block halves the image, the width is w_k      [n, w_k, H/(s·2^(k-1)), …]
      → average over the image                                           [n, w_last]
      → linear                                                           [n, classes]

    block:  x ─┬─ conv 3×3 → batch norm → ReLU → conv 3×3 → batch norm ─(+)─ ReLU →
               └─ itself, or a 1×1 convolution where the shape changes ──┘

With F(x) + x a block can be the identity by doing nothing, and gradients reach the first layer through the
sum; so depth no longer hurts. The original for CIFAR-10 is thin and deep (16-32-64, ResNet-20 to -110). This one
is wide and shallow after Zagoruyko & Komodakis. With a stem of stride 2 it looks at a small image at half its size:
a CPU spends its time on multiplications there, not on moving memory.
"""

from collections.abc import Sequence

import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn

from training.architectures.base import ImageLayers


class Block(nn.Module):
    """Two convolutions and the way round them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        same = before == after and stride == 1
        self.skip: nn.Module = nn.Identity() if same else _projection(before, after, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[n, before, H, W] → [n, after, H/stride, W/stride]."""
        residual = F.relu(self.norm1(self.conv1(x)))
        residual = self.norm2(self.conv2(residual))
        return F.relu(residual + self.skip(x))


def network(
    shape: tuple[int, int, int],
    classes: int,
    widths: Sequence[int],
    blocks: int | Sequence[int],
    stem_stride: int,
    dropout: float,
) -> ImageLayers:
    """shape: (channels, height, width); widths: channels of each stage; blocks: how many in every stage, or in each.

    The first stage may have none: then only the stem looks at the image in its full size, where a block of few
    channels costs as much as one of many at half of it.
    """
    depths = [blocks] * len(widths) if isinstance(blocks, int) else list(blocks)
    if len(depths) != len(widths) or min(depths[1:], default=1) < 1:
        raise ValueError(
            f"blocks {depths} must be one number for each of {len(widths)} widths, 1 or more after the first"
        )
    stem = nn.Conv2d(shape[0], widths[0], 3, stem_stride, padding=1, bias=False)
    layers: list[nn.Module] = [stem, nn.BatchNorm2d(widths[0]), nn.ReLU()]
    layers += [Block(widths[0], widths[0], 1) for _ in range(depths[0])]
    for before, after, depth in zip(widths, widths[1:], depths[1:], strict=False):
        layers += [Block(before, after, 2), *(Block(after, after, 1) for _ in range(depth - 1))]
    head = nn.Linear(widths[-1], classes)
    return ImageLayers(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), head)


def _projection(before: int, after: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
