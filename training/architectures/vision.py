"""The architectures for images: their builders with the options, and their records.

    build(shape, classes, *, …) → ImageNetwork    shape: (channels, height, width)

The keyword options are all that `--model` (or the `[model]` table of a configuration) may set.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.architectures.record import Architecture

if TYPE_CHECKING:
    from training.architectures.base import ImageLayers
    from training.architectures.resnet9 import ResNet9
    from training.architectures.vit import VisionTransformer


def mlp(
    shape: tuple[int, int, int], classes: int, *, hidden: Sequence[int] = (512, 256), dropout: float = 0.3
) -> "ImageLayers":
    """shape: (channels, height, width) of the images; hidden: width of each hidden layer."""
    from training.architectures.mlp import network

    return network(shape, classes, hidden, dropout)


def cnn(
    shape: tuple[int, int, int],
    classes: int,
    *,
    widths: Sequence[int] = (32, 64),
    hidden: int = 128,
    dropout: float = 0.3,
) -> "ImageLayers":
    """shape: (channels, height, width); widths: channels of each stage, every stage halves the image."""
    from training.architectures.cnn import network

    return network(shape, classes, widths, hidden, dropout)


def resnet(
    shape: tuple[int, int, int],
    classes: int,
    *,
    widths: Sequence[int] = (64, 128, 256),
    blocks: int | Sequence[int] = 1,
    stem_stride: int = 1,
    dropout: float = 0.0,
) -> "ImageLayers":
    """shape: (channels, height, width); widths: channels of each stage; blocks: how many in every stage, or in each.

    The first stage may have none: then only the stem looks at the image in its full size, where a block of few
    channels costs as much as one of many at half of it.
    """
    from training.architectures.resnet import network

    return network(shape, classes, widths, blocks, stem_stride, dropout)


def resnet9(
    shape: tuple[int, int, int],
    classes: int,
    *,
    widths: Sequence[int] = (64, 128, 256),
    blocks: Sequence[int] = (0, 1, 1),
    dropout: float = 0.0,
) -> "ResNet9":
    """shape: (channels, height, width); widths: channels of each stage; blocks: how many each has."""
    from training.architectures.resnet9 import ResNet9

    if len(blocks) != len(widths) or min(blocks, default=0) < 0:
        raise ValueError(
            f"blocks {list(blocks)} must be one number for each of {len(widths)} widths, 0 or more"
        )
    return ResNet9(shape[0], classes, widths, blocks, dropout)


def vit(
    shape: tuple[int, int, int],
    classes: int,
    *,
    patch: int = 4,
    width: int = 96,
    depth: int = 4,
    heads: int = 4,
    dropout: float = 0.1,
) -> "VisionTransformer":
    """shape: (channels, height, width), both sides divisible by `patch`; `width` by `heads`."""
    from training.architectures.vit import VisionTransformer

    return VisionTransformer(shape, classes, patch, width, depth, heads, dropout)


ARCHITECTURES = (
    Architecture(
        "mlp",
        "vision",
        mlp,
        "fully connected layers on the flattened pixels: the baseline that knows nothing of images",
        "Rumelhart, Hinton & Williams 1986, doi:10.1038/323533a0",
    ),
    Architecture(
        "cnn",
        "vision",
        cnn,
        "convolutions and pooling, then a small classifier: LeNet with batch norm and ReLU",
        "LeCun, Bottou, Bengio & Haffner 1998, doi:10.1109/5.726791",
        bf16_pays=True,
        embedded="digits",
    ),
    Architecture(
        "resnet",
        "vision",
        resnet,
        "residual blocks with batch norm and skips, wide and shallow so that a CPU can train it",
        "He, Zhang, Ren & Sun 2016, arXiv:1512.03385; wide: Zagoruyko & Komodakis 2016, arXiv:1605.07146",
        bf16_pays=True,
    ),
    Architecture(
        "resnet9",
        "vision",
        resnet9,
        "whitened patches, then a convolution, a pooling and residual blocks a stage: small images, few epochs",
        "Page 2018, myrtle.ai; Jordan 2024, arXiv:2404.00498",
        bf16_pays=True,
    ),
    Architecture(
        "vit",
        "vision",
        vit,
        "a Transformer encoder over patches of the image",
        "Dosovitskiy et al. 2021, arXiv:2010.11929",
    ),
)
