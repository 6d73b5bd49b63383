"""Requests below the doors: what is answered, what is given back, and what an error of a step becomes."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from inference.errors import BatonError, ClientDisconnected, DeadlineExceeded, InferenceFailed, InvalidInput
from inference.values import Payload, Tensors
from serving.engine.context import RequestContext, clock_ns
from serving.engine.dataplane import DataPlane, SplitRequest, named, prepare
from serving.engine.fair_pool import FairPool
from serving.engine.served_model import ServedModel
from tests.bundles import png
from tests.serving.servers import ThreadedServer

BRIGHT, DARK = Payload(png(255), "image/png"), Payload(png(0), "image/png")
Start = Callable[[DataPlane, ServedModel, Callable[..., None]], None]


def answers(server: ThreadedServer, name: str, start: Start) -> list[tuple[Any, BaseException | None]]:
    """All that the callback is given, on the server's own loop."""
    model, given = server.app.registry.get(name), list[tuple[Any, BaseException | None]]()

    async def scene() -> None:
        with ThreadPoolExecutor(1) as pool:
            try:
                start(DataPlane(FairPool(pool)), model, lambda result, error: given.append((result, error)))
            except BatonError as error:  # a refusal is raised at once
                given.append((None, error))
            for _ in range(2000):
                if given and not model.metrics.in_flight:
                    break
                await asyncio.sleep(0.005)

    assert server.loop is not None
    asyncio.run_coroutine_threadsafe(scene(), server.loop).result(30)
    assert (model.metrics.in_flight, model.batcher.admission.pending_rows) == (0, 0)
    return given


def rows(count: int) -> Tensors:
    x = np.arange(count * 3, dtype=np.float32).reshape(count, 3)
    return {"x": x, "y": np.ones_like(x)}


@pytest.mark.parametrize("count", [1, 3, 100])
def test_tensors_are_answered_once_however_many_runs_they_take(server: ThreadedServer, count: int) -> None:
    model = server.app.registry.get("sum")
    plan = model.batcher.plan
    model.batcher.plan = plan._replace(max_batch_size=32)
    try:
        tensors = rows(count)
        ((outputs, error),) = answers(
            server,
            "sum",
            lambda plane, model, then: plane.infer(model, tensors, count, RequestContext(), then),
        )
    finally:
        model.batcher.plan = plan
    assert error is None
    np.testing.assert_array_equal(next(iter(outputs.values())), tensors["x"] + 1)


@pytest.mark.parametrize("payloads", [[BRIGHT], [BRIGHT, DARK, BRIGHT]], ids=["one", "several"])
@pytest.mark.parametrize("inline_bytes", [0, 1 << 20], ids=["pool", "loop"])
def test_instances_are_answered_in_order(
    server: ThreadedServer, payloads: list[Payload], inline_bytes: int
) -> None:
    model = server.app.registry.get("brightness")
    before = model.inline_bytes
    object.__setattr__(model, "inline_bytes", inline_bytes)
    try:
        ((predictions, error),) = answers(
            server,
            "brightness",
            lambda plane, model, then: plane.predict(model, payloads, RequestContext(), then),
        )
    finally:
        object.__setattr__(model, "inline_bytes", before)
    assert error is None
    expected = ["bright" if payload is BRIGHT else "dark" for payload in payloads]
    assert [prediction["label"] for prediction in predictions] == expected


def test_one_bad_instance_fails_its_request_and_gives_the_place_back(server: ThreadedServer) -> None:
    bad = Payload(b"no image", "image/png", field="part 1")

    ((result, error),) = answers(
        server,
        "brightness",
        lambda plane, model, then: plane.predict(model, [BRIGHT, bad], RequestContext(), then),
    )
    assert result is None
    assert isinstance(error, InvalidInput)
    assert "part 1" in str(error)


def test_a_client_that_left_is_not_decoded_further(server: ThreadedServer) -> None:
    context = RequestContext(is_disconnected=lambda: True)

    ((result, error),) = answers(
        server, "brightness", lambda plane, model, then: plane.predict(model, [BRIGHT] * 3, context, then)
    )
    assert result is None
    assert isinstance(error, ClientDisconnected)


