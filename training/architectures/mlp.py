"""Multilayer perceptron: pixels flattened, then fully connected layers.

    float [n, C, H, W]
      → flatten                                            [n, C·H·W]
      → linear → batch norm → ReLU → dropout, each layer   [n, hidden]
      → linear                                             [n, classes]

It has no idea that neighbouring pixels belong together: shuffle all pixels the same way and it learns as
well. That makes it the baseline that convolutions have to beat.
"""

from collections.abc import Sequence

from torch import nn

from training.architectures.base import ImageLayers


def network(shape: tuple[int, int, int], classes: int, hidden: Sequence[int], dropout: float) -> ImageLayers:
    """shape: (channels, height, width) of the images; hidden: width of each hidden layer."""
    channels, height, width = shape
    layers: list[nn.Module] = [nn.Flatten()]
    features = channels * height * width
    for size in hidden:
        layers += [
            nn.Linear(features, size, bias=False),
            nn.BatchNorm1d(size),
            nn.ReLU(),
            nn.Dropout(dropout),
        ]
        features = size
    return ImageLayers(*layers, nn.Linear(features, classes))
