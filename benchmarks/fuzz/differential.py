"""The fast path against uvicorn's own way: the same bytes, cut anywhere, are answered, counted and closed alike.

A stream goes four times through the server, by either way, whole and cut, and the four outcomes are one. Heads that
came before are kept from one stream to the next, as from one connection to the next.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest.mock import patch

from benchmarks.fuzz.streams import Stream, make_stream
from benchmarks.fuzz.watch import Report, Watch
from benchmarks.fuzz.wire import Outcome, converse
from benchmarks.fuzz.world import ANSWERED, EXPLAINED, MODELS, World, counted_at, opened, write_small_models
from serving.engine.metrics import CANCELLED, INVALID, REJECTED

EPOCH = 256
"""Streams between two clearings of the tables: to repeat a difference takes the streams of its epoch before it."""

_HELD_ROWS = 1_000_000_000
_BIG_BODY_BYTES = 256  # in the place of 64 KiB, so that small bodies take the way of big ones
_ANSWER = re.compile(rb"(?=HTTP/1\.1 \d{3} )")
_RUN, _NOT_RUN = {ANSWERED, EXPLAINED}, {CANCELLED, REJECTED, INVALID}
_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_HTTP = b"bytes that are no HTTP"


@dataclass(frozen=True, slots=True)
class Difference:
    """A stream that is not answered alike; `way` names the run that is not as the first one."""

    way: str
    said: str


_RUNS = ("ordinary, whole", "fast, cut", "fast, whole", "ordinary, cut")


def runs_of(number: int) -> tuple[str, ...]:
    """Two runs of a stream, by its number: of one way whole and of the other cut; of every fourth stream all four."""
    return _RUNS if number % 4 == 0 else _RUNS[:2] if number % 2 else _RUNS[2:]


async def outcomes(world: World, stream: Stream, runs: Sequence[str] = _RUNS) -> list[Outcome] | Difference:
    """The outcome of each run; or a difference, where one of them raised, logged or left something."""
    found: list[Outcome] = []
    for name in runs:
        way = world.fast if name.startswith("fast") else world.ordinary
        try:
            outcome = await converse(world, way, stream, cut=name.endswith("cut"))
        except Exception as error:
            return Difference(name, f"raised {error!r}")
        if world.faults.seen:
            return Difference(name, f"logged {world.faults.take()}")
        if left := world.under_way():
            return Difference(name, f"left {left}")
        if b"HTTP/1.1 500 " in outcome.answers:
            return Difference(name, f"answered 500: {outcome.answers!r}")
        found.append(outcome)
    return found


async def differ(world: World, stream: Stream, runs: Sequence[str] = _RUNS) -> Difference | None:
    """The first run of a stream that is not as the others; None where all are one."""
    found = await outcomes(world, stream, runs)
    if isinstance(found, Difference):
        return found
    expected = found[0]
    for name, outcome in zip(runs, found, strict=True):
        if outcome[:3] != expected[:3] and not allowed(expected, outcome):
            return Difference(name, f"{_told(runs[0], expected)}\n{_told(name, outcome)}")
    return None


class Allowed(NamedTuple):
    """A difference that may be: its name, the reason, and whether two outcomes differ by it and nothing else."""

    name: str
    reason: str
    holds: Callable[[Outcome, Outcome], bool]


def counted_otherwise(one: Outcome, other: Outcome) -> set[str]:
    """What is not counted alike."""
    counted = enumerate(zip(one.counted, other.counted, strict=True))
    return {counted_at(place) for place, (first, second) in counted if first != second}


def _unfinished(one: Outcome, other: Outcome) -> bool:
    if not (one.unfinished or other.unfinished):
        return False
    short, long = sorted((answers_of(one), answers_of(other)), key=len)
    return long[: len(short)] == short and len(long) - len(short) <= 1


def _early(one: Outcome, other: Outcome) -> bool:
    first, second = answers_of(one), answers_of(other)
    if len(first) != len(second) or not first or first[:-1] != second[:-1]:
        return False
    one_is_refused = (_NO_HTTP in first[-1]) != (_NO_HTTP in second[-1])
    return one.closed and other.closed and one_is_refused and not counted_otherwise(one, other) & _RUN


def _refused(one: Outcome, other: Outcome) -> bool:
    answers = answers_of(one)
    if answers != answers_of(other) or not (one.closed and other.closed) or _NO_HTTP not in answers[-1]:
        return False
    otherwise = counted_otherwise(one, other)
    return len(otherwise) <= 1 and otherwise <= _NOT_RUN


ALLOWED = (
    Allowed(
        "unfinished",
        "the last request never comes whole. By uvicorn's way an answer that its head decides (404, 429) has gone out; "
        "the fast path answers when the client has sent all, and a piece of a head is parsed at the end of its line",
        _unfinished,
    ),
    Allowed(
        "early answer",
        "the head of the last request decides its answer (404, 405, 429), and its body is no HTTP: whichever is found "
        "first is told, and the connection ends",
        _early,
    ),
    Allowed(
        "refused",
        "the last request is refused, since its body is no HTTP. One that has begun has perhaps been told to continue, "
        "and is counted, as one whose client left or by its head; one that waits behind another has not begun",
        _refused,
    ),
)
"""Every difference that is none of the server's faults."""


