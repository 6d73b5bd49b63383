"""How runs are timed: the seconds of one point, or of several ways to run that are compared.

Which points are worth timing is decided in `serving.engine.measuring`.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from inference.runtime.session import Runs
from inference.values import Tensors
from serving.engine.profile import HOP_S, Point

# Of one point: short, since four models have to start within 2 s of processor time.
_WINDOW_S, _WINDOWS, _POINT_S = 0.002, 3, 0.03
# The ways to run differ by some hundredths, and a start is seldom alone on its machine. Measured one after the
# other, `text` was at times given threads to share, and then answered 1,190 a second for 1,370.
_TURNS = 3
_LONG_S = 0.05  # of a run that need not be made twice to know its cost
_SIZE_CHANGE = 2.0  # times its usual seconds, for a run that comes after one of another size

Rows = Callable[[int], Tensors]
"""Gives the tensors of a batch of so many rows; called just before they are run, so that it may wait for its moment."""


def time_point(
    session: Runs, rows: Rows, threads: int, runs: int, size: int = 1, least_windows: int = 1
) -> Point:
    """`runs` runs side by side, of `size` rows each."""
    seconds = _best_window(session, rows(size), runs, least_windows=least_windows)
    return Point(threads=threads, runs=runs, rows=size, seconds=seconds)


def time_by_turns(ways: Sequence[tuple[Runs, int, int]], rows: Rows) -> list[Point]:
    """Each way (session, threads, runs) with one row at its best of some turns, so that noise meets all alike."""
    seconds = [
        [_best_window(session, rows(1), runs, most_windows=1) for session, _, runs in ways]
        for _ in range(_TURNS)
    ]
    return [
        Point(threads=threads, runs=runs, rows=1, seconds=min(taken))
        for (_, threads, runs), taken in zip(ways, zip(*seconds, strict=True), strict=True)
    ]


def slowed_by_changes(session: Runs, rows: Rows, steady_s: float) -> bool:
    """Whether one row takes clearly longer just after a batch of two: the graph keeps its preparations for one size."""
    one, two = rows(1), rows(2)
    taken = []
    for _ in range(_TURNS):
        session.run(two)
        start = time.perf_counter()
        session.run(one)
        taken.append(time.perf_counter() - start)
    return min(taken) > _SIZE_CHANGE * steady_s + HOP_S


def seconds_of(session: Runs, tensors: Tensors) -> float:
    """Of a run; the better of two where that is not long, since the first run makes preparations for the second."""
    first = seconds_taken(lambda: session.run(tensors))
    return first if first > _LONG_S else min(first, seconds_taken(lambda: session.run(tensors)))


def seconds_taken(act: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def _best_window(
    session: Runs, batch: Tensors, runs: int, most_windows: int = _WINDOWS, least_windows: int = 1
) -> float:
    """Seconds of `runs` runs side by side, each begun when the one before it in its thread has ended.

    The best of some windows, since on a shared machine everything else only makes them longer.
    """
    start = time.perf_counter()
    session.run(batch)
    windows = max(
        least_windows, min(most_windows, int(_POINT_S / max(time.perf_counter() - start, _WINDOW_S)))
    )
    if runs == 1:
        return min(_window(session, batch) for _ in range(windows))
    with ThreadPoolExecutor(runs) as pool:
        return min(_side_by_side(pool, session, batch, runs) for _ in range(windows))


def _side_by_side(pool: ThreadPoolExecutor, session: Runs, batch: Tensors, runs: int) -> float:
    """A slower neighbour is not waited for between two runs, as it would not be while serving."""
    each = [pool.submit(_window, session, batch) for _ in range(runs)]
    return runs / sum(1 / mean.result() for mean in each)


def _window(session: Runs, batch: Tensors) -> float:
    """Mean seconds of a run, one after the other for a while."""
    start = now = time.perf_counter()
    count = 0
    while now - start < _WINDOW_S:
        session.run(batch)
        count += 1
        now = time.perf_counter()
    return (now - start) / count
