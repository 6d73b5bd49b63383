"""The loop learns what a bare PyTorch loop learns, keeps the best epoch, stops in time, and averages as it says."""

import math
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torchmetrics import MetricCollection

from training.config import TrainConfig, load_config
from training.data.examples import Loader, restart, seeded
from training.errors import RunError
from training.evaluate.figures import read_curves
from training.fit.checkpoint import PREFIX, read_checkpoint, save_checkpoint
from training.fit.loop import Fit
from training.fit.optim import make_optimizer, make_schedule
from training.fit.steps import Steps
from training.fit.train import FitResult, build_model, fit, load_data
from training.run import RunFiles
from training.tasks.base import Monitor
from training.tasks.registry import find_task

FLAGS = (
    "--data",
    "digits",
    "--arch",
    "mlp",
    "--batch-size",
    "256",
    "--precision",
    "32-true",
    "--threads",
    "1",
)
STEPS = 5
"""Of an epoch."""


def configure(root: Path, *more: str) -> TrainConfig:
    flags = (*FLAGS, "--accelerator", "cpu", "--no-progress", "--run", str(root / "run"), *more)
    return load_config("vision", flags)


def run(config: TrainConfig) -> FitResult:
    files = RunFiles(config.run_directory)
    return fit(config, files, load_data(config, files))


def test_the_loop_learns_what_a_bare_one_does(tmp_path: Path) -> None:
    config = configure(tmp_path, "--epochs", "2", "--mixup", "0.2", "--gradient-clip", "0.5")
    result = run(config)
    data, task = load_data(config, RunFiles(config.run_directory)), find_task("vision")
    model = build_model(config, data).train()
    loader = Loader(data.train, config.batch_size, seed=config.seed, training=True)
    optimizer = make_optimizer(model, config)
    schedule = make_schedule(optimizer, config, 2 * len(loader))
    rates, step = [], 0
    for epoch in range(2):
        for batch in loader.epoch(epoch):
            restart(0, config.seed, step, 0)
            changed = task.augment(batch, config, data.facts, seeded(1, config.seed, step, 0))
            loss = task.loss(model, changed, config, data.facts)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(
                [p for group in optimizer.param_groups for p in group["params"]], 0.5
            )
            optimizer.step()
            rates.append(optimizer.param_groups[0]["lr"])
            schedule.step()
            step += 1
    files = RunFiles(config.run_directory)
    told = dict(read_curves(files.logs)["learning_rate"])
    assert told == pytest.approx({STEPS: rates[STEPS - 1], 2 * STEPS: rates[-1]})
    learned = read_checkpoint(files.resume_point)["state_dict"]
    for name, value in model.state_dict().items():
        assert torch.equal(learned[f"{PREFIX}{name}"], value), name
    assert (result.steps, result.epochs) == (step, 2) == (2 * STEPS, 2)


def scripted(monkeypatch: pytest.MonkeyPatch, *scores: float) -> None:
    """Validation that finds these, epoch by epoch."""
    found: Iterator[float] = iter(scores)
    monkeypatch.setattr(Fit, "_validate", lambda *_: next(found))


@pytest.mark.slow
def test_the_best_epoch_is_kept_and_patience_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, 0.5, math.nan, 0.7, 0.6, 0.7, 0.9)
    config = configure(tmp_path, "--epochs", "6", "--patience", "2")
    result = run(config)
    assert (result.score, result.epochs, result.steps) == (0.7, 5, 5 * STEPS)  # a draw is no better
    best = read_checkpoint(RunFiles(config.run_directory).best)
    assert (best["score"], best["global_step"]) == (0.7, 3 * STEPS)


@pytest.mark.slow
def test_the_last_epoch_may_be_kept_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, 0.5, 0.7, 0.6, math.nan, 0.65)
    config = configure(tmp_path, "--epochs", "6", "--patience", "3", "--keep", "last")
    result = run(config)
    assert (result.score, result.epochs) == (0.65, 5)  # patience counts from the best all the same
    assert read_checkpoint(RunFiles(config.run_directory).best)["global_step"] == 5 * STEPS


@pytest.mark.slow
def test_a_lower_score_is_better_where_the_task_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, 0.5, 0.3, 0.4)
    task = find_task("vision")
    monkeypatch.setattr(type(task), "monitor_for", lambda *_: Monitor("accuracy", "min"))
    assert run(configure(tmp_path, "--epochs", "3")).score == 0.3


