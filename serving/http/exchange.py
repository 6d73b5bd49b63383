"""One request of each verb: its body is decoded and started, and its result is encoded.

Both steps are plain functions with a callback between them, since a task of the loop would cost more than a small
graph's run. They raise; errors are answered and counted by `http.fast_path`, in one place.
"""

from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from inference.errors import InvalidInput
from inference.processors.occlusion import Explanation
from inference.values import Payload, Prediction, Tensors
from serving.codec.binary import JSON_LENGTH
from serving.codec.infer import INLINE_BYTES, InferRequest
from serving.codec.instances import (
    decode_long_payloads,
    decode_parameters,
    decode_payloads,
    encode_explanations,
    encode_predictions,
)
from serving.codec.long_instances import OCTETS
from serving.codec.outputs import InferAnswer
from serving.codec.scan import Pace
from serving.engine.context import RequestContext, clock_ns
from serving.engine.dataplane import DataPlane, Then
from serving.engine.explaining import ExplanationPlane
from serving.engine.large_work import LargeWork, Pacer
from serving.engine.observers import RawHeaders
from serving.engine.served_model import ServedModel
from serving.http.answer import BINARY, JSON, Answer
from serving.http.matching import Route

INLINE_BINARY_BYTES = 4 << 20
"""Of a body of numbers in binary, or of an image: it is passed on as it is, and at most copied once."""

_NS = 1e-9

PlaneT = TypeVar("PlaneT")


class Limits(NamedTuple):
    """The bounds of a request. `timeout_s`: the server's own, None for none. `strict_json`: see the settings."""

    max_instances: int
    timeout_s: float | None
    strict_json: bool


class InferExchange:
    """Tensors in, tensors out: the Open Inference Protocol."""

    __slots__ = ("_codec", "_context", "_limits", "_model", "_plane", "_request", "_work")

    _request: InferRequest

    def __init__(
        self,
        plane: DataPlane,
        work: LargeWork,
        model: ServedModel,
        route: Route,
        context: RequestContext,
        limits: Limits,
    ) -> None:
        self._plane, self._work, self._model = plane, work, model
        self._context, self._limits = context, limits
        self._codec = route.codec(model, strict=limits.strict_json)

    def start(self, body: bytes | memoryview, headers: RawHeaders, then: Then[Tensors]) -> None:
        """Check the tensors of a body and run them."""
        if len(body) > self._codec.inline_bytes and self._is_large(body, headers):
            self._context.large = True
            work = self._start_large(memoryview(body), headers, then)
            self._work.start(work, partial(then, None))
            return
        begun, context = clock_ns(), self._context
        self._request = request = self._codec.decode(body, _json_bytes(headers, len(body)))
        context.priority = request.priority
        set_deadline(context, headers, request.timeout_us, self._limits.timeout_s)
        context.times.decode = clock_ns() - begun
        self._plane.infer(self._model, request.tensors, request.rows, context, then)

    def is_large(self, outputs: Tensors) -> bool:
        """Whether the answer is for `encode_large`."""
        request, codec = self._request, self._codec
        return self._context.large or (request.rows > codec.small_rows and codec.is_large(request, outputs))

    def encode(self, outputs: Tensors) -> Answer:
        """The answer to a request that has run, which is counted as one."""
        begun = clock_ns()
        return self._answer(self._codec.encode(self._request, outputs), begun)

    async def encode_large(self, outputs: Tensors) -> Answer:
        """The same for a large one, encoded on a thread."""
        begun, codec, request = clock_ns(), self._codec, self._request
        _take(self._context, codec.encoded_bytes(request, outputs), "outputs")
        pacer = Pacer(self._context, self._model.name)
        return self._answer(await self._work.run(codec.encode_large, request, outputs, pace=pacer), begun)

    def _is_large(self, body: bytes | memoryview, headers: RawHeaders) -> bool:
        """Of a body over the codec's bound: whether decoding it takes long. Numbers in binary are taken as they lie."""
        numbers = JSON_LENGTH in headers and not self._codec.takes_strings
        return not numbers or len(body) > INLINE_BINARY_BYTES

    async def _start_large(self, body: memoryview, headers: RawHeaders, then: Then[Tensors]) -> None:
        begun, context, codec = clock_ns(), self._context, self._codec
        pacer = Pacer(context, self._model.name)
        set_deadline(context, headers, 0, self._limits.timeout_s)
        json_bytes = _json_bytes(headers, len(body))
        outline = await self._work.run(codec.outline, body, json_bytes, pace=pacer)
        set_deadline(context, headers, outline.timeout_us, self._limits.timeout_s)
        overloaded = self._model.batcher.admission.overloaded(rows=1)
        if overloaded is not None:  # before it is decoded
            raise overloaded
        _take(context, outline.decoded_bytes, "inputs")
        self._request = request = await self._work.run(codec.decode_outlined, outline, pace=pacer)
        context.priority = request.priority
        context.times.decode = clock_ns() - begun
        self._plane.infer(self._model, request.tensors, request.rows, context, then)

    def _answer(self, encoded: InferAnswer, begun: int) -> Answer:
        context, ended = self._context, clock_ns()
        context.times.encode = ended - begun
        seconds = (ended - context.started_ns) * _NS
        self._model.metrics.observe_request(context.times, self._request.rows, seconds)
        if encoded.json_bytes is None:
            return Answer(200, [JSON], encoded.body, b"", encoded.rest)
        length = (JSON_LENGTH, b"%d" % encoded.json_bytes)
        return Answer(200, [BINARY, length], encoded.body, b"", encoded.rest)


