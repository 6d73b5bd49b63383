"""An average of the weights over the steps (`--ema`): validation scores it, and the best checkpoint holds it."""

import copy
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn


class MovingAverage:
    """Exponential moving average of weights and batch statistics.

    The decay rises with the number of updates n as (1 + n) / (10 + n) up to `decay`, so that the first,
    random weights are soon forgotten (as in TensorFlow's ExponentialMovingAverage).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = copy.deepcopy(model), decay
        self._updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Add the weights of one more step."""
        n, self._updates = self._updates, self._updates + 1
        kept = min(self.decay, (1 + n) / (10 + n)) if n else 0.0
        pairs = list(zip(_tensors(self.model), _tensors(model), strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        means, latest = map(list, zip(*floats, strict=True))
        # One fused call: a loop over the tensors costs a launch for each of them at every step.
        torch._foreach_lerp_(means, latest, 1 - kept)
        for mean, new in pairs:
            if not mean.is_floating_point():
                mean.copy_(new)  # a counter has no mean

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors."""
        return {"updates": self._updates, "model": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`."""
        self._updates = state["updates"]
        self.model.load_state_dict(state["model"])


def _tensors(model: nn.Module) -> list[Tensor]:
    return list(chain(model.parameters(), model.buffers()))
