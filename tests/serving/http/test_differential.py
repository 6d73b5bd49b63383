"""The fast path against uvicorn's own way over seeded streams; `python -m benchmarks.fuzz differential` runs longer.

The search is worth what it can find, so faults of the kinds that it is for are put back, and it finds each.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fuzz.differential import ALLOWED, allowed, answers_of, differ, models, search, shrunk
from benchmarks.fuzz.streams import Stream
from benchmarks.fuzz.watch import Watch
from benchmarks.fuzz.wire import Outcome, converse
from benchmarks.fuzz.world import World
from serving.http.protocol import FastCycle, FastProtocol, Head

SEED = 15
STREAMS = 2000

BODY = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}'
TINY = b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
INDEX = b"POST /v2/repository/index HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
EXPECTS = (
    b"POST %b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n"
)


Steps = Callable[[World], Coroutine[Any, Any, Any]]


def run(folder: Path, steps: Steps) -> Any:
    """The result of some steps with a server of its own."""

    async def within() -> Any:
        async with models(folder) as world:
            return await steps(world)

    return asyncio.run(within())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Steps], Any]]:
    """Runs steps with a server that they share."""
    with asyncio.Runner() as runner:
        opened = models(tmp_path_factory.mktemp("models"))
        world = runner.run(opened.__aenter__())
        yield lambda steps: runner.run(steps(world))
        runner.run(opened.__aexit__(None, None, None))


def found(folder: Path, count: int, begin: int = 0) -> list[tuple[int, str]]:
    """The faults of the first streams of the seed."""

    async def steps(world: World) -> list[tuple[int, str]]:
        watch = Watch(begin, begin + count)
        await search(world, SEED, begin, begin + count, watch)
        return list(watch.report().faults)

    faults: list[tuple[int, str]] = run(folder, steps)
    return faults


@pytest.mark.slow
def test_both_ways_answer_count_and_close_alike(tmp_path: Path) -> None:
    assert found(tmp_path, STREAMS) == []


def with_blank_lines(protocol: FastProtocol, data: bytes, cycle: FastCycle) -> None:
    """As `FastProtocol._remember` was: with the end of the blank lines taken for the end of the head."""
    end = data.find(b"\r\n\r\n") + 4
    protocol.heads[data[:end]] = Head(
        cycle.route, cycle.headers, int(cycle.headers[b"content-length"]), binary=False
    )


def not_last(protocol: FastProtocol, data: bytes, cycle: FastCycle) -> None:
    """A head is kept though the length of its body is another's."""
    end = data.find(b"\r\n\r\n") + 4
    protocol.heads[data[:end]] = Head(cycle.route, cycle.headers, len(data) - end, binary=False)


def always_kept(self: FastCycle, answer: Any) -> None:
    """A server that drains does not close."""
    answer.headers[:] = [header for header in answer.headers if header[0] != b"connection"]
    SEND(self, answer)


SEND = FastCycle.send


@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "name", "fault"),
    [
        (FastProtocol, "_remember", with_blank_lines),
        (FastProtocol, "_remember", not_last),
        (FastCycle, "send", always_kept),
        (FastCycle, "take", lambda self, chunk: setattr(self, "_body", chunk)),
        (World, "under_way", lambda _: "a request"),
    ],
    ids=["blank lines", "length", "close", "pieces", "left"],
)
def test_a_fault_that_is_put_back_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, fault: Any
) -> None:
    monkeypatch.setattr(owner, name, fault)
    assert found(tmp_path, 600)


@pytest.mark.slow
def test_a_stream_that_differs_is_shrunk_to_what_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FastCycle, "take", lambda self, chunk: setattr(self, "_body", chunk))
    stream = Stream(TINY + INDEX, cuts=(3, len(TINY) - 5, len(TINY) + 9), hasty=True)

    async def steps(world: World) -> tuple[list[Stream], Stream]:
        assert await differ(world, stream) is not None
        return await shrunk(world, [Stream(TINY), Stream(INDEX)], stream)

    earlier, least = run(tmp_path, steps)
    assert earlier == []
    assert not least.hasty
    assert len(least.data) < len(TINY)
    assert len(least.cuts) == 1


