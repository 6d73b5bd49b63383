"""Image data: idx files, zipped and plain folders by class, scikit-learn's digits; all as uint8 in memory.

What a picture becomes before it is pixels (decode, resize) belongs to `inference.processors`; augmentation
to `training.tasks.augment`.
"""

import gzip
import hashlib
import io
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from inference.configs import ImageConfig
from inference.errors import InvalidInput
from inference.processors.image import INPUT, ImageProcessor
from inference.values import Payload
from training.data.examples import Batch
from training.data.sources import PUBLIC_SETS, local_files
from training.data.splits import stratified_holdout
from training.errors import DataError

Pixels = npt.NDArray[np.uint8]

# A folder without a test split: this share of each class is held out as test, before anything else.
FOLDER_TEST_SHARE = 0.2
FOLDER_TEST_SEED = 20


@dataclass(frozen=True)
class Images:
    """Pictures of one size: pixels uint8 [rows, height, width, channels], labels int64 [rows]."""

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
    """A data set as it was published: train and test, the classes in label order, and what was skipped."""

    name: str
    train: Images
    test: Images
    classes: tuple[str, ...]
    licence: str
    digest: str
    url: str | None
    skipped: tuple[str, ...] = field(default=())


def load_images(data: str, processor: ImageConfig, *, strict: bool) -> ImageSet:
    """Read a named set, or a folder of images by class.

    processor: how a folder's pictures become pixels, the same as in serving; named sets have their own size.
    strict: stop at the first fault instead of skipping and reporting it.
    """
    if data in PUBLIC_SETS:
        if PUBLIC_SETS[data].task != "vision":
            raise DataError(f"data set {data!r} is for {PUBLIC_SETS[data].task}, not for vision")
        return _READERS[data](data)
    path = Path(data)
    if not path.is_dir():
        known = ", ".join(name for name, public in PUBLIC_SETS.items() if public.task == "vision")
        raise DataError(f"--data {data!r} is neither a folder nor a named set ({known})")
    return read_folder(path, processor, strict=strict)


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


def _images(pixels: Pixels, labels: npt.ArrayLike) -> Images:
    """Own, contiguous NHWC copies; a grey picture gets its channel axis."""
    four = pixels if pixels.ndim == 4 else pixels[..., np.newaxis]
    return Images(torch.from_numpy(np.array(four, np.uint8)), torch.from_numpy(np.array(labels, np.int64)))


def _read_mnist_like(name: str) -> ImageSet:
    public = PUBLIC_SETS[name]
    train_pixels, train_labels, test_pixels, test_labels = map(read_idx, local_files(public))
    return ImageSet(
        name=name,
        train=_images(train_pixels, train_labels),
        test=_images(test_pixels, test_labels),
        classes=public.classes,
        licence=public.licence,
        digest=public.digest(),
        url=public.homepage,
    )


def _read_digits(name: str) -> ImageSet:
    """Scikit-learn's copy of the UCI test set, 16 grey levels spread over 0…255; every fifth is our test."""
    from sklearn.datasets import load_digits

    public = PUBLIC_SETS[name]
    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    split = stratified_holdout(digits.target, len(pixels) // 5, FOLDER_TEST_SEED)
    whole = _images(pixels, digits.target)
    train, test = whole.take(split.train), whole.take(split.held)
    digest = _content_digest(train, test)
    return ImageSet(name, train, test, public.classes, public.licence, digest, public.homepage)


def _read_cifar_zip(name: str) -> ImageSet:
    """train/CLASS/*.jpg and test/CLASS/*.jpg inside one archive."""
    public = PUBLIC_SETS[name]
    (path,) = local_files(public)
    with zipfile.ZipFile(path) as archive:
        members = sorted(entry for entry in archive.namelist() if entry.endswith(".jpg"))
        classes = tuple(sorted({Path(member).parent.name for member in members}))
        parts = {part: _read_members(archive, members, part, classes) for part in ("train", "test")}
    return ImageSet(
        name, parts["train"], parts["test"], classes, public.licence, public.digest(), public.homepage
    )


def _read_members(
    archive: zipfile.ZipFile, members: list[str], part: str, classes: tuple[str, ...]
) -> Images:
    chosen = [member for member in members if part in Path(member).parts[:-2]]
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(member)))) for member in chosen])
    return _images(pixels, [classes.index(Path(member).parent.name) for member in chosen])


def read_folder(root: Path, processor: ImageConfig, *, strict: bool) -> ImageSet:
    """Read ROOT/CLASS/*, or ROOT/train/CLASS/* with ROOT/test/CLASS/*; any mode and size of picture.

    A file that is no picture is skipped and reported by name (`strict`: refused), and so is one that is the
    same as another, so that nothing of test is trained on. Without a test folder, a seeded fifth of each
    class becomes the test split.
    """
    reader = ImageProcessor(processor)
    if (root / "train").is_dir() and (root / "test").is_dir():
        classes = _class_names(root / "train")
        test, test_places, test_faults = _read_classes(root / "test", classes, reader, {}, repeats=True)
        train, _, faults = _read_classes(root / "train", classes, reader, test_places)
        faults += test_faults
    else:
        classes = _class_names(root)
        whole, _, faults = _read_classes(root, classes, reader, {})
        held = stratified_holdout(
            whole.labels.numpy(), int(len(whole) * FOLDER_TEST_SHARE) or 1, FOLDER_TEST_SEED
        )
        train, test = whole.take(held.train), whole.take(held.held)
    if strict and faults:
        raise DataError(f"{root}: {len(faults)} faults:\n" + "\n".join(faults))
    return ImageSet(
        root.name, train, test, classes, "the user's own", _content_digest(train, test), None, tuple(faults)
    )


def _class_names(root: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in root.iterdir() if entry.is_dir() and entry.name[0] != "."))
    if len(names) < 2:
        raise DataError(f"{root}: expected a folder for each of at least two classes, found {list(names)}")
    return names


Places = dict[bytes, Path]
"""Where a file with that digest was first seen."""


def _read_classes(
    root: Path, classes: tuple[str, ...], reader: ImageProcessor, elsewhere: Places, *, repeats: bool = False
) -> tuple[Images, Places, list[str]]:
    """The pictures of every class; files that are `elsewhere` are left out, and without `repeats` second copies too."""
    faults: list[str] = []
    pixels: list[Pixels] = []
    labels: list[int] = []
    places = dict(elsewhere)
    for label, name in enumerate(classes):
        before = len(pixels)
        for path in _files(root / name):
            first = places.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
            if first is not path and not repeats:
                faults.append(f"{path}: the same picture as {first}")
                continue
            try:
                pixels.append(_fit(path, reader))
                labels.append(label)
            except (OSError, InvalidInput) as error:
                faults.append(str(error))
        if len(pixels) - before < 2:
            listed = "\n".join(faults)
            raise DataError(f"{root / name}: a class needs at least two readable pictures\n{listed}".rstrip())
    return _images(np.stack(pixels), labels), places, faults


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder} is missing: every class needs a folder in both train and test")
    yield from sorted(path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")


def _fit(path: Path, reader: ImageProcessor) -> Pixels:
    """One picture as the server would see it: uint8 [height, width, channels]."""
    payload = Payload(path.read_bytes(), "application/octet-stream", field=str(path))
    pixels: Pixels = reader.preprocess(reader.decode(payload)).tensors[INPUT][0]
    return pixels


def _content_digest(*parts: Images) -> str:
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


_READERS = {
    "digits": _read_digits,
    "fashion": _read_mnist_like,
    "mnist": _read_mnist_like,
    "cifar10-jpeg": _read_cifar_zip,
}
