"""Slices carry honest intervals."""

import pytest
import torch

from training.data.vision import Images
from training.errors import ConfigError
from training.evaluate.slices import image_columns, quarters, slice_scores, wilson, worst_gap


def test_intervals_are_wilsons() -> None:
    # Worked by hand: 8 of 10 → (0.4902, 0.9433), Agresti & Coull 1998's form.
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 5)[0] == 0
    assert wilson(5, 5)[1] == 1


def test_slices_score_each_value_and_name_the_worst_gap() -> None:
    scores = slice_scores({"size": ["s", "l", "s", "l"]}, [True, True, False, True])
    assert [(one.value, one.rows, one.score) for one in scores] == [("l", 2, 1.0), ("s", 2, 0.5)]
    assert all(one.low < one.score <= one.high or one.score == one.low for one in scores)
    assert worst_gap(scores) == 0.5


def test_images_are_sliced_by_quarters_of_brightness() -> None:
    grey = torch.arange(8, dtype=torch.uint8).reshape(8, 1, 1, 1) * 20
    images = Images(grey.expand(8, 2, 2, 1).contiguous(), torch.zeros(8, dtype=torch.int64))
    columns = image_columns(["brightness", "label"], images, ("only",))
    assert [columns["brightness"].count(value) for value in sorted(set(columns["brightness"]))] == [2] * 4
    assert columns["brightness"][0] == "lowest quarter"
    assert set(columns["label"]) == {"only"}
    assert len(quarters(torch.rand(10))) == 10
    with pytest.raises(ConfigError, match="'colour' is no column of images"):
        image_columns(["colour"], images, ("only",))
