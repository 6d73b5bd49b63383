"""Recommendation data by name or path, and the examples that each kind of model learns from.

    InteractionSet → hold_out → train: Windows, Steps, Liked or Pairs · validation and test: Held

Turning a history into a tensor belongs to `inference.processors`, reading files to the modules beside this one.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from training.architectures.record import ExampleKind
from training.architectures.registry import architectures_for
from training.data.events import Reading, read_events
from training.data.examples import Examples
from training.data.files import ENDINGS
from training.data.histories import Held, Liked, Pairs, Spans, Steps, Windows
from training.data.interactions import Baskets, InteractionSet, Ints, Log, hold_out
from training.data.movielens import read_movielens_1m, read_movielens_1m_ncf, read_movielens_100k
from training.data.public_sets import PUBLIC_SETS
from training.data.retail import read_retail
from training.data.shop import read_shop
from training.errors import DataError

USER_KINDS = frozenset({"users", "pairs"})
"""Examples of models that know users by their numbers, and take no history."""

_READERS = {
    "shop": read_shop,
    "online-retail": read_retail,
    "movielens-1m": read_movielens_1m,
    "movielens-1m-ncf": read_movielens_1m_ncf,
    "movielens-100k": read_movielens_100k,
}


def load_interactions(data: str, how: Reading) -> InteractionSet:
    """A named set, or a file of one's own."""
    if data in _READERS:
        return _READERS[data](data)
    path = Path(data)
    if not path.is_file():
        known = ", ".join(name for name, public in PUBLIC_SETS.items() if public.task == "recommendation")
        raise DataError(f"--data {data!r} is neither a file ({ENDINGS}) nor a named set ({known})")
    return read_events(path, how)


@dataclass(frozen=True)
class Splits:
    """The three splits, and the events of the log that became validation or are left to train on."""

    train: Examples
    validation: Held
    test: Held
    train_log: Log
    held_rows: Ints


def make_splits(
    found: InteractionSet, kind: ExampleKind, length: int, negatives: int, share: float, seed: int
) -> Splits:
    """Cut the set up; `length`: items of the longest history; `share`: as in `hold_out`."""
    try:
        baskets = hold_out(found.log, share, seed, test=found.sampled is None)
    except DataError as error:
        raise DataError(f"{found.name}: {error}") from error
    by_user = kind in USER_KINDS
    if found.sampled is not None and not by_user:
        known = [
            one.name for one in architectures_for("recommendation").values() if one.example_kind in USER_KINDS
        ]
        raise DataError(f"{found.name} has no times; it is for models that know users ({', '.join(known)})")
    training = np.isin(found.log.basket, baskets.of("train"))
    train_log = Log(*(column[training] for column in (found.log.user, found.log.item, found.log.basket)))
    maker = _Maker(found, baskets, length, by_user)
    return Splits(
        train=maker.train(kind, train_log, negatives),
        validation=maker.validation(train_log, seed),
        test=maker.test(train_log),
        train_log=train_log,
        held_rows=np.flatnonzero(np.isin(found.log.basket, baskets.of("validation"))),
    )


