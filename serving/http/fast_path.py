"""The fast path: `infer`, `:predict` and `:explain` without the router, where every microsecond counts.

On one core FastAPI's routing, validation and response classes cost more than a small graph's run. The three verbs are
documented in the same OpenAPI (`serving.http.routes`). They come here from `http.protocol` with their whole body, or
from any ASGI server by way of `http.front`; both ways meet in `respond`.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from inference.errors import BatonError, ClientDisconnected
from serving.access.gate import Gate
from serving.access.hosts import AllowedHosts
from serving.codec.compression import LEAST_BYTES, Decompression, choose_encoding, compress, is_compressed
from serving.engine.context import RequestContext
from serving.engine.dataplane import DataPlane
from serving.engine.explaining import ExplanationPlane
from serving.engine.fair_pool import FairPool
from serving.engine.inflight import Hold, InflightBytes
from serving.engine.large_work import LargeWork, Pacer
from serving.engine.observers import Observer, PayloadObserver, RawHeaders
from serving.engine.registry import ModelRegistry
from serving.engine.served_model import ServedModel
from serving.http.admission import client_of
from serving.http.answer import JSON, Answer, on_the_wire, refusal
from serving.http.asgi import Receive, Scope
from serving.http.body import read_body, watch
from serving.http.cors import VARY, varies
from serving.http.errors import error_body, retry_after_s
from serving.http.exchange import ExplainExchange, InferExchange, Limits, PredictExchange
from serving.http.holding import HOLD
from serving.http.matching import Route, Routes
from serving.lifecycle import Lifecycle
from serving.settings import Settings, listed

log = logging.getLogger("baton.http")

_MAX_REFUSALS = 256  # remembered; they differ by model, limit and seconds to wait
_PIECE_BYTES = 512 << 10  # of a decompressed body, made at a time: a millisecond or less
_OFF_LOOP_BYTES = 64 * 1024  # bodies over this are (de)compressed on a thread, since zlib lets go of the GIL


class Client(Protocol):
    """The client that waits for the answer to a whole request."""

    @property
    def disconnected(self) -> bool:
        """Whether it has closed the connection."""
        ...

    @property
    def address(self) -> str:
        """Its IP address; "" where it has none."""
        ...

    @property
    def hold(self) -> Hold | None:
        """The bytes that are held for its request."""
        ...

    def send(self, answer: Answer) -> None:
        """Take the answer; called once."""
        ...


class FastPath:
    """Answers the verbs that run a model."""

    def __init__(
        self,
        registry: ModelRegistry,
        plane: DataPlane,
        settings: Settings,
        lifecycle: Lifecycle,
        pool: FairPool,
        inflight: InflightBytes,
        observer: Observer | None = None,
        payload_log: PayloadObserver | None = None,
        gate: Gate | None = None,
        hosts: AllowedHosts | None = None,
    ) -> None:
        """`pool` takes the work that would keep the event loop for long: big compressed bodies.

        `inflight` counts what is held for requests, and is asked before more is.

        `observer` is told of each answer, `payload_log` of those that it picks. `gate` lets in requests with an API
        key, and `hosts` those for a name that it knows; None lets in all.
        """
        self.routes = Routes(settings.root_path)
        self.lifecycle = lifecycle
        self._registry, self._pool = registry, pool
        self._observer, self._payload_log = observer, payload_log
        self._gate, self._hosts = gate, hosts
        self.inflight = inflight
        self._max_body_bytes = settings.max_body_bytes
        self._cors, self._vary = bool(listed(settings.cors_origins)), varies(listed(settings.cors_origins))
        self._limits = Limits(settings.max_instances, settings.request_timeout_s, settings.strict_json)
        self._work = LargeWork()
        self._explanations = ExplanationPlane(pool, settings.max_explain_rows, settings.max_explanations)
        self._exchanges: dict[str, Callable[..., Any]] = {
            "infer": partial(InferExchange, plane, self._work),
            "predict": partial(PredictExchange, plane, self._work),
            "explain": partial(ExplainExchange, self._explanations, self._work),
        }
        self._refusals: dict[tuple[str, int], Answer] = {}
        self._tasks: set[asyncio.Future[None]] = set()

    def close(self) -> None:
        """End the threads for large requests, when no request is under way any more."""
        self._work.close()

    def takes(self, headers: RawHeaders) -> bool:
        """Whether `respond` may be given this request: a body whose length is declared and admitted.

        A page of another origin is answered by way of `serving.http.cors`, where any origin is let in, and a request
        for another host by way of `serving.http.admission`.
        """
        length = headers.get(b"content-length")
        return (
            length is not None
            and length.isdigit()
            and int(length) <= self._max_body_bytes
            and b"expect" not in headers
            and not (self._cors and b"origin" in headers)
            and (self._hosts is None or self._hosts.allow(headers.get(b"host", b"")))
        )

    def turn_away(self, route: Route, headers: RawHeaders, address: str = "") -> Answer | None:
        """The refusal of a request by its head; None if its body is to be read.

        Its client has no API key or is over its limits, or its model has no room for one row more. Overload is when
        refusing has to cost least: the body stays unread, and answers are made once.
        """
        if self._gate is not None:
            try:
                self._gate.admit(headers, address)
            except BatonError as refused:
                return self._finished(route, self._refused(route, None, refused), headers, RequestContext())
        try:
            model = self._registry.get(route.name, route.version)
        except BatonError:
            return None
        admission = model.batcher.admission
        explained = route.verb == "explain"
        error = self._explanations.overloaded(model) if explained else admission.overloaded(rows=1)
        if error is None:
            return None
        model.metrics.fail(error)
        if self._observer is not None or self.lifecycle.draining or b"x-request-id" in headers:
            return self._finished(route, refusal(error), headers, RequestContext())
        key = str(error), retry_after_s(error)
        answer = self._refusals.get(key)
        if answer is None:
            if len(self._refusals) >= _MAX_REFUSALS:
                self._refusals.clear()
            answer = self._finished(route, refusal(error), headers, RequestContext())
            answer = self._refusals[key] = answer._replace(wire=on_the_wire(answer))
        return answer

    def abandoned(self, route: Route, error: BatonError | None = None) -> None:
        """Count a request that ended before its body was here: by `error`, or since its client left."""
        model = self._served(route)
        if model is not None:
            model.metrics.fail(
                error or ClientDisconnected("the client closed the connection while it sent its body")
            )

    def refuse(self, route: Route, headers: RawHeaders, error: BatonError) -> Answer:
        """The answer to a request that is here whole, and for which there is no room."""
        refused = self._refused(route, self._served(route), error)
        return self._finished(route, refused, headers, RequestContext())

    async def answer(self, route: Route, scope: Scope, receive: Receive) -> Answer:
        """The whole answer to one request of an ASGI server; it raises nothing of its own."""
        headers, hold, address = dict(scope["headers"]), scope.get(HOLD), client_of(scope)
        context = RequestContext()
        refused = self.turn_away(route, headers, address)
        if refused is not None:
            return refused
        model: ServedModel | None = None
        try:
            model = self._registry.get(route.name, route.version)
            body = await read_body(receive, headers, self._max_body_bytes)
            if hold is not None:
                hold.settle(len(body), "body")
        except Exception as error:
            return self._finished(route, self._refused(route, model, error), headers, context)
        is_disconnected, stop = watch(receive)
        client = _Awaited(is_disconnected, hold, address)
        self.respond(route, headers, body, client, context)
        try:
            return await client.answer
        finally:
            client.gone = True
            if stop is not None:
                stop()

    def respond(
        self,
        route: Route,
        headers: RawHeaders,
        body: bytes | memoryview,
        client: Client,
        context: RequestContext | None = None,
        *,
        plain: bool = False,
    ) -> None:
        """Answer a request that is here whole: `client` is sent the answer, once, now or later.

        `plain`: the body is decompressed, whatever its headers say.
        """
        if context is None:
            context = RequestContext()
        context.hold = client.hold
        if self._gate is not None and context.client is None:
            try:
                context.client = self._gate.enter(headers, client.address)
            except BatonError as error:
                client.send(self._finished(route, self._refused(route, None, error), headers, context))
                return
        if b"content-encoding" in headers and not plain:
            self._spawn(self._respond_decompressed(route, headers, body, client, context))
            return
        context.is_disconnected = partial(getattr, client, "disconnected")
        model: ServedModel | None = None

        def answered(result: Any, error: BaseException | None) -> None:
            """The request has run, or failed: the one place that makes an answer of either."""
            try:
                if error is not None:
                    raise error
                if exchange.is_large(result):
                    self._answer_large(route, model, exchange, result, headers, context, client)
                    return
                answer = exchange.encode(result)
            except BaseException as failure:
                answer = self._refused(route, model, failure)
            else:
                if b"accept-encoding" in headers and len(answer.body) >= LEAST_BYTES:
                    self._spawn(self._send_compressed(route, answer, headers, context, client))
                    return
            client.send(self._finished(route, answer, headers, context))

        if self._payload_log is not None and self._payload_log.picks():
            context.body = bytes(body)
        try:
            model = self._registry.get(route.name, route.version)
            if not route.known:
                self.routes.remember(route)
            exchange = self._exchanges[route.verb](model, route, context, self._limits)
            exchange.start(body, headers, answered)
        except Exception as error:
            answered(None, error)

    def _answer_large(
        self,
        route: Route,
        model: ServedModel | None,
        exchange: Any,
        result: Any,
        headers: RawHeaders,
        context: RequestContext,
        client: Client,
    ) -> None:
        """Send an answer that is encoded in pieces."""
        # Not inside `respond`: a function there that names itself is a ring, which only the collector ends.

        async def answer() -> None:
            encoded = await exchange.encode_large(result)
            if b"accept-encoding" in headers:
                await self._send_compressed(route, encoded, headers, context, client)
            else:
                client.send(self._finished(route, encoded, headers, context))

        def fail(error: Exception) -> None:
            client.send(self._finished(route, self._refused(route, model, error), headers, context))

        self._work.start(answer(), fail)

    def _served(self, route: Route) -> ServedModel | None:
        try:
            return self._registry.get(route.name, route.version)
        except BatonError:
            return None

    def let_go(self, parts: list[bytes | memoryview]) -> None:
        """Give the memory of an answer's parts back by and by; at once it would take the event loop for 15 ms."""
        pace = Pacer(RequestContext(), "")
        # It fails when the threads have ended, as at a shutdown, and then the parts go at once.
        self._work.start(self._work.run(_drop, parts, pace=pace), lambda _: None)

    async def _respond_decompressed(
        self,
        route: Route,
        headers: RawHeaders,
        body: bytes | memoryview,
        client: Client,
        context: RequestContext,
    ) -> None:
        model: ServedModel | None = None
        try:
            model = self._registry.get(route.name, route.version)
            encoding = headers[b"content-encoding"].decode("latin-1")
            if is_compressed(encoding):
                pace = Pacer(context, route.name)
                body = await self._decompressed(body, encoding, client.hold, pace)
        except Exception as error:
            client.send(self._finished(route, self._refused(route, model, error), headers, context))
        else:
            self.respond(route, headers, body, client, context, plain=True)

    async def _decompressed(
        self, body: bytes | memoryview, encoding: str, hold: Hold | None, pace: Pacer
    ) -> bytes:
        """The body decompressed in pieces: the bytes of each are taken before it is made."""
        stream, hold = Decompression(body, encoding, self._max_body_bytes), hold or Hold(self.inflight)
        pieces, held = list[bytes](), hold.size
        size = _OFF_LOOP_BYTES
        while not stream.ended:
            hold.grow(size, "body")
            if len(body) < _OFF_LOOP_BYTES and not pieces:
                pieces.append(stream.piece(size))
            else:
                pieces.append(await self._work.run(_piece, stream, size, pace=pace))
                size = _PIECE_BYTES
            held += len(pieces[-1])
            hold.settle(held, "body")
        if len(pieces) == 1:
            return pieces[0]
        hold.grow(held, "body")  # for the whole beside its pieces
        content = await self._work.run(_join, pieces, pace=pace)
        hold.settle(len(content), "body")
        return content

    async def _send_compressed(
        self, route: Route, answer: Answer, headers: RawHeaders, context: RequestContext, client: Client
    ) -> None:
        try:
            answer = await self._compressed(answer, headers[b"accept-encoding"].decode("latin-1"))
        except Exception as error:  # not counted again: the request has run
            answer = _failure(route, error)
        client.send(self._finished(route, answer, headers, context))

    async def _compressed(self, answer: Answer, accepted: str) -> Answer:
        encoding = choose_encoding(accepted)
        if not encoding:
            return answer
        if not answer.rest and len(answer.body) < _OFF_LOOP_BYTES:
            body = compress(answer.body, encoding)
        else:
            loop = asyncio.get_running_loop()
            body = await loop.run_in_executor(self._pool, compress, answer.body, encoding, answer.rest)
        encoded = (b"content-encoding", encoding.encode())
        return Answer(answer.status, [*answer.headers, encoded, (b"vary", b"accept-encoding")], body)

    def _refused(self, route: Route, model: ServedModel | None, error: BaseException) -> Answer:
        """The answer to an error, which is counted here and nowhere else; `model` is None where none was found."""
        if model is not None:
            model.metrics.fail(error)
        answer = refusal(error) if isinstance(error, BatonError) else _failure(route, error)
        _forget(error)
        return answer

    def _finished(self, route: Route, answer: Answer, headers: RawHeaders, context: RequestContext) -> Answer:
        """The answer with the headers that every one has; its observers are told of it."""
        if context.client is not None:
            context.client.leave()
        added = answer.headers
        added.append((b"content-length", b"%d" % (answer.size if answer.rest else len(answer.body))))
        added.append((b"server-timing", context.times.server_timing()))
        request_id = headers.get(b"x-request-id")
        if request_id is not None and request_id.isascii() and request_id.decode().isprintable():
            added.append((b"x-request-id", request_id[:128]))
        if self._vary:
            added.append(VARY)
        if self.lifecycle.draining:
            added.append((b"connection", b"close"))  # so that the client's next request goes elsewhere
        if self._observer is not None:
            self._observer(route, headers, context.times, answer.status)
        if context.body is not None and self._payload_log is not None:
            self._payload_log.offer(route, headers, context.body, answer)
        return answer

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)