def answers_of(outcome: Outcome) -> list[bytes]:
    """The answers one by one, without the interim ones."""
    return _ANSWER.split(outcome.answers.replace(_INTERIM, b""))[1:]


def allowed(one: Outcome, other: Outcome) -> str:
    """The name of the difference between two outcomes that may be; "" for one that may not."""
    return next((each.name for each in ALLOWED if each.holds(one, other)), "")


def _told(what: str, outcome: Outcome) -> str:
    return f"{what}: {outcome.answers!r} {'closed' if outcome.closed else 'open'} {outcome.counted}"


@asynccontextmanager
async def models(folder: Path) -> AsyncIterator[World]:
    """A server for streams, with small models and the shipped one for texts."""
    write_small_models(folder)
    shutil.copytree(MODELS / "reviews", folder / "reviews")
    with patch("serving.http.protocol.LEAST_BYTES", _BIG_BODY_BYTES):
        async with opened(folder) as world:
            admission = world.app.registry.get("full").batcher.admission
            admission.pending_rows += _HELD_ROWS
            try:
                yield world
            finally:
                admission.pending_rows -= _HELD_ROWS


def streams(seed: int, begin: int, end: int) -> Sequence[Stream]:
    """The streams of these numbers."""
    return [make_stream(Random(f"{seed} {number}")) for number in range(begin, end)]


async def shrunk(world: World, before: Sequence[Stream], stream: Stream) -> tuple[list[Stream], Stream]:
    """Fewer streams, and fewer bytes of the last, that still differ after the tables are cleared."""

    async def differs(earlier: Sequence[Stream], last: Stream) -> bool:
        world.forget()
        world.faults.take()
        for each in earlier:
            await outcomes(world, each)
        return await differ(world, last) is not None

    earlier: list[Stream] = list(before)
    if await differs([], stream):
        earlier = []
    for place in reversed(range(len(earlier))):
        if await differs(earlier[:place] + earlier[place + 1 :], stream):
            del earlier[place]
    for easier in (
        replace(stream, hasty=False),
        replace(stream, slow=False),
        replace(stream, draining=False),
        replace(stream, hasty=False, slow=False, draining=False),
    ):
        if easier != stream and await differs(earlier, easier):
            stream = easier
    for place in reversed(range(len(stream.cuts))):
        fewer = replace(stream, cuts=stream.cuts[:place] + stream.cuts[place + 1 :])
        if await differs(earlier, fewer):
            stream = fewer
    size = len(stream.data) // 2
    while size:
        begin = 0
        while begin < len(stream.data):
            less = stream.without(begin, begin + size)
            if await differs(earlier, less):
                stream = less
            else:
                begin += size
        size //= 2
    return earlier, stream


async def search(world: World, seed: int, begin: int, end: int, watch: Watch) -> None:
    """Run the streams from number `begin` to `end`; `watch` is told of each, and of the differences."""
    for number in range(begin, end):
        if number % EPOCH == 0:
            world.forget()
        difference = await differ(world, make_stream(Random(f"{seed} {number}")), runs_of(number))
        watch.done(number)
        if difference is not None:
            watch.fault(number, f"{difference.way}: {difference.said}")
            world.faults.take()


def share(seed: int, begin: int, end: int) -> Report:
    """What a process found in the streams from number `begin` to `end`."""

    async def run() -> Report:
        with TemporaryDirectory(prefix="fuzz-") as folder:
            async with models(Path(folder)) as world:
                watch = Watch(begin, end)
                await search(world, seed, begin - begin % EPOCH, end, watch)
                return watch.report()

    return asyncio.run(run())


def repeat(seed: int, number: int) -> bool:
    """Run one stream again with its epoch, and print the least that still differs; whether any does."""

    async def run() -> bool:
        with TemporaryDirectory(prefix="fuzz-") as folder:
            async with models(Path(folder)) as world:
                epoch = streams(seed, number - number % EPOCH, number + 1)
                world.forget()
                for place, stream in enumerate(epoch[:-1]):
                    await outcomes(world, stream, runs_of(number - len(epoch) + 1 + place))
                difference = await differ(world, epoch[-1])
                if difference is None:
                    print(f"no difference: {epoch[-1]}")
                    return False
                print(f"{difference.way} differs, for {epoch[-1]}\n{difference.said}")
                earlier, least = await shrunk(world, epoch[:-1], epoch[-1])
                world.forget()
                for stream in earlier:
                    print(f"after {stream}")
                    await outcomes(world, stream)
                found = await differ(world, least)
                print(f"at least: {least}\n{'' if found is None else found.said}")
                return True

    return asyncio.run(run())
