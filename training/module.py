"""The task as Lightning sees it: one training step, one validation step, the optimiser, the batches."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from training.config import TrainConfig
from training.data.examples import Batch, Loader, restart, seeded
from training.optim import make_optimizer, make_schedule
from training.tasks.base import Facts, Task, TaskData
from training.tasks.classification import TAUGHT
from training.teacher import Teacher

EVALUATION_BATCH = 500


class TrainingModule(pl.LightningModule):
    """Wraps `model`; holds no data, since weight averaging copies the whole module."""

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        config: TrainConfig,
        data: TaskData[Any],
        teacher: Teacher | None = None,
    ) -> None:
        super().__init__()
        self.model, self.task, self.config, self.teacher = model, task, config, teacher
        self.facts: Facts = data.facts
        self.training_rows = len(data.train)
        self.scores = task.metrics(data.facts).clone(prefix="val/")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        # Dropout draws from PyTorch's own state and augmentation from `draws`; both restart at every step
        # from (seed, step, process), so that a resumed run draws what the killed one would have drawn.
        key = (self.config.seed, self.global_step, self.global_rank)
        restart(0, *key, device=self.device)
        draws = seeded(1, *key, device=self.device)
        changed = self.task.augment(batch, self.config, self.facts, draws)
        if self.teacher is not None:
            changed = {**changed, TAUGHT: self.teacher.logits(self.task.inputs(changed))}
        loss = self.task.loss(self.model, changed, self.config, self.facts)
        # Lightning takes some tenths of a millisecond to note a value, of which it writes one in so many steps.
        if (self.global_step + 1) % self.config.log_every_steps == 0:
            self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        loss = self.task.score(self.model, batch, self.scores)
        self.log("val/loss", loss, batch_size=len(next(iter(batch.values()))), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.scores.compute(), prog_bar=True)
        self.scores.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = make_optimizer(self.model, self.config)
        # Not `trainer.estimated_stepping_batches`: that opens the loaders before a checkpoint is restored,
        # and a resumed epoch would then begin at its first batch again.
        per_epoch = self.training_rows // (self.config.batch_size * self.trainer.world_size)
        schedule = make_schedule(optimizer, self.config, self.config.epochs * per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Batches(pl.LightningDataModule):
    """The loaders of train and validation, each process with its share."""

    def __init__(self, data: TaskData[Any], config: TrainConfig) -> None:
        super().__init__()
        self.data, self.config = data, config

    def train_dataloader(self) -> Loader:
        return self._loader(self.data.train, self.config.batch_size, training=True)

    def val_dataloader(self) -> Loader:
        return self._loader(self.data.validation, EVALUATION_BATCH, training=False)

    def _loader(self, examples: Any, batch_size: int, *, training: bool) -> Loader:
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return Loader(examples, batch_size, seed=self.config.seed, training=training, rank=rank, world=world)
