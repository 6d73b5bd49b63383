"""The baselines that a classifier has to beat: the ten lines of scikit-learn that people know.

    text      TF-IDF of words and word pairs → linear SVM, its C chosen on validation
    vision    colours and coarse pixels → a ridge classifier or the nearest neighbour, by validation

They learn from the same rows of train as the model, choose on the same validation and are scored on the same test.
"""

import re
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from training.data.examples import spread_rows

Labels = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]

WORD = re.compile(r"\w+|[^\w\s]")
"""Words of one letter and marks count, too: as the tokenizer of the models splits a text."""

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""C of the SVM."""

RIDGES = (1.0, 10.0, 100.0, 1_000.0)
"""Alpha of the ridge classifier, on standardised features."""

CELLS = 8
"""Cells of the coarse image on each side: 64 a channel."""

LEVELS = 4
"""Of each channel in the histogram of colours: 64 bins of three channels."""

ROWS_AT_ONCE = 500
"""Images whose colours are counted together: each pixel takes 8 bytes then."""

MOST_IMAGES = 10_000
"""Of train that the image baseline learns from: the distances to more take longer than a small network."""


class Classifier(Protocol):
    """As scikit-learn has them."""

    def fit(self, features: Any, labels: Labels) -> Any:
        """Learn from rows of features."""
        ...

    def predict(self, features: Any) -> Labels:
        """The class of each row."""
        ...


class Split(NamedTuple):
    """Features of a split, by row, and the labels int64 [rows]."""

    features: Any
    labels: Labels


class Baseline(NamedTuple):
    """A baseline's name, the setting that validation chose, and its answers on test: int64 [rows]."""

    name: str
    setting: str
    answers: Labels


def text_baseline(train: Split, validation: Split, test: Split, *, balanced: bool = False) -> Baseline:
    """Features are the texts themselves: `Sequence[str]`. balanced: each class weighs the same, however rare."""
    vectors = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, tokenizer=WORD.findall, token_pattern=None
    )
    splits = (
        Split(vectors.fit_transform(train.features), train.labels),
        *(Split(vectors.transform(each.features), each.labels) for each in (validation, test)),
    )
    weight = "balanced" if balanced else None
    tried = (
        (f"C {penalty:g}", LinearSVC(C=penalty, class_weight=weight, random_state=0)) for penalty in PENALTIES
    )
    return best_of("TF-IDF and linear SVM", tried, *splits)


def image_baseline(train: Split, validation: Split, test: Split, *, balanced: bool = False) -> Baseline:
    """Features are pixels, uint8 [rows, height, width, channels]. balanced: as for texts."""
    rows = spread_rows(len(train.labels), MOST_IMAGES).numpy()  # a folder is read class by class
    few = Split(train.features[rows], train.labels[rows])
    splits = (Split(image_features(each.features), each.labels) for each in (few, validation, test))
    return best_of("colours and coarse pixels", _image_classifiers("balanced" if balanced else None), *splits)


def _image_classifiers(weight: str | None) -> Iterator[tuple[str, Classifier]]:
    for alpha in RIDGES:
        ridge = RidgeClassifier(alpha=alpha, class_weight=weight)
        yield f"ridge, alpha {alpha:g}", make_pipeline(StandardScaler(), ridge)
    yield "nearest neighbour", make_pipeline(StandardScaler(), KNeighborsClassifier(1))


def image_features(pixels: Pixels) -> Features:
    """uint8 [rows, height, width, channels] → float [rows, features]: cells' means, shares of colours."""
    starts = range(0, len(pixels), ROWS_AT_ONCE)
    return np.concatenate([_features(pixels[start : start + ROWS_AT_ONCE]) for start in starts])


def _features(pixels: Pixels) -> Features:
    rows, height, width, channels = pixels.shape
    means = [
        block.mean((1, 2), dtype=np.float32) / 255
        for line in np.array_split(pixels, min(CELLS, height), 1)
        for block in np.array_split(line, min(CELLS, width), 2)
    ]
    bins = LEVELS**channels
    colours = (pixels.astype(np.int64) * LEVELS // 256) @ (LEVELS ** np.arange(channels))
    shifted = colours.reshape(rows, -1) + bins * np.arange(rows)[:, None]
    counts = np.bincount(shifted.ravel(), minlength=rows * bins).reshape(rows, bins)
    return np.concatenate([*means, (counts / (height * width)).astype(np.float32)], 1)


def best_of(
    name: str, tried: Iterator[tuple[str, Classifier]], train: Split, validation: Split, test: Split
) -> Baseline:
    """The classifier that is right most often on validation, the first of equals; its answers on test."""
    best, chosen, setting = -1.0, None, ""
    for told, classifier in tried:
        with warnings.catch_warnings():
            # One that has not converged is a baseline still, and validation judges it.
            warnings.simplefilter("ignore", ConvergenceWarning)
            classifier.fit(train.features, train.labels)
        right = float((classifier.predict(validation.features) == validation.labels).mean())
        if right > best:
            best, chosen, setting = right, classifier, told
    if chosen is None:
        raise ValueError("tried: got no classifier, expected one")
    return Baseline(name, setting, chosen.predict(test.features))
