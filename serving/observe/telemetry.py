"""Records of single requests, where they are asked for: OpenTelemetry spans, log lines, exemplars.

All of it is made after the answer from the times that every request keeps anyway, so a server that is not
asked for any of it spends nothing on it. Tracing is asked for by OpenTelemetry's own variables.
"""

import json
import logging
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from inference.errors import BatonError
from serving.engine.context import STAGES, StageTimes
from serving.engine.observers import Addressed, Observer, RawHeaders
from serving.engine.registry import ModelRegistry

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

access = logging.getLogger("baton.access")


_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_SERVER_ERROR = 500
_APART = re.compile(r"[\s\"=]")
_SHARE = re.compile(r"TraceIdRatioBased\{([0-9.e-]+)\}")  # a sampler's description, the same in all of them


class TracingUnavailable(Exception):
    """The environment asks for tracing, and its libraries are not installed."""


class Sampled(NamedTuple):
    """A request whose trace is kept."""

    trace_id: str
    seconds: float


class Tracing:
    """Makes a span of each request, and of its stages within it."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("baton")
        self._propagator = TraceContextTextMapPropagator()
        self._kind, self._error = SpanKind.SERVER, Status(StatusCode.ERROR)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Tracing | None":
        """By the standard variables: an OTLP endpoint turns it on, `OTEL_SDK_DISABLED=true` off."""
        expected = any(environment.get(name) for name in _ENDPOINTS)
        if (
            not expected
            or environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
            or environment.get("OTEL_TRACES_EXPORTER") == "none"
        ):
            return None
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise TracingUnavailable(f"{error}; the extra `tracing` installs it") from error
        # The sampler, the queue and the exporter read their variables themselves.
        named = {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": "baton"}
        provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    def observe(
        self, request: Addressed, headers: RawHeaders, times: StageTimes, status: int
    ) -> Sampled | None:
        """Record a request that has just been answered; its stages are laid end to end, the last ending now."""
        ended = time.time_ns()
        spans = [(stage, getattr(times, stage)) for stage in STAGES]
        started = ended - sum(ns for _, ns in spans)
        carrier = {
            name: headers[name.encode()].decode("latin-1")
            for name in ("traceparent", "tracestate")
            if name.encode() in headers
        }
        context = self._propagator.extract(carrier)
        attributes: dict[str, str | int] = {
            "http.request.method": "POST",
            "url.path": request.path,
            "http.response.status_code": status,
            "baton.model": request.name,
            "baton.batch_rows": times.batch_rows,
        }
        span = self._tracer.start_span(
            f"{request.verb} {request.name}", context, self._kind, attributes, start_time=started
        )
        if not span.is_recording():
            return None
        from opentelemetry.trace import set_span_in_context

        inside, at = set_span_in_context(span), started
        for stage, ns in spans:
            if ns:
                self._tracer.start_span(stage, inside, start_time=at).end(at + ns)
                at += ns
        if status >= _SERVER_ERROR:
            span.set_status(self._error)
        span.end(ended)
        return Sampled(f"{span.get_span_context().trace_id:032x}", (ended - started) * 1e-9)

    def one_in(self) -> float:
        """Of how many requests one is traced, on average."""
        share = _SHARE.search(self._provider.sampler.get_description())
        return 1.0 if share is None else 1 / max(float(share[1]), 1e-9)

    def close(self) -> None:
        """Send the spans that are left."""
        self._provider.shutdown()


def observer(registry: ModelRegistry, tracing: Tracing | None, *, access_log: bool) -> Observer | None:
    """Everything that is asked for, in one; None if that is nothing."""
    if tracing is None and not access_log:
        return None

    def observe(request: Addressed, headers: RawHeaders, times: StageTimes, status: int) -> None:
        sampled = tracing.observe(request, headers, times, status) if tracing is not None else None
        if sampled is not None:
            with suppress(BatonError):  # it may have been unloaded since
                registry.get(request.name, request.version).metrics.exemplify(*sampled)
        if access_log:
            log_access(request, headers, times, status, sampled)

    return observe


def log_access(
    request: Addressed, headers: RawHeaders, times: StageTimes, status: int, sampled: Sampled | None = None
) -> None:
    """One line for a request: no payload, no address, no header but its id."""
    facts: dict[str, Any] = {
        "path": request.path,
        "status": status,
        "request_id": headers.get(b"x-request-id", b"")[:128].decode("ascii", "replace"),
        "trace_id": sampled.trace_id if sampled else "",
        **{f"{stage}_ms": round(getattr(times, stage) * 1e-6, 3) for stage in STAGES},
        "batch_rows": times.batch_rows,
    }
    shown = {name: value for name, value in facts.items() if value not in ("", 0, 0.0)}
    access.info(
        "%s", " ".join(f"{name}={_word(value)}" for name, value in shown.items()), extra={"facts": shown}
    )


def _word(value: object) -> str:
    """A value of a line: in quotation marks where a client could put another field into it."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if _APART.search(text) else text
