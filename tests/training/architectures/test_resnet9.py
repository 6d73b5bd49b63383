"""ResNet-9: whitening, and the numbers of blocks."""

import pytest
import torch

from training.architectures import resnet9
from training.architectures.classifier import ImageClassifier
from training.architectures.registry import ARCHITECTURES
from training.config import load_config
from training.fit.train import build_model, read_data


def test_resnet9_begins_with_filters_that_make_neighbouring_pixels_uncorrelated() -> None:
    network = ARCHITECTURES["resnet9"].build((2, 16, 16), 3)
    assert isinstance(network, resnet9.ResNet9)
    # Smooth images: what is next to a pixel says nearly the same.
    noise = torch.randn(300, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    images = torch.nn.functional.interpolate(noise, scale_factor=2.0, mode="bilinear")
    network.prepare(lambda count: images[:count])
    answers = network.whitening(images).movedim(1, 0).flatten(1)
    axes = answers.shape[0] // 2
    torch.testing.assert_close(answers[:axes], -answers[axes:])
    raw = torch.nn.functional.unfold(images, 2).movedim(1, 0).flatten(1)
    assert (raw.corrcoef() - torch.eye(axes)).abs().max() > 0.5
    seen = answers[:axes].cov()
    torch.testing.assert_close(seen - seen.diag().diag(), torch.zeros(axes, axes), atol=0.01, rtol=0)
    assert seen.diag().max() < 1.01
    assert not network.whitening.weight.requires_grad


def test_resnet9_wants_a_number_of_blocks_for_every_width() -> None:
    for wrong in ([1], [1, -1]):
        with pytest.raises(ValueError, match="one number for each of 2 widths, 0 or more"):
            ARCHITECTURES["resnet9"].build((3, 8, 8), 2, widths=[4, 8], blocks=wrong)


@pytest.mark.slow
def test_task_measures_the_whitening_on_the_images_of_train() -> None:
    config = load_config("vision", ("--data", "digits", "--arch", "resnet9", "--batch-size", "64"))
    data = read_data(config)
    model = build_model(config, data)
    assert isinstance(model, ImageClassifier)
    assert isinstance(model.network, resnet9.ResNet9)
    answers = model.network.whitening(model.scaled(data.train.pixels)).movedim(1, 0).flatten(1)
    seen = answers[: answers.shape[0] // 2].cov()
    torch.testing.assert_close(seen, torch.eye(len(seen)), atol=0.05, rtol=0)
