"""Accuracy on worse inputs than those of test: images with noise, blur, rotation or the fast gradient sign attack,
texts with typing errors; through the bundle.

The attack needs gradients and is made with PyTorch's model; like all others its images are scored by the deployed
graph.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from PIL import Image, ImageFilter
from torch import Tensor, nn

from inference.predictor import Predictor
from inference.values import Payload
from training.data.examples import BUNDLE_BATCH, seeded
from training.data.text import Texts
from training.data.vision import Images
from training.evaluate.typos import with_typos

ROWS = 2000
"""Of test, drawn once: enough to tell differences of two points, at a fifth of the cost of all."""

NOISE, BLUR_RADIUS, DEGREES, EPSILON = 0.1, 1.0, 15.0, 2
"""Deviation as a share of the range, pixels, largest angle, grey levels."""
TYPO_SHARES = (0.05, 0.1)
"""Of the words of a text."""


def of_texts(predictor: Predictor, examples: Texts) -> dict[str, float]:
    """Accuracy by share of mistyped words on the same rows, with `clean` first to compare with."""
    chosen = torch.randperm(len(examples), generator=seeded(0))[:ROWS]
    clean = [examples.raw[row] for row in chosen.tolist()]
    typed = {"clean": clean}
    for share in TYPO_SHARES:
        typed[f"typos, {share:.0%} of the words"] = [
            with_typos(text, share, seed) for seed, text in enumerate(clean)
        ]
    return {
        name: accuracy(predictor, [Payload(text) for text in texts], examples.labels[chosen])
        for name, texts in typed.items()
    }


def of_images(
    predictor: Predictor,
    model: nn.Module,
    examples: Images,
    payload: Callable[[Images, int], Payload],
    background: int,
) -> dict[str, float]:
    """Accuracy by corruption on the same rows, with `clean` first to compare with."""
    chosen = torch.randperm(len(examples), generator=seeded(0))[:ROWS]
    clean = Images(examples.pixels[chosen], examples.labels[chosen])
    corrupted = {
        "clean": clean.pixels,
        f"noise, σ {NOISE:g}": noise(clean.pixels),
        f"blur, radius {BLUR_RADIUS:g}": blur(clean.pixels),
        f"rotation, up to {DEGREES:g}°": rotate(clean.pixels, background),
        f"FGSM, ε {EPSILON}/255": fgsm(model, clean.pixels, clean.labels),
    }
    return {
        name: accuracy(
            predictor,
            [payload(Images(pixels, clean.labels), row) for row in range(len(clean))],
            clean.labels,
        )
        for name, pixels in corrupted.items()
    }


def accuracy(predictor: Predictor, payloads: Sequence[Payload], labels: Tensor) -> float:
    """Share of right answers of the bundle; labels int64 [payloads]."""
    rows = predictor.rows(payloads, BUNDLE_BATCH)
    guesses = np.array([outputs["logits"][0].argmax() for outputs, _ in rows])
    return float((guesses == labels.numpy()).mean())


def noise(pixels: Tensor) -> Tensor:
    """Gaussian noise, its σ as a share of the range: uint8 [n, H, W, C] → the same."""
    drawn = torch.randn(pixels.shape, generator=seeded(1))
    return (pixels + 255 * NOISE * drawn).round().clamp(0, 255).to(torch.uint8)


def blur(pixels: Tensor) -> Tensor:
    """A Gaussian of that radius in pixels."""
    return _each(pixels, lambda image, _: image.filter(ImageFilter.GaussianBlur(BLUR_RADIUS)))


def rotate(pixels: Tensor, background: int) -> Tensor:
    """Each image by an angle of its own; `background` comes in at the corners."""
    angles = (2 * torch.rand(len(pixels), generator=seeded(2)) - 1) * DEGREES

    def turned(image: Image.Image, row: int) -> Image.Image:
        fill = (background,) * len(image.getbands())
        return image.rotate(float(angles[row]), Image.Resampling.BILINEAR, fillcolor=fill)

    return _each(pixels, turned)


def fgsm(model: nn.Module, pixels: Tensor, labels: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Each pixel a step of `epsilon` grey levels up its loss (Goodfellow et al. 2015, arXiv:1412.6572)."""
    parts = []
    for some, truth in zip(torch.split(pixels, BUNDLE_BATCH), torch.split(labels, BUNDLE_BATCH), strict=True):
        raw = some.float().requires_grad_()
        (slope,) = torch.autograd.grad(F.cross_entropy(model.eval()(raw), truth), raw)
        parts.append((raw.detach() + epsilon * slope.sign()).clamp(0, 255).to(torch.uint8))
    return torch.cat(parts)


def _each(pixels: Tensor, change: Callable[[Image.Image, int], Image.Image]) -> Tensor:
    changed = [
        np.asarray(change(Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array), row))
        for row, array in enumerate(pixels.numpy())
    ]
    return torch.from_numpy(np.stack(changed).reshape(pixels.shape))
