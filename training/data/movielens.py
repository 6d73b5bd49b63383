"""MovieLens as logs: 1M as SASRec and as NCF split it, and 100K. For measuring only, never shipped.

GroupLens does not allow redistribution, so nothing made from these files belongs in a published bundle.
"""

import gzip
from pathlib import Path

import numpy as np

from training.data.interactions import Catalogue, InteractionSet, Ints, Sampled, make_log
from training.data.public_sets import PUBLIC_SETS
from training.data.sources import local_files
from training.errors import DataError


def read_movielens_1m(name: str) -> InteractionSet:
    """The file of Kang & McAuley 2018: each user's lines in time order, every line a step of its own."""
    public = PUBLIC_SETS[name]
    events, users, items, movies = local_files(public)
    pairs = _integers(events, 2)
    to_user, to_item = _originals(users), _originals(items)
    titles = _titles(movies, "::")
    log = make_log(pairs[:, 0] - 1, pairs[:, 1], np.arange(len(pairs)))
    ids = [to_item[index] for index in range(1, len(to_item) + 1)]
    return InteractionSet(
        name=name,
        log=log,
        catalogue=Catalogue(tuple(ids), tuple(titles[movie] for movie in ids)),
        users=tuple(to_user[number] for number in range(1, len(to_user) + 1)),
        repeats=False,
        licence=public.licence,
        url=public.homepage,
        digest=public.digest(),
    )


def read_movielens_1m_ncf(name: str) -> InteractionSet:
    """The split of He et al. 2017 with its 99 given negatives.

    Its training pairs have no times here. They are put in the order of SASRec's file of the same ratings, so that
    validation holds out a user's latest movie, as test does. Movies of less than five ratings, which that file leaves
    out, count as the oldest.
    """
    public = PUBLIC_SETS[name]
    train, test, negatives, items, *timed, movies = local_files(public)
    held, to_item = _integers(test, 4), _originals(items)
    pairs = _in_time(_integers(train, 2), _sasrec_pairs(*timed), to_item)
    titles = _titles(movies, "::")
    ids = [to_item[column] for column in range(len(to_item))]
    return InteractionSet(
        name=name,
        log=make_log(pairs[:, 0], pairs[:, 1] + 1, np.arange(len(pairs))),
        catalogue=Catalogue(tuple(ids), tuple(titles[movie] for movie in ids)),
        users=tuple(int(user) + 1 for user in held[:, 0]),
        repeats=False,
        licence=public.licence,
        url=public.homepage,
        digest=public.digest(),
        sampled=Sampled(held[:, 0], held[:, 1] + 1, _negatives(negatives, held) + 1),
    )


def read_movielens_100k(name: str) -> InteractionSet:
    """All ratings as positives, in time order; equal times keep the order of the file, one step each."""
    public = PUBLIC_SETS[name]
    ratings, movies = local_files(public)
    rows = _integers(ratings, 4)
    titles = _titles(movies, "|")
    ids = sorted(titles)
    item_of = {movie: index for index, movie in enumerate(ids, start=1)}
    order = np.argsort(rows[:, 3], kind="stable")
    log = make_log(
        rows[order, 0] - 1, [item_of[movie] for movie in rows[order, 1].tolist()], np.arange(len(rows))
    )
    return InteractionSet(
        name=name,
        log=log,
        catalogue=Catalogue(tuple(ids), tuple(titles[movie] for movie in ids)),
        users=tuple(range(1, int(rows[:, 0].max()) + 1)),
        repeats=False,
        licence=public.licence,
        url=public.homepage,
        digest=public.digest(),
    )


def _sasrec_pairs(events: Path, users: Path, items: Path) -> Ints:
    """GroupLens' user and movie of every line of SASRec's file, int64 [events, 2]: each user's in time order."""
    to_user, to_item = _originals(users), _originals(items)
    return np.array([(to_user[user], to_item[item]) for user, item in _integers(events, 2).tolist()])


def _in_time(pairs: Ints, timed: Ints, to_item: dict[int, int]) -> Ints:
    """NCF's pairs (users from 0, movies by column), each user's in the order of `timed`; missing ones come first."""
    lines = {(user, movie): line for line, (user, movie) in enumerate(timed.tolist())}
    when = np.array([lines.get((user + 1, to_item[column]), -1) for user, column in pairs.tolist()])
    return pairs[np.lexsort((when, pairs[:, 0]))]


def _negatives(path: Path, held: Ints) -> Ints:
    """int64 [users, 99] in the test file's order of users."""
    lines = _text(path).splitlines()
    others = np.array([line.split("\t")[1:] for line in lines], np.int64)
    named = [line.split("\t")[0] for line in lines]
    expected = [f"({user},{item})" for user, item in held[:, :2].tolist()]
    if named != expected:
        raise DataError(f"{path}: its lines are not those of the test file")
    return others


def _originals(path: Path) -> dict[int, int]:
    """GroupLens' numbers by those of the file."""
    return dict(_integers(path, 2).tolist())


def _integers(path: Path, columns: int) -> Ints:
    """A table of whole numbers, int64 [rows, columns]."""
    values = np.array(_text(path).split(), np.int64)
    if len(values) % columns:
        raise DataError(f"{path}: {len(values)} numbers, expected {columns} a line")
    return values.reshape(-1, columns)


def _titles(path: Path, separator: str) -> dict[int, str]:
    lines = (line.split(separator) for line in path.read_text("latin-1").splitlines())
    return {int(fields[0]): fields[1] for fields in lines}


def _text(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
