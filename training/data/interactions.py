"""The log of a recommendation data set (users, items, time), its catalogue, and its split.

Users are numbered from 0 and items from 1, since 0 pads a history. All items of one user at one time are a basket;
where every event has its own time, every basket is one item.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from training.errors import DataError

Ints = npt.NDArray[np.int64]
ItemId = str | int


@dataclass(frozen=True)
class Catalogue:
    """The items by index: `ids[i]` and `titles[i]` are those of index i + 1; a title may be empty."""

    ids: tuple[ItemId, ...]
    titles: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Log:
    """Events sorted by user and, for each user, by time; all arrays int64 [events].

    basket: a number that rises along the log and is shared by events of one user at one time.
    """

    user: Ints
    item: Ints
    basket: Ints

    def __len__(self) -> int:
        return len(self.user)

    def digest(self) -> str:
        """SHA-256 of the events."""
        return hashlib.sha256(np.stack([self.user, self.item, self.basket]).tobytes()).hexdigest()


@dataclass(frozen=True)
class Sampled:
    """A published test: each user's held-out item and the items that it is ranked among.

    user, item: int64 [rows]; others: int64 [rows, negatives], item indexes.
    """

    user: Ints
    item: Ints
    others: Ints


@dataclass(frozen=True)
class InteractionSet:
    """A data set as it was read. `users` are the external ids by number.

    repeats: whether taking the same item again is normal (a shop), so that history is not filtered.
    sampled: a published test that stands apart from the log; without it the last baskets are the test.
    skipped: lines on rows that were left out. choices: what was found out of the file where no flag said it.
    """

    name: str
    log: Log
    catalogue: Catalogue
    users: tuple[ItemId, ...]
    repeats: bool
    licence: str
    url: str | None
    digest: str
    sampled: Sampled | None = None
    skipped: tuple[str, ...] = ()
    choices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Baskets:
    """The baskets of a log: events `start[b]:stop[b]` of user `user[b]`, all int64 [baskets].

    first: the event at which the history of the basket's user begins.
    part: the split of each basket.
    """

    user: Ints
    first: Ints
    start: Ints
    stop: Ints
    part: npt.NDArray[np.str_]

    def of(self, part: Literal["train", "validation", "test"]) -> Ints:
        """Numbers of the baskets of that part."""
        return np.flatnonzero(self.part == part)


def make_log(users: Sequence[int] | Ints, items: Sequence[int] | Ints, times: npt.ArrayLike) -> Log:
    """Sort events by user and time, keeping the given order where times are equal; equal times are one basket.

    The same item twice in a basket is one event.
    """
    user, item, moment = np.asarray(users, np.int64), np.asarray(items, np.int64), np.asarray(times)
    order = np.lexsort((moment, user))
    user, item, moment = user[order], item[order], moment[order]
    new = np.ones(len(user), bool)
    new[1:] = (user[1:] != user[:-1]) | (moment[1:] != moment[:-1])
    basket = np.cumsum(new, dtype=np.int64) - 1
    _, kept = np.unique(basket * (item.max(initial=0) + 1) + item, return_index=True)
    if len(kept) == len(item):
        return Log(user, item, basket)
    kept.sort()
    return Log(user[kept], item[kept], basket[kept])


def hold_out(log: Log, share: float, seed: int, *, test: bool = True) -> Baskets:
    """Each user's last basket is test; the last but one is validation for a seeded `share` of the users.

    The other users' last but one stays in train, as in the published runs of gSASRec (validation on 512 of
    6,040 users): it is their newest known basket. Users with a single basket are only trained on. Without
    `test` the last basket is the one that may be validation.
    """
    start = np.flatnonzero(np.diff(log.basket, prepend=-1))
    stop = np.append(start[1:], len(log))
    user = log.user[start]
    firsts = np.flatnonzero(np.diff(user, prepend=-1))
    counts = np.diff(np.append(firsts, len(user)))
    part = np.full(len(user), "train", dtype="<U10")
    lasts = firsts + counts - 1
    if test:
        part[lasts[counts > 1]] = "test"
    spare = 2 if test else 1
    eligible = lasts[counts > spare] - (spare - 1)
    if len(eligible) < 2 or not (part != "validation").any():
        raise DataError(
            f"{len(eligible)} users have the {spare + 1} or more events (baskets) that a validation needs, expected 2"
        )
    drawn = np.random.default_rng([seed, len(log)]).permutation(eligible)
    part[drawn[: max(1, round(share * len(eligible)))]] = "validation"
    first = np.repeat(start[firsts], counts)
    return Baskets(user, first, start, stop, part)
