"""The look at data before PyTorch: how much of them is read, and what is said on the way."""

import logging
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from inference.processors.image import ImageProcessor
from inference.values import Payload
from tests.training.data.test_image_sources import contest, fill, png
from training.config import TrainConfig, load_config
from training.data import check
from training.data.check import check_data
from training.errors import DataError


def configured(data: Path) -> TrainConfig:
    return load_config("vision", ("--data", str(data), "--arch", "mlp", "--image-size", "[8,8,1]"))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many images were decoded so far."""
    counts: Counter[str] = Counter()
    decode = ImageProcessor.decode

    def counted(processor: ImageProcessor, payload: Payload) -> Image.Image:
        counts["images"] += 1
        return decode(processor, payload)

    monkeypatch.setattr(ImageProcessor, "decode", counted)
    return counts


@pytest.mark.parametrize("table", ["labels.csv", ""], ids=["the table", "its folder"])
@pytest.mark.parametrize("large", [True, False], ids=["large", "small"])
def test_a_large_set_is_not_decoded_before_pytorch_by_whichever_path_it_is_given(
    tmp_path: Path, decoded: Counter[str], monkeypatch: pytest.MonkeyPatch, table: str, large: bool
) -> None:
    rows = contest(tmp_path)
    file = tmp_path / "labels.csv"
    file.write_text("id,breed\n" + "".join(f"{name},{label}\n" for name, label in rows))
    if large:
        monkeypatch.setattr(check, "SMALL", file.stat().st_size)
    check_data(configured(tmp_path / table))
    assert decoded["images"] == (0 if large else len(rows))


def one_part_too_many(root: Path) -> Path:
    """A set whose folder for test holds no classes, of which a reader warns."""
    fill(root / "train")
    (root / "test").mkdir()
    (root / "test" / "1.png").write_bytes(png(9))
    return root


@pytest.mark.parametrize("broken", [False, True], ids=["good", "broken"])
def test_warnings_are_left_to_the_task_and_the_log_is_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: bool
) -> None:
    config = configured(one_part_too_many(tmp_path))
    caplog.set_level(logging.INFO, "training.data")
    if broken:
        for image in (tmp_path / "train" / "dark").iterdir():
            image.write_bytes(b"no image")
        with pytest.raises(DataError):
            check_data(config)
    else:
        check_data(config)
    assert caplog.text == ""
    assert logging.getLogger("training.data").level == logging.INFO