@pytest.mark.parametrize(("weights", "kept"), [("balanced", 2), ("none", 1)])
def test_the_epoch_is_chosen_by_the_metric_that_the_options_imply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str, kept: int
) -> None:
    majority, better = (0.98, 0.5), (0.94, 0.9)
    found = iter(majority + better)

    def compute(_: object) -> dict[str, float]:
        return {f"val/{name}": next(found) for name in ("accuracy", "balanced_accuracy")}

    monkeypatch.setattr(MetricCollection, "compute", compute)
    config = configure(tmp_path, "--epochs", "2", "--class-weights", weights)
    result = run(config)
    assert (result.metric, result.score) == (
        ("balanced_accuracy", 0.9) if weights == "balanced" else ("accuracy", 0.98)
    )
    assert read_checkpoint(RunFiles(config.run_directory).best)["global_step"] == kept * STEPS


def test_a_run_whose_epochs_were_compared_by_another_metric_is_not_resumed(tmp_path: Path) -> None:
    config = configure(tmp_path, "--epochs", "1")
    files = RunFiles(config.run_directory)
    run(config)
    save_checkpoint({**read_checkpoint(files.resume_point), "monitor": "macro_f1"}, files.resume_point)
    files.fit.unlink()
    with pytest.raises(
        RunError, match="compared by macro_f1, expected accuracy; remove the run to start over"
    ):
        run(config)


def test_a_run_without_a_finite_score_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, math.nan, math.inf)
    with pytest.raises(RunError, match="no epoch gave a finite validation accuracy"):
        run(configure(tmp_path, "--epochs", "2"))


def test_a_loss_that_is_no_number_ends_the_run_with_advice(tmp_path: Path) -> None:
    wrong = r"the training loss is nan at step \d+; lower --learning-rate \(it is 1e\+12\)"
    with pytest.raises(RunError, match=wrong):
        run(configure(tmp_path, "--epochs", "2", "--optimizer", "sgd", "--learning-rate", "1e12"))


def test_an_accuracy_of_answers_that_are_no_numbers_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Steps.take

    def spoiled(steps: Steps, *given: Any) -> torch.Tensor:
        loss = take(steps, *given)
        torch.nn.init.constant_(steps.model.get_parameter("network.1.weight"), math.nan)
        return torch.zeros_like(loss)

    monkeypatch.setattr(Steps, "take", spoiled)
    with pytest.raises(RunError, match="no epoch gave a finite validation accuracy"):
        run(configure(tmp_path, "--epochs", "1"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("every_s", "steps"),
    [(0.0, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10]), (2.5, [3, 6, 9, 10]), (100.0, [10])],
)
def test_a_resume_point_is_kept_every_so_many_seconds_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every_s: float, steps: list[int]
) -> None:
    now, kept, checkpoint = [0.0], [], Fit._checkpoint
    monkeypatch.setattr("training.fit.loop.time.monotonic", lambda: now[0])

    def noting(fitted: Fit) -> None:
        kept.append(fitted.state.step)
        checkpoint(fitted)

    monkeypatch.setattr(Fit, "_checkpoint", noting)
    take = Steps.take

    def slowly(steps: Steps, *given: Any) -> torch.Tensor:
        now[0] += 1.0
        return take(steps, *given)

    monkeypatch.setattr(Steps, "take", slowly)
    run(configure(tmp_path, "--epochs", "2", "--checkpoint-every-s", str(every_s)))
    assert kept == steps


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Three epochs of a run that nobody stopped."""
    config = configure(tmp_path_factory.mktemp("whole"), "--epochs", "3")
    run(config)
    return config


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("at", "kept"), [(7, 7), (2 * STEPS, None)], ids=["a step", "the last of an epoch"])
def test_who_is_asked_to_stop_does_so_after_the_step_and_goes_on_from_there(
    whole: TrainConfig, tmp_path: Path, number: signal.Signals, at: int, kept: int | None
) -> None:
    cut = configure(tmp_path, "--epochs", "3")
    files = RunFiles(cut.run_directory)
    before = signal.getsignal(number)

    def ask(step: int) -> None:
        if step == at:
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        fit(cut, files, load_data(cut, files), [ask])
    assert signal.getsignal(number) is before
    if kept is None:
        assert not files.resume_point.exists()
    else:
        assert read_checkpoint(files.resume_point)["global_step"] == kept
        assert read_curves(files.logs)["train/loss"]
    run(cut)
    one, other = (
        read_checkpoint(RunFiles(config.run_directory).resume_point)["state_dict"] for config in (whole, cut)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_resume_point_of_another_version_is_refused(tmp_path: Path) -> None:
    config = configure(tmp_path, "--epochs", "1")
    save_checkpoint({"state_dict": {}, "global_step": 3}, RunFiles(config.run_directory).resume_point)
    with pytest.raises(RunError, match="another version of Baton"):
        run(config)
