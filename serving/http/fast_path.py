"""The fast path: `infer` and `:predict` as plain ASGI in front of the router, where every microsecond counts.

On one core FastAPI's routing, validation and response classes cost more than a small graph's run. Both verbs,
and `:explain`, which is asked like `:predict`, are documented in the same OpenAPI (`serving.http.routes`); every
other path goes on to FastAPI.
"""

import asyncio
import logging
from collections.abc import Coroutine
from concurrent.futures import Executor
from typing import Any, Protocol

from inference.errors import BatonError, ClientDisconnected
from inference.values import Payload, Tensors
from serving.codec.compression import LEAST_BYTES, choose_encoding, compress, decompress
from serving.codec.instances import (
    decode_parameters,
    decode_payloads,
    encode_explanations,
    encode_predictions,
)
from serving.engine.context import RequestContext
from serving.engine.dataplane import DataPlane
from serving.engine.explaining import ExplanationPlane
from serving.engine.observers import Observer, PayloadObserver, RawHeaders
from serving.engine.registry import ModelRegistry
from serving.engine.served_model import ServedModel
from serving.http.asgi import Asgi, Scope, Send
from serving.http.body import Receive, WholeBody, read_body, watch
from serving.http.errors import error_body, retry_after_s
from serving.http.exchange import JSON, Answer, Exchange, clock_ns, on_the_wire, refusal, set_deadline
from serving.http.matching import Route, find_route
from serving.http.methods import other_method
from serving.lifecycle import Lifecycle
from serving.settings import Settings, listed

log = logging.getLogger("baton.http")

# Paths remembered: only those of served models are, but a version may be written 1 or 001.
_MAX_ROUTES = 4096
_MAX_REFUSALS = 256  # remembered; they differ by model, limit and seconds to wait
_OFF_LOOP_BYTES = 64 * 1024  # bodies over this are (de)compressed on a thread, since zlib lets go of the GIL


class Client(Protocol):
    """Who waits for the answer to a whole request."""

    def is_disconnected(self) -> bool:
        """Whether nobody waits any more."""
        ...

    def send(self, answer: Answer) -> None:
        """Take the answer; called once."""
        ...


