"""A folder of images by class, and the report of files that could not be read."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.configs import ImageConfig
from training.data.image_folder import read_folder
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
    """Two classes of ten images, in several sizes, modes and formats."""
    for label, level in (("dark", 20), ("light", 220)):
        (tmp_path / label).mkdir()
        for k in range(10):
            mode, suffix = [("L", "png"), ("RGB", "jpg"), ("RGBA", "png"), ("P", "gif"), ("CMYK", "jpg")][
                k % 5
            ]
            image = Image.new("L", (5 + k, 9 + 2 * k), level).convert(mode)
            image.save(tmp_path / label / f"{k}.{suffix}")
    return tmp_path


def test_folder_of_any_image_becomes_pixels_of_one_size(folder: Path) -> None:
    images = read_folder(folder, COLOUR, strict=True)
    assert images.classes == ("dark", "light")
    assert images.train.pixels.shape == (16, 6, 8, 3)
    assert np.bincount(images.test.labels).tolist() == [2, 2]
    means = images.train.pixels.mean((1, 2, 3))
    assert (means[images.train.labels == 0] < 40).all()
    assert (means[images.train.labels == 1] > 200).all()


def test_unreadable_image_is_skipped_and_named(folder: Path) -> None:
    (folder / "dark" / "broken.png").write_bytes(b"no image")
    images = read_folder(folder, GREY, strict=False)
    assert len(images.train.labels) + len(images.test.labels) == 20
    assert len(images.faults) == 1
    assert "broken.png" in images.faults[0]


def test_unreadable_image_stops_a_strict_run(folder: Path) -> None:
    (folder / "dark" / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.png"):
        read_folder(folder, GREY, strict=True)


def test_one_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    with pytest.raises(DataError, match=r"at least two classes, found \['only'\]"):
        read_folder(tmp_path, GREY, strict=False)


def test_a_class_of_too_few_images_is_left_out_by_name_and_stops_a_strict_run(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "single").mkdir()
    Image.new("L", (5, 9), 99).save(folder / "single" / "0.png")
    images = read_folder(folder, GREY, strict=False)
    assert images.classes == ("dark", "light")
    assert images.faults[0].endswith(
        "empty: a class needs at least two readable images, it has 0 and is left out"
    )
    assert images.faults[1].endswith(
        "single: a class needs at least two readable images, it has 1 and is left out"
    )
    with pytest.raises(DataError, match="single: a class needs at least two"):
        read_folder(folder, GREY, strict=True)


def test_train_and_test_folders_are_kept_apart(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "split"
    for part in ("train", "test"):
        for label in ("dark", "light"):
            (root / part).mkdir(parents=True, exist_ok=True)
            shutil.copytree(folder / label, root / part / label)
    for path in (root / "test").rglob("*.*"):
        path.write_bytes(path.read_bytes() + b"\0")  # the same to a decoder, another file
    images = read_folder(root, GREY, strict=True)
    assert (len(images.train.labels), len(images.test.labels)) == (20, 20)


def test_a_image_of_test_is_never_trained_on(folder: Path, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label in ("dark", "light"):
            shutil.copytree(folder / label, tmp_path / "split" / part / label)
    for path in (tmp_path / "split" / "test").rglob("[3-9].*"):
        path.unlink()
    images = read_folder(tmp_path / "split", GREY, strict=False)
    assert (len(images.train.labels), len(images.test.labels)) == (14, 6)
    assert "train/dark/0.png: the same image as" in images.faults[0]
