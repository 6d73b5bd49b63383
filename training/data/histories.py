"""Examples for recommenders: batches of histories, baskets, users or pairs as tensors.

Histories are padded with 0 on the left, so that the newest item is always the last.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.data.examples import Batch

POOL_BATCHES = 50
"""Batches among which sequences are sorted by length: much less padding, hardly less chance."""

_DRAWS = 100
"""Of an item that a user does not have: a user with nine tenths of all items fails them once in 40,000 times."""


@dataclass(frozen=True)
class Spans:
    """Stretches `start[i]:stop[i]` (int64 [rows]) of one long line of item indexes (int64 [events])."""

    values: Tensor
    start: Tensor
    stop: Tensor

    def __len__(self) -> int:
        return len(self.start)

    def row(self, row: int) -> list[int]:
        """The items of one stretch, all of them."""
        return self.values[int(self.start[row]) : int(self.stop[row])].tolist()

    def last(self, rows: Tensor, most: int | None = None) -> Tensor:
        """The newest `most` items of each row, int64 [n, longest], at least one column, padded on the left."""
        start, stop = self.start[rows], self.stop[rows]
        length = stop - start
        if most is not None:
            length = length.clamp(max=most)
        width = max(1, int(length.max())) if len(rows) else 1
        position = stop[:, None] - width + torch.arange(width)
        inside = position >= (stop - length)[:, None]
        if not len(self.values):
            return torch.zeros(len(rows), width, dtype=torch.int64)
        return self.values[position.clamp(min=0)].where(inside, 0)


class Shuffled:
    """A plain random order."""

    def __len__(self) -> int:
        raise NotImplementedError

    def order(self, generator: torch.Generator, batch_size: int) -> Tensor:
        return torch.randperm(len(self), generator=generator)


@dataclass(frozen=True)
class Windows(Shuffled):
    """Stretches of single events; every position is an example of the next item.

    Batch: history int64 [n, length] and next int64 [n, length], the item after each.
    """

    sequences: Spans
    length: int

    def __len__(self) -> int:
        return len(self.sequences)

    def batch(self, rows: Tensor, generator: torch.Generator) -> Batch:
        whole = self.sequences.last(rows, self.length + 1)
        return {"history": whole[:, :-1].contiguous(), "next": whole[:, 1:].contiguous()}

    def order(self, generator: torch.Generator, batch_size: int) -> Tensor:
        """Random, with batches of like lengths: padding is a third of MovieLens otherwise."""
        rows = torch.randperm(len(self), generator=generator)
        pools = torch.split(rows, POOL_BATCHES * batch_size)
        length = self.sequences.stop - self.sequences.start
        sorted_pools = torch.cat([pool[length[pool].argsort()] for pool in pools])
        whole = len(rows) - len(rows) % batch_size
        batches = sorted_pools[:whole].reshape(-1, batch_size)
        shuffled = batches[torch.randperm(len(batches), generator=generator)].flatten()
        return torch.cat([shuffled, sorted_pools[whole:]])


@dataclass(frozen=True)
class Steps(Shuffled):
    """Everything before a basket, and the basket.

    Batch: history int64 [n, ≤ length] and target int64 [n, largest basket].
    """

    histories: Spans
    targets: Spans
    length: int

    def __len__(self) -> int:
        return len(self.histories)

    def batch(self, rows: Tensor, generator: torch.Generator) -> Batch:
        return {"history": self.histories.last(rows, self.length), "target": self.targets.last(rows)}


@dataclass(frozen=True)
class Liked(Shuffled):
    """A user, and everything of theirs at once. Batch: user int64 [n], liked int64 [n, most]."""

    user: Tensor
    items: Spans

    def __len__(self) -> int:
        return len(self.user)

    def batch(self, rows: Tensor, generator: torch.Generator) -> Batch:
        return {"user": self.user[rows], "liked": self.items.last(rows)}


@dataclass(frozen=True)
class Pairs(Shuffled):
    """Pairs seen and pairs drawn, as in He et al. 2017: `negatives` items a pair that the user has not.

    Batch: user, item int64 and label float32, all [n · (1 + negatives)].
    """

    user: Tensor
    item: Tensor
    seen: Tensor
    """Sorted keys user · (items + 1) + item of all pairs, int64."""
    items: int
    negatives: int

    def __len__(self) -> int:
        return len(self.user)

    def batch(self, rows: Tensor, generator: torch.Generator) -> Batch:
        user = self.user[rows].repeat(1 + self.negatives)
        count = len(rows) * self.negatives
        drawn = self._unseen(user[len(rows) :], generator)
        label = torch.cat([torch.ones(len(rows)), torch.zeros(count)])
        return {"user": user, "item": torch.cat([self.item[rows], drawn]), "label": label}

    def _unseen(self, user: Tensor, generator: torch.Generator) -> Tensor:
        """An item for each of these users that they do not have, every such one as likely: int64 [n].

        Drawn again until it is one; after `_DRAWS` turns a user gets the next free item instead.
        """
        drawn = torch.randint(1, self.items + 1, user.shape, generator=generator)
        left = self._taken(user, drawn).nonzero().squeeze(1)
        for turn in range(_DRAWS + self.items):
            if not len(left):
                break
            if turn < _DRAWS:
                drawn[left] = torch.randint(1, self.items + 1, left.shape, generator=generator)
            else:
                drawn[left] = drawn[left] % self.items + 1
            left = left[self._taken(user[left], drawn[left])]
        return drawn

    def _taken(self, user: Tensor, item: Tensor) -> Tensor:
        """Whether the user has the item: bool [n]."""
        key = user * (self.items + 1) + item
        position = torch.searchsorted(self.seen, key).clamp(max=len(self.seen) - 1)
        return self.seen[position] == key


@dataclass(frozen=True)
class Held(Shuffled):
    """Validation or test: a history or a user, their next items, and the items to rank these among.

    Batch: history int64 [n, ≤ length] (or user int64 [n]) and target int64 [n, largest basket]. If the answer leaves
    items out, seen int64 [n, longest]. If the protocol samples, others int64 [n, negatives].
    """

    user: Tensor
    histories: Spans
    targets: Spans
    length: int
    by_user: bool
    filtered: bool
    ids: tuple[str | int, ...]
    """External ids of the items, in order."""
    users: tuple[str | int, ...]
    """External ids of the users, in order."""
    others: Tensor | None = None

    def __len__(self) -> int:
        return len(self.user)

    def batch(self, rows: Tensor, generator: torch.Generator) -> Batch:
        batch: Batch = {}
        if self.by_user:
            batch["user"] = self.user[rows]
        else:
            batch["history"] = self.histories.last(rows, self.length)
        batch["target"] = self.targets.last(rows)
        if self.filtered:
            batch["seen"] = self.histories.last(rows)
        if self.others is not None:
            batch["others"] = self.others[rows]
        return batch
