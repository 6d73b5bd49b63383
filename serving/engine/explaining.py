"""Explanations by occlusion on the request path, which knows no HTTP.

What has to be run is `inference.processors.occlusion`'s to say. The rows go through the model's own batcher at
the lower priority, so that they run where nobody waits for a prediction, and a chunk at a time, so that a run
that has begun keeps nobody waiting for long. Only one chunk of a call is ever admitted; who leaves, or whose
deadline passes, stops it there.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np

from inference.errors import ClientDisconnected, InputTooLarge, Unsupported
from inference.processors.occlusion import Explanation, Occludes, Variants
from inference.values import Array, JsonValue, Payload, Tensors
from serving.engine.context import RequestContext
from serving.engine.dataplane import Admission
from serving.engine.served_model import ServedModel

_clock_ns = time.perf_counter_ns

LOW_PRIORITY = 1
_CHUNK_ROWS = 32
_CHUNK_S = 0.02
"""Of a chunk's run: what a prediction that comes when it has just begun may have to wait."""


class _Spent(NamedTuple):
    """Nanoseconds of a call's runs so far."""

    queue: int = 0
    run: int = 0


class ExplanationPlane:
    """Explains the answers of models that the registry has given. `pool` makes the rows."""

    def __init__(self, pool: Executor, max_rows: int) -> None:
        """`max_rows`: what one call may run."""
        self._pool, self._max_rows = pool, max_rows

    async def explain(
        self,
        model: ServedModel,
        payloads: Sequence[Payload],
        parameters: Mapping[str, JsonValue],
        context: RequestContext,
    ) -> list[Explanation]:
        """One explanation a payload, in order; the whole call fails if one of them does, and names it."""
        context.priority = LOW_PRIORITY
        plan = model.batcher.plan
        chunk = min(_CHUNK_ROWS, plan.max_batch_size, plan.max_pending_rows)
        with Admission(model, chunk):
            processor = model.predictor.processor
            if not isinstance(processor, Occludes):
                raise Unsupported("this model has no task, so there is no answer in words to explain")
            explanation = _Explanation(model, processor, context, chunk, self._pool)
            instances = await self._prepare(processor, payloads, parameters, context)
            explained = [await explanation.of(variants) for variants in instances]
            model.metrics.observe_explanations(len(explained), sum(1 + each.size for each in instances))
            return explained

    async def _prepare(
        self,
        processor: Occludes,
        payloads: Sequence[Payload],
        parameters: Mapping[str, JsonValue],
        context: RequestContext,
    ) -> list[Variants]:
        loop = asyncio.get_running_loop()
        instances: list[Variants] = []
        rows = 0
        for payload in payloads:
            _check_here(context)
            made = await loop.run_in_executor(self._pool, _variants, processor, payload, parameters, context)
            rows += 1 + made.size
            if rows > self._max_rows:
                seen = f"{rows} rows to run up to {payload.field}"
                raise InputTooLarge("instances", seen, f"at most {self._max_rows} in a request")
            instances.append(made)
        return instances


class _Explanation:
    """Runs what the explanations of one call need, one after the other."""

    def __init__(
        self, model: ServedModel, processor: Occludes, context: RequestContext, chunk: int, pool: Executor
    ) -> None:
        self._model, self._processor, self._context, self._chunk = model, processor, context, chunk
        self._pool, self._spent = pool, _Spent()

    def _rows(self) -> int:
        """Of the next chunk: as many as may be run in time at the pace of the latest batches."""
        batcher = self._model.batcher
        row_s = batcher.wait_s(batcher.plan.instances)
        return max(1, min(self._chunk, int(_CHUNK_S / row_s))) if row_s else self._chunk

    async def of(self, variants: Variants) -> Explanation:
        """The row as it is, then the row without each of its parts."""
        processor = self._processor
        outputs = await self._run(variants.whole.tensors, 1)
        output, column = target = processor.target(outputs, variants)
        values: list[Array] = []
        parts = range(0)
        while parts.stop < variants.size:
            parts = range(parts.stop, min(parts.stop + self._rows(), variants.size))
            tensors = await asyncio.get_running_loop().run_in_executor(
                self._pool, _collate, processor, variants, parts, self._context
            )
            chunk = await self._run(tensors, len(parts))
            values.append(chunk[output][:, column].astype(np.float64))
        begun = _clock_ns()
        left = np.concatenate(values) if values else np.empty(0)
        drops = float(outputs[output][0, column]) - left
        explanation = processor.attribute(outputs, variants, target, drops)
        self._context.times.postprocess += _clock_ns() - begun
        return explanation

    async def _run(self, tensors: Tensors, rows: int) -> Tensors:
        _check_here(self._context)
        outputs = await self._model.batcher.submit(tensors, rows, self._context)
        # The batcher writes each run's own; the caller is told of them all together.
        times = self._context.times
        self._spent = _Spent(self._spent.queue + times.queue, self._spent.run + times.run)
        times.queue, times.run = self._spent
        return outputs


def _variants(
    processor: Occludes, payload: Payload, parameters: Mapping[str, JsonValue], context: RequestContext
) -> Variants:
    start = _clock_ns()
    decoded = processor.decode(payload)
    middle = _clock_ns()
    made = processor.variants(decoded, parameters)
    context.times.decode += middle - start
    context.times.preprocess += _clock_ns() - middle
    return made


def _collate(
    processor: Occludes, variants: Variants, parts: Sequence[int], context: RequestContext
) -> Tensors:
    start = _clock_ns()
    tensors = processor.collate([variants.without(part) for part in parts])
    context.times.preprocess += _clock_ns() - start
    return tensors


def _check_here(context: RequestContext) -> None:
    if context.is_disconnected():
        raise ClientDisconnected("the caller closed the connection while its answer was explained")
