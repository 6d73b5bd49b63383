"""Whether rows of several requests may share a run: proved by running them, never taken from a shape.

A dynamic first axis is not yet a batch. It may be time, or a table, or the graph may compare its rows: a softmax over
axis 0, suppression of boxes, one scale for all. So a few different rows are run alone, and then together in different
company. Each must come out as it did alone, in its own place, and as many as went in.

A proof that cannot be made counts as failed: such a model answers one request at a time, which is always right.
"""

from collections.abc import Callable, Iterator, Sequence, Set
from typing import Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from inference.errors import BatonError, InferenceFailed
from inference.runtime.session import Runs
from inference.values import Array, Tensors

COMPARED = 3
"""Rows that are held against their own answers; the others are only their company."""

# Of the largest number in a row's output. A batch is summed up in another order than a row alone: float32 differs by
# some 1e-6 then, through fifty layers by 1e-5. float16 has three digits, bfloat16 two.
RTOL_BY_ITEMSIZE = {2: 2e-2, 4: 2e-4, 8: 1e-6}
ATOL = 1e-6
OUT_OF_PROPORTION = 1e4  # times the median


_ONE_SCALE = "takes one scale over the whole batch, so that a row's answer depends on its company"
_CHANCE = "draws by chance, so that no answer can be held against another"
MIXES = {
    "DynamicQuantizeLinear": _ONE_SCALE,
    "DynamicQuantizeMatMul": _ONE_SCALE,
    "DynamicQuantizeLSTM": _ONE_SCALE,
    **dict.fromkeys(
        (
            "Bernoulli",
            "Multinomial",
            "RandomNormal",
            "RandomNormalLike",
            "RandomUniform",
            "RandomUniformLike",
        ),
        _CHANCE,
    ),
}
"""Operators by design of which a row depends on the rest of the batch; a few rows may happen not to show it."""


def mixes_by_design(operators: Set[str]) -> str:
    """Why a graph of these operators is no matter for a proof; "" where it is."""
    found = sorted(MIXES.keys() & operators)
    return f"{found[0]} {MIXES[found[0]]}" if found else ""


class BatchProof(BaseModel):
    """The finding about a graph's first axis. `reason` says why requests do not share runs; "" where they may."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batched: bool
    reason: str = ""
    worst: float = 0.0
    """The largest difference between a row in company and alone, as a share of the allowed one."""


class Stacks(Protocol):
    """Anything that puts rows together; `inference.processors.base.Processor` for one."""

    def collate(self, parts: Sequence[Tensors]) -> Tensors:
        """One batch from several rows."""
        ...


class NotProved(Exception):
    """Why a row's answer depends on its company."""


def companies(rows: int, compared: int) -> Iterator[tuple[int, ...]]:
    """Which rows are run together: all in order; in reverse order behind two that are company; one of them twice.

    The rows from `compared` on are company; each of those past the first two comes alone, so that one which the graph
    does not take spoils no other.
    """
    yield tuple(range(compared))
    yield (*range(compared, rows)[:2], *reversed(range(compared)))
    if compared > 1:
        yield (1, 0, 1)
    for other in range(compared + 2, rows):
        yield (other, *range(compared)[:2])


def prove(
    session: Runs,
    rows: Sequence[Tensors],
    stacks: Stacks,
    compared: int = COMPARED,
    *,
    must_differ: bool = True,
) -> BatchProof:
    """Run `rows`, of first axis 1 and different, alone and together; only the first `compared` must differ in nothing.

    An error of ONNX Runtime's is a reason like others: rows that fail together must not be run together.
    `must_differ`: rows that all have one answer prove nothing.
    """
    compared = min(compared, len(rows))
    return _proved(lambda: _compare_all(session, rows, stacks, compared, must_differ=must_differ))


def confirm(
    session: Runs, rows: Sequence[Tensors], stacks: Stacks, size: int, compared: int = COMPARED
) -> BatchProof:
    """The same for a batch of `size` rows, the biggest that will be run: each of `rows` again and again."""
    places = tuple(place % min(compared, len(rows)) for place in range(size))

    def compare() -> float:
        alone = [session.run(row) for row in rows[: max(places) + 1]]
        return _compare(session, rows, stacks, alone, places)

    return _proved(compare)


def _proved(compare: Callable[[], float]) -> BatchProof:
    try:
        worst = compare()
    except NotProved as reason:
        return BatchProof(batched=False, reason=str(reason))
    except BatonError as error:
        return BatchProof(batched=False, reason=f"rows cannot be run together: {error}")
    return BatchProof(batched=True, worst=worst)


