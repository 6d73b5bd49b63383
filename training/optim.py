"""Optimisers and learning-rate schedules, from the flat configuration."""

import math
from collections.abc import Callable

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from training.config import TrainConfig


def make_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """Weight decay on tensors of two or more axes only: a norm's scale or a bias has nothing to overfit with."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    rate, momentum = config.learning_rate, config.momentum
    if config.optimizer == "sgd":
        return SGD(groups, rate, momentum=momentum, nesterov=momentum > 0)
    kind = Adam if config.optimizer == "adam" else AdamW
    return kind(groups, rate, betas=(momentum, 0.999))


def make_schedule(optimizer: Optimizer, config: TrainConfig, steps: int) -> LRScheduler:
    """The learning rate of every optimiser step; `steps` is their number in the whole run."""
    if config.schedule == "one-cycle":
        return OneCycleLR(optimizer, config.learning_rate, steps, pct_start=max(config.warmup, 1 / steps))
    return LambdaLR(optimizer, rate_factor(config.schedule, config.warmup, steps))


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
