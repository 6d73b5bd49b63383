"""The multilayer perceptron knows nothing of neighbouring pixels."""

import torch

from training.architectures import vision


def test_pixels_in_another_order_are_as_good_with_the_first_weights_in_that_order() -> None:
    torch.manual_seed(0)
    network = vision.mlp((1, 4, 4), 3, hidden=[8]).eval()
    images, order = torch.rand(5, 1, 4, 4), torch.randperm(16)
    shuffled = images.flatten(1)[:, order].reshape(images.shape)
    expected = network(images)
    assert not torch.allclose(network(shuffled), expected)
    first = network[1]
    assert isinstance(first, torch.nn.Linear)
    first.weight = torch.nn.Parameter(first.weight[:, order])
    torch.testing.assert_close(network(shuffled), expected)
