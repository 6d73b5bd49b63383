"""Behind the models that answer: measured ones take their place, and retired ones are let go of when idle."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import pytest

from serving.engine import background
from serving.engine.background import Background
from serving.engine.served_model import Key, ServedModel
from serving.engine.table import ModelTable


class Batcher:
    """Idle when it is told so."""

    def __init__(self) -> None:
        self.answered = asyncio.Event()
        self.plan, self.admission = SimpleNamespace(in_words="a plan"), self

    async def idle(self) -> None:
        await self.answered.wait()


def version(number: int, rest: Callable[[], Awaitable[Any]] | None = None) -> ServedModel:
    return cast("ServedModel", SimpleNamespace(name="m", version=number, batcher=Batcher(), rest=rest))


def let_in(model: ServedModel) -> None:
    cast("Batcher", model.batcher).answered.set()


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadPoolExecutor]:
    monkeypatch.setattr(background, "give_memory_back", lambda: None)
    with ThreadPoolExecutor(1) as executor:
        yield executor


def test_a_retired_version_drains_until_its_last_request_is_answered(threads: ThreadPoolExecutor) -> None:
    async def story() -> None:
        table, forgotten, model = ModelTable(), list[Key](), version(1)
        work = Background(table, threads, forgotten.append)
        table.put(model)
        table.take_out(model)
        task = work.let_go(model, forget=False)
        await asyncio.sleep(0)
        assert table.index["m", 1].state == "UNLOADING"
        assert work.retiring() == [task]
        let_in(model)
        await task
        assert table.index["m", 1].state == "UNAVAILABLE"
        assert (work.retiring(), forgotten) == ([], [])

    asyncio.run(story())


def test_a_version_that_is_gone_from_disk_is_forgotten_unless_it_serves_again(
    threads: ThreadPoolExecutor,
) -> None:
    async def story() -> None:
        table, forgotten, model, again = ModelTable(), list[Key](), version(1), version(1)
        work = Background(table, threads, forgotten.append)
        let_in(model)
        table.put(model)
        table.take_out(model)
        await work.let_go(model, forget=True)
        assert forgotten == [("m", 1)]
        table.put(again)
        await work.let_go(model, forget=True)
        assert len(forgotten) == 1

    asyncio.run(story())


def test_a_measured_model_takes_its_place_and_a_failed_measurement_changes_nothing(
    threads: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        renewed = version(1)

        async def measured() -> Any:
            return lambda: renewed

        async def fails() -> Any:
            raise ZeroDivisionError("a bug")

        for rest, then in ((measured, renewed), (fails, None)):
            table, model = ModelTable(), version(1, rest)
            work = Background(table, threads, lambda _: None)
            table.put(model)
            work.measure_rest(model)
            await asyncio.sleep(0.01)
            assert table.answering["m", 1] is (then or model)

    asyncio.run(story())
    assert "measuring under way failed" in caplog.text


def test_a_model_that_is_replaced_is_not_measured_to_the_end(threads: ThreadPoolExecutor) -> None:
    async def story() -> None:
        cancelled = asyncio.Event()

        async def endless() -> Any:
            try:
                await asyncio.sleep(99)
            except asyncio.CancelledError:
                cancelled.set()
                raise

        table, work_on = ModelTable(), version(1, endless)
        work = Background(table, threads, lambda _: None)
        table.put(work_on)
        work.measure_rest(work_on)
        await asyncio.sleep(0)
        table.put(version(1))
        let_in(work_on)
        await work.let_go(work_on, forget=False)
        assert cancelled.is_set()

    asyncio.run(story())
