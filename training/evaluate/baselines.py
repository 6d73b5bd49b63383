"""The baselines that a recommender has to beat: popularity, item neighbours, and buying the same again.

They are fitted on the same training log as the model and scored on the same examples in the same command.
"""

from typing import NamedTuple, Protocol

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from training.data.histories import Held
from training.data.interactions import Ints, Log

NEIGHBOURS = (20, 100, 500)
SHRINKAGE = 10.0
DECAY = 1.0
"""What is tried on validation: neighbours of an item, and then either of the others beside 0."""


class Neighbours(NamedTuple):
    """The settings of `ItemNeighbours`."""

    neighbours: int
    shrinkage: float = 0.0
    decay: float = 0.0


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

    shrinkage: users added to the norm, so that few users in common count less (Bell & Koren 2007,
    doi:10.1109/ICDM.2007.90). decay: of an item's weight, 1 / (1 + decay · items after it), as in sessions (Ludewig &
    Jannach 2018, doi:10.1007/s11257-018-9209-6); an item's latest place counts.
    """

    def __init__(
        self, log: Log, items: int, neighbours: int, shrinkage: float = 0.0, decay: float = 0.0
    ) -> None:
        users = int(log.user.max()) + 1
        owned = sparse.csr_matrix(
            (np.ones(len(log), np.float32), (log.user, log.item - 1)), shape=(users, items)
        )
        owned.data[:] = 1.0
        norms = np.sqrt(np.asarray(owned.sum(axis=0)).ravel()).clip(min=1)
        common = (owned.T @ owned).tocoo()
        product = norms[common.row] * norms[common.col]
        # Of an item with itself there is no chance to be shrunk.
        shrunk = product + np.where(common.row == common.col, 0.0, shrinkage)
        cosines = sparse.csr_matrix((common.data / shrunk, (common.row, common.col)), shape=(items, items))
        self.similarity, self.decay = _keep_largest(cosines.astype(np.float32), neighbours), decay
        counts = popularity(log, items)
        self.tie_break = 1e-6 * counts / counts.max()

    def scores(self, held: Held, rows: Tensor) -> Tensor:
        items = self.similarity.shape[0]
        histories = [_latest(held.histories.row(row)) for row in rows.tolist()]
        ends = np.cumsum([0, *(len(places) for places, _ in histories)])
        columns = np.concatenate([np.empty(0, np.int64), *(places for places, _ in histories)])
        ages = np.concatenate([np.empty(0), *(after for _, after in histories)])
        weights = (1 / (1 + self.decay * ages)).astype(np.float32)
        taken = sparse.csr_matrix((weights, columns, ends), shape=(len(rows), items))
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


def _latest(history: list[int]) -> tuple[Ints, Ints]:
    """The different items of a history as columns, and how many items follow the latest place of each."""
    columns, places = np.unique(np.array(history[::-1], np.int64) - 1, return_index=True)
    return columns, places.astype(np.int64)


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
