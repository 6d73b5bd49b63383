"""The hot lane: `infer` and `:predict` as plain ASGI in front of the router, where every microsecond counts.

On one core FastAPI's routing, validation and response classes cost more than a small graph's run. Both verbs
are documented in the same OpenAPI (`serving.routes`), and every other path goes on to FastAPI.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor
from typing import Any, NamedTuple

from inference.errors import BatonError, InvalidInput
from serving.call import Call
from serving.caller import RawHeaders, Receive, read_body, watch
from serving.codec.compression import LEAST_BYTES, choose_encoding, compress, decompress
from serving.codec.instances import decode_payloads, encode_predictions
from serving.dataplane import DataPlane
from serving.errors import Headers, error_body, error_headers, status_of
from serving.lifecycle import Lifecycle
from serving.registry import ModelRegistry, ServedModel
from serving.settings import Settings
from serving.targets import Target, find_target

log = logging.getLogger("baton.http")

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON = (b"content-type", b"application/json")
BINARY = (b"content-type", b"application/octet-stream")

_MAX_TARGETS = (
    4096  # paths remembered: only those of served models are, but a version may be written 1 or 001
)
_OFF_LOOP_BYTES = 64 * 1024  # bodies over this are (de)compressed on a thread, since zlib lets go of the GIL
_clock_ns = time.monotonic_ns  # the batcher's clock, on which deadlines are


class Answer(NamedTuple):
    """A response, whole."""

    status: int
    headers: Headers
    body: bytes


class HotLane:
    """Answers the two prediction verbs; every other request goes on to `rest`."""

    def __init__(
        self,
        registry: ModelRegistry,
        plane: DataPlane,
        settings: Settings,
        lifecycle: Lifecycle,
        pool: Executor,
    ) -> None:
        """`pool` takes what would keep the event loop for long: big compressed bodies."""
        self._registry, self._plane, self._lifecycle, self._pool = registry, plane, lifecycle, pool
        self._max_body_bytes, self._max_instances = settings.max_body_bytes, settings.max_instances
        self._timeout_s = settings.request_timeout_s
        self._targets: dict[str, Target] = {}

    def in_front_of(self, rest: Asgi) -> Asgi:
        """The application that answers the hot lane's paths here and leaves all others to `rest`."""

        async def lane(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["method"] == "POST":
                target = self._targets.get(scope["path"]) or find_target(scope["path"])
                if target is not None:
                    status, headers, body = await self.answer(target, scope, receive)
                    await send({"type": "http.response.start", "status": status, "headers": headers})
                    await send({"type": "http.response.body", "body": body})
                    return
            await rest(scope, receive, send)

        return lane

    async def answer(self, target: Target, scope: Scope, receive: Receive) -> Answer:
        """The whole answer to one request, errors included; it raises nothing of its own."""
        headers = dict(scope["headers"])
        call = Call()
        try:
            model = self._registry.get(target.name, target.version)
            if len(self._targets) < _MAX_TARGETS:
                self._targets[scope["path"]] = target
            verb = self._infer if target.verb == "infer" else self._predict
            answer = await verb(model, target, headers, receive, call)
            accepted = headers.get(b"accept-encoding")
            if accepted is not None and len(answer.body) >= LEAST_BYTES:
                answer = await self._compressed(answer, accepted)
        except BatonError as error:
            answer = Answer(status_of(error), [JSON, *error_headers(error)], error_body(str(error)))
        except Exception:
            log.exception("POST %s failed", scope["path"])
            answer = Answer(500, [JSON], error_body("internal error"))
        self._finish(answer, headers, call)
        return answer

    async def _infer(
        self, model: ServedModel, target: Target, headers: RawHeaders, receive: Receive, call: Call
    ) -> Answer:
        started = _clock_ns()
        times, codec = call.times, target.codec(model)
        try:
            body = await self._body(headers, receive)
            begun = _clock_ns()
            request = codec.decode(body, _json_bytes(headers, len(body)))
            call.priority = request.priority
            self._set_deadline(call, headers, request.timeout_us, started)
        except BatonError as error:
            model.metrics.fail(error)
            raise
        call.left, stop = watch(receive)
        times.decode = _clock_ns() - begun
        try:
            outputs = await self._plane.infer(model, request.tensors, request.rows, call)
        finally:
            if stop is not None:
                stop()
        begun = _clock_ns()
        try:
            encoded = codec.encode(request, outputs)
        except BatonError as error:
            model.metrics.fail(error)
            raise
        ended = _clock_ns()
        times.encode = ended - begun
        model.metrics.observe_request(times, request.rows, (ended - started) * 1e-9)
        if encoded.json_bytes is None:
            return Answer(200, [JSON], encoded.body)
        length = (b"inference-header-content-length", b"%d" % encoded.json_bytes)
        return Answer(200, [BINARY, length], encoded.body)

    async def _predict(
        self, model: ServedModel, target: Target, headers: RawHeaders, receive: Receive, call: Call
    ) -> Answer:
        started = _clock_ns()
        times = call.times
        try:
            body = await self._body(headers, receive)
            begun = _clock_ns()
            content_type = headers.get(b"content-type", b"").decode("latin-1")
            payloads = decode_payloads(body, content_type, self._max_instances)
            self._set_deadline(call, headers, 0, started)
        except BatonError as error:
            model.metrics.fail(error)
            raise
        call.left, stop = watch(receive)
        times.decode = _clock_ns() - begun
        try:
            predictions = await self._plane.predict(model, payloads, call)
        finally:
            if stop is not None:
                stop()
        begun = _clock_ns()
        encoded = encode_predictions(predictions)
        ended = _clock_ns()
        times.encode = ended - begun
        model.metrics.observe_request(times, len(payloads), (ended - started) * 1e-9)
        model.metrics.observe_predictions(predictions)
        return Answer(200, [JSON], encoded)

    async def _body(self, headers: RawHeaders, receive: Receive) -> bytes:
        body = await read_body(receive, headers, self._max_body_bytes)
        encoding = headers.get(b"content-encoding")
        if encoding is None:
            return body
        arguments = body, encoding.decode("latin-1"), self._max_body_bytes
        if len(body) < _OFF_LOOP_BYTES:
            return decompress(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._pool, decompress, *arguments)

    async def _compressed(self, answer: Answer, accepted: bytes) -> Answer:
        encoding = choose_encoding(accepted.decode("latin-1"))
        if not encoding:
            return answer
        if len(answer.body) < _OFF_LOOP_BYTES:
            body = compress(answer.body, encoding)
        else:
            loop = asyncio.get_running_loop()
            body = await loop.run_in_executor(self._pool, compress, answer.body, encoding)
        named = (b"content-encoding", encoding.encode())
        return Answer(answer.status, [*answer.headers, named, (b"vary", b"accept-encoding")], body)

    def _set_deadline(self, call: Call, headers: RawHeaders, timeout_us: int, started: int) -> None:
        """The nearest of the body's timeout (microseconds), the header's (milliseconds) and the server's."""
        timeout_s = self._timeout_s
        header = headers.get(b"x-request-timeout-ms")
        if timeout_us:
            timeout_s = min(timeout_us * 1e-6, timeout_s or float("inf"))
        if header is not None:
            timeout_s = min(_milliseconds(header) * 1e-3, timeout_s or float("inf"))
        if timeout_s is not None:
            call.timeout_s, call.deadline_s = timeout_s, started * 1e-9 + timeout_s

    def _finish(self, answer: Answer, headers: RawHeaders, call: Call) -> None:
        added = answer.headers
        added.append((b"content-length", b"%d" % len(answer.body)))
        added.append((b"server-timing", call.times.server_timing().encode()))
        request_id = headers.get(b"x-request-id")
        if request_id is not None and request_id.isascii() and request_id.decode().isprintable():
            added.append((b"x-request-id", request_id[:128]))
        if self._lifecycle.draining:
            added.append((b"connection", b"close"))  # so that the caller's next request goes elsewhere


def _json_bytes(headers: RawHeaders, body_bytes: int) -> int | None:
    value = headers.get(b"inference-header-content-length")
    if value is None:
        return None
    text = value.decode("latin-1")
    length = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1
    if not 0 <= length <= body_bytes:
        wanted = f"a number from 0 to the {body_bytes} bytes of the body"
        raise InvalidInput("Inference-Header-Content-Length", text, wanted)
    return length


def _milliseconds(header: bytes) -> float:
    try:
        value = float(header)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise InvalidInput("X-Request-Timeout-Ms", header.decode("latin-1"), "milliseconds above 0")
    return value
