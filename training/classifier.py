"""The wrapper round every image network: raw pixels in, so that no caller can scale them differently.

In training it gives logits; `Exported` adds what a server needs. Scale, mean and standard deviation live in
the graph and nowhere else.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ImageClassifier(nn.Module):
    """uint8 pixels [n, H, W, C] → logits float32 [n, classes]."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        """mean, std: of each channel on the 0…1 scale, measured on the training split."""
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).reshape(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(-1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        # A decoder gives NHWC; seen as NCHW that is the channels-last layout, the fast one on CPU and GPU.
        pixels = image.permute(0, 3, 1, 2).float()
        logits: Tensor = self.network((pixels / 255 - self.mean) / self.std)
        return logits.float()
