"""The training loop, from the first batch to the best weights, resumable in the middle of an epoch.

    for each epoch
        for each batch: draw, augment → loss → gradients → a step of the optimiser → the next learning rate
        validation → is it the best so far? → has it stopped getting better?

Lightning Fabric brings it to any device, precision and number of processes. Everything random is a function of
(seed, epoch, step, process): with the same machine and libraries a killed and resumed run of one thread ends with the
same bits as one that was left alone. Of several threads chance may order a sum, which moves a weight by its last bit.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MeanMetric

from training.config import TrainConfig
from training.data.examples import EVALUATION_BATCH, Batch, Loader, restart, seeded
from training.errors import RunError
from training.fit.averaging import MovingAverage
from training.fit.checkpoint import PREFIX, read_checkpoint, save_checkpoint
from training.fit.early_stop import Stop, stoppable
from training.fit.optim import make_optimizer, make_schedule
from training.fit.processes import is_first
from training.fit.progress import LOSS, Progress
from training.fit.teacher import Teacher
from training.fit.zeros import Pruner
from training.run import RunFiles
from training.tasks.base import Facts, Task, TaskData
from training.tasks.classification import DISTILLED

Watcher = Callable[[int], None]
"""Told of each step when it is done, by its number from 1."""


class Lesson(nn.Module):
    """A batch in, the loss out: what Fabric wraps, so that precision and processes hold for all of it."""

    def __init__(self, model: nn.Module, task: Task, config: TrainConfig, facts: Facts) -> None:
        super().__init__()
        self.model, self.task, self.config, self.facts = model, task, config, facts

    def forward(self, batch: Batch) -> Tensor:
        return self.task.loss(self.model, batch, self.config, self.facts)


class Steps:
    """The steps of one model: the batch to the device, the loss forwards, the gradients backwards, the weights on."""

    def __init__(
        self,
        fabric: Fabric,
        lesson: Lesson,
        optimizer: Optimizer,
        teacher: Teacher | None = None,
        pruner: Pruner | None = None,
    ) -> None:
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            # On CPUs PyTorch has none: there each process normalises by its own share of the batch.
            lesson = nn.SyncBatchNorm.convert_sync_batchnorm(lesson)  # type: ignore[no-untyped-call]
        self.fabric, self.teacher, self.pruner = fabric, teacher, pruner
        self.model, self.task = lesson.model, lesson.task
        self.config, self.facts = lesson.config, lesson.facts
        self._alone = lesson
        self.lesson, self.optimizer = fabric.setup(lesson, optimizer)

    def take(self, step: int, batch: Batch) -> Tensor:
        """Step number `step`, from 0; the loss before it, detached."""
        fabric, config = self.fabric, self.config
        batch = fabric.to_device(batch)
        # Dropout draws from PyTorch's own state and augmentation from `draws`; both restart at every step, so that a
        # resumed run draws what the killed one would have drawn.
        key = (config.seed, step, fabric.global_rank)
        restart(0, *key, device=fabric.device)
        draws = seeded(1, *key, device=fabric.device)
        batch = self.task.augment(batch, config, self.facts, draws)
        if self.teacher is not None:
            batch = {**batch, DISTILLED: self.teacher.logits(self.task.inputs(batch))}
        loss = self._loss(batch)
        self.optimizer.zero_grad()
        fabric.backward(loss)
        if config.gradient_clip:
            fabric.clip_gradients(
                self.lesson, self.optimizer, max_norm=config.gradient_clip, error_if_nonfinite=False
            )
        if self.pruner is not None:
            self.pruner.before_step(self.model)
        self.optimizer.step()
        if self.pruner is not None:
            self.pruner.after_step(self.model, step + 1)
        return loss.detach()

    def _loss(self, batch: Batch) -> Tensor:
        """Fabric's wrapper brings the processes together; one alone has no need of its hooks (0.1 ms a step)."""
        if self.fabric.world_size > 1:
            return self.lesson(batch)  # type: ignore[no-any-return]
        with self.fabric.autocast():
            return self._alone(batch)  # type: ignore[no-any-return]


@dataclass
class Reached:
    """How far a fit has come: epochs and steps that are done, batches of the epoch that is not."""

    epoch: int = 0
    batches: int = 0
    step: int = 0
    best: float | None = None
    """The validation score of the best epoch."""
    kept: float | None = None
    """That of the epoch whose weights are kept."""
    since_best: int = 0
    """Epochs."""


