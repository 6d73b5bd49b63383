"""The convolutional network: stages of its widths, and a head of one size for any image."""

import torch
from torch import nn

from training.architectures import vision


def test_every_width_is_a_stage_that_halves_the_image() -> None:
    network = vision.cnn((3, 16, 16), 2, widths=[8, 16, 24])
    pools = [place for place, layer in enumerate(network) if isinstance(layer, nn.MaxPool2d)]
    assert len(pools) == 3
    assert network[: pools[-1] + 1](torch.rand(2, 3, 16, 16)).shape == (2, 24, 2, 2)


def test_the_head_has_as_many_weights_for_a_larger_image() -> None:
    small, large = (vision.cnn((1, side, side), 2, widths=[8]) for side in (8, 32))
    assert small.state_dict().keys() == large.state_dict().keys()
    large.load_state_dict(small.state_dict())
    assert large(torch.rand(2, 1, 32, 32)).shape == (2, 2)
