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

from training.architectures.base import Architecture, ImageLayers


def build(
    shape: tuple[int, int, int], classes: int, *, hidden: Sequence[int] = (512, 256), dropout: float = 0.3
) -> ImageLayers:
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


ARCHITECTURE = Architecture(
    "mlp",
    "vision",
    build,
    "fully connected layers on the flattened pixels: the baseline that knows nothing of images",
    "Rumelhart, Hinton & Williams 1986, doi:10.1038/323533a0",
)
