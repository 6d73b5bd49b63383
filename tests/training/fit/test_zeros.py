"""Which weights become zero, and that they stay so."""

import pytest
import torch
from torch import nn

from training.fit.zeros import PRUNE_EVERY_STEPS, Pruner, prunable, zero_smallest


def test_zeros_stay_zero_and_grow_to_the_share_whoever_takes_over() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 20), nn.LayerNorm(20), nn.Linear(20, 10))
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    shares, before = [], [torch.zeros_like(weight, dtype=torch.bool) for weight in prunable(model)]
    for step in range(1, 6 * PRUNE_EVERY_STEPS):
        pruner = Pruner(0.75, last_step=4 * PRUNE_EVERY_STEPS)  # a fresh one, as after a resume
        model(torch.randn(8, 30)).square().mean().backward()
        pruner.before_step(model)
        optimizer.step()
        optimizer.zero_grad()
        pruner.after_step(model, step)
        now = [weight == 0 for weight in prunable(model)]
        assert all(bool((new | ~old).all()) for old, new in zip(before, now, strict=True))
        before = now
        shares.append(now[0].float().mean().item())
    assert shares[PRUNE_EVERY_STEPS] < shares[2 * PRUNE_EVERY_STEPS] < 0.75
    assert shares[4 * PRUNE_EVERY_STEPS] == shares[-1] == pytest.approx(0.75, abs=0.01)
    assert not any((parameter == 0).all() for parameter in model.parameters())


def test_norms_and_biases_are_not_pruned() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.LSTM(4, 5), nn.Linear(5, 2))
    assert {tuple(weight.shape) for weight in prunable(model)} == {(4, 3, 3, 3), (20, 4), (20, 5), (2, 5)}


def test_the_smallest_become_zero_whatever_the_layout() -> None:
    weight = torch.tensor([[[[-3.0, 0.5]], [[2.0, -0.1]]]]).to(memory_format=torch.channels_last)
    zero_smallest(weight, 0.5)
    assert weight.flatten().tolist() == [-3.0, 0.0, 2.0, 0.0]
    zero_smallest(weight, 0.0)
    assert weight.flatten().tolist() == [-3.0, 0.0, 2.0, 0.0]


def test_the_share_rises_fast_at_first_and_is_complete_at_the_last_step() -> None:
    pruner = Pruner(0.8, last_step=100)
    assert pruner.share_at(0) == 0
    assert pruner.share_at(50) == pytest.approx(0.8 * 7 / 8)
    assert pruner.share_at(100) == pruner.share_at(500) == 0.8
    assert (pruner.finished(99), pruner.finished(100)) == (False, True)
