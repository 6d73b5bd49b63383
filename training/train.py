"""Fitting: configuration and data to the best weights, resumable in the middle of an epoch.

Everything random is a function of (seed, epoch, step); with the same machine, libraries and thread count a
killed and resumed run ends with the same bits as one that was left alone.
"""

import json
import logging
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import nn

from training.architectures.registry import ARCHITECTURES
from training.callbacks import BestPruned, MovingAverage, Progress, Pruner, ResumePoint
from training.checkpoint import load_weights
from training.config import TrainConfig
from training.data.splits import write_holdout
from training.errors import ConfigError, DataError, RunError
from training.figures import learning_curves
from training.module import Batches, TrainingModule
from training.processes import is_first, processes
from training.run import RunFiles, begin_run, write_whole
from training.tasks.base import Monitor, TaskData
from training.tasks.registry import find_task
from training.teacher import open_teacher
from training.transfer import check_same_split, start_from

log = logging.getLogger(__name__)

SKIPPED_SHOWN = 10


@dataclass(frozen=True)
class FitResult:
    """What fitting leaves in `fit.json`: which epoch was best on validation, and what it took.

    seconds: wall time of the process that finished the run.
    """

    metric: str
    score: float
    epochs: int
    steps: int
    parameters: int
    seconds: float


def load_data(config: TrainConfig, files: RunFiles) -> TaskData[Any]:
    """The task's data, with the split recorded in the run and every skipped example reported."""
    data = read_data(config)
    if is_first():
        begin_run(config, files)
        _report_skipped(data.skipped, files.skipped)
        write_holdout(files.split, data.held_out, seed=config.seed)
    return data


def read_data(config: TrainConfig) -> TaskData[Any]:
    """The task's data, enough of them for a step."""
    data = find_task(config.task).load(config)
    count = processes(config).all
    if len(data.train) < config.batch_size * count:
        each = f" in each of {count} processes" if count > 1 else ""
        raise DataError(
            f"{len(data.train)} training examples do not fill a batch of {config.batch_size}{each}; "
            "give a smaller --batch-size"
        )
    return data


def _report_skipped(lines: Sequence[str], target: Path) -> None:
    """All of them in the run's directory, the first few on the screen."""
    for line in lines[:SKIPPED_SHOWN]:
        log.warning("skipped %s", line)
    if len(lines) > SKIPPED_SHOWN:
        log.warning("… and %d more; all are in %s", len(lines) - SKIPPED_SHOWN, target)
    write_whole(target, "".join(f"{line}\n" for line in lines))


def build_model(config: TrainConfig, data: TaskData[Any]) -> nn.Module:
    """The model as initialised from the seed, or as it will be filled from a checkpoint."""
    torch.manual_seed(config.seed)
    return find_task(config.task).build(config, data)


def fit(
    config: TrainConfig, files: RunFiles, data: TaskData[Any], extra: Sequence[Callback] = ()
) -> FitResult:
    """Train until done or stopped early; a finished fit is not repeated. `extra` callbacks only watch."""
    if files.fit.exists():
        return FitResult(**json.loads(files.fit.read_text()))
    model = build_model(config, data)
    if config.init_from and not files.resume_point.exists():
        if config.task == "recommendation":
            check_same_split(Path(config.init_from), files.split)
        start_from(model, config, data.train, find_task(config.task).inputs)
    return fit_model(config, files, data, model, extra)


def fit_model(
    config: TrainConfig,
    files: RunFiles,
    data: TaskData[Any],
    model: nn.Module,
    extra: Sequence[Callback] = (),
    pruner: Pruner | None = None,
) -> FitResult:
    """Train `model` from the weights that it has, or from the run's resume point; a finished fit is read."""
    if files.fit.exists():
        return FitResult(**json.loads(files.fit.read_text()))
    if config.threads:
        torch.set_num_threads(config.threads)
    # What decays towards zero ends in numbers that a processor computes with in microcode: steps of NeuMF took five
    # times as long.
    torch.set_flush_denormal(True)
    task = find_task(config.task)
    teacher = open_teacher(config, task, data, files) if config.teacher else None
    module = TrainingModule(model, task, config, data, teacher)
    trainer = _trainer(config, files, [*_callbacks(config, files, task.monitor, pruner), *extra])
    started = time.monotonic()
    with warnings.catch_warnings():
        silence_lightning()
        batches = Batches(data, config)
        try:
            trainer.fit(module, datamodule=batches, ckpt_path=_resume_from(files), weights_only=True)
        except SystemExit as stopped:  # what Lightning makes of Ctrl+C
            raise KeyboardInterrupt from stopped
    result = _result(trainer, task.monitor, model, time.monotonic() - started)
    if is_first():
        learning_curves(files.logs, files.curves, f"val/{task.monitor.metric}", task.monitor.mode)
        write_whole(files.fit, json.dumps(asdict(result), indent=2))
    return result


