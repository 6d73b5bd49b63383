"""Logits and labels to measure on: models that are calibrated by construction, and halves of recorded rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from inference.values import Array


@dataclass(frozen=True)
class Rows:
    """logits: float64 [rows, classes], labels: int64 [rows]."""

    logits: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Array) -> "Rows":
        """Those rows."""
        return Rows(self.logits[rows], self.labels[rows])


Draw = Callable[[np.random.Generator, int], Rows]
"""Fresh rows, as many as asked for."""


@dataclass(frozen=True)
class Model:
    """A model whose softmax is the probability of its labels, times `sharpness` in its logits.

    Each row's logits are normal, and that of one class lies higher by about `margin`. Classes differ: the rows of class
    k have `slope · k` less of it, so that some are harder.
    """

    classes: int
    margin: float
    spread: float = 2.0
    slope: float = 0.0
    sharpness: float = 1.0

    def __call__(self, generator: np.random.Generator, rows: int) -> Rows:
        """Draw rows; labels are drawn from the softmax."""
        likely = generator.integers(0, self.classes, rows)
        logits = generator.normal(size=(rows, self.classes))
        logits[np.arange(rows), likely] += generator.normal(self.margin - self.slope * likely, self.spread)
        # The Gumbel trick: the largest of logits with this noise is distributed as their softmax.
        labels = (logits + generator.gumbel(size=logits.shape)).argmax(axis=1)
        return Rows(self.sharpness * logits, labels)

    def without_mistakes(self, generator: np.random.Generator, rows: int) -> Rows:
        """Rows that the model gets right: a split that happens to be perfect is distributed so."""
        drawn = self(generator, 4 * rows + 100)
        right = np.flatnonzero(drawn.logits.argmax(axis=1) == drawn.labels)
        if len(right) < rows:
            raise ValueError(f"margin: got {self.margin}, expected a model that is right more often than not")
        return drawn.take(right[:rows])


@dataclass(frozen=True)
class Recorded:
    """A bundle's rows: each call draws others, without replacement."""

    rows: Rows

    def __call__(self, generator: np.random.Generator, rows: int) -> Rows:
        """Draw rows."""
        return self.rows.take(generator.permutation(len(self.rows))[:rows])


def softmax(logits: Array) -> Array:
    """float64 [rows, classes] → float32, as graphs give it."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Array = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares
