"""Convolutional network in the line of LeNet-5: convolve, pool, convolve, pool, classify.

    float [n, C, H, W]
      → conv 3×3 → batch norm → ReLU → conv 3×3 → batch norm → ReLU → max pool 2   [n, w₁, H/2, W/2]
      → the same with the next width                                              [n, w₂, H/4, W/4] …
      → average over each cell of a 3×3 grid, flatten                             [n, 9·w]
      → linear → ReLU → dropout → linear                                          [n, classes]

The same small filters slide over the whole image, so a sleeve is a sleeve wherever it lies; pooling gives
up where exactly it was. Batch norm (Ioffe & Szegedy 2015, arXiv:1502.03167) came after LeNet.
"""

from collections.abc import Sequence

from torch import nn

from training.architectures.base import ImageLayers

GRID = 3
"""Cells a side of the last average: one cell would forget whether a stroke is above or below."""


def network(
    shape: tuple[int, int, int],
    classes: int,
    widths: Sequence[int],
    hidden: int,
    dropout: float,
) -> ImageLayers:
    """shape: (channels, height, width); widths: channels of each stage, every stage halves the image."""
    layers: list[nn.Module] = []
    before = shape[0]
    for width in widths:
        layers += [*_convolution(before, width), *_convolution(width, width), nn.MaxPool2d(2)]
        before = width
    return ImageLayers(
        *layers,
        nn.AdaptiveAvgPool2d(GRID),
        nn.Flatten(),
        nn.Linear(GRID * GRID * before, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )


def _convolution(before: int, after: int) -> list[nn.Module]:
    # A bias would be one with the shift of the norm.
    return [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
