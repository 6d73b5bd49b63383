"""What a run of a model costs here, measured before it takes traffic, and the plan that follows from it.

A run of 20 µs should not pay 50 µs to reach a thread; on a CPU a bigger batch is often not cheaper by the
row, and two single-thread runs side by side can beat one two-thread run. Which of these holds differs by
model and machine, so it is measured: seconds by threads of a run, runs side by side, and rows of a batch.

Runs side by side have a thread each, unless they get clearly more done in a session whose every run may use all
threads. Who comes alone is answered by a second session with all threads, if that is worth its weights in memory.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from inference.proving.independence import BatchProof
from inference.runtime.session import Runs
from inference.values import Tensors
from serving.engine.plan import Plan

# A hop to a worker thread and back costs about this much with the GIL handed over twice.
HOP_S = 150e-6
# While a graph runs on the loop no socket is read; more than this would be felt by other callers.
INLINE_RUN_S = 2e-3
# What a request costs around its run: parsing, scheduling, encoding. It bounds what a cheap graph can answer.
REQUEST_S = 60e-6
# Throughput within this factor of the best counts as equal, and the smaller batch (less latency) wins.
AS_GOOD = 0.95
DEFAULT_P99_MS = 1000.0
# Of callers who have set no limit as many are let in as one client's pool of connections holds: a graph of 25 rows
# a second would else turn away the 26th of them, who waits gladly.
DEFAULT_ROWS = 64
# A run alone has to gain as much by more threads as would be worth a second session.
ALONE_GAIN = 1.15
# Runs that share all threads wait for one another at every layer, and the event loop and its callers want a core now
# and then too: `text` served so answered 0.87 of what a thread each did where it had measured 0.99, ResNet-50 0.92
# where it had measured 1.09.
TOGETHER_GAIN = 1.15
# Of measuring one point; four models have to start within 2 s of processor time.
_WINDOW_S, _WINDOWS, _POINT_S = 0.002, 3, 0.03
# The ways to run are told apart by some hundredths, and a start is seldom alone on its machine: while one way after
# the other was measured, `text` was at times given threads to share, and then answered 1,190 a second for 1,370.
_TURNS = 3
_LONG_S = 0.01
_LOSES = 0.9
# Fallen so far below the best, throughput does not come back with still bigger batches: caches are full.
_FALLEN = 0.75
# Runs at once that are tried where a device of its own computes: beside one, others copy and are launched.
RUNS_ON_DEVICE = (1, 2, 4)
# There the first run of a thread makes handles of its own, so that the first window of runs at once says little.
_LEAST_WINDOWS_ON_DEVICE = 2
# From one batch size to the next, where each has a session of its own: at most three quarters of a batch are filling.
_SIZE_GROWTH = 4
_MINDS = 2.0  # times its usual seconds, for a run that comes after one of another size
_SLOW_S = 0.5  # a batch that takes longer is none that anybody should wait for, so no bigger one is tried

# Counted up whenever the same machine would be measured or chosen for otherwise, so that no kept profile outlives it.
RULES = 6

# Of one row, that measuring takes in all where threads and batch sizes are compared.
_RUNS_TO_MEASURE = 100
# Of a graph that nobody could run yet: what the queue is planned by until a request tells.
UNKNOWN_RUN_S = 0.1

Rows = Callable[[int], Tensors]
"""Gives the tensors of a batch of so many rows; asked just before they are run, so that it may wait for its moment."""


class Point(BaseModel):
    """One measured combination: `seconds` from the start of `runs` runs side by side to the end of them all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threads: int
    runs: int
    rows: int
    seconds: float

    @property
    def rows_per_s(self) -> float:
        """Throughput with every slot busy."""
        return self.rows * self.runs / self.seconds


class Overrides(NamedTuple):
    """How runs are to be made whatever measures better; None: as measured. No `runs` at once: on the event loop."""

    threads: int | None = None
    runs: int | None = None


AS_MEASURED = Overrides()


