"""Foreign rows that are generated: no class of theirs is known, so a good outlier score sets them apart.

Those that a score is chosen by are made from validation, those that it is measured by from test, by other draws.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

SQUARES = 4
"""Pieces of a side of a jigsaw, and of a coarse image of colours."""

FIRST_WORDS = 10
"""Words of a text cut short, which a score must not call foreign for its length alone."""

PSEUDO_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def foreign_images(own: Pixels, seed: int) -> dict[str, Pixels]:
    """uint8 [n, height, width, channels] → the same shape by name: made from nothing, or from those images."""
    draw = np.random.default_rng(seed)
    rows, height, width, channels = own.shape
    flat = draw.integers(0, 256, (rows, 1, 1, channels)).astype(np.uint8)
    coarse = draw.integers(0, 256, (rows, SQUARES, SQUARES, channels)).astype(np.uint8)
    return {
        "noise": draw.integers(0, 256, own.shape).astype(np.uint8),
        "flat colours": np.ascontiguousarray(np.broadcast_to(flat, own.shape)),
        "blurred colours": np.stack([_enlarged(image, height, width) for image in coarse]),
        "inverted": 255 - own,
        "jigsaw": np.stack([_jigsaw(image, draw) for image in own]),
        "shuffled pixels": np.stack([_shuffled(image, draw) for image in own]),
    }


def foreign_texts(own: Sequence[str], vocabulary: Sequence[str], seed: int) -> dict[str, list[str]]:
    """Texts → texts of as many words by name: their words shuffled, words by chance, and words of no language."""
    draw = np.random.default_rng(seed)
    words = [text.split() for text in own]
    pool = np.array([word for row in words for word in row], dtype=object)
    known = np.array(vocabulary, dtype=object)
    return {
        "shuffled words": [" ".join(row[place] for place in draw.permutation(len(row))) for row in words],
        "frequent words by chance": [" ".join(draw.choice(pool, len(row))) for row in words],
        "any words by chance": [" ".join(draw.choice(known, len(row))) for row in words],
        "pseudo-words": [" ".join(_pseudo_word(draw) for _ in row) for row in words],
    }


def first_words(texts: Sequence[str], count: int = FIRST_WORDS) -> list[str]:
    """Each text cut after its first words."""
    return [" ".join(text.split()[:count]) for text in texts]


def _pseudo_word(draw: np.random.Generator) -> str:
    return "".join(draw.choice(list(PSEUDO_LETTERS), draw.integers(3, 10)))


def _enlarged(image: Pixels, height: int, width: int) -> Pixels:
    channels = image.shape[2]
    planes = [
        np.asarray(Image.fromarray(image[:, :, channel]).resize((width, height), Image.Resampling.BICUBIC))
        for channel in range(channels)
    ]
    return np.stack(planes, axis=2)


def _jigsaw(image: Pixels, draw: np.random.Generator) -> Pixels:
    """The image cut into squares that change places; an edge that no square fills stays."""
    high, wide = image.shape[0] // SQUARES, image.shape[1] // SQUARES
    if not (high and wide):
        return _shuffled(image, draw)
    mixed = image.copy()
    corners = [(row * high, column * wide) for row in range(SQUARES) for column in range(SQUARES)]
    for (top, left), other in zip(corners, draw.permutation(len(corners)), strict=True):
        y, x = corners[other]
        mixed[top : top + high, left : left + wide] = image[y : y + high, x : x + wide]
    return mixed


def _shuffled(image: Pixels, draw: np.random.Generator) -> Pixels:
    flat = image.reshape(-1, image.shape[2])
    return np.ascontiguousarray(flat[draw.permutation(len(flat))].reshape(image.shape))