class _InstancesExchange(Generic[PlaneT]):
    """What the verbs of a task share: they take instances, large bodies of them on a thread."""

    __slots__ = ("_context", "_limits", "_model", "_plane", "_work")

    def __init__(
        self,
        plane: PlaneT,
        work: LargeWork,
        model: ServedModel,
        route: Route,
        context: RequestContext,
        limits: Limits,
    ) -> None:
        self._plane, self._work, self._model = plane, work, model
        self._context, self._limits = context, limits

    async def _start_large(
        self, body: memoryview, headers: RawHeaders, content_type: str, then: Then[Any]
    ) -> None:
        begun, context, limits, model = clock_ns(), self._context, self._limits, self._model
        context.large = True
        set_deadline(context, headers, 0, limits.timeout_s)
        _take(context, len(body), "instances")
        decode = partial(decode_long_payloads, takes_bytes=OCTETS in model.predictor.processor.media_types)
        pacer = Pacer(context, model.name)
        rest, payloads = await self._work.run(decode, body, content_type, limits.max_instances, pace=pacer)
        context.times.decode = clock_ns() - begun
        self._run(payloads, rest, then)

    def _run(self, payloads: list[Payload], rest: bytes, then: Then[Any]) -> None:
        """Run decoded instances; `rest` is the JSON beside them."""
        raise NotImplementedError


class PredictExchange(_InstancesExchange[DataPlane]):
    """Instances in, predictions out: `:predict` of a task."""

    __slots__ = ()

    def start(self, body: bytes | memoryview, headers: RawHeaders, then: Then[list[Prediction]]) -> None:
        """Find the instances of a body and predict each."""
        begun, context, limits = clock_ns(), self._context, self._limits
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        if len(body) > INLINE_BYTES and _is_large(body, content_type):
            self._work.start(
                self._start_large(memoryview(body), headers, content_type, then), partial(then, None)
            )
            return
        payloads = decode_payloads(bytes(body), content_type, limits.max_instances)
        set_deadline(context, headers, 0, limits.timeout_s)
        context.times.decode = clock_ns() - begun
        self._plane.predict(self._model, payloads, context, then)

    def _run(self, payloads: list[Payload], rest: bytes, then: Then[list[Prediction]]) -> None:
        self._plane.predict(self._model, payloads, self._context, then)

    def is_large(self, predictions: list[Prediction]) -> bool:
        """Whether the answer is for `encode_large`."""
        return self._context.large

    async def encode_large(self, predictions: list[Prediction]) -> Answer:
        """The same as `encode`, on a thread."""
        begun, pacer = clock_ns(), Pacer(self._context, self._model.name)
        encoded = await self._work.run(_encode_predictions, predictions, pace=pacer)
        return self._answer(encoded, predictions, begun)

    def encode(self, predictions: list[Prediction]) -> Answer:
        """The answer to a request that has run, which is counted as one."""
        begun = clock_ns()
        return self._answer(encode_predictions(predictions), predictions, begun)

    def _answer(self, encoded: bytes, predictions: list[Prediction], begun: int) -> Answer:
        context, metrics, ended = self._context, self._model.metrics, clock_ns()
        context.times.encode = ended - begun
        seconds = (ended - context.started_ns) * _NS
        metrics.observe_request(context.times, len(predictions), seconds)
        metrics.observe_predictions(predictions)
        return Answer(200, [JSON], encoded)


