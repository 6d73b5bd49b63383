"""Counts of a worker's models outlive it: its successor finds them, and counts on."""

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inference.errors import DeadlineExceeded, InvalidInput, Overloaded
from inference.store.repository import ModelRepository
from serving.engine.context import StageTimes
from serving.engine.description import statistics
from serving.engine.loading import ModelLoader
from serving.engine.profile import ProfileCache
from serving.engine.registry import ModelRegistry
from serving.observe.exposition import ModelCollector
from serving.workers import counts
from serving.workers.counts import SharedCounts, create_counts
from tests.bundles import write_watched


@pytest.fixture
def memory() -> Iterator[int]:
    """As the supervisor has it."""
    descriptor = create_counts(1)
    yield descriptor
    os.close(descriptor)


def _worker(memory: int) -> SharedCounts:
    return SharedCounts(os.dup(memory))


def test_a_successor_finds_the_cells_as_they_were_left(memory: int) -> None:
    numbers = _worker(memory).of("m", 1)
    numbers.cells("requests", 3)[1] += 7
    numbers.cells("label/größe", 2)[0] -= 1
    assert [list(numbers.cells(key, 3)[:]) for key in ("requests", "new")] == [[0, 7, 0], [0, 0, 0]]

    successor = _worker(memory).of("m", 1)
    assert list(successor.cells("requests", 3)[:]) == [0, 7, 0]
    assert list(successor.left("label/")) == ["größe"]
    assert list(successor.cells("label/größe", 2)[:]) == [-1, 0]
    assert list(_worker(memory).of("m", 2).left("label/")) == []


def test_a_version_that_a_worker_loads_again_begins_with_zeros(memory: int) -> None:
    worker = _worker(memory)
    worker.of("m", 1).cells("requests", 2)[0] = 7
    assert list(worker.of("m", 1).cells("requests", 2)[:]) == [0, 0]
    assert list(_worker(memory).of("m", 1).cells("requests", 2)[:]) == [0, 0]


def test_cells_of_another_size_begin_with_zeros(memory: int) -> None:
    _worker(memory).of("m", 1).cells("requests", 2)[0] = 7
    assert list(_worker(memory).of("m", 1).cells("requests", 3)[:]) == [0, 0, 0]


def test_memory_that_is_full_is_told_once_and_counting_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(counts, "CAPACITY", 128)
    memory = create_counts(1)
    numbers = _worker(memory).of("m", 1)
    numbers.cells("a", 4)[0] = 1
    for key in ("b", "c"):
        cells = numbers.cells(key, 16)
        cells[0] += 1
        assert cells[0] == 1
    assert caplog.text.count("the memory for counts is full") == 1
    successor = _worker(memory).of("m", 1)
    assert (successor.cells("a", 4)[0], list(successor.left(""))) == (1, ["a"])
    os.close(memory)


def _load(memory: int, root: Path, pool: ThreadPoolExecutor) -> ModelRegistry:
    """What a worker serves, on the running loop."""
    loader = ModelLoader(
        "cpu", None, 1000.0, None, None, ProfileCache(None), pool,
        drift_window_rows=100, counts=_worker(memory),
    )  # fmt: skip
    return ModelRegistry(ModelRepository(root), loader, every_version=False, threads=1)


def _counters(registry: ModelRegistry) -> dict[tuple[str, str], float]:
    """Every count of every model."""
    return {
        (sample.name, str(sample.labels)): sample.value
        for family in ModelCollector(registry).collect()
        if family.type in ("counter", "histogram", "unknown")
        for sample in family.samples
    }


def test_every_count_of_a_model_is_found_again_by_a_successor(memory: int, tmp_path: Path) -> None:
    write_watched(tmp_path)

    async def story() -> None:
        with ThreadPoolExecutor(1) as pool:
            registry = _load(memory, tmp_path, pool)
            await registry.start()
            (model,) = registry.served()
            assert model.drift is not None
            metrics = model.metrics
            metrics.observe_request(StageTimes(1, 20_000, 3, 4, 5, 6), rows=7, seconds_total=0.5)
            metrics.observe_batch(7, requests=1, run_ns=10)
            metrics.observe_explanations(2, rows=3)
            label = model.predictor.processor.classification.labels[0]  # type: ignore[attr-defined]
            metrics.observe_predictions([{"label": label, "probability": 0.75, "outlier": True}])
            for error in (Overloaded("m", 4, 0.5), DeadlineExceeded("m", 0.1), InvalidInput("x", 1, "2")):
                metrics.fail(error)
            for place in range(len(metrics.drift)):
                metrics.drift[place] += place + 1
            before, told = _counters(registry), statistics(model)
            assert (model.drift.rows, model.drift.windows, model.drift.alarms) == (1, 2, 3)
            names = {name for name, _ in before}
            assert {name for (name, _), value in before.items() if value} == names
            await registry.drain()

            successor = _load(memory, tmp_path, pool)
            await successor.start()
            assert _counters(successor) == before
            assert statistics(successor.served()[0]) == told
            await successor.drain()

    asyncio.run(story())
