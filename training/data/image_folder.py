"""A folder of images by class, any mode and size of image: decoded and resized as the server does it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inference.configs import ImageConfig
from inference.errors import InvalidInput
from inference.processors.image import INPUT, ImageProcessor
from inference.values import Payload
from training.data.public_images import Part, Pixels
from training.data.splits import stratified_holdout
from training.errors import DataError

TEST_SHARE, TEST_SEED = 0.2, 20
"""A folder without a test split: this share of each class is held out as test, before anything else."""


class ImageFolder(NamedTuple):
    """The splits, the classes in the order of their labels, and a line for every file that was left out."""

    train: Part
    test: Part
    classes: tuple[str, ...]
    faults: list[str]


def read_folder(root: Path, processor: ImageConfig, *, strict: bool) -> ImageFolder:
    """Read ROOT/CLASS/*, or ROOT/train/CLASS/* with ROOT/test/CLASS/*.

    A file that is no image is skipped and reported by name (`strict`: refused), and so is a copy of another, so that
    nothing of test is trained on. Without a test folder, a seeded fifth of each class becomes the test split.
    """
    reader = ImageProcessor(processor)
    if (root / "train").is_dir() and (root / "test").is_dir():
        classes = _class_names(root / "train")
        # Test first and whole: a copy is left out of train, where it would leak, and not out of test.
        test, test_paths, test_faults = _read_classes(root / "test", classes, reader, {}, repeats=True)
        train, _, faults = _read_classes(root / "train", classes, reader, test_paths)
        faults += test_faults
    else:
        classes = _class_names(root)
        (pixels, labels), _, faults = _read_classes(root, classes, reader, {})
        held = stratified_holdout(labels, int(len(pixels) * TEST_SHARE) or 1, TEST_SEED)
        train, test = (Part(pixels[rows], labels[rows]) for rows in (held.train, held.held))
    if strict and faults:
        raise DataError(f"{root}: {len(faults)} faults:\n" + "\n".join(faults))
    return ImageFolder(train, test, classes, faults)


def _class_names(root: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in root.iterdir() if entry.is_dir() and entry.name[0] != "."))
    if len(names) < 2:
        raise DataError(f"{root}: expected a folder for each of at least two classes, found {list(names)}")
    return names


FirstPaths = dict[bytes, Path]
"""The first file with that digest."""


def _read_classes(
    root: Path, classes: tuple[str, ...], reader: ImageProcessor, known: FirstPaths, *, repeats: bool = False
) -> tuple[Part, FirstPaths, list[str]]:
    """The images of every class; copies of `known` files and, without `repeats`, of one another are left out."""
    faults: list[str] = []
    pixels: list[Pixels] = []
    labels: list[int] = []
    paths = dict(known)
    for label, name in enumerate(classes):
        before = len(pixels)
        for path in _files(root / name):
            first = paths.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
            if first is not path and not repeats:
                faults.append(f"{path}: the same image as {first}")
                continue
            try:
                pixels.append(_fit(path, reader))
                labels.append(label)
            except (OSError, InvalidInput) as error:
                faults.append(str(error))
        if len(pixels) - before < 2:
            listed = "\n".join(faults)
            raise DataError(f"{root / name}: a class needs at least two readable images\n{listed}".rstrip())
    return Part(np.stack(pixels), np.array(labels)), paths, faults


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder} is missing: every class needs a folder in both train and test")
    yield from sorted(path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")


def _fit(path: Path, reader: ImageProcessor) -> Pixels:
    """One image as the server would see it: uint8 [height, width, channels]."""
    payload = Payload(path.read_bytes(), "application/octet-stream", field=str(path))
    pixels: Pixels = reader.preprocess(reader.decode(payload)).tensors[INPUT][0]
    return pixels
