"""Trace and log settings, as Triton's clients ask for them: those in force, which only a start changes.

Neither extension is named by the server's metadata, since a client that finds it there expects to set it.
"""

import json
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from inference.errors import InvalidInput, Unsupported, counted
from serving.engine.registry import ModelRegistry
from serving.http.routes.documented import Json, shows, takes

_TRACING_OFF = {
    "trace_level": ["OFF"],
    "trace_rate": "1",
    "trace_count": "-1",
    "log_frequency": "0",
    "trace_file": "",
    "trace_mode": "opentelemetry",
}
_LOGGING = {
    "log_file": "",
    "log_info": True,
    "log_warning": True,
    "log_error": True,
    "log_verbose_level": 0,
    "log_format": "default",
}


def observing_routes(registry: ModelRegistry, log_level: str, traced_one_in: float | None) -> APIRouter:
    """Trace settings of the server and of a model, and log settings.

    traced_one_in: of how many requests one is traced, on average; None where none is.
    """
    router = APIRouter(tags=["tracing and logs"])
    traced = {**_TRACING_OFF} if traced_one_in is None else {**_TRACING_OFF, **_tracing_on(traced_one_in)}
    logged = _log_settings(log_level)

    @router.get("/v2/trace/setting", responses=shows(_TRACING_OFF))
    async def trace_settings() -> Response:
        """How requests are traced: by OpenTelemetry, for all models alike, or not at all."""
        return Json(traced)

    @router.post(
        "/v2/trace/setting",
        responses=shows(_TRACING_OFF, 400, 501),
        openapi_extra=takes({"type": "object"}, required=False, json=_TRACING_OFF),
    )
    async def set_trace(request: Request) -> Response:
        """Settings that are in force already are confirmed; others are refused."""
        _confirm(await request.body(), traced, "tracing is set at start, by OTEL_EXPORTER_OTLP_ENDPOINT")
        return Json(traced)

    @router.get("/v2/models/{name}/trace/setting", responses=shows(_TRACING_OFF, 404, 503))
    async def trace_settings_of_model(name: str) -> Response:
        """The same: no model has settings of its own."""
        registry.get(name)
        return await trace_settings()

    @router.post(
        "/v2/models/{name}/trace/setting",
        responses=shows(_TRACING_OFF, 400, 404, 501, 503),
        openapi_extra=takes({"type": "object"}, required=False, json=_TRACING_OFF),
    )
    async def set_trace_of_model(name: str, request: Request) -> Response:
        """Settings that are in force already are confirmed; others are refused."""
        registry.get(name)
        return await set_trace(request)

    @router.get("/v2/logging", responses=shows(_LOGGING))
    async def log_settings() -> Response:
        """The levels that are logged, on standard error."""
        return Json(logged)

    @router.post(
        "/v2/logging",
        responses=shows(_LOGGING, 400, 501),
        openapi_extra=takes({"type": "object"}, required=False, json=_LOGGING),
    )
    async def set_log(request: Request) -> Response:
        """Settings that are in force already are confirmed; others are refused."""
        _confirm(await request.body(), logged, "the log is set at start, by --log-level and --log-format")
        return Json(logged)

    return router


def _tracing_on(one_in: float) -> dict[str, Any]:
    return {"trace_level": ["TIMESTAMPS"], "trace_rate": f"{one_in:g}"}


def _log_settings(level: str) -> dict[str, Any]:
    """Triton's switches for a level of ours: each level takes in those above it."""
    return {
        **_LOGGING,
        "log_info": level in ("debug", "info"),
        "log_warning": level != "error",
        "log_verbose_level": int(level == "debug"),
    }


def _confirm(body: bytes, in_force: Mapping[str, Any], how: str) -> None:
    """Whether the settings of `body` are in force: `Unsupported` where they are not, `InvalidInput` for no settings.

    A null asks for the default, which is in force.
    """
    try:
        expected = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidInput("body", f"{counted(len(body), 'byte')} ({error})", "JSON") from None
    if not isinstance(expected, dict):
        raise InvalidInput("body", expected, "an object")
    for name, value in expected.items():
        if name not in in_force:
            raise InvalidInput(name, value, f"one of {', '.join(in_force)}")
        if value is not None and _plain(value) != _plain(in_force[name]):
            raise Unsupported(
                f"{name}: got {json.dumps(value)}, in force is {json.dumps(in_force[name])}: {how}"
            )


def _plain(value: Any) -> Any:
    """Clients write numbers as text, too, and a single level without its list."""
    if isinstance(value, list) and len(value) == 1:
        return _plain(value[0])
    return value if isinstance(value, (bool, list)) else str(value)
