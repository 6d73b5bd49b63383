"""The baselines that a recommender has to beat: popularity, item neighbours, and buying the same again.

They are fitted on the same training log as the model and scored on the same examples in the same command.
"""

from typing import Protocol

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from training.data.histories import Held
from training.data.interactions import Log

NEIGHBOURS = (20, 100, 500)
"""Item neighbours that are tried on validation."""


class Baseline(Protocol):
    """Scores the catalogue for some held-out examples."""

    def scores(self, held: Held, rows: Tensor) -> Tensor:
        """float [n, items], column j for index j + 1."""
        ...


class Popularity:
    """The items that most baskets of the training log hold, the same for everybody."""

    def __init__(self, log: Log, items: int) -> None:
        self.counts = popularity(log, items)

    def scores(self, held: Held, rows: Tensor) -> Tensor:
        return self.counts.expand(len(rows), -1)


class ItemNeighbours:
    """Item-item k-nearest neighbours: the sum of the cosines to every item of the history.

    Two items are alike when the same users have both (Sarwar et al. 2001, doi:10.1145/371920.372071). Ties, and
    items without a neighbour in the history, go by popularity. An item is its own neighbour, with cosine 1, so
    that it can be bought again.
    """

    def __init__(self, log: Log, items: int, neighbours: int) -> None:
        users = int(log.user.max()) + 1
        owned = sparse.csr_matrix(
            (np.ones(len(log), np.float32), (log.user, log.item - 1)), shape=(users, items)
        )
        owned.data[:] = 1.0
        norms = np.sqrt(np.asarray(owned.sum(axis=0)).ravel()).clip(min=1)
        scaled = owned @ sparse.diags(1 / norms)
        self.similarity = _keep_largest((scaled.T @ scaled).tocsr(), neighbours)
        counts = popularity(log, items)
        self.tie_break = 1e-6 * counts / counts.max()

    def scores(self, held: Held, rows: Tensor) -> Tensor:
        items = self.similarity.shape[0]
        histories = [np.unique(held.histories.row(row)) - 1 for row in rows.tolist()]
        ends = np.cumsum([0, *map(len, histories)])
        columns = np.concatenate(histories) if histories else np.empty(0, np.int64)
        taken = sparse.csr_matrix(
            (np.ones(len(columns), np.float32), columns, ends), shape=(len(rows), items)
        )
        return torch.from_numpy((taken @ self.similarity).toarray()) + self.tie_break


class Repetition:
    """The user's most frequent items, the more recent first, then popularity: hard to beat in shops."""

    def __init__(self, log: Log, items: int) -> None:
        counts = popularity(log, items)
        self.tie_break = 1e-6 * counts / counts.max()

    def scores(self, held: Held, rows: Tensor) -> Tensor:
        history = held.histories.last(rows)
        place = torch.arange(1, history.shape[1] + 1) / (history.shape[1] + 1)
        own = torch.zeros(len(rows), len(self.tie_break) + 1)
        often = own.scatter_add(1, history, torch.ones(history.shape))
        latest = own.scatter_reduce(1, history, place.expand(history.shape), "amax")
        return (often + 0.5 * latest)[:, 1:] + self.tie_break


def popularity(log: Log, items: int) -> Tensor:
    """Baskets that hold each item, float32 [items]."""
    return torch.from_numpy(np.bincount(log.item - 1, minlength=items).astype(np.float32))


def _keep_largest(matrix: sparse.csr_matrix, most: int) -> sparse.csr_matrix:
    """The `most` largest values of each column's neighbours (rows of a symmetric matrix), transposed for use."""
    kept = matrix.copy()
    for row in range(kept.shape[0]):
        values = kept.data[kept.indptr[row] : kept.indptr[row + 1]]
        if len(values) > most:
            values[values < np.partition(values, -most)[-most]] = 0
    kept.eliminate_zeros()
    return kept.T.tocsr()