class Profile(BaseModel):
    """The measured curve of one graph on one machine, and what was chosen on it.

    `chosen` is how batches run while others do; `alone`, where it is another, how one that finds the model idle.
    `batch_sizes` are the only ones that are run, each in a session of its own, where a change of size costs; else none.
    `measured` false: `chosen` is assumed, until the rest is measured under way. `batching`: what was proved of rows
    that share a run; None where the bundle's own proof says it. `note`: why it is not measured, if it cannot be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    points: tuple[Point, ...]
    chosen: Point
    alone: Point | None
    inline: bool
    batch_sizes: tuple[int, ...] = ()
    measured: bool = True
    batching: BatchProof | None = None
    note: str = ""

    def plan(self, p99_ms: float | None, max_batch_size: int | None, max_pending_rows: int | None) -> Plan:
        """What to run by: everything that is not set by hand follows from the curve and `p99_ms`.

        So many rows are admitted as can be answered within `p99_ms`, and at least two full batches a slot, so
        that one can gather while the other runs. Without a `p99_ms` from anybody it is `DEFAULT_P99_MS`, and
        `DEFAULT_ROWS` are admitted however long they take.
        """
        batch, runs = max_batch_size or self.most_rows, self.chosen.runs
        enough = min(batch, self.chosen.rows)
        least = max(2 * enough * runs, DEFAULT_ROWS if p99_ms is None else 0)
        within_s = (DEFAULT_P99_MS if p99_ms is None else p99_ms) * 1e-3
        in_time = int(within_s * min(self.chosen.rows_per_s, 1 / REQUEST_S))
        if max_pending_rows:
            return Plan(self.inline, runs, batch, enough, max_pending_rows)
        return Plan(self.inline, runs, batch, enough, max(in_time, least), within_s, least)

    @property
    def most_rows(self) -> int:
        """Rows of a batch where many wait: as many as were measured to cost no more by the row than the chosen ones."""
        chosen = self.chosen
        if self.inline:
            return chosen.rows
        enough = AS_GOOD * _served_rows_per_s(chosen)
        same = (
            point.rows
            for point in self.points
            if (point.threads, point.runs) == (chosen.threads, chosen.runs)
            and point.rows >= chosen.rows
            and _served_rows_per_s(point) >= enough
        )
        return max(same, default=chosen.rows)


def assume(run_s: float, cpus: int, overrides: Overrides = AS_MEASURED, note: str = "") -> Profile:
    """What to run by until a graph is measured of which one row takes `run_s`: rows alone, a thread each."""
    threads = overrides.threads or 1
    runs = max(1, cpus // threads) if overrides.runs is None else overrides.runs
    chosen = Point(threads=threads, runs=max(1, runs), rows=1, seconds=run_s)
    return Profile(points=(), chosen=chosen, alone=None, inline=runs == 0, measured=False, note=note)


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

    With one of threads and runs by hand the other is what the CPUs then leave, and nothing but these two is measured.
    """
    limit = max(1, max_batch_size)
    if overrides != AS_MEASURED:
        return _measure_only(open_session, rows, cpus, limit, overrides)
    single = open_session(1)
    first = _point(single, rows, threads=1, runs=1)
    if first.seconds < HOP_S:
        return _inline(_curve(single, rows, first, limit, INLINE_RUN_S))
    if cpus == 1:
        return _threaded(_curve(single, rows, first, limit), None, ())
    spread = open_session(cpus)
    ways = (single, 1, 1), (single, 1, cpus), (spread, cpus, cpus), (spread, cpus, 1)
    by_itself, a_thread_each, together, alone = _by_turns(ways, rows)
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
    first = _point(session, rows, threads, runs=1)
    if limit > 1 and _minds_changes(session, rows, first.seconds):
        sizes = _sizes(limit)
        session = open_session(threads, sizes)
        first = _point(session, rows, threads, runs=1)
    if runs == 0 or (runs is None and first.seconds < HOP_S):
        curve = _curve(session, rows, first, limit, INLINE_RUN_S, sizes)
        return _inline(curve).model_copy(update={"batch_sizes": sizes})
    curves = [
        _curve(
            session,
            rows,
            _point(session, rows, threads, number, least_windows=_LEAST_WINDOWS_ON_DEVICE),
            limit,
            sizes=sizes,
            least_windows=_LEAST_WINDOWS_ON_DEVICE,
        )
        for number in ((runs,) if runs else RUNS_ON_DEVICE)
    ]
    best = [max(map(_served_rows_per_s, curve)) for curve in curves]
    chosen = next(place for place, each in enumerate(best) if each >= AS_GOOD * max(best))
    rest = [point for curve in curves if curve is not curves[chosen] for point in curve]
    return _threaded(curves[chosen], None, rest).model_copy(update={"batch_sizes": sizes})


