"""Batch size and epochs by the size of the data: steps, and not epochs, are what a model learns by.

Twenty epochs of sixty rows are twenty steps of a batch of 64, in which nothing is learned; of a million rows they are
too many. The rules are settings (`least_steps`, `least_batches`), and a flag for the epochs or the batch switches
its rule off.
"""

import math

from training.config import TrainConfig
from training.fit.processes import processes

MOST_EPOCHS = 200
"""That are added for a small set: each has a validation, and more looks at a few rows teach nothing new."""

SMALLEST_BATCH = 2
"""Batch norm has no variance of one row."""


def settled(config: TrainConfig, rows: int) -> TrainConfig:
    """The configuration with the epochs and the batch size that it means for so many rows of train.

    Settling twice is the same as once, and a configuration without rules is its own.
    """
    world = processes(config).all
    batch_size = config.batch_size
    while batch_size > SMALLEST_BATCH and rows // (batch_size * world) < config.least_batches:
        batch_size = max(SMALLEST_BATCH, batch_size // 2)
    steps = max(1, rows // (batch_size * world))
    added = min(MOST_EPOCHS, math.ceil(config.least_steps / steps))
    return config.model_copy(update={"batch_size": batch_size, "epochs": max(config.epochs, added)})
