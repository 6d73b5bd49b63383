"""A step: its draws restart by its number, and zeros stay zero."""

from pathlib import Path

import torch

from tests.training.fit.test_loop import configure
from training.config import TrainConfig
from training.data.examples import Loader
from training.fit.optim import make_optimizer
from training.fit.steps import LossModule, Steps
from training.fit.train import build_model, open_fabric, read_data
from training.fit.zeros import Pruner, prunable, zero_smallest
from training.tasks.registry import find_task


def steps_of(config: TrainConfig, pruner: Pruner | None = None) -> Steps:
    data = read_data(config)
    model = build_model(config, data).train()
    loss_module = LossModule(model, find_task("vision"), config, data.facts)
    return Steps(open_fabric(config), loss_module, make_optimizer(model, config), None, pruner)


def test_a_step_is_a_function_of_its_number_whatever_was_drawn_before(tmp_path: Path) -> None:
    config = configure(tmp_path, "--mixup", "0.5", "--flip", "--model", '{"dropout": 0.5}')
    batch = next(iter(Loader(read_data(config).train, 64, seed=0, training=True)))
    losses = []
    for drawn, step in ((0, 7), (5, 7), (0, 8)):
        steps = steps_of(config)
        torch.rand(drawn)
        losses.append(steps.take(step, dict(batch)).item())
    assert losses[0] == losses[1] != losses[2]


def test_zeros_survive_momentum_and_weight_decay(tmp_path: Path) -> None:
    config = configure(tmp_path, "--weight-decay", "0.1")
    steps = steps_of(config, Pruner(0.5, last_step=1000))
    first = prunable(steps.model)[0]
    loader = Loader(read_data(config).train, 64, seed=0, training=True)
    for step, batch in zip(range(3), loader, strict=False):
        if step == 1:
            with torch.no_grad():
                zero_smallest(first, 0.5)
            zeros = first == 0
        steps.take(step, batch)
    assert (first[zeros] == 0).all()
    assert (first[~zeros] != 0).all()
