"""The baselines of texts and images: better than chance by what they are named for, chosen on validation."""

import numpy as np
import pytest

from training.evaluate import linear
from training.evaluate.linear import Classifier, Split, best_of, image_baseline, image_features, text_baseline


def test_a_pair_of_words_is_seen_by_the_text_baseline() -> None:
    """Neither word tells the classes apart, only their order."""
    texts = [f"{pair} {number}" for number in range(20) for pair in ("not good", "good not")]
    labels = np.array([0, 1] * 20)
    split = Split(texts, labels)
    found = text_baseline(split, split, Split(["it is not good", "good not"], labels[:2]))
    assert found.answers.tolist() == [0, 1]
    assert found.setting.startswith("C ")


def test_a_text_of_unknown_words_has_one_answer_whatever_was_drawn_before() -> None:
    """It has the intercept alone, which is near zero here: its sign is that of the solver's draws."""
    texts = [f"{pair} {number}" for number in range(20) for pair in ("not good", "good not")]
    split = Split(texts, np.array([0, 1] * 20))
    answers = set()
    for seed in range(4):
        np.random.seed(seed)  # scikit-learn draws from these unless it is given a seed
        answers |= set(text_baseline(split, split, Split([""], split.labels[:1])).answers.tolist())
    assert len(answers) == 1


def test_colours_are_seen_by_the_image_baseline() -> None:
    draws = np.random.default_rng(0)
    labels = np.arange(60) % 2
    pixels = draws.integers(0, 100, (60, 9, 11, 3)).astype(np.uint8)
    pixels[labels == 1, :, :, 2] += 120
    found = image_baseline(
        *(Split(pixels[rows], labels[rows]) for rows in (slice(40), slice(40, 50), slice(50, 60)))
    )
    assert (found.answers == labels[50:]).all()


def test_the_few_images_of_a_big_set_are_of_every_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is read class by class, so that its first images are of the first classes alone."""
    monkeypatch.setattr(linear, "MOST_IMAGES", 20)
    labels = np.arange(80) // 20
    pixels = np.random.default_rng(0).integers(0, 20, (80, 8, 8, 1)).astype(np.uint8)
    pixels += (60 * labels).astype(np.uint8)[:, None, None, None]
    split = Split(pixels, labels)
    assert (image_baseline(split, split, split).answers == labels).all()


def test_features_are_the_means_of_cells_and_the_shares_of_colours() -> None:
    pixels = np.zeros((2, 8, 8, 1), np.uint8)
    pixels[1, :4] = 255
    means, shares = np.split(image_features(pixels), [64], axis=1)
    assert means.sum(1).tolist() == [0, 32]
    assert shares.tolist() == [[1, 0, 0, 0], [0.5, 0, 0, 0.5]]


class _Always:
    """A classifier of one answer."""

    def __init__(self, answer: int) -> None:
        self.answer = answer

    def fit(self, features: object, labels: object) -> None:
        """Nothing to learn."""

    def predict(self, features: np.ndarray) -> np.ndarray:
        return np.full(len(features), self.answer)


@pytest.mark.parametrize(("label", "chosen"), [(0, "zero"), (1, "one"), (2, "zero")])
def test_validation_chooses_and_the_first_of_equals_stays(label: int, chosen: str) -> None:
    tried: list[tuple[str, Classifier]] = [("zero", _Always(0)), ("one", _Always(1))]
    split = Split(np.zeros((3, 1)), np.full(3, label))
    assert best_of("name", iter(tried), split, split, split).setting == chosen
