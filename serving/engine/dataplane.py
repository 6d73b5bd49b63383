"""The request path, which knows no HTTP: admit, decode, preprocess, batch, run, postprocess."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from types import TracebackType

import numpy as np

from inference.errors import BatonError, ClientDisconnected, InferenceFailed, InputTooLarge, RowsChanged
from inference.values import Features, Payload, Prediction, Tensors
from serving.engine.context import RequestContext
from serving.engine.drift import Drift
from serving.engine.served_model import ServedModel

_clock_ns = time.perf_counter_ns

Then = Callable[[Tensors | None, BaseException | None], None]
"""Takes the outputs, or the error in their place."""


class DataPlane:
    """Answers calls on models that the registry has given. `pool` decodes what is too big for the loop."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool

    async def infer(
        self, model: ServedModel, tensors: Tensors, rows: int, context: RequestContext
    ) -> Tensors:
        """Outputs for checked tensors; raises one of `inference.errors`."""
        answer: asyncio.Future[Tensors] = asyncio.get_running_loop().create_future()

        def settle(outputs: Tensors | None, error: BaseException | None) -> None:
            if answer.done():  # who waited for it was cancelled
                return
            if outputs is None:
                answer.set_exception(error or RuntimeError("a run without outputs and without an error"))
            else:
                answer.set_result(outputs)

        self.start(model, tensors, rows, context, settle)
        return await answer

    def start(
        self, model: ServedModel, tensors: Tensors, rows: int, context: RequestContext, then: Then
    ) -> None:
        """`infer` for who is called back: `then` gets the outputs or the error. A refusal is raised at once.

        More rows than a batch are cut into several runs, and put together again.
        """
        admission = Admission(model, rows)
        admission.enter()
        if model.drift is not None:
            then = _watched(model.drift, tensors, rows, then)
        batcher, reply = model.batcher, _Reply(admission, then)
        most = batcher.plan.max_batch_size
        if rows <= most or batcher.one_by_one:
            batcher.enqueue(tensors, rows, context, reply)
            return
        begins = range(0, rows, most)
        cut = _Cut(reply, context, len(begins))
        for place, begin in enumerate(begins):
            part = {name: array[begin : begin + most] for name, array in tensors.items()}
            size = min(most, rows - begin)
            batcher.enqueue(part, size, context, _Part(cut, place, size))

    async def predict(
        self, model: ServedModel, payloads: Sequence[Payload], context: RequestContext
    ) -> list[Prediction]:
        """One answer a payload, in order; the whole call fails if one of them does, and names it."""
        with Admission(model, len(payloads)):
            features = await self._prepare(model, payloads, context)
            outputs = await _run(model, features, context)
            predictions = _postprocess(model, features, outputs, context)
        if model.drift is not None:
            model.drift.observe(features, outputs, len(features))
        return predictions

    async def _prepare(
        self, model: ServedModel, payloads: Sequence[Payload], context: RequestContext
    ) -> list[Features]:
        if sum(payload.size for payload in payloads) <= model.inline_bytes:
            return _preprocess(model, payloads, context)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, _preprocess, model, payloads, context)


class Admission:
    """Holds a call's place in the model from the door to the answer, and counts how it ended if badly."""

    __slots__ = ("_model", "_rows")

    def __init__(self, model: ServedModel, rows: int) -> None:
        self._model, self._rows = model, rows

    def enter(self) -> None:
        """Take the place; raises `InputTooLarge`, `Overloaded` or `ModelNotReady`."""
        limit = self._model.batcher.plan.max_queue_rows
        try:
            if limit is not None and self._rows > limit:
                raise InputTooLarge("instances", self._rows, f"at most {limit} in a request")
            self._model.batcher.admit(self._rows)
        except BatonError as error:
            self._model.metrics.fail(error)
            raise
        self._model.metrics.in_flight += 1

    def leave(self, error: BaseException | None) -> BaseException | None:
        """Give the place back; the error as the caller is told it."""
        self._model.metrics.in_flight -= 1
        self._model.batcher.release(self._rows)
        if error is None:
            return None
        if isinstance(error, Exception) and not isinstance(error, BatonError):
            cause = error
            error = InferenceFailed(f"model '{self._model.name}': {type(cause).__name__}: {cause}")
            error.__cause__ = cause
        self._model.metrics.fail(error)
        return error

    def __enter__(self) -> None:
        self.enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        told = self.leave(error)
        if told is not error and told is not None:
            raise told from error