def _minds_changes(session: Runs, rows: Rows, steady_s: float) -> bool:
    """Whether one row takes clearly longer just after a batch of two: what a run prepares is kept for one size."""
    one, two = rows(1), rows(2)
    taken = []
    for _ in range(_TURNS):
        session.run(two)
        start = time.perf_counter()
        session.run(one)
        taken.append(time.perf_counter() - start)
    return min(taken) > _MINDS * steady_s + HOP_S


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
        return _inline(_curve(session, rows, _point(session, rows, threads, 1), limit, INLINE_RUN_S))
    threads = threads or max(1, cpus // (runs or 1))
    runs = runs or max(1, cpus // threads)
    session = open_session(threads)
    return _threaded(_curve(session, rows, _point(session, rows, threads, runs), limit), None, ())


def _best_way(a_thread_each: Point, together: Point, alone: Point) -> Point:
    """A thread each, unless sharing them clearly gains, or runs side by side only hinder each other."""
    if together.rows_per_s >= TOGETHER_GAIN * max(a_thread_each.rows_per_s, alone.rows_per_s):
        return together
    return a_thread_each if a_thread_each.rows_per_s >= AS_GOOD * alone.rows_per_s else alone


def _inline(points: list[Point]) -> Profile:
    """On the loop: the biggest batch that does not keep it for long; one row, if by hand and that long already."""
    short = [point for point in points if point.seconds <= INLINE_RUN_S]
    chosen = max(short or points[:1], key=lambda point: point.rows)
    return Profile(points=tuple(points), chosen=chosen, alone=None, inline=True)


def _threaded(curve: list[Point], alone: Point | None, rest: Sequence[Point]) -> Profile:
    """On worker threads: the best throughput, hops included, and of those as good the smallest batch."""
    return Profile(points=(*curve, *rest), chosen=_smallest_as_good(curve), alone=alone, inline=False)


def _smallest_as_good(curve: Sequence[Point]) -> Point:
    enough = AS_GOOD * max(map(_served_rows_per_s, curve))
    return next(point for point in curve if _served_rows_per_s(point) >= enough)


def _served_rows_per_s(point: Point) -> float:
    """What a bigger batch also saves is the way to a thread and back: for `text` a tenth of a run of one row."""
    return point.rows * point.runs / (point.seconds + HOP_S)


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
        curve.append(_point(session, rows, first.threads, first.runs, size, least_windows))
        latest, best = _served_rows_per_s(curve[-1]), max(map(_served_rows_per_s, curve))
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


def _by_turns(ways: Sequence[tuple[Runs, int, int]], rows: Rows) -> list[Point]:
    """Each way (session, threads, runs) with one row at its best of some turns, so that noise meets all alike."""
    seconds = [
        [_time(session, rows(1), runs, most_windows=1) for session, _, runs in ways] for _ in range(_TURNS)
    ]
    return [
        Point(threads=threads, runs=runs, rows=1, seconds=min(taken))
        for (_, threads, runs), taken in zip(ways, zip(*seconds, strict=True), strict=True)
    ]


def _point(
    session: Runs, rows: Rows, threads: int, runs: int, size: int = 1, least_windows: int = 1
) -> Point:
    seconds = _time(session, rows(size), runs, least_windows=least_windows)
    return Point(threads=threads, runs=runs, rows=size, seconds=seconds)


def _time(
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


class ProfileCache:
    """Profiles on disk by what they depend on, so that a restart need not measure again."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` None: nothing is kept."""
        self._folder = folder

    def get(self, key: str) -> Profile | None:
        """The profile kept under `key`; None if there is none that can be read."""
        if self._folder is None:
            return None
        try:
            return Profile.model_validate_json((self._folder / f"{key}.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def put(self, key: str, profile: Profile) -> None:
        """Keep a profile; a folder that cannot be written (a read-only root) costs only the next measuring."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            scratch = self._folder / f".{key}.json"
            scratch.write_text(profile.model_dump_json())
            scratch.replace(self._folder / f"{key}.json")
        except OSError:
            return


def cache_key(*parts: str | int | None) -> str:
    """A name for a profile: graph digest, provider, CPUs and ONNX Runtime's version, for instance."""
    return hashlib.sha256(json.dumps([RULES, *parts]).encode()).hexdigest()[:32]


def sample_rows(example: Tensors) -> Rows:
    """Batches made by repeating the rows of one real example."""

    def make(size: int) -> Tensors:
        return {name: np.resize(array, (size, *array.shape[1:])) for name, array in example.items()}

    return make
