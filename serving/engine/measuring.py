"""Which points of a graph are measured before it takes traffic, and which of them is chosen to run by.

A run of 20 µs should not pay 50 µs to reach a thread. On a CPU a bigger batch is often not cheaper by the row, and
two runs of one thread side by side can beat one run of two threads. Which of these holds differs by model and
machine. So it is measured: seconds by threads of a run, runs side by side, and rows of a batch.

Runs side by side have a thread each, unless they get clearly more done in a session whose every run may use all
threads. A request that comes alone is answered by a second session with all threads, if that is worth its memory.
"""

from collections.abc import Callable, Iterator, Sequence

from inference.runtime.session import Runs
from serving.engine.profile import AS_GOOD, AS_MEASURED, HOP_S, Overrides, Point, Profile
from serving.engine.timing import Rows, slowed_by_changes, time_by_turns, time_point

# While a graph runs on the loop no socket is read; more than this would be felt by other clients.
INLINE_RUN_S = 2e-3
# A run alone has to gain as much by more threads as would be worth a second session.
ALONE_GAIN = 1.15
# Runs that share all threads wait for one another at every layer, and the event loop and its clients want a core now
# and then too. Of the throughput of a thread each, `text` served so had 0.87 where 0.99 was measured, and ResNet-50 had
# 0.92 where 1.09 was measured.
TOGETHER_GAIN = 1.15
_LONG_S = 0.01  # of a batch: twice as many rows would be waited for too long to try them for a loser
_LOSES = 0.9  # of the best throughput: clearly more than `AS_GOOD` leaves to noise
# Fallen so far below the best, throughput does not come back with still bigger batches: caches are full.
_FALLEN = 0.75
# Runs at once that are tried where a device of its own computes: beside one, others copy and are launched.
RUNS_ON_DEVICE = (1, 2, 4)
# There the first run of a thread makes handles of its own, so that the first window of runs at once says little.
_LEAST_WINDOWS_ON_DEVICE = 2
# From one batch size to the next, where each has a session of its own: at most three quarters of a batch are filling.
_SIZE_GROWTH = 4
_SLOW_S = 0.5  # a batch that takes longer is none that anybody should wait for, so no bigger one is tried
# Of one row: so many a whole measurement takes, where threads and batch sizes are compared.
_RUNS_TO_MEASURE = 100


def seconds_to_measure(run_s: float) -> float:
    """About how long `measure` takes for a graph of which one row takes `run_s`."""
    return _RUNS_TO_MEASURE * run_s


def measure(
    open_session: Callable[[int], Runs],
    rows: Rows,
    cpus: int,
    max_batch_size: int,
    overrides: Overrides = AS_MEASURED,
) -> Profile:
    """Measure a graph; `open_session` takes the threads of a run. `max_batch_size` 0: it takes no batches.

    With one of threads and runs set, the CPUs left decide the other, and nothing but these two is measured.
    """
    limit = max(1, max_batch_size)
    if overrides != AS_MEASURED:
        return _measure_only(open_session, rows, cpus, limit, overrides)
    single = open_session(1)
    first = time_point(single, rows, threads=1, runs=1)
    if first.seconds < HOP_S:
        return _inline(_curve(single, rows, first, limit, INLINE_RUN_S))
    if cpus == 1:
        return _threaded(_curve(single, rows, first, limit), None, ())
    spread = open_session(cpus)
    ways = (single, 1, 1), (single, 1, cpus), (spread, cpus, cpus), (spread, cpus, 1)
    by_itself, a_thread_each, together, alone = time_by_turns(ways, rows)
    gains = by_itself.seconds >= ALONE_GAIN * alone.seconds
    best = _best_way(a_thread_each, together, alone)
    curve = _curve(single if best is a_thread_each else spread, rows, best, limit)
    rest = [point for point in (by_itself, a_thread_each, together, alone) if point is not best]
    return _threaded(curve, alone if gains and best is a_thread_each else None, rest)