class FastPath:
    """Answers the verbs that run a model; every other request goes on to `rest`."""

    def __init__(
        self,
        registry: ModelRegistry,
        plane: DataPlane,
        settings: Settings,
        lifecycle: Lifecycle,
        pool: Executor,
        observer: Observer | None = None,
        payload_log: PayloadObserver | None = None,
    ) -> None:
        """`pool` takes what would keep the event loop for long: big compressed bodies.

        `observer` is told of each answer, where somebody wants to be.
        """
        self._observer, self._payload_log = observer, payload_log
        self._registry, self._plane, self._lifecycle, self._pool = registry, plane, lifecycle, pool
        self._max_body_bytes, self._max_instances = settings.max_body_bytes, settings.max_instances
        self._timeout_s, self._strict_json = settings.request_timeout_s, settings.strict_json
        self._root, self._cors = settings.root_path, bool(listed(settings.cors_origins))
        self._explanations = ExplanationPlane(pool, settings.max_explain_rows)
        self._verbs = {"infer": self._infer, "predict": self._predict, "explain": self._explain}
        self._routes: dict[str, Route] = {}
        self._urls: dict[bytes, Route] = {}
        self._refusals: dict[tuple[str, int], Answer] = {}
        self._tasks: set[asyncio.Future[None]] = set()

    def in_front_of(self, rest: Asgi) -> Asgi:
        """The application that answers the fast path's paths here and leaves all others to `rest`."""

        async def fast_path(scope: Scope, receive: Receive, send: Send) -> None:
            route = self.find(scope["path"]) if scope["type"] == "http" else None
            if route is not None:
                method = scope["method"]
                if method == "POST":
                    answer = await self.answer(route, scope, receive)
                else:
                    answer = other_method(method, ("POST",))
                start = {"type": "http.response.start", "status": answer.status}
                await send({**start, "headers": answer.headers})
                await send({"type": "http.response.body", "body": answer.body})
            else:
                await rest(self._routed(scope), receive, send)

        return fast_path

    def _routed(self, scope: Scope) -> Scope:
        """As the routes know it: HEAD is GET, whose body the server leaves out; every path has the root path in it."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        if self._root and scope["type"] == "http":
            path = scope["path"]
            if path == self._root:
                path = f"{path}/"
            elif not path.startswith(f"{self._root}/"):  # a proxy has stripped it
                path = f"{self._root}{path}"
            scope = {**scope, "path": path, "root_path": self._root}
        return scope

    def find(self, path: str) -> Route | None:
        """What a path asks for; None if that is nothing of the fast path's."""
        return self._routes.get(path) or find_route(path, self._root)

    def find_url(self, url: bytes) -> Route | None:
        """The same for a path as it came over the wire; None too where it is escaped, or has a query."""
        route = self._urls.get(url)
        if route is not None:
            return route
        if b"%" in url or b"?" in url or not url.isascii():
            return None
        return find_route(url.decode("ascii"), self._root)

    def takes(self, headers: RawHeaders) -> bool:
        """Whether `respond` may be given this request: a body whose length is declared and admitted.

        What a page of another origin asks is answered by way of `serving.http.cors`, where any origin is let in.
        """
        length = headers.get(b"content-length")
        return (
            length is not None
            and length.isdigit()
            and int(length) <= self._max_body_bytes
            and b"expect" not in headers
            and not (self._cors and b"origin" in headers)
        )

    async def answer(self, route: Route, scope: Scope, receive: Receive) -> Answer:
        """The whole answer to one request, errors included; it raises nothing of its own."""
        headers, context = dict(scope["headers"]), RequestContext()
        try:
            model = self._model(route)
            overloaded = model.batcher.overloaded(rows=1)
            if overloaded is not None:  # before the body is read
                model.metrics.fail(overloaded)
                raise overloaded
            answer = await self._verbs[route.verb](model, route, headers, receive, context)
            answer = await self._compressed(answer, headers)
        except Exception as error:
            answer = _failure(error, scope["path"])
        return self._finished(route, answer, headers, context)

    def respond(self, route: Route, headers: RawHeaders, body: bytes | memoryview, client: Client) -> None:
        """The same for a request that is here whole, given to `client`; `infer` needs no task for it."""
        context = RequestContext(is_disconnected=client.is_disconnected)
        if route.verb != "infer" or b"content-encoding" in headers:
            self._spawn(self._respond_later(route, headers, bytes(body), client))
            return

        def answered(outputs: Tensors | None, error: BaseException | None) -> None:
            try:
                if outputs is None:
                    raise error or RuntimeError("a run without outputs and without an error")
                answer = exchange.encode(outputs)
                if len(answer.body) >= LEAST_BYTES and b"accept-encoding" in headers:
                    self._spawn(self._respond_compressed(route, answer, headers, context, client))
                    return
            except Exception as failure:
                answer = _failure(failure, route.path)
            client.send(self._finished(route, answer, headers, context))

        if self._payload_log is not None and self._payload_log.picks():
            context.body = bytes(body)
        try:
            model = self._model(route)
            exchange = Exchange(model, route.codec(model, strict=self._strict_json), context)
            request = exchange.decode(body, headers, self._timeout_s)
            self._plane.start(model, request.tensors, request.rows, context, answered)
        except Exception as error:
            client.send(self._finished(route, _failure(error, route.path), headers, context))

    def turn_away(self, route: Route, headers: RawHeaders) -> Answer | None:
        """The refusal of a request whose model has no room for one row more; None if it is to be read.

        Overload is when refusing has to cost least: the body stays unread, and answers are made once.
        """
        try:
            model = self._model(route)
        except BatonError:
            return None
        error = model.batcher.overloaded(rows=1)
        if error is None:
            return None
        model.metrics.fail(error)
        if self._observer is not None or self._lifecycle.draining or b"x-request-id" in headers:
            return self._finished(route, refusal(error), headers, RequestContext())
        key = str(error), retry_after_s(error)
        answer = self._refusals.get(key)
        if answer is None:
            if len(self._refusals) >= _MAX_REFUSALS:
                self._refusals.clear()
            answer = self._finished(route, refusal(error), headers, RequestContext())
            answer = self._refusals[key] = answer._replace(wire=on_the_wire(answer))
        return answer

    def abandoned(self, route: Route) -> None:
        """Count a request whose caller left before its body was here."""
        try:
            model = self._registry.get(route.name, route.version)
        except BatonError:
            return
        model.metrics.fail(ClientDisconnected("the caller closed the connection while it sent its body"))

    async def _respond_later(self, route: Route, headers: RawHeaders, body: bytes, client: Client) -> None:
        scope = {"path": route.path, "headers": headers}
        client.send(await self.answer(route, scope, WholeBody(body, client.is_disconnected)))

    async def _respond_compressed(
        self, route: Route, answer: Answer, headers: RawHeaders, context: RequestContext, client: Client
    ) -> None:
        client.send(self._finished(route, await self._compressed(answer, headers), headers, context))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)

    def _model(self, route: Route) -> ServedModel:
        """The model that is asked; its path is remembered, which that of no model must not be."""
        model = self._registry.get(route.name, route.version)
        if not route.known and len(self._routes) < _MAX_ROUTES:
            route.known = True
            self._routes[route.path] = route
            if route.path.isascii():
                self._urls[route.path.encode()] = route
        return model

    async def _infer(
        self, model: ServedModel, route: Route, headers: RawHeaders, receive: Receive, context: RequestContext
    ) -> Answer:
        exchange = Exchange(model, route.codec(model, strict=self._strict_json), context)
        body = await self._counted_body(model, headers, receive, context)
        request = exchange.decode(body, headers, self._timeout_s)
        context.is_disconnected, stop = watch(receive)
        try:
            outputs = await self._plane.infer(model, request.tensors, request.rows, context)
        finally:
            if stop is not None:
                stop()
        return exchange.encode(outputs)

    async def _predict(
        self, model: ServedModel, route: Route, headers: RawHeaders, receive: Receive, context: RequestContext
    ) -> Answer:
        started, times = clock_ns(), context.times
        _, payloads = await self._payloads(model, headers, receive, context, started)
        context.is_disconnected, stop = watch(receive)
        try:
            predictions = await self._plane.predict(model, payloads, context)
        finally:
            if stop is not None:
                stop()
        begun = clock_ns()
        encoded = encode_predictions(predictions)
        ended = clock_ns()
        times.encode = ended - begun
        model.metrics.observe_request(times, len(payloads), (ended - started) * 1e-9)
        model.metrics.observe_predictions(predictions)
        return Answer(200, [JSON], encoded)

    async def _explain(
        self, model: ServedModel, route: Route, headers: RawHeaders, receive: Receive, context: RequestContext
    ) -> Answer:
        body, payloads = await self._payloads(model, headers, receive, context, clock_ns())
        try:
            parameters = decode_parameters(body, payloads)
        except BatonError as error:
            model.metrics.fail(error)
            raise
        context.is_disconnected, stop = watch(receive)
        try:
            explanations = await self._explanations.explain(model, payloads, parameters, context)
        finally:
            if stop is not None:
                stop()
        begun = clock_ns()
        encoded = encode_explanations(explanations)
        context.times.encode = clock_ns() - begun
        return Answer(200, [JSON], encoded)

    async def _payloads(
        self, model: ServedModel, headers: RawHeaders, receive: Receive, context: RequestContext, started: int
    ) -> tuple[bytes, list[Payload]]:
        """The body, and the instances in it; the deadline counts from `started`."""
        body = await self._counted_body(model, headers, receive, context)
        begun = clock_ns()
        try:
            content_type = headers.get(b"content-type", b"").decode("latin-1")
            payloads = decode_payloads(body, content_type, self._max_instances)
            set_deadline(context, headers, 0, self._timeout_s, started)
        except BatonError as error:
            model.metrics.fail(error)
            raise
        context.times.decode = clock_ns() - begun
        return body, payloads

    async def _counted_body(
        self, model: ServedModel, headers: RawHeaders, receive: Receive, context: RequestContext
    ) -> bytes:
        try:
            body = await self._body(headers, receive)
        except BatonError as error:
            model.metrics.fail(error)
            raise
        if self._payload_log is not None and self._payload_log.picks():
            context.body = body
        return body

    async def _body(self, headers: RawHeaders, receive: Receive) -> bytes:
        body = await read_body(receive, headers, self._max_body_bytes)
        encoding = headers.get(b"content-encoding")
        if encoding is None:
            return body
        arguments = body, encoding.decode("latin-1"), self._max_body_bytes
        if len(body) < _OFF_LOOP_BYTES:
            return decompress(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._pool, decompress, *arguments)

    async def _compressed(self, answer: Answer, headers: RawHeaders) -> Answer:
        accepted = headers.get(b"accept-encoding")
        if accepted is None or len(answer.body) < LEAST_BYTES:
            return answer
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

    def _finished(self, route: Route, answer: Answer, headers: RawHeaders, context: RequestContext) -> Answer:
        """The answer with the headers that every one has."""
        added = answer.headers
        added.append((b"content-length", b"%d" % len(answer.body)))
        added.append((b"server-timing", context.times.server_timing()))
        request_id = headers.get(b"x-request-id")
        if request_id is not None and request_id.isascii() and request_id.decode().isprintable():
            added.append((b"x-request-id", request_id[:128]))
        if self._lifecycle.draining:
            added.append((b"connection", b"close"))  # so that the caller's next request goes elsewhere
        if self._observer is not None:
            self._observer(route, headers, context.times, answer.status)
        if context.body is not None and self._payload_log is not None:
            self._payload_log.offer(route, headers, context.body, answer)
        return answer


def _failure(error: Exception, path: str) -> Answer:
    if isinstance(error, BatonError):
        return refusal(error)
    log.error("POST %s failed", path, exc_info=error)
    return Answer(500, [JSON], error_body("internal error"))
