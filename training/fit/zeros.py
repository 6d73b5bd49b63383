"""Zeros among the weights during a fit: the choice of the weights, and how they stay zero."""

import torch
from torch import Tensor, nn

PRUNE_EVERY_STEPS = 10
"""Steps between two choices of the smallest weights: a choice sorts every layer, and zeros stay zero between them."""


class Pruner:
    """Keeps zeros zero through every optimiser step, and makes more of them until `share` is reached.

    It has no state of its own: zeros are read from the weights, so a resumed run has the same ones.
    """

    def __init__(self, share: float, last_step: int) -> None:
        """last_step: the optimiser step at which `share` is reached."""
        self.share, self.last_step = share, max(1, last_step)
        self._zeros: list[Tensor] = []

    def finished(self, step: int) -> bool:
        """Whether the share is complete after that step."""
        return step >= self.last_step

    def share_at(self, step: int) -> float:
        """Share of zeros after that step: a cubic, fast while many weights hardly matter (arXiv:1710.01878)."""
        return self.share * (1 - (1 - min(1.0, step / self.last_step)) ** 3)

    def before_step(self, model: nn.Module) -> None:
        """Note the zeros before the optimiser moves them."""
        self._zeros = [weight == 0 for weight in prunable(model)]

    @torch.no_grad()
    def after_step(self, model: nn.Module, step: int) -> None:
        """Restore the zeros, and every few steps add some; `step` counts from 1."""
        choose = step == self.last_step or (step % PRUNE_EVERY_STEPS == 0 and step < self.last_step)
        for weight, zeros in zip(prunable(model), self._zeros, strict=True):
            weight.masked_fill_(zeros, 0)
            if choose:
                zero_smallest(weight, self.share_at(step))


def zero_smallest(weight: Tensor, share: float) -> None:
    """In place, and by magnitude (torch.nn.utils.prune cannot see channels-last filters as one line)."""
    size = weight.abs()
    if count := round(share * weight.numel()):
        weight.masked_fill_(size <= size.flatten().kthvalue(count).values, 0)


def prunable(model: nn.Module) -> list[nn.Parameter]:
    """The weights of layers: two axes or more. Norms, biases and positions are left alone."""
    return [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1 and "weight" in name.rpartition(".")[2]
    ]
