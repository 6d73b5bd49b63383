"""One request of each verb: its body is decoded and started, and its result is encoded.

Both steps are plain functions with a callback between them, since a task of the loop would cost more than a small
graph's run. They raise; errors are answered and counted by `http.fast_path`, in one place.
"""

from typing import NamedTuple

from inference.errors import InvalidInput
from inference.processors.occlusion import Explanation
from inference.values import Prediction, Tensors
from serving.codec.binary import JSON_LENGTH
from serving.codec.infer import InferRequest
from serving.codec.instances import (
    decode_parameters,
    decode_payloads,
    encode_explanations,
    encode_predictions,
)
from serving.engine.context import RequestContext, clock_ns
from serving.engine.dataplane import DataPlane, Then
from serving.engine.explaining import ExplanationPlane
from serving.engine.observers import RawHeaders
from serving.engine.served_model import ServedModel
from serving.http.answer import BINARY, JSON, Answer
from serving.http.matching import Route

_NS = 1e-9


class Limits(NamedTuple):
    """The bounds of a request. `timeout_s`: the server's own, None for none. `strict_json`: see the settings."""

    max_instances: int
    timeout_s: float | None
    strict_json: bool


class InferExchange:
    """Tensors in, tensors out: the Open Inference Protocol."""

    __slots__ = ("_codec", "_context", "_limits", "_model", "_plane", "_request")

    _request: InferRequest

    def __init__(
        self, plane: DataPlane, model: ServedModel, route: Route, context: RequestContext, limits: Limits
    ) -> None:
        self._plane, self._model, self._context, self._limits = plane, model, context, limits
        self._codec = route.codec(model, strict=limits.strict_json)

    def start(self, body: bytes | memoryview, headers: RawHeaders, then: Then[Tensors]) -> None:
        """Check the tensors of a body and run them."""
        begun, context = clock_ns(), self._context
        self._request = request = self._codec.decode(body, _json_bytes(headers, len(body)))
        context.priority = request.priority
        set_deadline(context, headers, request.timeout_us, self._limits.timeout_s)
        context.times.decode = clock_ns() - begun
        self._plane.infer(self._model, request.tensors, request.rows, context, then)

    def encode(self, outputs: Tensors) -> Answer:
        """The answer to a request that has run, which is counted as one."""
        begun, context = clock_ns(), self._context
        encoded = self._codec.encode(self._request, outputs)
        ended = clock_ns()
        context.times.encode = ended - begun
        seconds = (ended - context.started_ns) * _NS
        self._model.metrics.observe_request(context.times, self._request.rows, seconds)
        if encoded.json_bytes is None:
            return Answer(200, [JSON], encoded.body)
        length = (JSON_LENGTH, b"%d" % encoded.json_bytes)
        return Answer(200, [BINARY, length], encoded.body)


class PredictExchange:
    """Instances in, predictions out: `:predict` of a task."""

    __slots__ = ("_context", "_limits", "_model", "_plane")

    def __init__(
        self, plane: DataPlane, model: ServedModel, route: Route, context: RequestContext, limits: Limits
    ) -> None:
        self._plane, self._model, self._context, self._limits = plane, model, context, limits

    def start(self, body: bytes | memoryview, headers: RawHeaders, then: Then[list[Prediction]]) -> None:
        """Find the instances of a body and predict each."""
        begun, context, limits = clock_ns(), self._context, self._limits
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        payloads = decode_payloads(bytes(body), content_type, limits.max_instances)
        set_deadline(context, headers, 0, limits.timeout_s)
        context.times.decode = clock_ns() - begun
        self._plane.predict(self._model, payloads, context, then)

    def encode(self, predictions: list[Prediction]) -> Answer:
        """The answer to a request that has run, which is counted as one."""
        begun, context, metrics = clock_ns(), self._context, self._model.metrics
        encoded = encode_predictions(predictions)
        ended = clock_ns()
        context.times.encode = ended - begun
        seconds = (ended - context.started_ns) * _NS
        metrics.observe_request(context.times, len(predictions), seconds)
        metrics.observe_predictions(predictions)
        return Answer(200, [JSON], encoded)


class ExplainExchange:
    """Instances in, explanations out: `:explain` of a task."""

    __slots__ = ("_context", "_limits", "_model", "_plane")

    def __init__(
        self,
        plane: ExplanationPlane,
        model: ServedModel,
        route: Route,
        context: RequestContext,
        limits: Limits,
    ) -> None:
        self._plane, self._model, self._context, self._limits = plane, model, context, limits

    def start(self, body: bytes | memoryview, headers: RawHeaders, then: Then[list[Explanation]]) -> None:
        """Find the instances of a body, with the parameters beside them, and explain the answer to each."""
        begun, context, limits, content = clock_ns(), self._context, self._limits, bytes(body)
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        payloads = decode_payloads(content, content_type, limits.max_instances)
        set_deadline(context, headers, 0, limits.timeout_s)
        context.times.decode = clock_ns() - begun
        parameters = decode_parameters(content, payloads)
        self._plane.start(self._model, payloads, parameters, context, then)

    def encode(self, explanations: list[Explanation]) -> Answer:
        """The answer to a request that has run; the plane has counted it."""
        begun = clock_ns()
        encoded = encode_explanations(explanations)
        self._context.times.encode = clock_ns() - begun
        return Answer(200, [JSON], encoded)


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
