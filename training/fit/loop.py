"""The training loop, from the first batch to the best weights, resumable in the middle of an epoch.

    for each epoch
        for each batch: a step (`training.fit.steps`) → the next learning rate → the average of the weights
        validation → is it the best epoch so far? → early stop

Everything random is a function of (seed, epoch, step, process): with the same machine and libraries a killed and
resumed run of one thread ends with the same bits as one that was left alone. Several threads may add a sum in another
order, which moves a weight by its last bit.
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
from torchmetrics import MeanMetric

from training.config import TrainConfig
from training.data.examples import EVALUATION_BATCH, Loader
from training.errors import RunError
from training.fit.averaging import MovingAverage
from training.fit.checkpoint import PREFIX, read_checkpoint, save_checkpoint
from training.fit.interrupt import Interrupt, interruptible
from training.fit.optim import make_optimizer, make_schedule
from training.fit.processes import is_first
from training.fit.progress import LOSS, Progress
from training.fit.steps import LossModule, Steps
from training.fit.teacher import Teacher
from training.fit.zeros import Pruner
from training.run import RunFiles
from training.tasks.base import TaskData

Callback = Callable[[int], None]
"""Called after each step with its number, from 1."""

STATE_KEY = "reached"
"""Where a checkpoint holds the `TrainState`: the name is older than the class, and old runs resume by it."""

MONITOR_KEY = "monitor"
"""Where a checkpoint holds the name of the metric that its scores are of."""


@dataclass
class TrainState:
    """How far a fit has come: finished epochs and steps, and batches of the unfinished epoch.

    Field names are those of the checkpoints on disk.
    """

    epoch: int = 0
    batches: int = 0
    step: int = 0
    best: float | None = None
    """The validation score of the best epoch."""
    kept: float | None = None
    """The validation score of the epoch whose weights are kept."""
    since_best: int = 0
    """Epochs since the best one."""


class Fit:
    """One fit of one model, from the weights that it has or from the run's resume point."""

    def __init__(
        self,
        fabric: Fabric,
        config: TrainConfig,
        files: RunFiles,
        data: TaskData[Any],
        loss_module: LossModule,
        teacher: Teacher | None = None,
        pruner: Pruner | None = None,
    ) -> None:
        rank, world = fabric.global_rank, fabric.world_size
        self.fabric, self.config, self.files, self.pruner = fabric, config, files, pruner
        self.model, self.task = loss_module.model, loss_module.task
        self.train = Loader(
            data.train, config.batch_size, seed=config.seed, training=True, rank=rank, world=world
        )
        self.validation = Loader(
            data.choosing, EVALUATION_BATCH, seed=config.seed, training=False, rank=rank, world=world
        )
        optimizer = make_optimizer(self.model, config)
        self.schedule = make_schedule(optimizer, config, config.epochs * len(self.train))
        self.steps = Steps(fabric, loss_module, optimizer, teacher, pruner)
        self.average = MovingAverage(self.model, config.ema) if config.ema else None
        self.scores = self.task.metrics(data.facts).clone(prefix="val/").to(fabric.device)
        self.monitor = self.task.monitor_for(config)
        self.watched = f"val/{self.monitor.metric}"
        self.state = TrainState()
        self._checkpointed_at = time.monotonic()

    def run(self, callbacks: Sequence[Callback] = ()) -> TrainState:
        """Train to the last epoch or an early stop; returns the final state. `KeyboardInterrupt` after a signal."""
        if self.files.resume_point.exists():
            self._restore()
        state, config = self.state, self.config
        progress = Progress(config, self.watched, len(self.train), state.step)
        with interruptible(alone=self.fabric.world_size == 1) as interrupt:
            while state.epoch < config.epochs and not self._stopped_early():
                progress.begin(state.epoch, state.batches)
                self._train(progress, callbacks, interrupt)
                self._keep_if_best(self._validate(progress, interrupt))
                progress.end()
                state.epoch, state.batches = state.epoch + 1, 0
                if self._is_due():
                    self._checkpoint()
        self._checkpoint()
        return state

    def _train(self, progress: Progress, callbacks: Sequence[Callback], interrupt: Interrupt) -> None:
        """Train on the rest of the epoch."""
        state, config = self.state, self.config
        self.model.train()
        for batch in self.train.epoch(state.epoch, state.batches):
            loss, rate = self.steps.take(state.step, batch), self.schedule.get_last_lr()[0]
            self.schedule.step()
            state.step, state.batches = state.step + 1, state.batches + 1
            if self.average is not None:
                self.average.update(self.model)
            last = state.batches == len(self.train)
            if last or state.step % config.log_every_steps == 0:
                self._log({LOSS: self._number(loss.item()), "learning_rate": float(rate)}, progress)
            # Not after the last batch: the checkpoint behind validation knows the epoch's score too.
            if not last and self._is_due():
                self._checkpoint()
            progress.advance()
            for callback in callbacks:
                callback(state.step)
            if interrupt.asked:
                if not last:
                    self._checkpoint()
                raise KeyboardInterrupt

    def _candidate(self) -> nn.Module:
        """The model to validate and keep: the average of the weights, where there is one."""
        return self.average.model if self.average is not None else self.model

    def _number(self, loss: float) -> float:
        """The loss; `RunError` where it is nan, since no later step mends those weights."""
        if math.isnan(loss):
            raise RunError(
                f"the training loss is nan at step {self.state.step}; "
                f"lower --learning-rate (it is {self.config.learning_rate:g}), or set --gradient-clip"
            )
        return loss

    def _validate(self, progress: Progress, interrupt: Interrupt) -> float:
        """The monitored score over the rows of validation that choose the epoch."""
        model = self._candidate().eval()
        mean_loss = MeanMetric(nan_strategy="disable").to(self.fabric.device)
        with torch.inference_mode(), self.fabric.autocast():
            for batch in self.validation:
                each = self.task.score(model, self.fabric.to_device(batch), self.scores)
                mean_loss.update(each, weight=len(next(iter(batch.values()))))
                if interrupt.asked:
                    raise KeyboardInterrupt
        values = {name: float(value) for name, value in self.scores.compute().items()}
        self.scores.reset()
        loss = float(mean_loss.compute())
        self._log({"val/loss": loss, **values}, progress)
        # Accuracy is finite even where every logit is nan: only the loss tells.
        return values[self.watched] if math.isfinite(loss) else math.nan

    def _keep_if_best(self, score: float) -> None:
        """Save the weights of the best epoch so far, or of the latest; never with a score that is no number."""
        state = self.state
        higher = self.monitor.mode == "max"
        # An epoch that still prunes is no candidate: its weights have fewer zeros than were asked for.
        if not math.isfinite(score) or (self.pruner is not None and not self.pruner.finished(state.step)):
            state.since_best += 1
            return
        if state.best is None or (score > state.best if higher else score < state.best):
            state.best, state.since_best = score, 0
        else:
            state.since_best += 1
        if state.since_best == 0 or self.config.keep == "last":
            state.kept = score
            weights = _prefixed(self._candidate())
            self._save({"state_dict": weights, "global_step": state.step, "score": score}, self.files.best)

    def _stopped_early(self) -> bool:
        return bool(self.config.patience) and self.state.since_best >= self.config.patience

    def _log(self, values: dict[str, float], progress: Progress) -> None:
        progress.tell(values)
        self.fabric.log_dict({**values, "epoch": self.state.epoch}, self.state.step)

    def _is_due(self) -> bool:
        """Whether the last checkpoint is `checkpoint_every_s` old: the most that a kill may cost."""
        return time.monotonic() - self._checkpointed_at >= self.config.checkpoint_every_s

    def _checkpoint(self) -> None:
        """Write everything that a killed fit needs to resume."""
        contents = {
            "state_dict": _prefixed(self.model),
            "average": self.average.state_dict() if self.average is not None else None,
            "optimizer": self.steps.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
            "global_step": self.state.step,
            MONITOR_KEY: self.monitor.metric,
            STATE_KEY: asdict(self.state),
        }
        self._save(contents, self.files.resume_point)
        for logger in self.fabric.loggers if is_first() else ():
            logger.save()
        self._checkpointed_at = time.monotonic()

    def _restore(self) -> None:
        contents = read_checkpoint(self.files.resume_point)
        if STATE_KEY not in contents:
            raise RunError(
                f"{self.files.resume_point} is of another version of Baton; remove the run to start over"
            )
        if (before := contents.get(MONITOR_KEY, self.monitor.metric)) != self.monitor.metric:
            raise RunError(
                f"{self.files.resume_point}: its epochs were compared by {before}, "
                f"expected {self.monitor.metric}; remove the run to start over"
            )
        self.model.load_state_dict(
            {key.removeprefix(PREFIX): each for key, each in contents["state_dict"].items()}
        )
        if self.average is not None:
            self.average.load_state_dict(contents["average"])
        self.steps.optimizer.load_state_dict(contents["optimizer"])
        self.schedule.load_state_dict(contents["schedule"])
        self.fabric.strategy.precision.load_state_dict(contents["precision"])
        self.state = TrainState(**contents[STATE_KEY])

    def _save(self, contents: dict[str, Any], path: Path) -> None:
        if is_first():
            save_checkpoint(contents, path)


def _prefixed(model: nn.Module) -> dict[str, Tensor]:
    return {f"{PREFIX}{name}": value for name, value in model.state_dict().items()}
