"""A worker's requests get their answers, and fail when the supervisor has gone."""

import asyncio

import pytest

from serving.workers.link import SupervisorLink
from serving.workers.messages import (
    AllReports,
    Answer,
    Ask,
    Beat,
    Changed,
    Done,
    GetReport,
    Leaving,
    Load,
    Order,
    Readiness,
    Refresh,
    Up,
)
from tests.serving.workers.stubs import StubSupervisor, report

STARTING = Readiness(ready=False, problems={}, missing=["it is starting"])


async def _obey(order: Order) -> Done:
    return Done(order.id, Changed(ready=True, problems={}, profiles={}))


def test_answers_reach_the_request_that_they_belong_to() -> None:
    async def story() -> None:
        supervisor = StubSupervisor()
        link = SupervisorLink(supervisor.theirs, STARTING)
        running = asyncio.ensure_future(link.run(_obey))
        await supervisor.connect()
        load = asyncio.ensure_future(link.ask(Load("m"), Answer))
        reports = asyncio.ensure_future(link.ask(GetReport(), AllReports))
        asked = [await supervisor.hear(Ask), await supervisor.hear(Ask)]
        assert [type(each.act) for each in asked] == [Load, GetReport]
        supervisor.say(Answer(asked[0].id, {1: None}))
        supervisor.say(AllReports(asked[1].id, [], report(), []))
        assert (await reports).reports == []
        assert (await load).outcomes == {1: None}
        supervisor.go()
        await running

    asyncio.run(story())


def test_a_worker_beats_until_its_link_is_closed_though_it_obeys_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serving.workers.link.BEAT_S", 0.001)

    async def story() -> None:
        supervisor = StubSupervisor()
        link = SupervisorLink(supervisor.theirs, STARTING)
        running = asyncio.ensure_future(link.run(_obey))
        await supervisor.connect()
        await supervisor.hear(Beat)
        running.cancel()  # it drains
        for _ in range(3):
            await supervisor.hear(Beat)
        await link.close()
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1
        supervisor.go()

    asyncio.run(story())


def test_orders_are_obeyed_and_readiness_is_the_latest() -> None:
    async def story() -> None:
        supervisor = StubSupervisor()
        link = SupervisorLink(supervisor.theirs, STARTING)
        link.tell(Leaving())  # before it is connected: lost, and no error
        running = asyncio.ensure_future(link.run(_obey))
        await supervisor.connect()
        await supervisor.hear(Up)
        supervisor.say(Readiness(ready=True, problems={}, missing=[]))
        supervisor.say(Order(9, Refresh()))
        assert (await supervisor.hear(Done)).id == 9
        assert link.readiness.ready
        supervisor.go()
        await running

    asyncio.run(story())


def test_a_request_fails_when_the_supervisor_goes_and_later_ones_at_once() -> None:
    async def story() -> None:
        supervisor = StubSupervisor()
        link = SupervisorLink(supervisor.theirs, STARTING)
        running = asyncio.ensure_future(link.run(_obey))
        await supervisor.connect()
        loading = asyncio.ensure_future(link.ask(Load("m"), Answer))
        await supervisor.hear(Ask)
        supervisor.go()
        for request in (loading, link.ask(Load("m"), Answer)):
            with pytest.raises(ConnectionError, match="supervisor has gone"):
                await request
        await running

    asyncio.run(story())
