"""The wrapper round every image network: raw pixels in, so that no client can scale them differently.

In training it gives logits; `ClassifierGraph` adds probabilities for a server. Scale, mean and standard deviation
live in the graph and nowhere else.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.architectures.base import Network
from training.architectures.outliers import OutlierScore, Signals
from training.architectures.resnet import Block


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

    The logits are those behind the temperature, so that softmax(logits) are the probabilities. With `outliers` there
    is a third output, float32 [n, 1]: how unlike the training data a row is.
    """

    def __init__(self, model: nn.Module, temperature: float, outliers: OutlierScore | None = None) -> None:
        super().__init__()
        self.model, self.temperature, self.outliers = model, temperature, outliers

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The model's inputs in its own order."""
        if self.outliers is None:
            logits = self.model(*inputs) / self.temperature
            return logits.softmax(1), logits
        signals = self.signals(*inputs)
        return signals.logits.softmax(1), signals.logits, self.outliers(signals)

    def signals(self, *inputs: Tensor) -> Signals:
        """The values that outlier scores are computed from."""
        given: list[Tensor] = []
        stages: list[Tensor] = []
        head = _head(self.model)
        # Hooks of one call: a value of an older one would stay in memory, and in an exported graph.
        hooks = [head.register_forward_pre_hook(lambda _, args: given.append(args[0]))] if head else []
        hooks += [
            stage.register_forward_hook(lambda _, args, value: stages.append(value))
            for stage in _stages(self.model)
        ]
        try:
            logits = self.model(*inputs) / self.temperature
        finally:
            for hook in hooks:
                hook.remove()
        views = 2 if isinstance(self.model, ImageClassifier) and self.model.mirrored else 1
        flat = [value for value in given if value.ndim == 2]
        features = _mean_of_views(flat[-1], views) if flat else None
        images = [_mean_of_views(value.float().mean((2, 3)), views) for value in stages if value.ndim == 4]
        layers = torch.cat([*images, features], 1) if images and features is not None else None
        return Signals(inputs, logits, features, layers)


def _head(model: nn.Module) -> nn.Linear | None:
    """The last linear layer; a bag of n-grams has none."""
    return next(iter([module for module in model.modules() if isinstance(module, nn.Linear)][-1:]), None)


def _stages(model: nn.Module) -> list[nn.Module]:
    """The layers whose values are images behind a ReLU; none in a network of another kind."""
    return [module for module in model.modules() if isinstance(module, nn.ReLU | Block)]


def _mean_of_views(values: Tensor, views: int) -> Tensor:
    """Float [views · n, width] → [n, width]."""
    return values.float() if views == 1 else values.float().reshape(views, -1, values.shape[1]).mean(0)