def measure_on_device(
    open_session: Callable[[int, tuple[int, ...]], Runs],
    rows: Rows,
    max_batch_size: int,
    overrides: Overrides = AS_MEASURED,
) -> Profile:
    """Measure a graph that a GPU runs, where a CPU's threads hardly count and a second session costs its weights.

    `open_session` takes the threads of a run, and the batch sizes that get a session of their own (none: one for all).
    """
    threads, runs = overrides.threads or 1, overrides.runs
    limit, sizes = max(1, max_batch_size), tuple[int, ...]()
    session = open_session(threads, sizes)
    first = time_point(session, rows, threads, runs=1)
    if limit > 1 and slowed_by_changes(session, rows, first.seconds):
        sizes = _sizes(limit)
        session = open_session(threads, sizes)
        first = time_point(session, rows, threads, runs=1)
    if runs == 0 or (runs is None and first.seconds < HOP_S):
        curve = _curve(session, rows, first, limit, INLINE_RUN_S, sizes)
        return _inline(curve).model_copy(update={"batch_sizes": sizes})
    curves = [
        _curve(
            session,
            rows,
            time_point(session, rows, threads, number, least_windows=_LEAST_WINDOWS_ON_DEVICE),
            limit,
            sizes=sizes,
            least_windows=_LEAST_WINDOWS_ON_DEVICE,
        )
        for number in ((runs,) if runs else RUNS_ON_DEVICE)
    ]
    best = [_best(curve) for curve in curves]
    chosen = next(place for place, each in enumerate(best) if each >= AS_GOOD * max(best))
    rest = [point for curve in curves if curve is not curves[chosen] for point in curve]
    return _threaded(curves[chosen], None, rest).model_copy(update={"batch_sizes": sizes})


def _sizes(limit: int) -> tuple[int, ...]:
    """Few, since each has its weights in memory: 1, 4, 16 … and the limit."""
    sizes = [1]
    while _SIZE_GROWTH * sizes[-1] < limit:
        sizes.append(_SIZE_GROWTH * sizes[-1])
    return (*sizes, limit)


def _measure_only(
    open_session: Callable[[int], Runs], rows: Rows, cpus: int, limit: int, overrides: Overrides
) -> Profile:
    threads, runs = overrides
    if runs == 0:
        threads = threads or 1
        session = open_session(threads)
        return _inline(_curve(session, rows, time_point(session, rows, threads, 1), limit, INLINE_RUN_S))
    threads = threads or max(1, cpus // (runs or 1))
    runs = runs or max(1, cpus // threads)
    session = open_session(threads)
    return _threaded(_curve(session, rows, time_point(session, rows, threads, runs), limit), None, ())


def _best_way(a_thread_each: Point, together: Point, alone: Point) -> Point:
    """A thread each, unless sharing them clearly gains, or runs side by side only hinder each other."""
    if together.rows_per_s >= TOGETHER_GAIN * max(a_thread_each.rows_per_s, alone.rows_per_s):
        return together
    return a_thread_each if a_thread_each.rows_per_s >= AS_GOOD * alone.rows_per_s else alone


def _inline(points: list[Point]) -> Profile:
    """On the loop: the biggest batch that does not keep it for long; one row, if it is set and that long already."""
    short = [point for point in points if point.seconds <= INLINE_RUN_S]
    chosen = max(short or points[:1], key=lambda point: point.rows)
    return Profile(points=tuple(points), chosen=chosen, alone=None, inline=True)


def _threaded(curve: list[Point], alone: Point | None, rest: Sequence[Point]) -> Profile:
    """On worker threads: the best throughput, hops included, and of those as good the smallest batch."""
    return Profile(points=(*curve, *rest), chosen=_smallest_as_good(curve), alone=alone, inline=False)


def _smallest_as_good(curve: Sequence[Point]) -> Point:
    enough = AS_GOOD * _best(curve)
    return next(point for point in curve if point.served_rows_per_s >= enough)


def _best(curve: Sequence[Point]) -> float:
    return max(point.served_rows_per_s for point in curve)


def _curve(
    session: Runs,
    rows: Rows,
    first: Point,
    limit: int,
    longest_s: float = _SLOW_S,
    sizes: Sequence[int] = (),
    least_windows: int = 1,
) -> list[Point]:
    """Batches of 1 (which is `first`), 2, 4 … rows, or of `sizes`, for as long as a bigger one may still pay."""
    curve = [first]
    for size in sizes[1:] or _doubled(limit):
        if curve[-1].seconds > longest_s:
            break
        curve.append(time_point(session, rows, first.threads, first.runs, size, least_windows))
        latest, best = curve[-1].served_rows_per_s, _best(curve)
        # Twice doubled for nothing that counts, or once where the next takes long and this one clearly loses.
        loses = curve[-1].seconds >= _LONG_S and latest < _LOSES * best
        if size >= (2 if loses else 4) * _smallest_as_good(curve).rows or latest < _FALLEN * best:
            break
    return curve


def _doubled(limit: int) -> Iterator[int]:
    size = 2
    while size <= limit:
        yield size
        size *= 2
