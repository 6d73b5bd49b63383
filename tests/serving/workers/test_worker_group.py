"""A worker speaks for all: a change that does not succeed everywhere says where it failed."""

import asyncio
import socket

import pytest
from prometheus_client import CollectorRegistry

from inference.errors import LoadRefused, ModelNotFound, ModelNotReady
from serving.engine.group import Process
from serving.engine.inflight import InflightBytes
from serving.engine.registry import ModelRegistry
from serving.engine.served_model import ModelState, ServedModel
from serving.workers.coordinator import Coordinator
from serving.workers.messages import AllReports, Answer, Ask, Failure, GetReport, Readiness, Report
from serving.workers.profiles import SharedProfiles
from serving.workers.roster import Roster, Worker
from serving.workers.worker_group import WorkerGroup, WorkerId
from tests.serving.workers.stubs import StubSupervisor, family, report


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
        coordinator = Coordinator(Roster(1), lambda: None)
        ours, theirs = socket.socketpair()
        group = WorkerGroup(theirs, WorkerId(1, 1), SharedProfiles(None))
        group.join(Process(Broken(), CollectorRegistry(), lambda: True, "cpu", 0.0, InflightBytes(1 << 20)))
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        worker = Worker(1, writer)
        following = asyncio.ensure_future(coordinator.follow(worker, reader))
        running = asyncio.ensure_future(group.run())
        for _ in range(2):
            with pytest.raises(ModelNotReady, match="RuntimeError: m: a bug"):
                await asyncio.wait_for(group.load("m"), 5)
        writer.close()
        await asyncio.gather(following, running)
        worker.slot.leave()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("outcomes", "error", "message"),
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
    outcomes: dict[int, Failure | None], error: type[Exception], message: str
) -> None:
    async def story() -> None:
        supervisor = StubSupervisor()
        group = WorkerGroup(supervisor.theirs, WorkerId(1, 2), SharedProfiles(None))
        running = asyncio.ensure_future(group.run())
        await supervisor.connect()
        loading = asyncio.ensure_future(group.load("m"))
        supervisor.say(Answer((await supervisor.hear(Ask)).id, outcomes))
        with pytest.raises(error, match=message):
            await loading
        supervisor.go()
        await running
        with pytest.raises(ConnectionError, match="supervisor has gone"):
            await group.load("m")

    asyncio.run(story())


def test_a_version_is_shown_in_the_worst_state_that_it_has_in_any_worker() -> None:
    def of(worker: int, **states: ModelState) -> Report:
        index: list[tuple[str, int | str, str, str]] = [
            (name, 1, state.value, "") for name, state in states.items()
        ]
        return Report(worker, [], [], index, {})

    ready, loading = ModelState.READY, ModelState.LOADING
    reports = [of(1, m=ready, n=ready), of(2, m=loading, n=ready)]

    async def story() -> None:
        supervisor = StubSupervisor()
        group = WorkerGroup(supervisor.theirs, WorkerId(1, 2), SharedProfiles(None))
        running = asyncio.ensure_future(group.run())
        await supervisor.connect()
        asked = asyncio.ensure_future(group.index())
        supervisor.say(AllReports((await supervisor.hear(Ask)).id, reports, report(), []))
        assert [(entry.name, entry.state, entry.reason) for entry in await asked] == [
            ("m", loading, "worker 2 of 2: it is loading"),
            ("n", ready, ""),
        ]
        supervisor.go()
        await running

    asyncio.run(story())


def test_metrics_are_those_of_all_workers_with_the_counts_of_ended_ones() -> None:
    async def story() -> None:
        supervisor = StubSupervisor()
        group = WorkerGroup(supervisor.theirs, WorkerId(1, 2), SharedProfiles(None))
        running = asyncio.ensure_future(group.run())
        await supervisor.connect()
        asking = asyncio.ensure_future(group.metrics())
        asked = await supervisor.hear(Ask)
        assert asked.act == GetReport()
        each = report(family("c", "counter", a=2), family("baton_ready", "gauge", a=0))
        own = [family("baton_workers", "gauge", a=2), family("baton_ready", "gauge", a=1)]
        supervisor.say(AllReports(asked.id, [each, each], each, own))
        values = {metric.name: metric.samples[0].value for metric in (await asking).collect()}
        assert values == {"c": 6, "baton_workers": 2, "baton_ready": 1}
        supervisor.go()
        await running

    asyncio.run(story())


def test_a_group_is_not_ready_before_the_supervisor_says_so() -> None:
    supervisor = StubSupervisor()
    group = WorkerGroup(supervisor.theirs, WorkerId(1, 2), SharedProfiles(None))
    assert group.missing() == ["worker 1 of 2 is not ready: it is starting"]

    class Fine(ModelRegistry):
        def __init__(self) -> None:
            pass

        def problems(self) -> dict[str, str]:
            return {}

    async def story() -> None:
        group.join(Process(Fine(), CollectorRegistry(), lambda: True, "cpu", 0.0, InflightBytes(1 << 20)))
        assert not group.ready()
        running = asyncio.ensure_future(group.run())
        await supervisor.connect()
        supervisor.say(Readiness(ready=True, problems={"m": "bad"}, missing=[]))
        supervisor.go()
        await running
        assert group.ready()
        assert group.problems() == {"m": "bad"}

    asyncio.run(story())
