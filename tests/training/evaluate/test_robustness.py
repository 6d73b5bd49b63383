"""Corruptions do what their names say, the attack lowers accuracy, slices carry honest intervals."""

import pytest
import torch
from torch import nn

from training.architectures.classifier import ImageClassifier
from training.data.examples import seeded
from training.data.vision import Images
from training.errors import ConfigError
from training.evaluate.robustness import BLUR_RADIUS, blur, fgsm, noise, rotate
from training.evaluate.slices import image_columns, quarters, slice_scores, wilson, worst_gap
from training.evaluate.typos import neighbours, with_typos

PIXELS = torch.randint(0, 256, (12, 9, 9, 1), dtype=torch.uint8, generator=seeded(3))


def test_corruptions_keep_shape_and_type_and_are_the_same_each_time() -> None:
    for corrupt in (noise, blur, lambda pixels: rotate(pixels, 0)):
        changed = corrupt(PIXELS)
        assert (changed.shape, changed.dtype) == (PIXELS.shape, PIXELS.dtype)
        assert not torch.equal(changed, PIXELS)
        assert torch.equal(changed, corrupt(PIXELS))


def test_noise_has_its_spread_and_blur_takes_contrast_away() -> None:
    grey = torch.full((20, 16, 16, 1), 128, dtype=torch.uint8)
    assert noise(grey).float().std().item() == pytest.approx(25.5, rel=0.05)
    assert BLUR_RADIUS > 0
    assert blur(PIXELS).float().std() < 0.6 * PIXELS.float().std()


def test_rotation_brings_the_background_into_the_corners() -> None:
    white = torch.full((40, 28, 28, 3), 255, dtype=torch.uint8)
    assert (rotate(white, 255) == 255).all()
    assert (rotate(white, 0)[:, 0, 0] < 255).any()
    assert (rotate(white, 0)[:, 14, 14] == 255).all()


def test_fgsm_moves_each_pixel_by_epsilon_at_most_and_raises_the_loss() -> None:
    torch.manual_seed(0)
    model = ImageClassifier(nn.Sequential(nn.Flatten(), nn.Linear(81, 3)), [0.5], [0.25])
    labels = model(PIXELS).argmax(1)
    attacked = fgsm(model, PIXELS, labels, epsilon=8)
    assert (attacked.int() - PIXELS.int()).abs().max() == 8
    cost = nn.functional.cross_entropy
    assert cost(model(attacked), labels) > cost(model(PIXELS), labels)


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


def test_pictures_are_sliced_by_quarters_of_brightness() -> None:
    grey = torch.arange(8, dtype=torch.uint8).reshape(8, 1, 1, 1) * 20
    images = Images(grey.expand(8, 2, 2, 1).contiguous(), torch.zeros(8, dtype=torch.int64))
    columns = image_columns(["brightness", "label"], images, ("only",))
    assert [columns["brightness"].count(value) for value in sorted(set(columns["brightness"]))] == [2] * 4
    assert columns["brightness"][0] == "lowest quarter"
    assert set(columns["label"]) == {"only"}
    assert len(quarters(torch.rand(10))) == 10
    with pytest.raises(ConfigError, match="'colour' is no column of images"):
        image_columns(["colour"], images, ("only",))


def test_typos_hit_that_share_of_the_words_and_are_one_error_each() -> None:
    text = " ".join(["marvellous", "film", "of", "a", "kind"] * 400)
    typed = with_typos(text, 0.1, seed=3)
    assert typed == with_typos(text, 0.1, seed=3) != with_typos(text, 0.1, seed=4)
    before, after = text.split(), typed.split()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) / (0.8 * len(before)) == pytest.approx(0.1, abs=0.02)  # "a" is no word
    for old, new in changed:
        swapped = sum(a != b for a, b in zip(old, new, strict=False)) == 2 and sorted(old) == sorted(new)
        replaced = len(old) == len(new) and sum(a != b for a, b in zip(old, new, strict=True)) == 1
        assert swapped or replaced or abs(len(old) - len(new)) == 1, (old, new)


@pytest.mark.parametrize(
    ("letter", "keys"), [("g", "fhtyvb"), ("q", "wa"), ("p", "ol"), ("M", "NJK"), ("é", "")]
)
def test_a_neighbour_is_a_key_that_touches(letter: str, keys: str) -> None:
    assert sorted(neighbours(letter)) == sorted(keys)
