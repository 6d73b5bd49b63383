"""Fitting: from configuration and data to the best weights and their `FitResult`. The loop is in `loop`."""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers.csv_logs import CSVLogger
from lightning.fabric.loggers.logger import Logger
from lightning.fabric.loggers.tensorboard import TensorBoardLogger
from torch import nn

from training.architectures.base import Network
from training.architectures.registry import ARCHITECTURES
from training.config import TrainConfig
from training.data.faults import counted, worst_first
from training.data.splits import write_holdout
from training.errors import ConfigError, DataError, RunError
from training.evaluate.figures import learning_curves
from training.fit.budget import settled
from training.fit.checkpoint import load_weights
from training.fit.loop import Callback, Fit, TrainState
from training.fit.processes import is_first, processes
from training.fit.steps import LossModule
from training.fit.teacher import open_teacher
from training.fit.transfer import check_same_split, start_from
from training.fit.zeros import Pruner
from training.run import RunFiles, atomic_write, begin_run
from training.tasks.base import Monitor, TaskData
from training.tasks.registry import find_task

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitResult:
    """The content of `fit.json`: the kept epoch's score on validation, and the effort.

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
    data: TaskData[Any] = find_task(config.task).load(config)
    count, batch_size = processes(config).all, settled(config, len(data.train)).batch_size
    if len(data.train) < batch_size * count:
        each = f" in each of {count} processes" if count > 1 else ""
        raise DataError(
            f"{len(data.train)} training examples do not fill a batch of {batch_size}{each}; "
            "give a smaller --batch-size"
        )
    return data


def _report_skipped(lines: Sequence[str], target: Path) -> None:
    """All of them in the run's directory; on the screen ten at most, the kinds with the most rows first."""
    for line in (shown := worst_first(lines)):
        log.warning("skipped %s", line)
    if len(lines) > len(shown):
        log.warning("… and %d more: %s; all are in %s", len(lines) - len(shown), counted(lines), target)
    atomic_write(target, "".join(f"{line}\n" for line in lines))


def build_model(config: TrainConfig, data: TaskData[Any]) -> Network:
    """The model as initialised from the seed, or as it will be filled from a checkpoint."""
    torch.manual_seed(config.seed)
    try:
        model: Network = find_task(config.task).build(config, data)
    except (
        ValueError
    ) as error:  # options that do not fit each other or the data, such as a patch that divides no side
        raise ConfigError(f"model: {error}") from error
    return model


def fit(
    config: TrainConfig, files: RunFiles, data: TaskData[Any], callbacks: Sequence[Callback] = ()
) -> FitResult:
    """Train until done or stopped early; a finished fit is not repeated."""
    if files.fit.exists():
        return FitResult(**json.loads(files.fit.read_text()))
    model = build_model(config, data)
    if config.init_from and not files.resume_point.exists():
        task = find_task(config.task)
        if task.starts_from_same_split:
            check_same_split(Path(config.init_from), files.split)
        start_from(model, config, data.train, task.inputs)
    return fit_model(config, files, data, model, callbacks)


def fit_model(
    config: TrainConfig,
    files: RunFiles,
    data: TaskData[Any],
    model: nn.Module,
    callbacks: Sequence[Callback] = (),
    pruner: Pruner | None = None,
) -> FitResult:
    """Train `model` from the weights that it has, or from the run's resume point; a finished fit is read."""
    if files.fit.exists():
        return FitResult(**json.loads(files.fit.read_text()))
    if config.threads:
        torch.set_num_threads(config.threads)
    # Weights that decay towards zero become denormal numbers, which a processor handles in microcode: steps of NeuMF
    # took five times as long.
    torch.set_flush_denormal(True)
    task = find_task(config.task)
    fabric = open_fabric(config, files)
    teacher = open_teacher(config, task, data, files) if config.teacher else None
    started = time.monotonic()
    fitted = Fit(fabric, config, files, data, LossModule(model, task, config, data.facts), teacher, pruner)
    try:
        state = fitted.run(callbacks)
    finally:
        for logger in fabric.loggers:
            logger.finalize("finished")
    monitor = task.monitor_for(config)
    result = _result(state, monitor, model, time.monotonic() - started)
    if is_first():
        learning_curves(files.logs, files.curves, f"val/{monitor.metric}", monitor.mode)
        atomic_write(files.fit, json.dumps(asdict(result), indent=2))
    fabric.barrier()  # the other processes read the files that the first has written
    return result


def best_model(config: TrainConfig, best: Path, data: TaskData[Any]) -> nn.Module:
    """The model with the weights of the epoch that is kept, in evaluation mode."""
    return load_weights(build_model(config, data), best)


def open_fabric(config: TrainConfig, files: RunFiles | None = None) -> Fabric:
    """The configured device, precision and processes, which are started here; with the run's loggers if it has one."""
    started = processes(config)
    gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    if config.precision == "16-mixed" and (config.accelerator == "cpu" or not gpu):
        # Fabric would warn, and compute in another precision.
        raise ConfigError(
            "precision: got 16-mixed, which needs a GPU; expected bf16-mixed or 32-true on a CPU"
        )
    try:
        fabric = Fabric(
            accelerator=config.accelerator,
            devices=started.local,
            num_nodes=started.machines,
            precision=choose_precision(config),
            loggers=_loggers(files) if files else None,
        )
    except (RuntimeError, ValueError) as error:  # a device that is not there, a precision it does not have
        raise ConfigError(
            f"accelerator {config.accelerator!r}, precision {config.precision!r}: {error}"
        ) from error
    fabric.launch()
    return fabric


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


def _result(state: TrainState, monitor: Monitor, model: nn.Module, seconds: float) -> FitResult:
    if state.kept is None:
        raise RunError(f"no epoch gave a finite validation {monitor.metric}; lower the learning rate")
    return FitResult(
        metric=monitor.metric,
        score=state.kept,
        epochs=state.epoch,
        steps=state.step,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        seconds=round(seconds, 1),
    )
