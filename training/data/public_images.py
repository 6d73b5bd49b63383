"""The named image sets: idx files, zipped folders by class, and scikit-learn's digits, as arrays."""

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from training.data.public_sets import PublicSet
from training.data.sources import local_files
from training.data.splits import stratified_holdout
from training.errors import DataError

Pixels = npt.NDArray[np.uint8]

DIGITS_TEST_SEED = 20


class Part(NamedTuple):
    """One split: pixels uint8 [rows, height, width(, channels)], labels [rows]."""

    pixels: Pixels
    labels: npt.NDArray[Any]


class PublishedImages(NamedTuple):
    """The splits as they were published, and the classes in the order of their labels."""

    train: Part
    test: Part
    classes: tuple[str, ...]


def read_public(public: PublicSet) -> PublishedImages:
    """The arrays of a named image set."""
    return _READERS[public.name](public)


def read_idx(path: Path) -> Pixels:
    """Read a gzipped idx file of unsigned bytes (format: yann.lecun.com/exdb/mnist, at the bottom)."""
    try:
        raw = gzip.decompress(path.read_bytes())
        kind, axes = struct.unpack_from(">2xBB", raw)
        shape = struct.unpack_from(f">{axes}I", raw, 4)
    except (OSError, EOFError, struct.error) as error:
        raise DataError(f"{path}: not a gzipped idx file: {error}") from error
    expected = 4 + 4 * axes + int(np.prod(shape, dtype=np.int64))
    if raw[:2] != b"\0\0" or kind != 0x08 or len(raw) != expected:
        raise DataError(
            f"{path}: expected an idx file of {expected} unsigned bytes, it has {len(raw)} (type {kind:#x})"
        )
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _read_mnist_like(public: PublicSet) -> PublishedImages:
    train_pixels, train_labels, test_pixels, test_labels = map(read_idx, local_files(public))
    return PublishedImages(Part(train_pixels, train_labels), Part(test_pixels, test_labels), public.classes)


def _read_digits(public: PublicSet) -> PublishedImages:
    """Scikit-learn's copy of the UCI test set, 16 grey levels spread over 0…255; every fifth is our test."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    split = stratified_holdout(digits.target, len(pixels) // 5, DIGITS_TEST_SEED)
    train, test = (Part(pixels[rows], digits.target[rows]) for rows in (split.train, split.held))
    return PublishedImages(train, test, public.classes)


def _read_cifar_zip(public: PublicSet) -> PublishedImages:
    """train/CLASS/*.jpg and test/CLASS/*.jpg inside one archive."""
    (path,) = local_files(public)
    with zipfile.ZipFile(path) as archive:
        members = sorted(entry for entry in archive.namelist() if entry.endswith(".jpg"))
        classes = tuple(sorted({Path(member).parent.name for member in members}))
        train, test = (_read_members(archive, members, split, classes) for split in ("train", "test"))
    return PublishedImages(train, test, classes)


def _read_members(archive: zipfile.ZipFile, members: list[str], split: str, classes: tuple[str, ...]) -> Part:
    chosen = [member for member in members if split in Path(member).parts[:-2]]
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(member)))) for member in chosen])
    return Part(pixels, np.array([classes.index(Path(member).parent.name) for member in chosen]))


_READERS: dict[str, Callable[[PublicSet], PublishedImages]] = {
    "digits": _read_digits,
    "fashion": _read_mnist_like,
    "mnist": _read_mnist_like,
    "cifar10-jpeg": _read_cifar_zip,
}
