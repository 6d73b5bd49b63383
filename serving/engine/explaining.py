"""Explanations by occlusion on the request path, which knows no HTTP.

`inference.processors.occlusion` says which rows have to be run. They go through the model's own batcher at the lower
priority, so predictions go first, but for a small share. They go a chunk at a time, so a run that has begun keeps a
prediction waiting for 20 ms at most. Explanations have an admission of their own: their number is bounded, and none
takes the place of a prediction. A client that leaves, and a deadline that passes, stop one at its next step.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np

from inference.errors import BatonError, DeadlineExceeded, ExplanationsFull, InputTooLarge, Unsupported
from inference.processors.occlusion import Explanation, Occludes, Variants
from inference.values import Array, JsonValue, Payload, Tensors
from serving.engine.context import RequestContext, clock_ns
from serving.engine.dataplane import Then, check_waits, named
from serving.engine.fair_pool import FairPool
from serving.engine.inflight import SMALL
from serving.engine.served_model import ServedModel

LOW_PRIORITY = 1
P = ParamSpec("P")
ResultT = TypeVar("ResultT")

_NS = 1e-9
_CHUNK_ROWS = 32
_CHUNK_S = 0.02
"""Of a chunk's run: a prediction that comes when it has just begun waits so long."""


class _Spent(NamedTuple):
    """Nanoseconds of a request's runs so far."""

    queue: int = 0
    run: int = 0


class ExplanationPlane:
    """Explains the answers of models that the registry has given. `pool` makes the rows."""

    def __init__(
        self, pool: FairPool, max_rows: int, at_once: int, clock_ns: Callable[[], int] = clock_ns
    ) -> None:
        """`max_rows`: most rows that one request may run. `at_once`: requests under way in one model."""
        self._pool, self._max_rows, self._at_once, self._clock_ns = pool, max_rows, at_once, clock_ns
        self._tasks: set[asyncio.Task[None]] = set()

    def overloaded(self, model: ServedModel) -> ExplanationsFull | None:
        """Why the model takes no explanation more now; None if it does."""
        return model.batcher.admission.explanations_full(self._at_once)

    def start(
        self,
        model: ServedModel,
        payloads: Sequence[Payload],
        parameters: Mapping[str, JsonValue],
        context: RequestContext,
        then: Then[list[Explanation]],
    ) -> None:
        """`explain`, answered by a callback as the other verbs are."""

        async def explained() -> None:
            try:
                explanations = await self.explain(model, payloads, parameters, context)
            except BaseException as error:
                then(None, error)
                if not isinstance(error, Exception):
                    raise
            else:
                then(explanations, None)

        task = asyncio.get_running_loop().create_task(explained())
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)

    async def explain(
        self,
        model: ServedModel,
        payloads: Sequence[Payload],
        parameters: Mapping[str, JsonValue],
        context: RequestContext,
    ) -> list[Explanation]:
        """One explanation a payload, in order. The request fails if one of them does, and the error names it."""
        context.priority = LOW_PRIORITY
        admission, begun = model.batcher.admission, self._clock_ns()
        admission.admit_explanation(self._at_once)
        model.metrics.in_flight += 1
        try:
            return await self._explain(model, payloads, parameters, context)
        except Exception as error:
            if isinstance(error, BatonError):
                raise
            raise named(error, model.name) from error
        finally:
            model.metrics.in_flight -= 1
            admission.release_explanation((self._clock_ns() - begun) * _NS)

    async def _explain(
        self,
        model: ServedModel,
        payloads: Sequence[Payload],
        parameters: Mapping[str, JsonValue],
        context: RequestContext,
    ) -> list[Explanation]:
        processor = model.predictor.processor
        if not isinstance(processor, Occludes):
            raise Unsupported("this model has no task, so there is no answer in words to explain")
        steps = _Steps(self._pool, model, context, self._clock_ns)
        explanation = _Explanation(model, processor, context, steps)
        instances = await self._prepare(steps, processor, payloads, parameters)
        explained = [await explanation.of(variants) for variants in instances]
        model.metrics.observe_explanations(len(explained), sum(1 + each.size for each in instances))
        return explained

    async def _prepare(
        self,
        steps: "_Steps",
        processor: Occludes,
        payloads: Sequence[Payload],
        parameters: Mapping[str, JsonValue],
    ) -> list[Variants]:
        instances: list[Variants] = []
        rows = 0
        for payload in payloads:
            with _taken(processor.decoding_bytes(payload), payload.field, steps.context):
                made = await steps.take(_variants, processor, payload, parameters, steps.context)
            rows += 1 + made.size
            if rows > self._max_rows:
                seen = f"{rows} rows to run up to {payload.field}"
                raise InputTooLarge("instances", seen, f"at most {self._max_rows} in a request")
            instances.append(made)
        return instances