def outcome(
    answers: bytes, *, closed: bool = True, counted: tuple[int, ...] = (0,) * 8, **more: Any
) -> Outcome:
    return Outcome(answers, closed, counted, more.get("unfinished", False))


NOT_FOUND = b"HTTP/1.1 404 Not Found\r\n\r\n"
REFUSED = b"HTTP/1.1 400 Bad Request\r\n\r\nbody: got bytes that are no HTTP (x), expected HTTP/1.1"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        (outcome(NOT_FOUND, closed=False, unfinished=True), outcome(b"", closed=False, unfinished=True), "unfinished"),
        (outcome(NOT_FOUND), outcome(REFUSED), "early answer"),
        (outcome(CONTINUE + REFUSED), outcome(REFUSED), "refused"),
        (outcome(REFUSED), outcome(REFUSED, counted=(0, 0, 0, 0, 0, 0, 1, 0)), "refused"),
        (outcome(NOT_FOUND, closed=False), outcome(b"", closed=False), ""),
        (outcome(NOT_FOUND, closed=False), outcome(REFUSED), ""),
        (outcome(REFUSED), outcome(REFUSED, counted=(0, 1, 0, 0, 0, 0, 0, 0)), ""),
        (outcome(REFUSED), outcome(NOT_FOUND + REFUSED), ""),
        (outcome(NOT_FOUND), outcome(NOT_FOUND, closed=False), ""),
    ],
)  # fmt: skip
def test_a_difference_that_may_be_is_named_and_no_other_is(one: Outcome, other: Outcome, name: str) -> None:
    assert allowed(one, other) == allowed(other, one) == name


def test_every_difference_that_may_be_has_a_reason() -> None:
    assert all(each.name and len(each.reason) > 50 for each in ALLOWED)


@pytest.mark.parametrize("way", ["fast", "ordinary"])
@pytest.mark.parametrize(
    "cuts", [(), (len(TINY),), (100,), tuple(range(1, 400))], ids=["whole", "end", "in", "bytes"]
)
def test_what_stands_behind_the_last_answer_of_a_connection_is_not_run(
    shared: Callable[[Steps], Any], way: str, cuts: tuple[int, ...]
) -> None:
    # Answered as soon as it is parsed; and each answer of a draining server is a connection's last.
    nobody = TINY.replace(b"tiny", b"none")
    stream = Stream(nobody + TINY * 2, cuts=cuts, draining=True)

    async def steps(world: World) -> Outcome:
        return await converse(world, getattr(world, way), stream, cut=True)

    ended: Outcome = shared(steps)
    assert [answer[:12] for answer in answers_of(ended)] == [b"HTTP/1.1 404"]
    assert ended.closed
    assert sum(ended.counted) == 1, "an answer of the server, and none of a model"


@pytest.mark.parametrize("path", [b"/v2/models/tiny/infer", b"/v2/repository/index"], ids=["model", "router"])
@pytest.mark.parametrize("way", ["fast", "ordinary"])
def test_a_body_that_is_no_http_is_refused_without_a_traceback_though_its_client_waits_to_continue(
    shared: Callable[[Steps], Any], way: str, path: bytes
) -> None:
    async def steps(world: World) -> tuple[Outcome, list[str]]:
        ended = await converse(world, getattr(world, way), Stream(EXPECTS % path), cut=True)
        return ended, world.faults.take()

    ended, logged = shared(steps)
    assert logged == []
    (answer,) = answers_of(ended)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request")
    assert ended.closed
    assert sum(ended.counted) == (1 if b"infer" in path else 0), "as one whose client left"


@pytest.mark.parametrize("left", [INDEX[:-1], INDEX[:-2]], ids=["a part of the body", "none"])
def test_a_client_that_leaves_while_it_sends_is_no_traceback(
    shared: Callable[[Steps], Any], left: bytes
) -> None:
    async def steps(world: World) -> tuple[Outcome, list[str]]:
        return await converse(world, world.fast, Stream(left), cut=True), world.faults.take()

    ended, logged = shared(steps)
    assert (ended.answers, logged) == (b"", [])
