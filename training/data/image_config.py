"""How a folder's images become pixels, by the configuration of the run: the same in training and in serving."""

from inference.configs import ImageConfig
from training.config import TrainConfig


def image_config(config: TrainConfig, height: int, width: int, channels: int) -> ImageConfig:
    """The processor of images of that size; one channel is grey."""
    return ImageConfig(
        kind="image",
        height=height,
        width=width,
        mode="L" if channels == 1 else "RGB",
        fit=config.image_fit,
        interpolation="bilinear",
        background=config.background,
        max_pixels=config.max_pixels,
    )
