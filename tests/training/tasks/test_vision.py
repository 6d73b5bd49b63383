"""The vision task: its facts, its raw inputs, and the extreme rows of the proof."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from training.config import load_config
from training.tasks.vision import ImageData, ImageFacts, VisionTask

TASK = VisionTask()


@pytest.fixture(scope="module")
def data() -> ImageData:
    return TASK.load(load_config("vision", ("--slice", '["label"]')))


def test_the_facts_are_those_of_the_rows_that_are_trained_on(data: ImageData) -> None:
    counts = tuple(data.train.labels.bincount(minlength=10).tolist())
    assert data.facts == ImageFacts(tuple("0123456789"), counts, ("label",))
    assert len(data.train) + len(data.validation) == sum(counts) + data.source.rows["validation"]


def test_a_client_sends_every_pixel_as_it_was_trained_on(data: ImageData) -> None:
    payload = TASK.payload(data.test, 3)
    with Image.open(io.BytesIO(payload.data)) as image:
        assert (np.asarray(image) == data.test.pixels[3, :, :, 0].numpy()).all()
    assert payload.media_type == "image/png"


def test_the_rows_of_the_proof_are_noise_black_and_white(data: ImageData) -> None:
    rows = [row["image"] for row in TASK.strangers(data)]
    assert {row.shape for row in rows} == {(1, 8, 8, 1)}
    assert [int(row.max()) for row in rows[2:]] == [0, 255]
    assert all(row.dtype == np.uint8 and row.std() > 50 for row in rows[:2])


def test_augmentation_draws_from_its_generator_alone(data: ImageData) -> None:
    config = load_config("vision", ("--crop", "1", "--mixup", "0.2"))
    batch = data.train.batch(torch.arange(8), torch.Generator())
    first, again = (
        TASK.augment(batch, config, data.facts, torch.Generator().manual_seed(1)) for _ in range(2)
    )
    assert torch.equal(first["image"], again["image"])
    assert first["label"].shape == (8, 10)
    assert not torch.equal(first["image"], batch["image"])
