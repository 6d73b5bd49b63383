"""The coordinator has every worker change alike, and waits for none that ends or is late."""

import asyncio
import logging

import pytest

from serving.workers.coordinator import Coordinator
from serving.workers.messages import (
    AllReports,
    Answer,
    Ask,
    Beat,
    Changed,
    Done,
    Failure,
    GetReport,
    Load,
    Order,
    Readiness,
    Start,
    Stuck,
    Unload,
    Up,
)
from serving.workers.roster import Roster
from tests.serving.workers.stubs import StubWorker, family, report, until

CHANGED = Changed(ready=True, problems={}, profiles={})


def test_a_worker_that_does_not_report_is_shown_by_its_last_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.workers.coordinator.REPORT_S", 0.05)

    async def story() -> None:
        stub = StubWorker(Coordinator(Roster(1), lambda: None), 1)
        await stub.come()
        last = report(family("c", "counter", a=2))
        stub.say(Ask(1, GetReport()))
        stub.say(Done((await stub.hear(Order)).id, last))
        assert (await stub.hear(AllReports)).reports == [last]
        stub.say(Ask(2, GetReport()))
        assert (await stub.hear(AllReports)).reports == [last]
        await stub.go()

    asyncio.run(story())


def test_a_worker_that_ends_during_a_change_fails_it_and_keeps_no_other_waiting() -> None:
    async def story() -> None:
        coordinator = Coordinator(Roster(2), lambda: None)
        asker, other = StubWorker(coordinator, 1), StubWorker(coordinator, 2)
        await asker.come()
        await other.come()
        asker.say(Ask(1, Load("m")))
        asker.say(Done((await asker.hear(Order)).id, CHANGED))
        await other.hear(Order)
        await other.go()
        assert (await asker.hear(Answer)).outcomes == {1: None, 2: Failure("it ended")}
        await asker.go()

    asyncio.run(story())


def test_a_change_that_a_worker_does_not_make_in_time_fails_and_is_noted_when_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serving.workers.coordinator.CHANGE_S", 0.05)

    async def story() -> None:
        coordinator = Coordinator(Roster(2), lambda: None)
        asker, late = StubWorker(coordinator, 1), StubWorker(coordinator, 2)
        await asker.come()
        await late.come()
        asker.say(Ask(1, Load("m")))
        asker.say(Done((await asker.hear(Order)).id, CHANGED))
        assert (await asker.hear(Answer)).outcomes == {1: None, 2: Failure("it has not answered for 0.05 s")}
        order = await late.hear(Order)
        late.say(Done(order.id, Changed(ready=True, problems={}, profiles={}, served=["m"])))
        await until(lambda: late.worker.served == ["m"])
        await asker.go()
        await late.go()

    asyncio.run(story())


def test_a_worker_whose_run_is_stuck_says_so_and_the_supervisor_is_told() -> None:
    async def story() -> None:
        told: list[str] = []
        coordinator = Coordinator(Roster(1), lambda: told.append(stub.worker.stuck))
        stub = StubWorker(coordinator, 1)
        await stub.come()
        stub.say(Beat())
        stub.say(Stuck("m: a run takes 301 s"))
        await until(lambda: told[-1:] == ["m: a run takes 301 s"])
        await stub.go()

    asyncio.run(story())


def test_ready_is_true_when_every_worker_is() -> None:
    async def story() -> None:
        coordinator = Coordinator(Roster(2), lambda: None)
        first, second = StubWorker(coordinator, 1), StubWorker(coordinator, 2)
        await first.come()
        readiness = await first.hear(Readiness)
        assert (readiness.ready, readiness.missing) == (False, ["worker 2 of 2 is starting"])
        await second.come()
        while not readiness.ready:
            readiness = await first.hear(Readiness)
        first.say(Ask(1, Load("m")))
        ill = Changed(ready=False, problems={"m": "bad"}, profiles={}, failure=Failure("bad"))
        first.say(Done((await first.hear(Order)).id, ill))
        while readiness.ready:
            readiness = await first.hear(Readiness)
        assert readiness == Readiness(ready=False, problems={"m": "bad"}, missing=[])
        await first.go()
        await second.go()

    asyncio.run(story())


def test_a_model_that_one_worker_answers_and_another_does_not_takes_the_server_out() -> None:
    async def story() -> None:
        roster = Roster(2)
        coordinator = Coordinator(roster, lambda: None)
        first, second = StubWorker(coordinator, 1), StubWorker(coordinator, 2)
        await first.come()
        await second.come()

        async def refresh(one: Changed, other: Changed) -> None:
            refreshing = asyncio.ensure_future(coordinator.refresh())
            for stub, changed in ((first, one), (second, other)):
                stub.say(Done((await stub.hear(Order)).id, changed))
            await refreshing

        bad = {"m": "bad"}
        await refresh(Changed(True, {}, {}, served=["m", "n"]), Changed(True, bad, {}, served=["n"]))
        assert not roster.readiness().ready
        await refresh(Changed(True, bad, {}, served=["n"]), Changed(True, bad, {}, served=["n"]))
        assert roster.readiness().ready  # a name that serves nowhere is no reason
        await first.go()
        await second.go()

    asyncio.run(story())


def test_a_worker_that_comes_later_starts_without_the_unloaded_models_and_with_the_profiles() -> None:
    async def story() -> None:
        coordinator = Coordinator(Roster(2), lambda: None)
        first, second = StubWorker(coordinator, 1), StubWorker(coordinator, 2)
        await first.come()
        first.say(Ask(1, Unload("m")))
        order = await first.hear(Order)
        first.say(Done(order.id, Changed(ready=True, problems={}, profiles={"key": b"{}"})))
        assert (await first.hear(Answer)).outcomes == {1: None}
        await second.come()
        assert second.started == Order(second.started.id, Start(["m"]), {"key": b"{}"})
        await first.go()
        await second.go()

    asyncio.run(story())


def test_a_refresh_that_keeps_failing_alike_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        coordinator = Coordinator(Roster(1), lambda: None)
        stub = StubWorker(coordinator, 1)
        await stub.come()
        for _ in range(2):
            refreshing = asyncio.ensure_future(coordinator.refresh())
            failed = Changed(True, {}, {}, failure=Failure("no such folder"))
            stub.say(Done((await stub.hear(Order)).id, failed))
            await refreshing
        await stub.go()

    with caplog.at_level(logging.WARNING, "baton.supervisor"):
        asyncio.run(story())
    assert caplog.text.count("worker 1: looking at the folder of models failed: no such folder") == 1


def test_the_supervisor_is_told_of_workers_that_come_and_go() -> None:
    async def story() -> None:
        roster = Roster(1)
        told: list[int] = []
        stub = StubWorker(Coordinator(roster, lambda: told.append(len(roster.up))), 1)
        await stub.come()
        stub.say(Up())  # a second one changes nothing
        await stub.go()
        assert told[0] == 1
        assert told[-1] == 0

    asyncio.run(story())