def test_nothing_is_decoded_past_the_deadline(server: ThreadedServer) -> None:
    model = server.app.registry.get("brightness")
    decoded: list[Payload] = []

    class Noting:
        def decode(self, payload: Payload) -> Any:
            decoded.append(payload)
            return model.predictor.processor.decode(payload)

    class Noted:
        name, predictor = "brightness", SimpleNamespace(processor=Noting())

    late = RequestContext(deadline_s=clock_ns() * 1e-9 - 1, timeout_s=0.5)
    with pytest.raises(DeadlineExceeded, match="the deadline of 500 ms passed"):
        prepare(cast("ServedModel", Noted()), late, BRIGHT)
    assert decoded == []


def test_a_request_that_waits_for_a_thread_is_answered_at_its_deadline(server: ThreadedServer) -> None:
    """While the one thread is taken, and what it was to decode is never looked at."""
    model, let_go = server.app.registry.get("brightness"), threading.Event()
    before = model.inline_bytes
    object.__setattr__(model, "inline_bytes", 0)
    decoded: list[Payload] = []
    processor: Any = model.predictor.processor
    decode = processor.decode
    given: list[BaseException | None] = []

    async def scene() -> None:
        with ThreadPoolExecutor(1) as threads:
            pool = FairPool(threads)
            pool.submit(let_go.wait, 30)
            context = RequestContext(deadline_s=clock_ns() * 1e-9 + 0.05, timeout_s=0.05)
            DataPlane(pool).predict(model, [BRIGHT], context, lambda _, error: given.append(error))
            assert model.batcher.admission.pending_rows == 1
            for _ in range(2000):
                if given:
                    break
                await asyncio.sleep(0.005)
            assert model.batcher.admission.pending_rows == 0
            let_go.set()
        await asyncio.sleep(0.01)

    processor.decode = decoded.append
    try:
        assert server.loop is not None
        asyncio.run_coroutine_threadsafe(scene(), server.loop).result(60)
    finally:
        let_go.set()
        processor.decode = decode
        object.__setattr__(model, "inline_bytes", before)
    (error,) = given
    assert isinstance(error, DeadlineExceeded)
    assert decoded == []


def test_a_fault_of_ours_names_the_model_and_its_kind() -> None:
    cause = ValueError("x")
    error = named(cause, "m")
    assert isinstance(error, InferenceFailed)
    assert str(error) == "model 'm': ValueError: x"
    assert error.__cause__ is cause
    ours = InvalidInput("f", 1, "2")
    assert named(ours, "m") is ours


class Queue:
    """The entries of a batcher of two instances that runs nothing."""

    def __init__(self) -> None:
        self.plan = SimpleNamespace(instances=2)
        self.entries: list[tuple[Tensors, int, RequestContext, Any]] = []

    def enqueue(self, *entry: Any) -> None:
        self.entries.append(cast("Any", entry))


def split(queue: Queue, tensors: Tensors, context: RequestContext, answered: list[Tensors]) -> None:
    """A request of ten rows, queued in runs of at most two."""
    request = SimpleNamespace(
        model=SimpleNamespace(batcher=queue),
        context=context,
        rows=10,
        tensors=tensors,
        set_result=answered.append,
        answered=False,
    )
    SplitRequest(cast("Any", request), 2).begin()


@pytest.mark.parametrize(
    ("large", "width", "aside"), [(True, 10_000, True), (True, 10, False), (False, 10_000, False)]
)
def test_parts_of_many_strings_each_are_not_for_the_loop(large: bool, width: int, aside: bool) -> None:
    queue = Queue()
    split(queue, {"x": np.full((10, width), "text", np.object_)}, RequestContext(large=large), [])
    assert [entry[2].large_run for entry in queue.entries] == [aside] * 3


def test_a_request_of_many_runs_leaves_the_queue_to_others() -> None:
    queue, answered = Queue(), list[Tensors]()
    rows = np.arange(10)
    split(queue, {"x": rows}, RequestContext(), answered)
    assert len(queue.entries) == 3, "one for each session, and one that waits"
    for run in range(5):
        tensors, size, _, reply = queue.entries[run]
        assert size == len(tensors["x"])
        reply.set_result({"y": tensors["x"] * 2})
        assert len(queue.entries) == min(5, run + 4)
    (outputs,) = answered
    assert outputs["y"].tolist() == (rows * 2).tolist()
