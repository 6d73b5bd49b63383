"""The parts of a server of several workers, each alone: the door, the merging, and what a member says."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from prometheus_client import CollectorRegistry

from inference.errors import LoadRefused, ModelNotFound, ModelNotReady
from serving.engine.group import Process
from serving.engine.profile import Point, Profile
from serving.engine.registry import ModelRegistry
from serving.engine.served_model import ServedModel
from serving.listening import listen
from serving.settings import Settings
from serving.workers.door import Door, Seat
from serving.workers.hub import Hub, Worker
from serving.workers.member import Member, Place
from serving.workers.merging import add_ended, bury, merge_families, merge_statistics, nobody
from serving.workers.messages import (
    Answer,
    Ask,
    Changed,
    Done,
    Failure,
    Family,
    FromWorker,
    Load,
    Look,
    Order,
    Report,
    Sample,
    Sight,
    Standing,
    ToWorker,
    Up,
    frame,
    from_worker,
    receive,
    to_worker,
)
from serving.workers.profiles import SharedProfiles
from serving.workers.supervisor import Supervisor

_Heard = TypeVar("_Heard", bound=ToWorker)

POINT = Point(threads=1, runs=1, rows=1, seconds=1.0)
PROFILE = Profile(points=(POINT,), chosen=POINT, alone=None, inline=False)


# The door


def _connect(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname())


def _taken(seat: Seat) -> socket.socket:
    return socket.socket(fileno=socket.recv_fds(seat.theirs, 1, 1)[1][0])


async def _until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - a socket says it to the loop alone
        await asyncio.sleep(0)


def test_a_connection_goes_to_who_has_the_fewest() -> None:
    async def story() -> None:
        first, second = Seat(), Seat()
        listener = listen("127.0.0.1", 0)
        door = Door(listener, lambda: (first, second))
        door.look()
        callers = [_connect(listener) for _ in range(4)]
        await _until(lambda: first.dealt + second.dealt == 4)
        assert (first.open, second.open) == (2, 2)
        second.closed = 2
        callers += [_connect(listener) for _ in range(2)]
        await _until(lambda: first.dealt + second.dealt == 6)
        assert (first.open, second.open) == (2, 2)
        await door.close()
        for socket_ in (*callers, *first.leave(), *second.leave()):
            socket_.close()

    asyncio.run(story())


def test_what_a_dead_worker_did_not_take_is_dealt_to_another() -> None:
    async def story() -> None:
        dead, alive = Seat(), Seat()
        seats = [dead]
        listener = listen("127.0.0.1", 0)
        door = Door(listener, lambda: seats)
        door.look()
        caller = _connect(listener)
        caller.sendall(b"hello")
        await _until(lambda: dead.dealt == 1)
        seats.clear()
        door.take_back(dead.leave())
        seats.append(alive)
        door.look()
        assert alive.dealt == 1
        with _taken(alive) as connection:
            assert connection.recv(5) == b"hello"
        caller.close()
        await door.close()
        alive.leave()

    asyncio.run(story())


def test_a_door_that_closes_deals_who_had_come_and_then_says_so() -> None:
    async def story() -> None:
        seat = Seat()
        listener = listen("127.0.0.1", 0)
        door = Door(listener, lambda: (seat,))
        callers = [_connect(listener) for _ in range(3)]
        await door.close()
        seat.seal()
        for _ in callers:
            _taken(seat).close()
        assert socket.recv_fds(seat.theirs, 1, 1)[0] == b""
        for caller in callers:
            caller.close()
        seat.leave()

    asyncio.run(story())


# Merging


def _family(name: str, kind: str, **values: float) -> Family:
    return Family(name, kind, "", [Sample(name, {"model": model}, value) for model, value in values.items()])


@pytest.mark.parametrize(
    ("name", "kind", "merged"),
    [
        ("baton_requests", "counter", 5),
        ("nv_inference_count", "unknown", 5),
        ("baton_queue_rows", "gauge", 5),
        ("baton_queue_age_seconds", "gauge", 3),
        ("baton_ready", "gauge", 2),
        ("baton_model_info", "gauge", 3),
        ("baton_cgroup_cpu_periods", "counter", 3),
    ],
)
def test_what_is_counted_adds_up_and_levels_do_not(name: str, kind: str, merged: float) -> None:
    (family,) = merge_families(([_family(name, kind, a=2)], [_family(name, kind, a=3)]))
    assert [sample.value for sample in family.samples] == [merged]


def test_the_latest_exemplar_stands_for_all() -> None:
    old, new = ({"trace_id": "a"}, 0.1, 10.0), ({"trace_id": "b"}, 0.2, 20.0)
    parts = [[Family("h", "histogram", "", [Sample("h_bucket", {}, 1, each)])] for each in (None, new, old)]
    (family,) = merge_families(parts)
    assert family.samples[0].exemplar == new


def _report(*families: Family, statistics: list[dict[str, Any]] | None = None) -> Report:
    return Report(1, list(families), statistics or [], [], {})


def test_ended_workers_leave_their_counts_and_not_their_levels() -> None:
    ended = nobody()
    for _ in range(2):
        ended = bury(ended, _report(_family("c", "counter", a=2), _family("g", "gauge", a=2)))
    live = [_family("c", "counter", a=1), _family("g", "gauge", a=1)]
    counted, level = add_ended(live, ended.families)
    assert [sample.value for sample in counted.samples] == [5]
    assert [sample.value for sample in level.samples] == [1]


def test_counts_of_a_version_that_nobody_serves_any_more_are_not_shown() -> None:
    ended = bury(nobody(), _report(_family("c", "counter", gone=2, a=2)))
    (family,) = add_ended([_family("c", "counter", a=1)], ended.families)
    assert [(sample.labels["model"], sample.value) for sample in family.samples] == [("a", 3)]


def test_statistics_add_up_by_batch_size() -> None:
    def of(count: int, **sizes: int) -> dict[str, Any]:
        batches = [
            {"batch_size": int(size[1:]), "compute_infer": {"count": each, "ns": 10 * each}}
            for size, each in sizes.items()
        ]
        return {
            "name": "m", "version": "1", "last_inference": count, "inference_count": count,
            "inference_stats": {"success": {"count": count, "ns": 7}}, "batch_stats": batches,
        }  # fmt: skip

    (merged,) = merge_statistics(([of(3, b1=1, b2=1)], [of(9, b2=2, b4=1)]))
    assert merged == of(12, b1=1, b2=3, b4=1) | {
        "last_inference": 9,
        "inference_stats": {"success": {"count": 12, "ns": 14}},
    }


# What was measured by one


def test_what_one_worker_measured_another_need_not(tmp_path: Path) -> None:
    one, other = SharedProfiles(None), SharedProfiles(tmp_path)
    one.put("key", PROFILE)
    other.learn(one.fresh())
    assert other.get("key") == PROFILE
    assert not one.fresh()
    assert not other.fresh()


# The hub


class Stub:
    """A worker's end of its socket, played by the test."""

    def __init__(self, hub: Hub, number: int) -> None:
        self._hub, self._number = hub, number

    async def come(self) -> None:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        self.worker = Worker(self._number, writer)
        self.gone = asyncio.ensure_future(self._hub.follow(self.worker, reader))
        self.reader, self.writer = await asyncio.open_unix_connection(sock=theirs)
        self.say(Up())
        self.say(Done((await self.hear(Order)).id, Changed(ready=True, problems={}, profiles={})))

    def say(self, message: FromWorker) -> None:
        self.writer.write(frame(message))

    async def hear(self, kind: type[_Heard]) -> _Heard:
        """The next message of this kind."""
        while not isinstance(message := await receive(self.reader, to_worker), kind):
            assert message is not None
        return message

    async def go(self) -> None:
        self.writer.close()
        await self.gone
        self.worker.seat.leave()