class Fit:
    """One fit of one model, from the weights that it has or from the run's resume point."""

    def __init__(
        self,
        fabric: Fabric,
        config: TrainConfig,
        files: RunFiles,
        data: TaskData[Any],
        lesson: Lesson,
        teacher: Teacher | None = None,
        pruner: Pruner | None = None,
    ) -> None:
        rank, world = fabric.global_rank, fabric.world_size
        self.fabric, self.config, self.files, self.pruner = fabric, config, files, pruner
        self.model, self.task = lesson.model, lesson.task
        self.train = Loader(
            data.train, config.batch_size, seed=config.seed, training=True, rank=rank, world=world
        )
        self.validation = Loader(
            data.validation, EVALUATION_BATCH, seed=config.seed, training=False, rank=rank, world=world
        )
        optimizer = make_optimizer(self.model, config)
        self.schedule = make_schedule(optimizer, config, config.epochs * len(self.train))
        self.steps = Steps(fabric, lesson, optimizer, teacher, pruner)
        self.average = MovingAverage(self.model, config.ema) if config.ema else None
        self.scores = self.task.metrics(data.facts).clone(prefix="val/").to(fabric.device)
        self.watched = f"val/{self.task.monitor.metric}"
        self.reached = Reached()
        self._kept_at = time.monotonic()

    def run(self, watchers: Sequence[Watcher] = ()) -> Reached:
        """Train until done or stopped early; how far that was. `KeyboardInterrupt` if asked to stop."""
        if self.files.resume_point.exists():
            self._restore()
        reached, config = self.reached, self.config
        progress = Progress(config, self.watched, len(self.train), reached.step)
        with stoppable(alone=self.fabric.world_size == 1) as stop:
            while reached.epoch < config.epochs and not self._stands_still():
                progress.begin(reached.epoch, reached.batches)
                self._train(progress, watchers, stop)
                self._judge(self._validate(progress, stop))
                progress.end()
                reached.epoch, reached.batches = reached.epoch + 1, 0
                if self._due():
                    self._keep()
        self._keep()
        return reached

    def _train(self, progress: Progress, watchers: Sequence[Watcher], stop: Stop) -> None:
        """What is left of the epoch."""
        reached, config = self.reached, self.config
        self.model.train()
        for batch in self.train.epoch(reached.epoch, reached.batches):
            loss, rate = self.steps.take(reached.step, batch), self.schedule.get_last_lr()[0]
            self.schedule.step()
            reached.step, reached.batches = reached.step + 1, reached.batches + 1
            if self.average is not None:
                self.average.update(self.model)
            last = reached.batches == len(self.train)
            if last or reached.step % config.log_every_steps == 0:
                self._log({LOSS: self._number(loss.item()), "learning_rate": float(rate)}, progress)
            # Not behind the last batch: what early stopping will make of the epoch is not known yet.
            if not last and self._due():
                self._keep()
            progress.advance()
            for watch in watchers:
                watch(reached.step)
            if stop.asked:
                if not last:
                    self._keep()
                raise KeyboardInterrupt

    def _candidate(self) -> nn.Module:
        """What is validated and kept: the average of the weights, where there is one."""
        return self.average.model if self.average is not None else self.model

    def _number(self, loss: float) -> float:
        """The loss, if it is a number; the weights that gave another are lost."""
        if math.isnan(loss):
            raise RunError(
                f"the training loss is nan at step {self.reached.step}; "
                f"lower --learning-rate (it is {self.config.learning_rate:g}), or set --gradient-clip"
            )
        return loss

    def _validate(self, progress: Progress, stop: Stop) -> float:
        """The watched score over the validation split."""
        model = self._candidate().eval()
        mean_loss = MeanMetric(nan_strategy="disable").to(self.fabric.device)
        with torch.inference_mode(), self.fabric.autocast():
            for batch in self.validation:
                each = self.task.score(model, self.fabric.to_device(batch), self.scores)
                mean_loss.update(each, weight=len(next(iter(batch.values()))))
                if stop.asked:
                    raise KeyboardInterrupt
        values = {name: float(value) for name, value in self.scores.compute().items()}
        self.scores.reset()
        loss = float(mean_loss.compute())
        self._log({"val/loss": loss, **values}, progress)
        # Answers that are no numbers have an accuracy all the same.
        return values[self.watched] if math.isfinite(loss) else math.nan

    def _judge(self, score: float) -> None:
        """Keep the weights if they are the best so far, or the latest; never those whose score is no number."""
        reached = self.reached
        higher = self.task.monitor.mode == "max"
        if not math.isfinite(score) or (self.pruner is not None and not self.pruner.reached(reached.step)):
            reached.since_best += 1
            return
        if reached.best is None or (score > reached.best if higher else score < reached.best):
            reached.best, reached.since_best = score, 0
        else:
            reached.since_best += 1
        if reached.since_best == 0 or self.config.keep == "last":
            reached.kept = score
            weights = _prefixed(self._candidate())
            kept = {"state_dict": weights, "global_step": reached.step, "score": score}
            self._save(kept, self.files.best)

    def _stands_still(self) -> bool:
        return bool(self.config.patience) and self.reached.since_best >= self.config.patience

    def _log(self, values: dict[str, float], progress: Progress) -> None:
        progress.tell(values)
        self.fabric.log_dict({**values, "epoch": self.reached.epoch}, self.reached.step)

    def _due(self) -> bool:
        """Whether a kill would cost more than it may."""
        return time.monotonic() - self._kept_at >= self.config.checkpoint_every_s

    def _keep(self) -> None:
        """Everything that a killed fit needs to go on."""
        state = {
            "state_dict": _prefixed(self.model),
            "average": self.average.state_dict() if self.average is not None else None,
            "optimizer": self.steps.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
            "global_step": self.reached.step,
            "reached": asdict(self.reached),
        }
        self._save(state, self.files.resume_point)
        for logger in self.fabric.loggers if is_first() else ():
            logger.save()
        self._kept_at = time.monotonic()

    def _restore(self) -> None:
        state = read_checkpoint(self.files.resume_point)
        if "reached" not in state:
            raise RunError(
                f"{self.files.resume_point} is of another version of Baton; remove the run to start over"
            )
        self.model.load_state_dict(
            {key.removeprefix(PREFIX): each for key, each in state["state_dict"].items()}
        )
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.steps.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.reached = Reached(**state["reached"])

    def _save(self, state: dict[str, Any], path: Path) -> None:
        if is_first():
            save_checkpoint(state, path)


def _prefixed(model: nn.Module) -> dict[str, Tensor]:
    return {f"{PREFIX}{name}": value for name, value in model.state_dict().items()}
