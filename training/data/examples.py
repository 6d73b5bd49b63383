"""Examples and the loader: all that the loop needs of a data set, whatever the task."""

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from inference.values import Tensors

Batch = dict[str, Tensor]
"""Tensors by name, the first axis of each the example: the model's inputs, and `label`."""

# Rows at once where nothing is learned. Published scores and temperatures were taken with these sizes: another one
# may add floats in another order, and so change a figure's last digit.

EVALUATION_BATCH = 500
"""Of examples in memory: validation in the fit and of an int8 graph, and ranking on test."""

BUNDLE_BATCH = 250
"""Through a candidate bundle, which takes at most 256 (`release.publish.MAX_BATCH_SIZE`), and its model in PyTorch."""

CATALOGUE_BATCH = 64
"""Through a recommender's bundle: every row's answer is a score for each item of the catalogue."""


class Examples(Protocol):
    """A data set held in memory, that is collated by row number."""

    def __len__(self) -> int: ...

    def batch(self, rows: Tensor, generator: torch.Generator) -> Batch:
        """Collate `rows` (int64 [n]); every draw (negatives, crops of a text) comes from `generator`."""
        ...

    def order(self, generator: torch.Generator, batch_size: int) -> Tensor:
        """Row numbers (int64 [rows]) in the order of one epoch; text sorts by length within this freedom."""
        ...


class Subset:
    """Some rows of other examples, in the order given."""

    def __init__(self, examples: Examples, rows: Tensor) -> None:
        """rows: int64 [n]."""
        self.examples, self.rows = examples, rows

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, rows: Tensor, generator: torch.Generator) -> Batch:
        """Collate `rows` of these."""
        return self.examples.batch(self.rows[rows], generator)

    def order(self, generator: torch.Generator, batch_size: int) -> Tensor:
        """A shuffle; the lengths of texts are not looked at."""
        return torch.randperm(len(self.rows), generator=generator)


def seeded(*parts: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator that is a function of `parts` alone, such as (seed, epoch, step)."""
    # A hash of the parts: their sum would give (seed 0, step 1) and (seed 1, step 0) the same draws. Zeros at the end
    # do not count, as in every `SeedSequence`.
    state = np.random.SeedSequence(parts).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state) >> 1)  # PyTorch takes 63 bits


def restart(*parts: int, device: torch.device | str = "cpu") -> None:
    """Seed PyTorch's own generators, which dropout draws from, by `parts`.

    Without `torch.manual_seed`, which also notes the whole stack of its callers for each kind of device that may be
    used later: a tenth of a millisecond, or two where the stack is deep.
    """
    seed, kind = seeded(*parts).initial_seed(), torch.device(device).type
    torch.default_generator.manual_seed(seed)
    if kind == "cuda":
        torch.cuda.manual_seed(seed)
    elif kind != "cpu":
        torch.manual_seed(seed)


class Loader:
    """Batches of an epoch, a pure function of (seed, epoch, position), so that a killed run resumes exactly.

    With several processes every process draws the same order and takes its own slice of each global batch:
    two processes see the same rows as one with the doubled batch size. `training` shuffles and drops the
    incomplete last batch; otherwise rows come in order, all of them.
    """

    def __init__(
        self, examples: Examples, batch_size: int, *, seed: int, training: bool, rank: int = 0, world: int = 1
    ) -> None:
        self.examples, self.batch_size, self.seed, self.training = examples, batch_size, seed, training
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        whole, rest = divmod(len(self.examples), self.batch_size * self.world)
        return whole if self.training else whole + (rest > 0)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the first epoch."""
        return self.epoch(0)

    def epoch(self, number: int, first: int = 0) -> Iterator[Batch]:
        """The batches of that epoch, from position `first` on."""
        order = self._order(number)
        for position in range(first, len(self)):
            yield self._batch(order, number, position)

    def _order(self, epoch: int) -> Tensor:
        if not self.training:
            return torch.arange(len(self.examples))
        return self.examples.order(seeded(self.seed, epoch), self.batch_size * self.world)

    def _batch(self, order: Tensor, epoch: int, position: int) -> Batch:
        first = (position * self.world + self.rank) * self.batch_size
        rows = order[first : first + self.batch_size]
        if not self.training and self.world > 1:
            # Even shares: a process without a row in the last batch would keep the others waiting.
            rows = order.tensor_split(len(self))[position][self.rank :: self.world]
        return self.examples.batch(rows, seeded(self.seed, epoch, position, self.rank))


def spread_rows(rows: int, most: int) -> Tensor:
    """At most so many row numbers, evenly spread: int64 [n]."""
    return torch.linspace(0, rows - 1, min(rows, most), dtype=torch.float64).round().long()


def as_arrays(tensors: Mapping[str, Tensor]) -> Tensors:
    """Tensors as contiguous arrays, which ONNX Runtime takes without a copy."""
    return {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in tensors.items()}
