"""Lightning callbacks: averaged and pruned weights, the best and the resumable checkpoint, the progress bar."""

import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, TQDMProgressBar, WeightAveraging
from torch import Tensor, nn
from torch.optim import Optimizer


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


PRUNE_EVERY_STEPS = 10
"""Steps between two choices of what is zero."""


class Pruner(pl.Callback):
    """Keeps zeros zero through every optimiser step, and makes more of them until `share` is reached.

    It has no state of its own: what is zero is read from the weights, so a resumed run goes on with the same.
    """

    def __init__(self, share: float, last_step: int) -> None:
        """last_step: the optimiser step at which `share` is reached."""
        self.share, self.last_step = share, max(1, last_step)
        self._zeros: list[Tensor] = []

    def reached(self, trainer: pl.Trainer) -> bool:
        return trainer.global_step >= self.last_step

    def share_at(self, step: int) -> float:
        """Share of zeros after that step: fast at first, while there is much to spare."""
        return self.share * (1 - (1 - min(1.0, step / self.last_step)) ** 3)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        self._zeros = [weight == 0 for weight in prunable(pl_module)]

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        step = trainer.global_step
        choose = step == self.last_step or (step % PRUNE_EVERY_STEPS == 0 and step < self.last_step)
        for weight, zeros in zip(prunable(pl_module), self._zeros, strict=True):
            weight.masked_fill_(zeros, 0)
            if choose:
                zero_smallest(weight, self.share_at(step))


def zero_smallest(weight: Tensor, share: float) -> None:
    """In place, and by magnitude (torch.nn.utils.prune cannot see channels-last filters as one line)."""
    size = weight.abs()
    if count := round(share * weight.numel()):
        weight.masked_fill_(size <= size.flatten().kthvalue(count).values, 0)


def prunable(model: nn.Module) -> list[nn.Parameter]:
    """The weights of layers: two axes or more. Norms, biases and positions are left alone."""
    return [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1 and "weight" in name.rpartition(".")[2]
    ]


class BestPruned(ModelCheckpoint):
    """Keeps the best of the epochs in which all that is to be zero is zero."""

    def __init__(self, pruner: Pruner, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._pruner = pruner

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._pruner.reached(trainer):
            super().on_train_epoch_end(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._pruner.reached(trainer):
            super().on_validation_end(trainer, pl_module)


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
