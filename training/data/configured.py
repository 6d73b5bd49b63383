"""The readers' arguments by the configuration of the run; nothing here imports PyTorch.

The tasks read by them, and `training.data.check` before PyTorch is imported.
"""

from inference.configs import ImageConfig
from training.config import TrainConfig
from training.data.delimited import SEPARATOR_NAMES
from training.data.event_columns import Columns
from training.data.events import Reading
from training.data.tables import Flags
from training.data.text_sets import TextSet, load_texts


def image_config(config: TrainConfig, height: int, width: int, channels: int) -> ImageConfig:
    """How images become pixels of that size, the same in training and in serving; one channel is grey."""
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


def image_flags(config: TrainConfig) -> Flags:
    """How a table that holds or names images is read."""
    return Flags(
        *(config.image_column, config.label_column, config.encoding),
        separator=_separator(config),
        content_flag="--image-column",
    )


def text_set(config: TrainConfig) -> TextSet:
    """The texts, by name or path."""
    return load_texts(
        config.data,
        config.text_column,
        config.label_column,
        strict=config.strict,
        encoding=config.encoding,
        separator=_separator(config),
    )


def log_reading(config: TrainConfig) -> Reading:
    """How a log of one's own is read."""
    columns = Columns(config.user_column, config.item_column, config.time_column, config.title_column)
    repeated = "keep" if config.repeats else config.repeated
    return Reading(columns, repeated, config.strict, config.encoding, _separator(config))


def _separator(config: TrainConfig) -> str:
    return SEPARATOR_NAMES.get(config.separator, config.separator)
