"""The wrapper round every image network: raw pixels in, so that no client can scale them differently.

In training it gives logits; `ClassifierGraph` adds probabilities for a server. Scale, mean and standard deviation
live in the graph and nowhere else.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.architectures.base import Network


class ImageClassifier(Network):
    """uint8 pixels [n, H, W, C] → logits float32 [n, classes].

    mirrored: outside of training the logits are the mean of the image's and of its mirror image's, which costs
    two runs: a network has not learned quite the same of both.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, mean: Sequence[float], std: Sequence[float], *, mirrored: bool = False
    ) -> None:
        """mean, std: of each channel on the 0…1 scale, measured on the training split."""
        super().__init__()
        self.network, self.mirrored = network, mirrored
        self.register_buffer("mean", torch.tensor(mean).reshape(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(-1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        pixels = self.scaled(image)
        if self.training or not self.mirrored:
            return self.network(pixels).float()  # type: ignore[no-any-return]
        both = self.network(torch.cat([pixels, pixels.flip(3)])).float()
        return both.reshape(2, -1, both.shape[1]).mean(0)  # type: ignore[no-any-return]

    def scaled(self, image: Tensor) -> Tensor:
        """uint8 [n, H, W, C] → float32 [n, C, H, W] of mean 0 and deviation 1 on the training split."""
        # A decoder gives NHWC; seen as NCHW that is the channels-last layout, the fast one on CPU and GPU.
        pixels = image.permute(0, 3, 1, 2).float()
        return (pixels / 255 - self.mean) / self.std


class ClassifierGraph(nn.Module):
    """The graph of a classifier: inputs → probabilities and logits, float32 [n, classes].

    The logits are those behind the temperature, so that softmax(logits) are the probabilities.
    """

    def __init__(self, model: nn.Module, temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The model's inputs in its own order."""
        logits = self.model(*inputs) / self.temperature
        return logits.softmax(1), logits