class _Awaited:
    """The client of an ASGI server, whose answer is awaited."""

    def __init__(self, is_disconnected: Callable[[], bool], hold: Hold | None, address: str) -> None:
        self.hold, self.address = hold, address
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.gone = False
        self._is_disconnected = is_disconnected

    @property
    def disconnected(self) -> bool:
        return self.gone or self._is_disconnected()

    def send(self, answer: Answer) -> None:
        if not self.answer.done():  # the server has cancelled the task that waited
            self.answer.set_result(answer)


def _forget(error: BaseException | None) -> None:
    """Let go of the frames that an error was raised through, and of the bodies and tensors in them.

    A frame that still names its error would keep all of them until the garbage collector looks for such rings.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _piece(stream: Decompression, size: int, pace: Pacer) -> bytes:
    return stream.piece(size)


def _drop(parts: list[bytes | memoryview], pace: Pacer) -> None:
    while parts:
        parts.pop()
        pace()


def _join(pieces: list[bytes], pace: Pacer) -> bytes:
    """All of them, which are forgotten here: to give megabytes back takes the event loop for milliseconds."""
    whole = b"".join(pieces)
    pieces.clear()
    return whole


def _failure(route: Route, error: BaseException) -> Answer:
    """The answer to a fault of ours, which only the log is told of."""
    log.error("POST %s failed", route.path or f"{route.name}:{route.verb}", exc_info=error)
    return Answer(500, [JSON], error_body("internal error"))