def test_a_worker_that_does_not_report_is_shown_as_it_was_last_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.workers.hub.LOOK_S", 0.05)

    async def story() -> None:
        stub = Stub(Hub(1, lambda: None), 1)
        await stub.come()
        seen = _report(_family("c", "counter", a=2))
        stub.say(Ask(1, Look()))
        stub.say(Done((await stub.hear(Order)).id, seen))
        assert (await stub.hear(Sight)).reports == [seen]
        stub.say(Ask(2, Look()))
        assert (await stub.hear(Sight)).reports == [seen]
        await stub.go()

    asyncio.run(story())


def test_a_worker_that_ends_during_a_change_fails_it_and_keeps_nobody_waiting() -> None:
    async def story() -> None:
        hub = Hub(2, lambda: None)
        asker, other = Stub(hub, 1), Stub(hub, 2)
        await asker.come()
        await other.come()
        asker.say(Ask(1, Load("m")))
        asker.say(Done((await asker.hear(Order)).id, Changed(ready=True, problems={}, profiles={})))
        await other.hear(Order)
        await other.go()
        assert (await asker.hear(Answer)).outcomes == {1: None, 2: Failure("it ended")}
        await asker.go()

    asyncio.run(story())


def test_ready_is_true_when_every_worker_is() -> None:
    async def story() -> None:
        hub = Hub(2, lambda: None)
        first, second = Stub(hub, 1), Stub(hub, 2)
        await first.come()
        standing = await first.hear(Standing)
        assert (standing.ready, standing.missing) == (False, ["worker 2 of 2 is starting"])
        await second.come()
        while not standing.ready:
            standing = await first.hear(Standing)
        first.say(Ask(1, Load("m")))
        ill = Changed(ready=False, problems={"m": "bad"}, profiles={}, failure=Failure("bad"))
        first.say(Done((await first.hear(Order)).id, ill))
        while standing.ready:
            standing = await first.hear(Standing)
        assert standing == Standing(ready=False, problems={"m": "bad"}, missing=[])
        await first.go()
        await second.go()

    asyncio.run(story())