class _Reply:
    """What the batcher answers in place of a future: the callback runs at once, not in the loop's next turn."""

    __slots__ = ("_admission", "_done", "_then")

    def __init__(self, admission: Admission, then: Then) -> None:
        self._admission, self._then, self._done = admission, then, False

    def done(self) -> bool:
        return self._done

    def set_result(self, outputs: Tensors) -> None:
        self._done = True
        self._admission.leave(None)
        self._then(outputs, None)

    def set_exception(self, error: BaseException) -> None:
        self._done = True
        self._then(None, self._admission.leave(error))


class _Cut:
    """A request of more rows than a batch: its reply is given when the last of its parts is answered."""

    __slots__ = ("_context", "_left", "_outputs", "_queue", "_run", "reply")

    def __init__(self, reply: _Reply, context: RequestContext, parts: int) -> None:
        self.reply, self._context = reply, context
        self._outputs: list[Tensors] = [{}] * parts
        self._left = parts
        self._queue = self._run = 0

    def answer(self, place: int, outputs: Tensors, rows: int) -> None:
        """A part's rows."""
        for name, array in outputs.items():
            if array.shape[:1] != (rows,):
                self.reply.set_exception(RowsChanged(name, array.shape, rows))
                return
        self._outputs[place] = outputs
        self._left -= 1
        times = self._context.times
        # The batcher writes each run's own; the caller is told how long the first waited and all ran.
        self._queue = min(self._queue or times.queue, times.queue)
        self._run += times.run
        if not self._left:
            times.queue, times.run = self._queue, self._run
            parts = self._outputs
            self.reply.set_result({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


class _Part:
    """What the batcher answers for one run's worth of a request that was cut."""

    __slots__ = ("_cut", "_place", "_rows")

    def __init__(self, cut: _Cut, place: int, rows: int) -> None:
        self._cut, self._place, self._rows = cut, place, rows

    def done(self) -> bool:
        """Whether nobody waits for it: the others are not run when one has failed."""
        return self._cut.reply.done()

    def set_result(self, outputs: Tensors) -> None:
        self._cut.answer(self._place, outputs, self._rows)

    def set_exception(self, error: BaseException) -> None:
        self._cut.reply.set_exception(error)


def _watched(drift: Drift, tensors: Tensors, rows: int, then: Then) -> Then:
    """`then`, and a look at the rows when they are answered."""

    def answered(outputs: Tensors | None, error: BaseException | None) -> None:
        then(outputs, error)
        if outputs is not None:
            drift.observe((Features(tensors),), (outputs,), rows)

    return answered


def _preprocess(model: ServedModel, payloads: Sequence[Payload], context: RequestContext) -> list[Features]:
    """Decode and preprocess; stops between two payloads if the caller has gone."""
    processor, times = model.predictor.processor, context.times
    features: list[Features] = []
    for payload in payloads:
        start = _clock_ns()
        decoded = processor.decode(payload)
        middle = _clock_ns()
        features.append(processor.preprocess(decoded))
        times.decode += middle - start
        times.preprocess += _clock_ns() - middle
        if context.is_disconnected():
            raise ClientDisconnected("the caller closed the connection while its input was decoded")
    return features


async def _run(model: ServedModel, features: Sequence[Features], context: RequestContext) -> list[Tensors]:
    batcher = model.batcher
    if len(features) == 1:
        return [await batcher.submit(features[0].tensors, 1, context)]
    # Row by row, so that the batcher may put each into the bucket and the batch that suit it.
    answers = [batcher.submit(feature.tensors, 1, context) for feature in features]
    try:
        return list(await asyncio.gather(*answers))
    except BaseException:
        for answer in answers:
            answer.cancel()
        raise


def _postprocess(
    model: ServedModel, features: Sequence[Features], outputs: Sequence[Tensors], context: RequestContext
) -> list[Prediction]:
    start = _clock_ns()
    processor = model.predictor.processor
    predictions = [
        processor.postprocess(output, feature.context)
        for output, feature in zip(outputs, features, strict=True)
    ]
    context.times.postprocess = _clock_ns() - start
    return predictions
