"""Groups of parameters, and the learning rate of every step."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW

from tests.training.fit.test_loop import configure
from training.architectures.base import Network
from training.fit.optim import head_names, make_optimizer, make_schedule, rate_factor


class Chain(nn.Sequential, Network):
    """A network that is a chain of layers."""


MODEL = Chain(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 2))


@pytest.mark.parametrize(("name", "kind"), [("sgd", SGD), ("adam", Adam), ("adamw", AdamW)])
def test_norms_and_biases_have_no_weight_decay(tmp_path: Path, name: str, kind: type) -> None:
    optimizer = make_optimizer(MODEL, configure(tmp_path, "--optimizer", name, "--weight-decay", "0.3"))
    assert type(optimizer) is kind
    decayed, free = optimizer.param_groups
    assert ([p.ndim for p in decayed["params"]], decayed["weight_decay"]) == ([2, 2], 0.3)
    assert ([p.ndim for p in free["params"]], free["weight_decay"]) == ([1, 1, 1, 1], 0.0)


def test_the_network_names_its_head() -> None:
    assert head_names(MODEL) == {"2.weight", "2.bias"}

    class Named(Chain):
        def head_names(self) -> set[str]:
            return {"0.weight"}

    assert head_names(Named(nn.Linear(4, 3))) == {"0.weight"}


def test_the_factor_rises_linearly_and_falls_as_half_a_cosine() -> None:
    factor = rate_factor("cosine", 0.2, 10)
    assert [factor(step) for step in (0, 1)] == [0.5, 1.0]
    assert (factor(6), factor(10)) == pytest.approx((0.5, 0.0))
    constant = rate_factor("constant", 0.0, 10)
    assert {constant(step) for step in range(10)} == {1.0}


def test_one_cycle_peaks_at_the_configured_rate(tmp_path: Path) -> None:
    config = configure(tmp_path, "--schedule", "one-cycle", "--warmup", "0.5", "--learning-rate", "0.2")
    optimizer = make_optimizer(MODEL, config)
    schedule = make_schedule(optimizer, config, steps=10)
    rates = []
    for _ in range(9):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert max(rates) == pytest.approx(0.2)
    assert rates.index(max(rates)) == 4


@pytest.mark.parametrize("steps", [3, 100])
def test_one_cycle_without_a_warm_up_rises_at_once(tmp_path: Path, steps: int) -> None:
    config = configure(tmp_path, "--schedule", "one-cycle", "--warmup", "0", "--learning-rate", "0.2")
    optimizer = make_optimizer(MODEL, config)
    schedule, rates = make_schedule(optimizer, config, steps), list[float]()
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert max(rates) == pytest.approx(0.2)


def test_a_frozen_body_has_the_rate_zero_until_its_epoch(tmp_path: Path) -> None:
    config = configure(tmp_path, "--epochs", "4").model_copy(
        update={"init_from": "models/other", "freeze_epochs": 1, "unfrozen_rate": 0.5, "schedule": "constant"}
    )
    optimizer = make_optimizer(MODEL, config)
    schedule = make_schedule(optimizer, config, steps=8)
    seen = []
    for _ in range(4):
        seen.append([group["lr"] > 0 for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    assert seen == [[True, True, False, False]] * 2 + [[True, True, True, True]] * 2
    assert optimizer.param_groups[2]["lr"] == pytest.approx(0.5 * optimizer.param_groups[0]["lr"])
    assert torch.is_tensor(optimizer.param_groups[2]["params"][0])