class ExplainExchange(_InstancesExchange[ExplanationPlane]):
    """Instances in, explanations out: `:explain` of a task."""

    __slots__ = ()

    def start(self, body: bytes | memoryview, headers: RawHeaders, then: Then[list[Explanation]]) -> None:
        """Find the instances of a body, with the parameters beside them, and explain the answer to each."""
        begun, context, limits = clock_ns(), self._context, self._limits
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        if len(body) > INLINE_BYTES and _is_large(body, content_type):
            self._work.start(
                self._start_large(memoryview(body), headers, content_type, then), partial(then, None)
            )
            return
        content = bytes(body)
        payloads = decode_payloads(content, content_type, limits.max_instances)
        set_deadline(context, headers, 0, limits.timeout_s)
        context.times.decode = clock_ns() - begun
        self._run(payloads, content, then)

    def _run(self, payloads: list[Payload], rest: bytes, then: Then[list[Explanation]]) -> None:
        parameters = decode_parameters(rest, payloads)
        self._plane.start(self._model, payloads, parameters, self._context, then)

    def is_large(self, explanations: list[Explanation]) -> bool:
        """Never: it has as many numbers as its input was cut into parts."""
        return False

    def encode(self, explanations: list[Explanation]) -> Answer:
        """The answer to a request that has run; the plane has counted it."""
        begun = clock_ns()
        encoded = encode_explanations(explanations)
        self._context.times.encode = clock_ns() - begun
        return Answer(200, [JSON], encoded)


def _encode_predictions(predictions: list[Prediction], pace: Pace) -> bytes:
    return encode_predictions(predictions)


def _is_large(body: bytes | memoryview, content_type: str) -> bool:
    """Of a body over `INLINE_BYTES`: whether finding its instances takes long. An image is taken as it is."""
    return len(body) > INLINE_BINARY_BYTES or not content_type.startswith("image/")


def _take(context: RequestContext, size: int, field: str) -> None:
    """Count bytes of a request before they are made."""
    if context.hold is not None:
        context.hold.grow(size, field)


def set_deadline(
    context: RequestContext, headers: RawHeaders, timeout_us: int, timeout_s: float | None
) -> None:
    """The nearest of the body's timeout (microseconds), the header's (milliseconds) and the server's.

    It counts from the request's start.
    """
    header = headers.get(b"x-request-timeout-ms")
    if timeout_us:
        timeout_s = min(timeout_us * 1e-6, timeout_s or float("inf"))
    if header is not None:
        timeout_s = min(_milliseconds(header) * 1e-3, timeout_s or float("inf"))
    if timeout_s is not None:
        context.timeout_s, context.deadline_s = timeout_s, context.started_ns * _NS + timeout_s


def _json_bytes(headers: RawHeaders, body_bytes: int) -> int | None:
    value = headers.get(JSON_LENGTH)
    if value is None:
        return None
    text = value.decode("latin-1")
    length = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1
    if not 0 <= length <= body_bytes:
        expected = f"a number from 0 to the {body_bytes} bytes of the body"
        raise InvalidInput("Inference-Header-Content-Length", text, expected)
    return length


def _milliseconds(header: bytes) -> float:
    try:
        value = float(header)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise InvalidInput("X-Request-Timeout-Ms", header.decode("latin-1"), "milliseconds above 0")
    return value
