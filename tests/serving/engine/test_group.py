"""The group of one process: it loads, looks again, and outlives whatever a look may raise."""

import asyncio
import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from serving.engine import group
from serving.engine.group import Alone, Process
from serving.engine.inflight import InflightBytes
from serving.engine.registry import ModelRegistry


class Registry:
    """Counts its looks; each fails as it is told."""

    def __init__(self, *failures: Exception | None) -> None:
        self.failures, self.looks, self.started = [*failures], 0, False
        self.orders: list[str] = []

    async def start(self) -> None:
        await self.refresh()

    async def refresh(self) -> None:
        self.looks += 1
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.started = True

    async def load(self, name: str) -> None:
        self.orders.append(f"load {name}")

    async def unload(self, name: str) -> None:
        self.orders.append(f"unload {name}")


def alone(registry: Registry, poll_s: float = 0.0, is_ready: Callable[[], bool] = lambda: True) -> Alone:
    process = Process(
        cast("ModelRegistry", registry), cast("Any", None), is_ready, "cpu", poll_s, InflightBytes(1 << 20)
    )
    return Alone(process)


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "give_memory_back", lambda: None)
    monkeypatch.setattr(group, "AGAIN_S", 0.001)


async def looked(registry: Registry, times: int, poll_s: float = 0.0) -> asyncio.Task[None]:
    running = asyncio.create_task(alone(registry, poll_s).run())
    async with asyncio.timeout(10):
        while registry.looks < times and not running.done():  # noqa: ASYNC110 - a registry tells nobody of its looks
            await asyncio.sleep(0.001)
    return running


def test_without_a_poll_the_folder_is_looked_at_until_it_could_be_read_once() -> None:
    async def story() -> None:
        registry = Registry(OSError("away"), OSError("away"))
        running = await looked(registry, 3)
        await running
        assert registry.looks == 3

    asyncio.run(story())


def test_a_fault_that_stays_is_logged_once_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        registry = Registry(None, KeyError("a bug"), KeyError("a bug"), ValueError("another"))
        running = await looked(registry, 6, poll_s=0.001)
        assert not running.done()
        running.cancel()

    asyncio.run(story())
    assert len(caplog.records) == 2
    assert "KeyError: 'a bug'" in caplog.text
    assert "ValueError: another" in caplog.text


def test_the_collector_works_from_the_moment_that_everything_is_loaded() -> None:
    gc.disable()
    try:
        asyncio.run(alone(Registry()).run())
        assert gc.isenabled()
    finally:
        gc.enable()


def test_orders_go_to_the_registry_and_readiness_is_the_process_own() -> None:
    async def story() -> None:
        registry = Registry()
        one = alone(registry, is_ready=lambda: False)
        await one.load("m")
        await one.unload("m")
        assert registry.orders == ["load m", "unload m"]
        assert not one.ready()
        assert one.missing() == []

    asyncio.run(story())


def test_a_stuck_run_of_the_process_is_one_of_the_server() -> None:
    process = Process(
        cast("ModelRegistry", Registry()), cast("Any", None), lambda: True, "cpu", 0.0, InflightBytes(1 << 20)
    )
    assert Alone(process).stuck() == ""
    assert Alone(replace(process, stuck=lambda: "m: a run")).stuck() == "m: a run"
