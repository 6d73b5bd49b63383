"""Image data by name or path, as tensors."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from inference.configs import ImageConfig
from training.data.vision import load_images, pixel_statistics
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


def test_embedded_digits_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BATON_DATA", raising=False)
    images = load_images("digits", GREY, strict=True)
    assert images.train.pixels.shape == (1438, 8, 8, 1)
    assert len(images.test) == 359
    assert images.train.pixels.max() == 255
    assert images.digest == "06aabf9fec8a0ecf5913d770112a1919d3e384fbe96113df7080ea0fd17dde91", (
        "of older manifests"
    )


def test_unknown_data_lists_the_named_sets() -> None:
    with pytest.raises(DataError, match=r"neither a folder, nor a file, nor a named set \(digits, fashion"):
        load_images("no-such-set", GREY, strict=True)


def test_pixel_statistics_agree_with_torch() -> None:
    pixels = torch.randint(
        0, 256, (5, 6, 7, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    mean, std = pixel_statistics(pixels)
    expected = pixels.double().reshape(-1, 3) / 255
    assert mean == pytest.approx(expected.mean(0).tolist())
    assert std == pytest.approx(expected.std(0, correction=0).tolist())


def test_a_folder_of_grey_images_has_a_channel_axis_and_a_digest_of_its_pixels(tmp_path: Path) -> None:
    for label, level in (("dark", 10), ("light", 200)):
        for k in range(4):
            path = tmp_path / "photos" / label / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 6), level + k).save(path)
    images = load_images(str(tmp_path / "photos"), GREY, strict=True)
    assert (images.name, images.licence, images.url) == ("photos", "the user's own", None)
    assert (images.train.pixels.shape, images.test.pixels.shape) == ((7, 6, 8, 1), (1, 6, 8, 1))
    Image.new("L", (8, 6), 99).save(tmp_path / "photos" / "dark" / "0.png")
    assert load_images(str(tmp_path / "photos"), GREY, strict=True).digest != images.digest