def best_model(config: TrainConfig, best: Path, data: TaskData[Any]) -> nn.Module:
    """The model with the weights of the best epoch, in evaluation mode."""
    return load_weights(build_model(config, data), best)


def _trainer(config: TrainConfig, files: RunFiles, callbacks: list[Callback]) -> pl.Trainer:
    try:
        return _build_trainer(config, files, callbacks)
    except MisconfigurationException as error:  # a device that is not there, a precision it does not have
        raise ConfigError(
            f"accelerator {config.accelerator!r}, precision {config.precision!r}: {error}"
        ) from error


def _build_trainer(config: TrainConfig, files: RunFiles, callbacks: list[Callback]) -> pl.Trainer:
    started = processes(config)
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=started.local,
        num_nodes=started.machines,
        # On CPUs PyTorch has none: there each process normalises by its own share of the batch.
        sync_batchnorm=started.all > 1 and torch.cuda.is_available() and config.accelerator != "cpu",
        precision=choose_precision(config),
        max_epochs=config.epochs,
        gradient_clip_val=config.gradient_clip or None,
        callbacks=callbacks,
        logger=_loggers(files),
        log_every_n_steps=config.log_every_steps,
        enable_progress_bar=config.progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # our loader gives each process its share
    )


def _callbacks(
    config: TrainConfig, files: RunFiles, monitor: Monitor, pruner: Pruner | None
) -> list[Callback]:
    watched = f"val/{monitor.metric}"
    chosen: list[Callback] = [Progress(refresh_rate=10)] if config.progress else []
    if config.ema:
        chosen.append(MovingAverage(config.ema))
    if config.patience:
        chosen.append(EarlyStopping(watched, mode=monitor.mode, patience=config.patience))
    options: dict[str, Any] = {
        "dirpath": files.best.parent,
        "filename": files.best.stem,
        "monitor": watched,
        "mode": monitor.mode,
        "enable_version_counter": False,
    }
    if pruner is None:
        best = ModelCheckpoint(**options)
    else:
        chosen.append(pruner)
        best = BestPruned(pruner, **options)
    return [*chosen, best, ResumePoint(files.resume_point, config.checkpoint_every_steps)]


def _loggers(files: RunFiles) -> list[Logger]:
    """Each attempt of a resumed run logs in its own version folder; the curves join them."""
    files.logs.mkdir(parents=True, exist_ok=True)
    return [CSVLogger(files.logs, "csv"), TensorBoardLogger(files.logs, "tensorboard")]


def choose_precision(config: TrainConfig) -> Any:
    """bf16 where it is multiplied in hardware and pays: on a Zen 4 a small ResNet's step took half as long in it."""
    if config.precision != "auto":
        return config.precision
    if torch.cuda.is_available() and config.accelerator != "cpu":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    pays = ARCHITECTURES[config.arch].bf16_pays and torch.cpu._is_avx512_bf16_supported()
    return "bf16-mixed" if pays else "32-true"


def _resume_from(files: RunFiles) -> Path | None:
    return files.resume_point if files.resume_point.exists() else None


def silence_lightning() -> None:
    """Advice that does not apply (the folder is not empty on purpose), and uses of PyTorch that are its own."""
    for message in (
        ".*exists and is not empty",
        ".*smaller than the logging interval",
        ".*LeafSpec",
        ".*does not have many workers",
        ".*but have no `val_dataloader`",
        ".*sync_dist=True.*",  # torchmetrics has brought the processes together already
    ):
        warnings.filterwarnings("ignore", message)


def _result(trainer: pl.Trainer, monitor: Monitor, model: nn.Module, seconds: float) -> FitResult:
    best = trainer.checkpoint_callback
    if not isinstance(best, ModelCheckpoint) or best.best_model_score is None:
        raise RunError(f"no epoch gave a finite validation {monitor.metric}; lower the learning rate")
    return FitResult(
        metric=monitor.metric,
        score=float(best.best_model_score),
        epochs=trainer.current_epoch,
        steps=trainer.global_step,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        seconds=round(seconds, 1),
    )
