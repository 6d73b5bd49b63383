"""Image data: a named set or a folder of the user's, as uint8 tensors in memory.

Decoding and resizing belong to `inference.processors`, augmentation to `training.tasks.augment`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inference.configs import ImageConfig
from training.data.examples import Batch
from training.data.image_folder import ImageFolder, read_folder
from training.data.public_images import Part, read_public
from training.data.public_sets import PUBLIC_SETS, PublicSet
from training.data.tables import Flags
from training.errors import DataError


@dataclass(frozen=True)
class Images:
    """Images of one size: pixels uint8 [rows, height, width, channels], labels int64 [rows]."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: npt.NDArray[np.int64]) -> "Images":
        index = torch.from_numpy(rows)
        return Images(self.pixels[index], self.labels[index])

    def batch(self, rows: Tensor, generator: torch.Generator) -> Batch:
        return {"image": self.pixels[rows], "label": self.labels[rows]}

    def order(self, generator: torch.Generator, batch_size: int) -> Tensor:
        return torch.randperm(len(self), generator=generator)


@dataclass(frozen=True)
class ImageSet:
    """A data set as it was published: train and test, the classes in label order, and skipped files.

    validation: None where some of train is to be held out. choices: the columns that were found in a table.
    """

    name: str
    train: Images
    test: Images
    classes: tuple[str, ...]
    licence: str
    digest: str
    url: str | None
    skipped: tuple[str, ...] = field(default=())
    validation: Images | None = None
    choices: Mapping[str, str] = field(default_factory=dict)


def load_images(data: str, processor: ImageConfig, *, strict: bool, flags: Flags | None = None) -> ImageSet:
    """Read a named set, a folder of images by class, or a table that holds or names images.

    processor: how a folder's images become pixels, the same as in serving; named sets have their own size.
    strict: refuse data with faults, the worst of them named, instead of skipping and reporting them.
    """
    if data in PUBLIC_SETS:
        if PUBLIC_SETS[data].task != "vision":
            raise DataError(f"data set {data!r} is for {PUBLIC_SETS[data].task}, not for vision")
        return _named(PUBLIC_SETS[data])
    path = Path(data)
    if not path.exists():
        known = ", ".join(name for name, public in PUBLIC_SETS.items() if public.task == "vision")
        raise DataError(f"--data {data!r} is neither a folder, nor a file, nor a named set ({known})")
    return _own(path, read_folder(path, processor, strict=strict, flags=flags))


def _named(public: PublicSet) -> ImageSet:
    found = read_public(public)
    train, test = _images(found.train), _images(found.test)
    digest = public.digest() if public.files else _content_digest(train, test)
    return ImageSet(public.name, train, test, found.classes, public.licence, digest, public.homepage)


def _own(root: Path, found: ImageFolder) -> ImageSet:
    train, test = _images(found.train), _images(found.test)
    validation = _images(found.validation) if found.validation and len(found.validation.labels) else None
    digest = _content_digest(*(part for part in (train, test, validation) if part is not None))
    skipped = tuple(found.faults)
    return ImageSet(
        *(root.name, train, test, found.classes, "the user's own", digest, None, skipped, validation),
        choices=found.choices,
    )


def _images(part: Part) -> Images:
    """Own, contiguous NHWC copies; a grey image gets its channel axis."""
    four = part.pixels if part.pixels.ndim == 4 else part.pixels[..., np.newaxis]
    labels = np.array(part.labels, np.int64)
    return Images(torch.from_numpy(np.array(four, np.uint8)), torch.from_numpy(labels))


def _content_digest(*parts: Images) -> str:
    """Of a set without published files: the digest of its tensors."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part.pixels.numpy().tobytes())
        whole.update(part.labels.numpy().tobytes())
    return whole.hexdigest()


def pixel_statistics(pixels: Tensor) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel on the 0…1 scale, from uint8 [rows, H, W, channels]."""
    counts = [np.bincount(pixels[..., c].numpy().ravel(), minlength=256) for c in range(pixels.shape[-1])]
    levels = np.arange(256) / 255
    means = [float((count * levels).sum() / count.sum()) for count in counts]
    spreads = [
        float(np.sqrt((count * (levels - mean) ** 2).sum() / count.sum()))
        for count, mean in zip(counts, means, strict=True)
    ]
    return means, [spread or 1.0 for spread in spreads]