@dataclass(frozen=True)
class _Maker:
    """Builds the examples of one data set."""

    found: InteractionSet
    baskets: Baskets
    length: int
    by_user: bool

    def train(self, kind: ExampleKind, log: Log, negatives: int) -> Examples:
        if kind == "pairs":
            return _pairs(log, len(self.found.catalogue), negatives)
        if kind == "users":
            user, spans = _by_user(log)
            return Liked(user, spans)
        if kind == "rows":
            raise ValueError(
                "example_kind: got 'rows', expected sequences, baskets, users or pairs of a recommender"
            )
        if kind == "sequences" and _single(self.baskets):
            return Windows(_windows(log, self.length), self.length)
        later = self.baskets.of("train")
        later = later[self.baskets.start[later] > self.baskets.first[later]]
        return Steps(*self._spans(later), self.length)

    def validation(self, log: Log, seed: int) -> Held:
        if self.found.sampled is None:
            return self._held("validation")
        chosen = self.baskets.of("validation")
        items = torch.from_numpy(self.found.log.item[self.baskets.start[chosen]])
        users = torch.from_numpy(self.baskets.user[chosen])
        return self._sampled(log, users, items, _draw_unseen(self.found, users, seed))

    def test(self, log: Log) -> Held:
        if self.found.sampled is None:
            return self._held("test")
        test = self.found.sampled
        return self._sampled(
            log, *(torch.from_numpy(column) for column in (test.user, test.item, test.others))
        )

    def _held(self, part: Literal["validation", "test"]) -> Held:
        chosen = self.baskets.of(part)
        histories, targets = self._spans(chosen)
        users = torch.from_numpy(self.baskets.user[chosen])
        return self._make(users, histories, targets, self.by_user, not self.found.repeats)

    def _spans(self, baskets: Ints) -> tuple[Spans, Spans]:
        """Histories before the baskets, and the baskets."""
        items = torch.from_numpy(self.found.log.item)
        first, start, stop = (
            torch.from_numpy(edge[baskets])
            for edge in (self.baskets.first, self.baskets.start, self.baskets.stop)
        )
        return Spans(items, first, start), Spans(items, start, stop)

    def _sampled(self, log: Log, users: Tensor, items: Tensor, others: Tensor) -> Held:
        """The history of a user is their items in train, in no order."""
        owner, spans = _by_user(log)
        row = torch.searchsorted(owner, users.contiguous())
        histories = Spans(spans.values, spans.start[row], spans.stop[row])
        each = torch.arange(len(items))
        return self._make(users, histories, Spans(items, each, each + 1), True, False, others)

    def _make(
        self,
        users: Tensor,
        histories: Spans,
        targets: Spans,
        by_user: bool,
        filtered: bool,
        others: Tensor | None = None,
    ) -> Held:
        ids = self.found.catalogue.ids
        return Held(users, histories, targets, self.length, by_user, filtered, ids, self.found.users, others)


def _single(baskets: Baskets) -> bool:
    """Whether every basket is one event."""
    return bool((baskets.stop - baskets.start == 1).all())


def _by_user(log: Log) -> tuple[Tensor, Spans]:
    """Each user of the log, and their events."""
    start = np.flatnonzero(np.diff(log.user, prepend=-1))
    stop = np.append(start[1:], len(log))
    spans = Spans(torch.from_numpy(log.item), torch.from_numpy(start), torch.from_numpy(stop))
    return torch.from_numpy(log.user[start]), spans


def _windows(log: Log, length: int) -> Spans:
    """Each user's events cut into stretches of `length` + 1, from the newest back; they share their end points."""
    _, whole = _by_user(log)
    edges = [
        (max(start, stop - length - 1), stop)
        for start, end in zip(whole.start.tolist(), whole.stop.tolist(), strict=True)
        for stop in range(end, start + 1, -length)
    ]
    start, stop = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).unbind(1)
    return Spans(whole.values, start, stop)


def _pairs(log: Log, items: int, negatives: int) -> Pairs:
    user, item = torch.from_numpy(log.user), torch.from_numpy(log.item)
    seen = torch.from_numpy(np.unique(log.user * (items + 1) + log.item))
    return Pairs(user, item, seen, items, negatives)


def _draw_unseen(found: InteractionSet, users: Tensor, seed: int, count: int = 99) -> Tensor:
    """As many items that each user has nowhere in the log, without repetition: int64 [users, count]."""
    owner, spans = _by_user(found.log)
    draw = np.random.default_rng([seed, count])
    everything = np.arange(1, len(found.catalogue) + 1)
    rows = []
    for row in torch.searchsorted(owner, users.contiguous()).tolist():
        free = np.setdiff1d(everything, spans.row(row))
        rows.append(draw.choice(free, size=count, replace=len(free) < count))
    return torch.from_numpy(np.stack(rows))
