"""The request path below the front doors: admit, decode, preprocess, batch, run, postprocess.

A request is started and answered by a callback, which needs no task of the loop. A refusal is raised at once; every
later error is given to the callback. HTTP is not known here.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Generic, TypeVar

import numpy as np

from inference.errors import (
    BatonError,
    ClientDisconnected,
    DeadlineExceeded,
    InferenceFailed,
    RowsChanged,
)
from inference.runtime.many_strings import has_many
from inference.values import Array, Features, Payload, Prediction, Tensors
from serving.engine.context import RequestContext, clock_ns
from serving.engine.fair_pool import FairPool
from serving.engine.inflight import LARGE, SMALL
from serving.engine.queues import Timer
from serving.engine.served_model import ServedModel

ResultT = TypeVar("ResultT")

_NS = 1e-9

Then = Callable[[ResultT | None, BaseException | None], None]
"""Takes the result, or None and the error in its place."""


class DataPlane:
    """Runs requests on models that the registry has given. `pool` decodes payloads that are too big for the loop."""

    def __init__(self, pool: FairPool) -> None:
        self._pool = pool

    def infer(
        self, model: ServedModel, tensors: Tensors, rows: int, context: RequestContext, then: Then[Tensors]
    ) -> None:
        """Run checked tensors of `rows` rows. More rows than a batch are several runs."""
        batcher = model.batcher
        batcher.admission.admit(rows, context.priority)
        request = _Inference(model, rows, context, then)
        request.tensors = tensors
        try:
            if rows <= batcher.plan.max_batch_size or batcher.one_by_one:
                context.large_run = context.large
                batcher.enqueue(tensors, rows, context, request)
            else:
                SplitRequest(request, batcher.plan.max_batch_size).begin()
        except Exception as error:
            request.leave()
            if isinstance(error, BatonError):
                raise
            raise named(error, model.name) from error

    def predict(
        self,
        model: ServedModel,
        payloads: Sequence[Payload],
        context: RequestContext,
        then: Then[list[Prediction]],
    ) -> None:
        """Answer each payload, in order. The request fails if one of them does, and the error names it."""
        model.batcher.admission.admit(len(payloads))
        request = _PredictionRequest(model, len(payloads), context, then)
        try:
            working = _take_decoding(model, payloads, context)
            if working <= SMALL and sum([payload.size for payload in payloads]) <= model.inline_bytes:
                request.enqueue([prepare(model, context, payload) for payload in payloads])
                return
            request.working = working
            # Large images take turns with the others of their model, or a crowd of them would hold all of those up.
            owner = model.name if working <= LARGE else f"{model.name}:large"
            request.wait_for(self._pool.submit_each(owner, partial(prepare, model, context), payloads))
        except Exception as error:
            request.leave()
            if isinstance(error, BatonError):
                raise
            raise named(error, model.name) from error


def _take_decoding(model: ServedModel, payloads: Sequence[Payload], context: RequestContext) -> int:
    """Take the bytes that decoding the largest of the payloads needs while it lasts; see `Hold.grow`.

    They are decoded one after the other. Below `SMALL` nothing is taken: there are only a few threads.
    """
    processor = model.predictor.processor
    if not processor.decodes_larger:
        return 0
    sizes = [processor.decoding_bytes(payload) for payload in payloads]
    most = max(sizes)
    if most > SMALL and context.hold is not None:
        context.hold.grow(most, payloads[sizes.index(most)].field)
    return most


def prepare(model: ServedModel, context: RequestContext, payload: Payload) -> Features:
    """Decode and preprocess; stops before a step if the client has gone or its deadline has passed. On any thread."""
    processor, times, start = model.predictor.processor, context.times, clock_ns()
    check_waits(context, model.name, start)
    decoded = processor.decode(payload)
    middle = clock_ns()
    times.decode += middle - start
    if context.deadline_s is not None:
        check_waits(context, model.name, middle)
    features = processor.preprocess(decoded)
    times.preprocess += clock_ns() - middle
    return features


def check_waits(context: RequestContext, model: str, now_ns: int) -> None:
    """Raise `ClientDisconnected` or `DeadlineExceeded` where nobody waits for the answer any more."""
    if context.is_disconnected():
        raise ClientDisconnected("the client closed the connection while its input was decoded")
    if context.deadline_s is not None and now_ns * _NS >= context.deadline_s:
        raise DeadlineExceeded(model, context.timeout_s)


class _Request(Generic[ResultT]):
    """An admitted request, which gives its place back once, when it is answered."""

    __slots__ = ("answered", "context", "model", "rows", "then")

    def __init__(self, model: ServedModel, rows: int, context: RequestContext, then: Then[ResultT]) -> None:
        self.model, self.rows, self.context, self.then = model, rows, context, then
        self.answered = False
        model.metrics.in_flight += 1
        if context.large:
            model.batcher.large_requests += 1

    def leave(self) -> None:
        """Give the place in the model back."""
        self.answered = True
        self.model.metrics.in_flight -= 1
        self.model.batcher.admission.release(self.rows, self.context.priority)
        if self.context.large:
            self.model.batcher.large_requests -= 1

    def set_exception(self, error: BaseException) -> None:
        """Answer with an error; a later one changes nothing."""
        if not self.answered:
            self.leave()
            self.then(None, named(error, self.model.name))


class _Inference(_Request[Tensors]):
    """A request of tensors; it is its own reply."""

    __slots__ = ("tensors",)

    tensors: Tensors

    def set_result(self, outputs: Tensors) -> None:
        """Answer with the outputs, then let drift look at the rows."""
        self.leave()
        self.then(outputs, None)
        if (drift := self.model.drift) is not None:
            drift.observe((Features(self.tensors),), (outputs,), self.rows)


class SplitRequest:
    """A request of more rows than a batch, as runs of at most `most` rows; it is answered with the last of them.

    Only as many runs are queued as keep the sessions busy. With all of them in the queue, a row that comes behind
    twelve such requests would wait for every row of theirs; so it waits for a few batches of each.
    """

    __slots__ = ("_begins", "_most", "_queue_ns", "_run_ns", "_unanswered", "_unqueued", "_whole", "request")

    _whole: dict[str, Array]

    def __init__(self, request: _Inference, most: int) -> None:
        self.request, self._most = request, most
        self._begins = range(0, request.rows, most)
        self._unanswered, self._unqueued = len(self._begins), iter(range(len(self._begins)))
        self._whole = {}
        self._queue_ns = self._run_ns = 0

    def begin(self) -> None:
        """Queue the first runs."""
        first = {name: array[: self._most] for name, array in self.request.tensors.items()}
        self.request.context.large_run = self.request.context.large and has_many(first)
        for _ in range(self.request.model.batcher.plan.instances + 1):
            self._queue_next()

    def _queue_next(self) -> None:
        place = next(self._unqueued, None)
        if place is None:
            return
        request, begin = self.request, self._begins[place]
        part = {name: array[begin : begin + self._most] for name, array in request.tensors.items()}
        size = min(self._most, request.rows - begin)
        request.model.batcher.enqueue(part, size, request.context, _RunReply(self, place, size))

    def answer(self, place: int, outputs: Tensors, rows: int) -> None:
        """The rows of one run."""
        for name, array in outputs.items():
            if array.shape[:1] != (rows,):
                self.request.set_exception(RowsChanged(name, array.shape, rows))
                return
        # Each run's rows are copied as they come: to put them all together at the end would take the loop for long.
        begin = self._begins[place]
        for name, array in outputs.items():
            whole = self._whole.get(name)
            if whole is None:
                shape = (self.request.rows, *array.shape[1:])
                whole = self._whole[name] = np.empty(shape, array.dtype)
            if whole.shape[1:] != array.shape[1:]:
                self.request.set_exception(
                    InferenceFailed(
                        f"output {name}: got rows of shape {list(array.shape[1:])} from one run and "
                        f"{list(whole.shape[1:])} from another, expected one shape"
                    )
                )
                return
            whole[begin : begin + rows] = array
        self._unanswered -= 1
        times = self.request.context.times
        # The batcher writes each run's own; the client is told how long the first waited and all ran.
        self._queue_ns = self._queue_ns or times.queue
        self._run_ns += times.run
        if self._unanswered:
            self._queue_next()
        else:
            times.queue, times.run = self._queue_ns, self._run_ns
            self.request.set_result(self._whole)


class _RunReply:
    """The reply to one run of a request that was split."""

    __slots__ = ("_place", "_rows", "_runs")

    def __init__(self, runs: SplitRequest, place: int, rows: int) -> None:
        self._runs, self._place, self._rows = runs, place, rows

    @property
    def answered(self) -> bool:
        """Whether the request needs no run more: the others are dropped when one has failed."""
        return self._runs.request.answered

    def set_result(self, outputs: Tensors) -> None:
        self._runs.answer(self._place, outputs, self._rows)

    def set_exception(self, error: BaseException) -> None:
        self._runs.request.set_exception(error)


class _PredictionRequest(_Request[list[Prediction]]):
    """A request of instances, each of which is a row of its own in the queues; of one, it is the reply itself."""

    __slots__ = ("_features", "working")

    working: int
    """Bytes taken for decoding, where the pool decodes."""

    def wait_for(self, decoding: "Future[list[Features]]") -> None:
        """Go on when the pool has decoded the instances; at the deadline, answered without them if need be."""
        loop, context, timer = asyncio.get_running_loop(), self.context, None
        if context.deadline_s is not None:

            def expire() -> None:
                decoding.cancel()
                self.set_exception(DeadlineExceeded(self.model.name, context.timeout_s))

            timer = loop.call_later(max(0.0, context.deadline_s - clock_ns() * _NS), expire)
        decoding.add_done_callback(lambda done: loop.call_soon_threadsafe(self.prepared, done, timer))

    def prepared(self, done: "Future[list[Features]]", timer: Timer | None) -> None:
        """The pool has decoded the instances, or failed, or the deadline has passed before."""
        if timer is not None:
            timer.cancel()
        if self.working > SMALL and self.context.hold is not None:
            self.context.hold.shrink(self.working)
        if self.answered:
            return
        try:
            self.enqueue(done.result())
        except Exception as error:
            self.set_exception(error)

    def enqueue(self, features: list[Features]) -> None:
        """Queue row by row, so that the batcher may put each into the bucket and the batch that suit it."""
        self._features = features
        batcher, context = self.model.batcher, self.context
        if len(features) == 1:
            batcher.enqueue(features[0].tensors, 1, context, self)
            return
        rows = _Rows(self, len(features))
        for place, feature in enumerate(features):
            batcher.enqueue(feature.tensors, 1, context, _RowReply(rows, place))

    def set_result(self, *outputs: Tensors) -> None:
        """Answer with the predictions of all rows, then let drift look at them."""
        start, processor = clock_ns(), self.model.predictor.processor
        try:
            predictions = [
                processor.postprocess(row, feature.context)
                for row, feature in zip(outputs, self._features, strict=True)
            ]
        except Exception as error:
            self.set_exception(error)
            return
        self.context.times.postprocess = clock_ns() - start
        self.leave()
        self.then(predictions, None)
        if (drift := self.model.drift) is not None:
            drift.observe(self._features, outputs, len(outputs))


class _Rows:
    """The outputs of a request of several rows: it is answered with the last of them."""

    __slots__ = ("outputs", "request", "unanswered")

    def __init__(self, request: _PredictionRequest, rows: int) -> None:
        self.request, self.unanswered = request, rows
        self.outputs: list[Tensors] = [{}] * rows


class _RowReply:
    """The reply to one row of several."""

    __slots__ = ("_place", "_rows")

    def __init__(self, rows: _Rows, place: int) -> None:
        self._rows, self._place = rows, place

    @property
    def answered(self) -> bool:
        """Whether the request needs no row more: the others are dropped when one has failed."""
        return self._rows.request.answered

    def set_result(self, outputs: Tensors) -> None:
        rows = self._rows
        rows.outputs[self._place] = outputs
        rows.unanswered -= 1
        if not rows.unanswered:
            rows.request.set_result(*rows.outputs)

    def set_exception(self, error: BaseException) -> None:
        self._rows.request.set_exception(error)


def named(error: BaseException, model: str) -> BaseException:
    """The error as the client is told it: one that is not ours names the model and its kind."""
    if isinstance(error, BatonError) or not isinstance(error, Exception):
        return error
    failure = InferenceFailed(f"model '{model}': {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
