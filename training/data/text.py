"""Texts as token ids in memory, in batches of much the same length."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor

from inference.processors.text import INPUT
from training.architectures.words import PAD
from training.data.examples import Batch

POOL_BATCHES = 50
"""Batches drawn at random before they are sorted by length: much less padding, hardly less chance."""


@dataclass(frozen=True)
class Texts:
    """Texts of any length, one after the other.

    raw: the texts themselves. ids: int32 [tokens of all], starts: int64 [rows + 1], labels: int64 [rows].
    """

    raw: Sequence[str]
    ids: Tensor
    starts: Tensor
    labels: Tensor

    @classmethod
    def of(cls, raw: Sequence[str], ids: Sequence[Sequence[int]], labels: Sequence[int]) -> "Texts":
        """Rows of ids as they come from a tokenizer."""
        lengths = np.fromiter((len(row) for row in ids), np.int64, len(ids))
        flat = np.fromiter((number for row in ids for number in row), np.int32, int(lengths.sum()))
        return cls.flat(raw, flat, lengths, np.asarray(labels, np.int64))

    @classmethod
    def flat(
        cls,
        raw: Sequence[str],
        ids: npt.NDArray[np.int32],
        lengths: npt.NDArray[np.int64],
        labels: npt.NDArray[np.int64],
    ) -> "Texts":
        """ids: int32 [tokens of all], one text after the other; lengths, labels: int64 [rows]."""
        starts = np.concatenate([[0], np.cumsum(lengths)])
        return cls(raw, torch.from_numpy(ids), torch.from_numpy(starts), torch.from_numpy(labels))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> Tensor:
        """Tokens of each text, int64 [rows]."""
        return self.starts.diff()

    def batch(self, rows: Tensor, generator: Generator) -> Batch:
        """`ids` int64 [n, longest], padded at the end, and `label` int64 [n]."""
        starts, lengths = self.starts[rows], self.lengths[rows]
        position = torch.arange(int(lengths.max()))
        inside = position < lengths[:, None]
        found = self.ids[torch.where(inside, starts[:, None] + position, 0)]
        return {INPUT: torch.where(inside, found, PAD).long(), "label": self.labels[rows]}

    def order(self, generator: Generator, batch_size: int) -> Tensor:
        """Shuffled, then sorted by length within pools of some batches, then the batches shuffled."""
        shuffled = torch.randperm(len(self), generator=generator)
        lengths = self.lengths
        pools = [
            pool[lengths[pool].argsort(stable=True)]
            for pool in torch.split(shuffled, POOL_BATCHES * batch_size)
        ]
        batches = torch.split(torch.cat(pools), batch_size)
        # An incomplete batch stays last, where the loader drops it.
        whole = len(self) // batch_size
        chosen = torch.randperm(whole, generator=generator).tolist()
        return torch.cat([batches[number] for number in chosen] + list(batches[whole:]))
