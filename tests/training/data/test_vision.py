"""Image data: idx files, folders of pictures, and a report of what could not be read."""

import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inference.configs import ImageConfig
from training.data.vision import load_images, pixel_statistics, read_folder, read_idx
from training.errors import DataError

GREY = ImageConfig(
    kind="image",
    height=6,
    width=8,
    mode="L",
    fit="stretch",
    interpolation="bilinear",
    background=0,
    max_pixels=10_000,
)
COLOUR = GREY.model_copy(update={"mode": "RGB"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of ten pictures, in several sizes, modes and formats."""
    for label, level in (("dark", 20), ("light", 220)):
        (tmp_path / label).mkdir()
        for k in range(10):
            mode, suffix = [("L", "png"), ("RGB", "jpg"), ("RGBA", "png"), ("P", "gif"), ("CMYK", "jpg")][
                k % 5
            ]
            picture = Image.new("L", (5 + k, 9 + 2 * k), level).convert(mode)
            picture.save(tmp_path / label / f"{k}.{suffix}")
    return tmp_path


def test_idx_file_gives_its_array(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2, 3, 4) + array.tobytes()))
    assert (read_idx(path) == array).all()


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"xy"), gzip.compress(struct.pack(">HBBI", 0, 8, 1, 9) + b"short")],
    ids=["not gzip", "no header", "too short"],
)
def test_broken_idx_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.gz"):
        read_idx(path)


def test_folder_of_any_picture_becomes_pixels_of_one_size(folder: Path) -> None:
    images = read_folder(folder, COLOUR, strict=True)
    assert images.classes == ("dark", "light")
    assert images.train.pixels.shape == (16, 6, 8, 3)
    assert images.test.labels.bincount().tolist() == [2, 2]
    means = images.train.pixels.float().mean((1, 2, 3))
    assert (means[images.train.labels == 0] < 40).all()
    assert (means[images.train.labels == 1] > 200).all()


def test_unreadable_picture_is_skipped_and_named(folder: Path) -> None:
    (folder / "dark" / "broken.png").write_bytes(b"no picture")
    images = read_folder(folder, GREY, strict=False)
    assert len(images.train) + len(images.test) == 20
    assert len(images.skipped) == 1
    assert "broken.png" in images.skipped[0]


def test_unreadable_picture_stops_a_strict_run(folder: Path) -> None:
    (folder / "dark" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.png"):
        read_folder(folder, GREY, strict=True)


def test_one_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    with pytest.raises(DataError, match=r"at least two classes, found \['only'\]"):
        read_folder(tmp_path, GREY, strict=False)


def test_empty_class_is_refused_by_name(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="empty: a class needs at least two"):
        read_folder(folder, GREY, strict=False)


def test_train_and_test_folders_are_kept_apart(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "split"
    for part in ("train", "test"):
        for label in ("dark", "light"):
            (root / part).mkdir(parents=True, exist_ok=True)
            shutil.copytree(folder / label, root / part / label)
    for path in (root / "test").rglob("*.*"):
        path.write_bytes(path.read_bytes() + b"\0")  # the same to a decoder, another file
    images = read_folder(root, GREY, strict=True)
    assert (len(images.train), len(images.test)) == (20, 20)


def test_a_picture_of_test_is_never_trained_on(folder: Path, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label in ("dark", "light"):
            shutil.copytree(folder / label, tmp_path / "split" / part / label)
    for path in (tmp_path / "split" / "test").rglob("[3-9].*"):
        path.unlink()
    images = read_folder(tmp_path / "split", GREY, strict=False)
    assert (len(images.train), len(images.test)) == (14, 6)
    assert "train/dark/0.png: the same picture as" in images.skipped[0]


def test_embedded_digits_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BATON_DATA", raising=False)
    images = load_images("digits", GREY, strict=True)
    assert images.train.pixels.shape == (1438, 8, 8, 1)
    assert len(images.test) == 359
    assert images.train.pixels.max() == 255


def test_unknown_data_lists_the_named_sets() -> None:
    with pytest.raises(DataError, match=r"neither a folder nor a named set \(digits, fashion"):
        load_images("no-such-set", GREY, strict=True)


def test_pixel_statistics_agree_with_torch() -> None:
    pixels = torch.randint(
        0, 256, (5, 6, 7, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    mean, std = pixel_statistics(pixels)
    expected = pixels.double().reshape(-1, 3) / 255
    assert mean == pytest.approx(expected.mean(0).tolist())
    assert std == pytest.approx(expected.std(0, correction=0).tolist())