@contextmanager
def _taken(size: int, field: str, context: RequestContext) -> Iterator[None]:
    """Hold `size` bytes while a payload is decoded; raises as `Hold.grow` does."""
    if size <= SMALL or context.hold is None:
        yield
        return
    context.hold.grow(size, field)
    try:
        yield
    finally:
        context.hold.shrink(size)


class _Steps:
    """The steps of one request that the pool takes, each only while the client waits for the answer."""

    def __init__(
        self, pool: FairPool, model: ServedModel, context: RequestContext, clock_ns: Callable[[], int]
    ) -> None:
        self.context = context
        self._pool, self._model, self._clock_ns = pool, model.name, clock_ns

    def check(self) -> None:
        """`ClientDisconnected`, or `DeadlineExceeded`."""
        check_waits(self.context, self._model, self._clock_ns())

    async def take(self, step: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs) -> ResultT:
        """The result of a step; one that has not begun at the deadline is dropped."""
        self.check()
        deadline_s = self.context.deadline_s
        # Apart from the model's predictions, which are decoded by turns with it.
        owner = f"{self._model}:explain"
        taken = asyncio.wrap_future(self._pool.submit_for(owner, step, *args, **kwargs))
        if deadline_s is None:
            return await taken
        try:
            async with asyncio.timeout(max(0.0, deadline_s - self._clock_ns() * _NS)):
                return await taken
        except TimeoutError:
            raise DeadlineExceeded(self._model, self.context.timeout_s) from None


class _Explanation:
    """Runs the rows that the explanations of one request need, one after the other."""

    def __init__(
        self, model: ServedModel, processor: Occludes, context: RequestContext, steps: _Steps
    ) -> None:
        self._model, self._processor, self._context, self._steps = model, processor, context, steps
        self._spent = _Spent()

    def _rows(self) -> int:
        """Rows of the next chunk: as many as may be run in time at the pace of the latest batches."""
        batcher = self._model.batcher
        chunk = min(_CHUNK_ROWS, batcher.plan.max_batch_size)
        row_s = batcher.admission.wait_s(batcher.plan.instances)
        return max(1, min(chunk, int(_CHUNK_S / row_s))) if row_s else chunk

    async def of(self, variants: Variants) -> Explanation:
        """The row as it is, then the row without each of its parts."""
        processor = self._processor
        outputs = await self._run(variants.whole.tensors, 1)
        output, column = target = processor.target(outputs, variants)
        values: list[Array] = []
        parts = range(0)
        while parts.stop < variants.size:
            parts = range(parts.stop, min(parts.stop + self._rows(), variants.size))
            tensors = await self._steps.take(_collate, processor, variants, parts, self._context)
            chunk = await self._run(tensors, len(parts))
            values.append(chunk[output][:, column].astype(np.float64))
        begun = clock_ns()
        left = np.concatenate(values) if values else np.empty(0)
        drops = float(outputs[output][0, column]) - left
        explanation = processor.attribute(outputs, variants, target, drops)
        self._context.times.postprocess += clock_ns() - begun
        return explanation

    async def _run(self, tensors: Tensors, rows: int) -> Tensors:
        self._steps.check()
        outputs = await self._model.batcher.submit(tensors, rows, self._context)
        # The batcher writes each run's own; the client is told of them all together.
        times = self._context.times
        self._spent = _Spent(self._spent.queue + times.queue, self._spent.run + times.run)
        times.queue, times.run = self._spent
        return outputs


def _variants(
    processor: Occludes, payload: Payload, parameters: Mapping[str, JsonValue], context: RequestContext
) -> Variants:
    start = clock_ns()
    decoded = processor.decode(payload)
    middle = clock_ns()
    made = processor.variants(decoded, parameters)
    context.times.decode += middle - start
    context.times.preprocess += clock_ns() - middle
    return made


def _collate(
    processor: Occludes, variants: Variants, parts: Sequence[int], context: RequestContext
) -> Tensors:
    start = clock_ns()
    tensors = processor.collate([variants.without(part) for part in parts])
    context.times.preprocess += clock_ns() - start
    return tensors
