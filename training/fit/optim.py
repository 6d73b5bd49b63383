"""Optimisers and learning-rate schedules, from the flat configuration."""

import math
from collections.abc import Callable, Iterable
from typing import Any, cast

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from training.architectures.base import Network
from training.config import TrainConfig


def make_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """Weight decay on tensors of two or more axes only: a norm's scale or a bias has nothing to overfit with.

    A model that started from another has two more groups, after these: all but the new head.
    """
    groups = _groups(model.named_parameters(), config)
    if config.init_from:
        head = head_names(model)
        groups = _groups(((n, p) for n, p in model.named_parameters() if n in head), config)
        body = _groups(((n, p) for n, p in model.named_parameters() if n not in head), config)
        groups += [{**group, "lr": config.learning_rate * config.unfrozen_rate} for group in body]
    rate, momentum = config.learning_rate, config.momentum
    if config.optimizer == "sgd":
        return SGD(groups, rate, momentum=momentum, nesterov=momentum > 0)
    kind = Adam if config.optimizer == "adam" else AdamW
    return kind(groups, rate, betas=(momentum, 0.999))


def head_names(model: nn.Module) -> set[str]:
    """The parameters that a model started from another learns anew; every model of a task is a `Network`."""
    return cast("Network", model).head_names()


def _groups(parameters: Iterable[tuple[str, nn.Parameter]], config: TrainConfig) -> list[dict[str, Any]]:
    trained = [parameter for _, parameter in parameters if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def make_schedule(optimizer: Optimizer, config: TrainConfig, steps: int) -> LRScheduler:
    """The learning rate of every optimiser step; `steps` is their number in the whole run.

    Frozen parameters have the rate 0, so that neither a resumed run nor another process has state to share.
    """
    if config.schedule == "one-cycle":
        # The rise needs two steps: one of none would be divided by.
        peaks = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, peaks, steps, pct_start=min(max(config.warmup, 2 / steps), 0.99))
    factor = rate_factor(config.schedule, config.warmup, steps)
    if not config.init_from:
        return LambdaLR(optimizer, factor)
    frozen = round(steps * config.freeze_epochs / config.epochs)

    def thawed(step: int) -> float:
        return factor(step) if step >= frozen else 0.0

    bodies = len(optimizer.param_groups) // 2
    return LambdaLR(optimizer, [factor] * bodies + [thawed] * bodies)


def rate_factor(schedule: str, warmup: float, steps: int) -> Callable[[int], float]:
    """Share of the peak rate at a step (from 0): a linear rise, then constant or half a cosine down to 0."""
    rise = round(warmup * steps)

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        if schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))

    return factor
