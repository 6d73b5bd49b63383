"""A user's images, any mode and size: decoded and resized as the server does it, and split.

Where they lie is for `image_sources`.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inference.configs import ImageConfig
from inference.errors import InvalidInput
from inference.processors.image import INPUT, ImageProcessor
from inference.values import Payload
from training.data.faults import refuse, worst_first
from training.data.image_sources import find_sources
from training.data.labelled import Source
from training.data.public_images import Part, Pixels
from training.data.splits import stratified_holdout
from training.data.tables import Flags
from training.errors import DataError

log = logging.getLogger(__name__)

TEST_SHARE, TEST_SEED = 0.2, 20
"""Images without a test split: this share of each class is held out as test, before anything else."""

FEWEST_IMAGES = 2
"""Of a class in train: one to learn from, and one to hold out."""


class ImageFolder(NamedTuple):
    """The splits, the classes in the order of their labels, and a line for every image that was left out.

    validation: None where some of train is to be held out. choices: the columns that were found in a table.
    """

    train: Part
    test: Part
    classes: tuple[str, ...]
    faults: list[str]
    validation: Part | None = None
    choices: Mapping[str, str] = {}


class Decoded(NamedTuple):
    """Images with labels and places, all in one order."""

    pixels: list[Pixels]
    labels: list[str]
    places: list[str]


def read_folder(
    root: Path, processor: ImageConfig, *, strict: bool, flags: Flags | None = None
) -> ImageFolder:
    """Read images from folders by class, also in train, val and test, or from tables that hold or name them.

    A file that is no image is skipped and reported by name (`strict`: refused), and so is a copy of another, so that
    nothing of test is trained on. Without a test split, a seeded fifth of each class becomes it.
    """
    sources, choices = find_sources(root, flags or Flags(content_flag="--image-column"))
    reader, known = ImageProcessor(processor), FirstPlaces()
    faults: list[str] = []
    # Test first and whole: a copy is left out of train, where it would leak, and not out of test.
    decoded = {
        split: _decode(sources[split], reader, known, faults, repeats=split != "train")
        for split in ("test", "validation", "train")
        if split in sources
    }
    classes = _classes(root, sources["train"], decoded["train"].labels, faults)
    parts = {split: _part(found, classes, faults) for split, found in decoded.items()}
    if "test" in decoded:
        unseen = sorted(set(classes) - set(decoded["test"].labels))
        faults += [
            f"{sources['test'].place(name)} is missing: the class is trained, and not scored"
            for name in unseen
        ]
    if strict:
        refuse(str(root), faults)
    train, validation = parts["train"], parts.get("validation")
    test = parts.get("test")
    if test is None or not len(test.labels):
        train, test = _hold_test_out(train)
    return ImageFolder(train, test, classes, faults, validation, choices)


def _hold_test_out(train: Part) -> tuple[Part, Part]:
    log.info("no test split, so %d %% of each class is held out of train", TEST_SHARE * 100)
    held = stratified_holdout(train.labels, int(len(train.pixels) * TEST_SHARE) or 1, TEST_SEED)
    rest, test = (Part(train.pixels[rows], train.labels[rows]) for rows in (held.train, held.held))
    return rest, test


class FirstPlaces:
    """The first image with each digest, over all parts."""

    def __init__(self) -> None:
        self._places: dict[bytes, str] = {}

    def of(self, content: bytes, where: str) -> str:
        """The place of the first image with these bytes, which is `where` if there was none."""
        return self._places.setdefault(hashlib.sha256(content).digest(), where)


def _decode(
    source: Source, reader: ImageProcessor, known: FirstPlaces, faults: list[str], *, repeats: bool
) -> Decoded:
    """The images of a part; copies of known ones are left out, unless `repeats`. Adds to `faults`."""
    found = Decoded([], [], [])
    faults += source.faults
    for image in source.images:
        if not image.label:
            faults.append(f"{image.where}: the label is empty")
            continue
        try:
            content = image.content if isinstance(image.content, bytes) else image.content.read_bytes()
            first = known.of(content, image.where)
            if first != image.where and not repeats:
                faults.append(f"{image.where}: the same image as {first}")
                continue
            found.pixels.append(_fit(content, image.where, reader))
        except (OSError, InvalidInput) as error:
            faults.append(str(error))
            continue
        found.labels.append(image.label)
        found.places.append(image.where)
    return found


def _classes(root: Path, source: Source, labels: Sequence[str], faults: list[str]) -> tuple[str, ...]:
    """The classes of train with enough images, in order; the others are added to `faults`."""
    counts = Counter(labels)
    names = sorted(counts.keys() | set(source.classes))
    few = [name for name in names if counts[name] < FEWEST_IMAGES]
    told = [
        f"{source.place(name)}: a class needs at least two readable images, it has {counts[name]} and is left out"
        for name in few
    ]
    if len(names) - len(few) < 2:
        shown = "\n".join(worst_first([*told, *faults]))
        kept = [name for name in names if name not in few]
        raise DataError(
            f"{root}: expected at least two classes with readable images, found {kept}\n{shown}".rstrip()
        )
    faults += told
    return tuple(name for name in names if name not in few)


def _part(found: Decoded, classes: Sequence[str], faults: list[str]) -> Part:
    """The images of these classes as arrays; those of validation and test whose class train lacks are faults."""
    place = {name: number for number, name in enumerate(classes)}
    known = [row for row, label in enumerate(found.labels) if label in place]
    faults += [
        f"{where}: the class {label!r} is not trained"
        for where, label in zip(found.places, found.labels, strict=True)
        if label not in place
    ]
    labels = np.array([place[found.labels[row]] for row in known], np.int64)
    pixels = np.stack([found.pixels[row] for row in known]) if known else np.zeros((0, 1, 1), np.uint8)
    return Part(pixels, labels)


def _fit(content: bytes, where: str, reader: ImageProcessor) -> Pixels:
    """One image as the server would see it: uint8 [height, width, channels]."""
    payload = Payload(content, "application/octet-stream", field=where)
    pixels: Pixels = reader.preprocess(reader.decode(payload)).tensors[INPUT][0]
    return pixels