def _compare_all(
    session: Runs, rows: Sequence[Tensors], stacks: Stacks, compared: int, *, must_differ: bool
) -> float:
    alone = [session.run(row) for row in rows[:compared]]
    for outputs in alone:
        _check_rows(outputs, 1)
    # The same row twice comes first: a graph that draws by chance would else be told to depend on its company.
    worst = _difference(alone[0], session.run(rows[0]), "asked twice", "run after run")
    for places in companies(len(rows), compared):
        try:
            worst = max(worst, _compare(session, rows, stacks, alone, places))
        except InferenceFailed:
            if places[0] < compared + 2:
                raise
            # A graph may refuse such numbers from anybody; those of its batch are then run again one by one.
    if must_differ and not _differ(alone):
        raise NotProved("all rows that were tried gave the same answer, so nothing can be told from them")
    return worst


def _compare(
    session: Runs, rows: Sequence[Tensors], stacks: Stacks, alone: Sequence[Tensors], places: Sequence[int]
) -> float:
    """The rows of these places in one run, held against those outputs that are in `alone`."""
    together = session.run(stacks.collate([rows[place] for place in places]))
    _check_rows(together, len(places))
    worst, how = 0.0, f"beside {len(places) - 1} others"
    for position, place in enumerate(places):
        if place < len(alone):
            mine = {name: array[position : position + 1] for name, array in together.items()}
            worst = max(worst, _difference(alone[place], mine, how, "with its company"))
    return worst


def _check_rows(outputs: Tensors, rows: int) -> None:
    for name, array in outputs.items():
        if array.shape[:1] != (rows,):
            raise NotProved(f"output {name}: {rows} row(s) went in, and shape {list(array.shape)} came out")


def _differ(answers: Sequence[Tensors]) -> bool:
    """Whether any two rows have different answers."""
    first, *others = answers
    return any(
        not np.array_equal(array, other[name], equal_nan=_is_float(array))
        for other in others
        for name, array in first.items()
    )


def _difference(alone: Tensors, actual: Tensors, how: str, depends: str) -> float:
    """The largest difference as a share of the allowed one; `NotProved` above 1."""
    return max(
        (_of_output(name, array, actual[name], how, depends) for name, array in alone.items()), default=0.0
    )


def _of_output(name: str, alone: Array, actual: Array, how: str, depends: str) -> float:
    if alone.shape != actual.shape:
        raise NotProved(f"output {name}: shape {list(alone.shape)} alone, and {list(actual.shape)} {how}")
    if not _is_float(alone):
        if not np.array_equal(alone, actual):
            raise NotProved(f"output {name} changes {depends}")
        return 0.0
    share, place = _worst_share(alone.reshape(-1), actual.reshape(-1))
    if share > 1.0:
        was, came = float(alone.flat[place]), float(actual.flat[place])
        raise NotProved(f"output {name} changes {depends}: {was:.6g} alone, and {came:.6g} {how}")
    return share


def _worst_share(alone: Array, actual: Array) -> tuple[float, int]:
    """The worst difference as a share of the allowed one, and its place."""
    allowed = RTOL_BY_ITEMSIZE[alone.dtype.itemsize]
    was, came = alone.astype(np.float64), actual.astype(np.float64)
    finite = np.isfinite(was)
    same = finite == np.isfinite(came)
    same &= finite | (was == came) | (np.isnan(was) & np.isnan(came))
    if not same.all():
        return float("inf"), int(np.argmin(same))
    if not finite.any():
        return 0.0, 0
    was, came = np.where(finite, was, 0.0), np.where(finite, came, 0.0)
    shares = np.abs(was - came) / (ATOL + allowed * np.maximum(np.abs(was), _scale(was[finite])))
    place = int(np.argmax(shares))
    return float(shares[place]), place


def _scale(values: Array) -> float:
    """The largest number of a row's output by which its small ones may be off, since they are sums of such.

    A number out of all proportion is not counted: a logit that is masked with -1e9 says nothing of the others.
    """
    sizes = np.abs(values)
    middle = float(np.median(sizes[sizes > 0])) if sizes.any() else 0.0
    return float(sizes[sizes <= OUT_OF_PROPORTION * middle].max(initial=0.0))


def _is_float(array: Array) -> bool:
    return array.dtype.kind == "f"
