"""Augmentation of whole batches of uint8 pixels: crop, flip, erase, mixup, cutmix; for training only.

The evaluation transform is another type (`inference.processors`), so that neither is mistaken for the other.
Every draw comes from the generator handed in, so a batch is a function of (seed, step).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Generator, Tensor

# Zhong et al. 2020, "Random Erasing Data Augmentation", section 3: area 2–40 %, aspect 0.3–3.3.
ERASE_AREA = (0.02, 0.33)
ERASE_ASPECT = 3.3


@dataclass(frozen=True)
class Augment:
    """The changes to a training batch; the defaults leave it as it is.

    crop: pixels of zero padding before a random crop of the old size (He et al. 2016).
    flip: whether to mirror left and right half the images.
    erase: probability of overwriting a rectangle with noise.
    mixup, cutmix: the alpha of the Beta distribution that the mixing weight is drawn from; 0 is off. With
    both, each batch draws one of them (Zhang et al. 2018; Yun et al. 2019).
    """

    crop: int = 0
    flip: bool = False
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __call__(self, images: Tensor, labels: Tensor, classes: int, rng: Generator) -> tuple[Tensor, Tensor]:
        """Images uint8 [n, H, W, C], labels int64 [n] → images, and labels or float [n, classes] when mixed."""
        if self.crop or self.flip:
            images = crop_and_flip(images, self.crop, self.flip, rng)
        if self.erase:
            images = erase(images, self.erase, rng)
        if self.mixup or self.cutmix:
            return self._mix(images, labels, classes, rng)
        return images, labels

    def _mix(self, images: Tensor, labels: Tensor, classes: int, rng: Generator) -> tuple[Tensor, Tensor]:
        both = self.mixup > 0 and self.cutmix > 0
        cut = _uniform(1, rng).item() < 0.5 if both else self.cutmix > 0
        kept = _beta(self.cutmix if cut else self.mixup, rng)
        mixed, kept = (cutmix if cut else mixup)(images, images.roll(1, 0), kept, rng)
        soft = F.one_hot(labels, classes).float()
        return mixed, kept * soft + (1 - kept) * soft.roll(1, 0)


def crop_and_flip(images: Tensor, pad: int, flip: bool, rng: Generator) -> Tensor:
    """Shift each image by up to `pad` pixels (zeros come in), and mirror half of them: one gather."""
    n, height, width, _ = images.shape
    padded = F.pad(images, (0, 0, pad, pad, pad, pad))
    top, left = (_integers(2 * pad + 1, n, rng)[:, None] for _ in range(2))
    rows = top + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device).expand(n, width)
    if flip:
        columns = torch.where(_uniform(n, rng)[:, None] < 0.5, columns, width - 1 - columns)
    columns = left + columns
    each = torch.arange(n, device=images.device)
    return padded[each[:, None, None], rows[:, :, None], columns[:, None, :]]


def erase(images: Tensor, probability: float, rng: Generator) -> Tensor:
    """Overwrite a rectangle of random area, aspect and place with noise, in `probability` of the images."""
    n, height, width, _ = images.shape
    low, high = ERASE_AREA
    area = (low + (high - low) * _uniform(n, rng)) * height * width
    aspect = torch.exp((2 * _uniform(n, rng) - 1) * math.log(ERASE_ASPECT))
    inside = _rectangles(height, width, (area * aspect).sqrt(), (area / aspect).sqrt(), rng)
    inside &= (_uniform(n, rng) < probability)[:, None, None]
    noise = torch.randint(0, 256, images.shape, dtype=torch.uint8, device=images.device, generator=rng)
    return torch.where(inside[..., None], noise, images)


def mixup(images: Tensor, others: Tensor, kept: float, rng: Generator) -> tuple[Tensor, float]:
    """Blend each image with another; `kept` is the first one's weight."""
    blend = kept * images.float() + (1 - kept) * others.float()
    return blend.round().to(torch.uint8), kept


def cutmix(images: Tensor, others: Tensor, kept: float, rng: Generator) -> tuple[Tensor, float]:
    """Paste a rectangle of another image, of 1 - `kept` of the area; returns the share really kept."""
    _, height, width, _ = images.shape
    side = torch.full((1,), math.sqrt(1 - kept), device=images.device)
    inside = _rectangles(height, width, side * height, side * width, rng)[..., None]
    return torch.where(inside, others, images), 1 - inside.float().mean().item()


def _rectangles(height: int, width: int, tall: Tensor, wide: Tensor, rng: Generator) -> Tensor:
    """Bool [n, height, width], true inside a rectangle of the given sides (float [n]) at a random place."""
    tall, wide = tall.round().clamp(max=height), wide.round().clamp(max=width)
    top = (_uniform(len(tall), rng) * (height - tall + 1)).floor()[:, None]
    left = (_uniform(len(wide), rng) * (width - wide + 1)).floor()[:, None]
    rows, columns = (torch.arange(extent, device=tall.device) for extent in (height, width))
    down = (rows >= top) & (rows < top + tall[:, None])
    across = (columns >= left) & (columns < left + wide[:, None])
    return down[:, :, None] & across[:, None, :]


def _uniform(n: int, rng: Generator) -> Tensor:
    return torch.rand(n, generator=rng, device=rng.device)


def _integers(below: int, n: int, rng: Generator) -> Tensor:
    return torch.randint(0, below, (n,), generator=rng, device=rng.device)


def _beta(alpha: float, rng: Generator) -> float:
    """One draw of Beta(alpha, alpha), as a ratio of two Gamma draws (which take a generator)."""
    shape = torch.full((2,), alpha, device=rng.device)
    first, second = torch._standard_gamma(shape, generator=rng).tolist()
    return float(first / (first + second))
