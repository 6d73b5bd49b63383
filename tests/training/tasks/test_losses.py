"""The loss of distillation against its definition."""

import pytest
import torch

from training.data.examples import seeded
from training.tasks.losses import distillation_loss


def test_the_loss_is_the_divergence_of_the_softened_answers() -> None:
    logits, teacher = torch.randn(6, 4, generator=seeded(1)), torch.randn(6, 4, generator=seeded(2))
    expected, seen = (teacher / 3).softmax(1), (logits / 3).softmax(1)
    overrides = 9 * (expected * (expected / seen).log()).sum(1).mean()
    assert distillation_loss(logits, teacher, 3.0).item() == pytest.approx(overrides.item(), rel=1e-5)
    assert distillation_loss(teacher, teacher, 3.0).item() == pytest.approx(0, abs=1e-6)
