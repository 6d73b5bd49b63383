"""Lightning callbacks: averaged weights, the checkpoint that a killed run resumes from, the progress bar."""

import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint, TQDMProgressBar, WeightAveraging
from torch import Tensor


class MovingAverage(WeightAveraging):
    """Exponential moving average of weights and batch statistics; validation and the best checkpoint use it.

    The decay rises with the number of updates n as (1 + n) / (10 + n) up to `decay`, so that the first,
    random weights are soon forgotten (as in TensorFlow's ExponentialMovingAverage).
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=_rising_average(decay))


def _rising_average(decay: float) -> Any:
    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], updates: Tensor) -> None:
        n = int(updates)
        kept = min(decay, (1 + n) / (10 + n))
        for mean, new in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(new, 1 - kept)
            else:
                mean.copy_(new)  # a counter has no mean

    return update


class ResumePoint(Checkpoint):
    """Keeps one checkpoint of everything, written to a neighbour and renamed, for a run that is killed.

    Saved every so many steps and when an epoch and its validation are done, but not between the last step
    of an epoch and its validation: there the state of early stopping is not yet known.
    """

    def __init__(self, path: Path, every_steps: int) -> None:
        self.path, self.every_steps = path, every_steps

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % self.every_steps == 0 and not trainer.is_last_batch:
            trainer.save_checkpoint(self.path, weights_only=False)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.save_checkpoint(self.path, weights_only=False)


class Progress(TQDMProgressBar):
    """Lightning's bar with the time left for the whole run beside that for the epoch."""

    _started = 0.0
    _first_step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._started, self._first_step = time.monotonic(), trainer.global_step

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Any:
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        done = trainer.global_step - self._first_step
        if done > 0:
            pace = (time.monotonic() - self._started) / done
            steps = int(trainer.num_training_batches) * (trainer.max_epochs or 0)
            minutes, seconds = divmod(int(pace * (steps - trainer.global_step)), 60)
            shown["left"] = f"{minutes}:{seconds:02d}"
        return shown
