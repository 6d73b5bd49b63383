"""Events of a file in the order of users and times, with their baskets and repeats, in few bytes a row.

All columns are int32 and let go as soon as they are used: a file is meant to need less than three times its size.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from training.data.interactions import Log

Codes = npt.NDArray[np.int32]


class Events(NamedTuple):
    """Rows sorted by user and time, rows of equal times in the order of the file; all int32 [rows].

    user, item: numbers from 0. basket: rises along the rows, the same for one user at one time. row: in the file.
    """

    user: Codes
    item: Codes
    basket: Codes
    row: Codes

    def __len__(self) -> int:
        return len(self.user)


class Repeats(NamedTuple):
    """The rows whose user has the item in an earlier one.

    again, first: int32 [repeats], places of such a row and of the first one of its user and item. same_basket: those
    of `again` that stand in one basket with the one before. later: how many do not.
    """

    again: Codes
    first: Codes
    same_basket: Codes
    later: int


def joined(parts: list[npt.NDArray[Any]], kind: type[np.generic]) -> npt.NDArray[Any]:
    """The parts as one array; the list is emptied, so that both are not held longer than needed."""
    whole: npt.NDArray[Any] = np.concatenate(parts) if parts else np.empty(0, kind)
    parts.clear()
    return whole


def chosen(values: npt.NDArray[Any], good: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """The good rows; no copy where all are."""
    return values if good.all() else values[good]


def in_order(columns: list[npt.NDArray[Any]]) -> Events:
    """Sort rows by user and time.

    columns: their user, item, time and row, in the order of the file; the list is emptied.
    """
    row, time, item, user = (columns.pop() for _ in range(4))
    order = np.lexsort((time, user))
    user = user[order]
    new = np.ones(len(user), bool)
    new[1:] = user[1:] != user[:-1]
    time = time[order]
    new[1:] |= time[1:] != time[:-1]
    del time
    item = item[order]
    row = row[order]
    return Events(user, item, np.cumsum(new, dtype=np.int32) - np.int32(1), row)


def find_repeats(events: Events, items: int) -> Repeats:
    """Which rows repeat; `items`: how many there are."""
    pair = events.user.astype(np.int64) * items + events.item
    order = np.argsort(pair, kind="stable").astype(np.int32)
    pair = pair[order]
    repeats = np.flatnonzero(pair[1:] == pair[:-1]) + 1
    if not len(repeats):
        nothing = np.empty(0, np.int32)
        return Repeats(nothing, nothing, nothing, 0)
    begins = np.flatnonzero(np.diff(pair, prepend=-1))
    del pair
    again, before = order[repeats], order[repeats - 1]
    first = order[begins[np.searchsorted(begins, repeats, "right") - 1]]
    same = events.basket[again] == events.basket[before]
    return Repeats(again, first, again[same], int((~same).sum()))


def make_event_log(events: Events, dropped: Codes) -> tuple[Log, Codes]:
    """The log without the rows at `dropped`, and the rows' numbers in the file."""
    keep = np.ones(len(events), bool)
    keep[dropped] = False
    basket = events.basket[keep]
    new = np.diff(basket, prepend=-1) != 0
    item = events.item[keep].astype(np.int64)
    item += 1
    log = Log(events.user[keep].astype(np.int64), item, np.cumsum(new, dtype=np.int64) - 1)
    return log, events.row[keep]
