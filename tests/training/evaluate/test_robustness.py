"""Corruptions do what their names say, and the attack lowers accuracy."""

import pytest
import torch
from torch import nn

from training.architectures.classifier import ImageClassifier
from training.data.examples import seeded
from training.evaluate.robustness import BLUR_RADIUS, blur, fgsm, noise, rotate

PIXELS = torch.randint(0, 256, (12, 9, 9, 1), dtype=torch.uint8, generator=seeded(3))


def test_corruptions_keep_shape_and_type_and_are_the_same_each_time() -> None:
    for corrupt in (noise, blur, lambda pixels: rotate(pixels, 0)):
        changed = corrupt(PIXELS)
        assert (changed.shape, changed.dtype) == (PIXELS.shape, PIXELS.dtype)
        assert not torch.equal(changed, PIXELS)
        assert torch.equal(changed, corrupt(PIXELS))


def test_noise_has_its_spread_and_blur_takes_contrast_away() -> None:
    grey = torch.full((20, 16, 16, 1), 128, dtype=torch.uint8)
    assert noise(grey).float().std().item() == pytest.approx(25.5, rel=0.05)
    assert BLUR_RADIUS > 0
    assert blur(PIXELS).float().std() < 0.6 * PIXELS.float().std()


def test_rotation_brings_the_background_into_the_corners() -> None:
    white = torch.full((40, 28, 28, 3), 255, dtype=torch.uint8)
    assert (rotate(white, 255) == 255).all()
    assert (rotate(white, 0)[:, 0, 0] < 255).any()
    assert (rotate(white, 0)[:, 14, 14] == 255).all()


def test_fgsm_moves_each_pixel_by_epsilon_at_most_and_raises_the_loss() -> None:
    torch.manual_seed(0)
    model = ImageClassifier(nn.Sequential(nn.Flatten(), nn.Linear(81, 3)), [0.5], [0.25])
    labels = model(PIXELS).argmax(1)
    attacked = fgsm(model, PIXELS, labels, epsilon=8)
    assert (attacked.int() - PIXELS.int()).abs().max() == 8
    cost = nn.functional.cross_entropy
    assert cost(model(attacked), labels) > cost(model(PIXELS), labels)