def test_a_model_that_one_worker_answers_and_another_does_not_takes_the_server_out() -> None:
    async def story() -> None:
        hub = Hub(2, lambda: None)
        first, second = Stub(hub, 1), Stub(hub, 2)
        await first.come()
        await second.come()

        async def refresh(one: Changed, other: Changed) -> None:
            refreshing = asyncio.ensure_future(hub.refresh())
            for stub, changed in ((first, one), (second, other)):
                stub.say(Done((await stub.hear(Order)).id, changed))
            await refreshing

        bad = {"m": "bad"}
        await refresh(Changed(True, {}, {}, served=["m", "n"]), Changed(True, bad, {}, served=["n"]))
        assert not hub._standing.ready
        await refresh(Changed(True, bad, {}, served=["n"]), Changed(True, bad, {}, served=["n"]))
        assert hub._standing.ready  # a name that serves nowhere is no reason
        await first.go()
        await second.go()

    asyncio.run(story())


def test_a_worker_in_which_a_change_raises_anything_answers_and_the_next_change_is_made() -> None:
    class Broken(ModelRegistry):
        def __init__(self) -> None:
            pass

        def served(self) -> list[ServedModel]:
            return []

        def problems(self) -> dict[str, str]:
            return {}

        async def load(self, name: str) -> None:
            raise RuntimeError(f"{name}: a bug")

    async def story() -> None:
        hub = Hub(1, lambda: None)
        ours, theirs = socket.socketpair()
        member = Member(theirs, Place(1, 1), SharedProfiles(None))
        member.join(Process(Broken(), CollectorRegistry(), lambda: True, "cpu", 0.0))
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        worker = Worker(1, writer)
        following = asyncio.ensure_future(hub.follow(worker, reader))
        running = asyncio.ensure_future(member.run())
        for _ in range(2):
            with pytest.raises(ModelNotReady, match="RuntimeError: m: a bug"):
                await asyncio.wait_for(member.load("m"), 5)
        writer.close()
        await asyncio.gather(following, running)
        worker.seat.leave()

    asyncio.run(story())


def test_the_supervisor_has_the_folder_looked_at_again_whatever_a_look_came_to() -> None:
    async def story() -> None:
        looks = 0

        async def refresh() -> None:
            nonlocal looks
            looks += 1
            raise TypeError("a bug")

        with listen("127.0.0.1", 0) as listener:
            supervisor = Supervisor(Settings(poll_s=0.001), [], listener)
            supervisor._hub.refresh = refresh  # type: ignore[method-assign]
            polling = asyncio.ensure_future(supervisor._poll())
            await _until(lambda: looks == 3 or polling.done())
            assert not polling.done()
            polling.cancel()

    asyncio.run(story())


# A change that does not succeed everywhere


@pytest.mark.parametrize(
    ("outcomes", "error", "said"),
    [
        (
            {1: None, 2: Failure("no memory")},
            ModelNotReady,
            "model 'm' is not ready: worker 2 of 2: no memory",
        ),
        ({1: Failure("bad"), 2: Failure("bad")}, ModelNotReady, "model 'm' is not ready: bad"),
        (
            {1: Failure("bad", serves=True), 2: Failure("bad", serves=True)},
            LoadRefused,
            "model 'm' answers as before, since what is on disk is refused: bad",
        ),
        ({1: Failure("bad", serves=True), 2: Failure("bad")}, ModelNotReady, "model 'm' is not ready: bad"),
        ({1: Failure("", found=False), 2: Failure("", found=False)}, ModelNotFound, "'m' is not found"),
    ],
    ids=["one", "all", "as before", "as before in one", "nowhere"],
)
def test_a_change_that_fails_says_where(
    outcomes: dict[int, Failure | None], error: type[Exception], said: str
) -> None:
    async def story() -> None:
        ours, theirs = socket.socketpair()
        member = Member(theirs, Place(1, 2), SharedProfiles(None))
        running = asyncio.ensure_future(member.run())
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        loading = asyncio.ensure_future(member.load("m"))
        asked: FromWorker | None = None
        while not isinstance(asked, Ask):
            asked = await receive(reader, from_worker)
        writer.write(frame(Answer(asked.id, outcomes)))
        with pytest.raises(error, match=said):
            await loading
        writer.close()
        await running
        with pytest.raises(ConnectionError, match="supervisor has gone"):
            await member.load("m")

    asyncio.run(story())
