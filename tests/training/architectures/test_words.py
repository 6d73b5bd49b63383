"""Pooling over words."""

import torch

from training.architectures.words import masked_max, masked_mean


def test_pooling_does_not_see_padding() -> None:
    x = torch.tensor([[[1.0], [-3.0], [99.0]]])
    mask = torch.tensor([[True, True, False]])
    assert masked_max(x, mask).item() == 1
    assert masked_mean(x, mask).item() == -1
