"""One `infer` request step by step: decoded, and answered when the batcher has run it.

The steps are plain functions, so that what waits between them may be a coroutine (under any ASGI server) or a
callback (in our own protocol, where a task would cost more than a small graph's run).
"""

import time
from typing import NamedTuple

from inference.errors import BatonError, InvalidInput
from inference.values import Tensors
from serving.codec.binary import JSON_LENGTH
from serving.codec.infer import InferCodec, InferRequest
from serving.engine.context import RequestContext
from serving.engine.observers import RawHeaders
from serving.engine.served_model import ServedModel
from serving.http.errors import Headers, error_body, error_headers, status_of

JSON = (b"content-type", b"application/json")
BINARY = (b"content-type", b"application/octet-stream")

clock_ns = time.monotonic_ns
"""The batcher's clock, on which deadlines are."""


class Answer(NamedTuple):
    """A response, whole. `wire`: headers and body as one, where the same answer was made before."""

    status: int
    headers: Headers
    body: bytes
    wire: bytes = b""


def on_the_wire(answer: Answer) -> bytes:
    """Headers and body of an answer as HTTP/1.1 has them."""
    return b"".join((*(b"%b: %b\r\n" % header for header in answer.headers), b"\r\n", answer.body))


def refusal(error: BatonError) -> Answer:
    """How an error is answered."""
    return Answer(status_of(error), [JSON, *error_headers(error)], error_body(str(error)))


class Exchange:
    """A request for `model` that began when this was made. Failures are counted where they happen."""

    __slots__ = ("_codec", "_started", "context", "model", "request")

    def __init__(self, model: ServedModel, codec: InferCodec, context: RequestContext) -> None:
        self.model, self.context = model, context
        self._codec, self._started = codec, clock_ns()
        self.request: InferRequest

    def decode(self, body: bytes | memoryview, headers: RawHeaders, timeout_s: float | None) -> InferRequest:
        """The tensors to run, checked; `timeout_s` is the server's own, None for none."""
        begun, context = clock_ns(), self.context
        try:
            self.request = request = self._codec.decode(body, _json_bytes(headers, len(body)))
            context.priority = request.priority
            set_deadline(context, headers, request.timeout_us, timeout_s, self._started)
        except BatonError as error:
            self.model.metrics.fail(error)
            raise
        context.times.decode = clock_ns() - begun
        return request

    def encode(self, outputs: Tensors) -> Answer:
        """The answer to a request that has run."""
        begun, times = clock_ns(), self.context.times
        try:
            encoded = self._codec.encode(self.request, outputs)
        except BatonError as error:
            self.model.metrics.fail(error)
            raise
        ended = clock_ns()
        times.encode = ended - begun
        self.model.metrics.observe_request(times, self.request.rows, (ended - self._started) * 1e-9)
        if encoded.json_bytes is None:
            return Answer(200, [JSON], encoded.body)
        length = (JSON_LENGTH, b"%d" % encoded.json_bytes)
        return Answer(200, [BINARY, length], encoded.body)


def set_deadline(
    context: RequestContext, headers: RawHeaders, timeout_us: int, timeout_s: float | None, started: int
) -> None:
    """The nearest of the body's timeout (microseconds), the header's (milliseconds) and the server's."""
    header = headers.get(b"x-request-timeout-ms")
    if timeout_us:
        timeout_s = min(timeout_us * 1e-6, timeout_s or float("inf"))
    if header is not None:
        timeout_s = min(_milliseconds(header) * 1e-3, timeout_s or float("inf"))
    if timeout_s is not None:
        context.timeout_s, context.deadline_s = timeout_s, started * 1e-9 + timeout_s


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
