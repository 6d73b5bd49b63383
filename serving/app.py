"""The application, put together in one place from plain parts; nothing lives in module globals."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Mount
from starlette.status import HTTP_405_METHOD_NOT_ALLOWED

from inference.errors import BatonError, ClientDisconnected
from inference.runtime.machine import cpu_share
from inference.runtime.providers import CUDA, available_providers
from inference.store.repository import ModelRepository
from inference.store.signatures import Trust
from serving.access.administration import Administration
from serving.access.gate import Gate
from serving.access.hosts import allowed_hosts
from serving.access.refusals import Refusals
from serving.engine.cells import Counts, PrivateCounts
from serving.engine.dataplane import DataPlane
from serving.engine.diagnostics import server_version
from serving.engine.fair_pool import FairPool
from serving.engine.group import Alone, Group, Process
from serving.engine.inflight import InflightBytes, derived_limit
from serving.engine.loading import ModelLoader
from serving.engine.measuring import RUNS_ON_DEVICE
from serving.engine.profile import Overrides, ProfileCache
from serving.engine.registry import ModelRegistry
from serving.engine.stuck import RunWatch
from serving.engine.tidying import Tidying
from serving.http.admission import by_listener, with_hosts
from serving.http.asgi import Asgi
from serving.http.cors import with_cors
from serving.http.errors import error_body, error_headers, status_of
from serving.http.fast_path import FastPath
from serving.http.front import in_front_of
from serving.http.holding import holding
from serving.http.methods import ASKED, other_method
from serving.http.routes.documented import API_KEY
from serving.http.routes.health import health_routes
from serving.http.routes.infer import infer_routes
from serving.http.routes.models import model_routes
from serving.http.routes.observing import observing_routes
from serving.http.routes.pages import OPENAPI, add_docs, page_routes
from serving.http.routes.repository import repository_routes, shared_memory_routes
from serving.http.routes.tasks import task_routes
from serving.lifecycle import Lifecycle
from serving.listening import Address, TcpAddress, parse_address
from serving.observe import cgroup
from serving.observe.access_metrics import AccessCollector
from serving.observe.exposition import choose_format, metrics_registry
from serving.observe.payloads.log import open_payload_log
from serving.observe.server_metrics import ServerMetricsCollector
from serving.observe.telemetry import Tracing, observer
from serving.settings import MiB, Settings, listed

log = logging.getLogger("baton.app")

_DESCRIPTION = """\
Models over two open protocols: tensors by the Open Inference Protocol v2, tasks by KServe's v1 verbs.
Every error is `{"error": "…"}`; every answer says in `Server-Timing` where its time went."""


_NO_ROUTE = "Not Found"  # as Starlette words it


@dataclass(frozen=True, slots=True)
class Application:
    """The ASGI application, with the parts that its process asks about."""

    asgi: Asgi
    fast_path: FastPath
    registry: ModelRegistry
    lifecycle: Lifecycle
    inflight: InflightBytes
    tidying: Tidying
    stuck: Callable[[], str]
    """Why this process should be replaced; "" while it need not be."""
    root_path: str
    gate: Gate | None
    """Of API keys; None where none is asked for."""
    admin_asgi: Asgi | None
    """The application as the listener of administration answers; None without one."""


def create_app(
    settings: Settings,
    tracing: Tracing | None = None,
    join: Callable[[Process], Group] = Alone,
    profiles: ProfileCache | None = None,
    counts: Counts | None = None,
) -> Application:
    """Everything that serves, wired; models are loaded when the application starts.

    `join` makes this process one of several, which share their measurements through `profiles`. Its `counts` are kept
    for its successor.
    """
    cpus = cpu_share(settings.workers)
    # Runs of all models together share the CPUs, unless an operator wants more of them at once.
    on_gpu = settings.device != "cpu" and CUDA in available_providers()
    expected = settings.instances or (max(RUNS_ON_DEVICE) if on_gpu else 0)
    runs = ThreadPoolExecutor(max(cpus, expected), thread_name_prefix="run")
    decodes = FairPool(ThreadPoolExecutor(cpus, thread_name_prefix="decode"))
    measuring = ThreadPoolExecutor(1, thread_name_prefix="measure")
    loader = ModelLoader(
        device=settings.device,
        precision=settings.precision,
        p99_ms=settings.p99_ms,
        max_batch_size=settings.max_batch_size,
        max_pending_rows=_share(settings.max_queue_rows, settings.workers),
        drift_window_rows=settings.drift_window_rows,
        overrides=Overrides(settings.intra_op_threads, settings.instances),
        cache=profiles or ProfileCache(settings.profile_cache),
        engine_cache=settings.engine_cache,
        trust=None if settings.trust is None else Trust.read(settings.trust),
        runs=runs,
        cpus=cpus,
        at_once=settings.workers > 1,  # the first measures for all, and passes it on when it serves
        measuring=measuring,
        counts=counts or PrivateCounts(),
    )
    registry = ModelRegistry(
        ModelRepository(settings.models),
        loader,
        every_version=settings.versions == "all",
        threads=cpus if settings.device == "cpu" else 1,
    )
    lifecycle = Lifecycle()
    observe = observer(registry, tracing, access_log=settings.access_log)
    payload_log = open_payload_log(settings)
    refusals = Refusals()
    gate = None if settings.api_keys is None else Gate(settings.api_keys, settings.workers, refusals)
    hosts, origins = listed(settings.allowed_hosts), listed(settings.cors_origins)
    main_hosts = allowed_hosts(hosts, settings.host)
    admin_address = parse_address(settings.admin_listen) if settings.admin_listen else None
    administration = Administration(settings.admin_token, admin_address, origins, refusals)
    inflight = _inflight(settings)
    watch = RunWatch(loader.serving, settings.run_timeout_s)
    fast_path = FastPath(
        registry,
        DataPlane(decodes),
        settings,
        lifecycle,
        decodes,
        inflight,
        observe,
        payload_log,
        gate,
        main_hosts,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(group.run())
        yield
        running.cancel()
        await registry.drain()
        await group.leave()
        measuring.shutdown(cancel_futures=True)
        runs.shutdown()
        fast_path.close()
        decodes.shutdown()
        if payload_log is not None:
            payload_log.close()

    app = FastAPI(
        title="Baton",
        version=server_version(),
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=OPENAPI,
        redirect_slashes=False,  # a redirection has no body, and clients read one
    )

    def ready() -> bool:
        return registry.ready() if settings.strict_readiness else registry.steady()

    metrics = metrics_registry(registry, ServerMetricsCollector(lifecycle, ready, settings.device, inflight))
    if payload_log is not None:
        metrics.register(payload_log)
    metrics.register(AccessCollector(refusals, None if gate is None else gate.keys))
    group = join(Process(registry, metrics, ready, settings.device, settings.poll_s, inflight, watch.stuck))
    for router in (
        health_routes(group, lifecycle, choose_format),
        model_routes(registry, group, administration),
        repository_routes(group, administration),
        shared_memory_routes(),
        observing_routes(registry, settings.log_level, None if tracing is None else tracing.one_in()),
        page_routes(settings.root_path),
    ):
        app.include_router(router)
    for predictions in (infer_routes(fast_path), task_routes(fast_path)):
        app.include_router(predictions, dependencies=[] if gate is None else [API_KEY])
    add_docs(app)
    _word_errors(app)
    whole = with_cors(in_front_of(app, fast_path, settings.root_path), origins)
    asgi = holding(with_hosts(whole, main_hosts, refusals), inflight)
    admin_asgi: Asgi | None = None
    if admin_address is not None:
        admin_hosts = allowed_hosts(hosts, _host_of(admin_address))
        admin_asgi = holding(with_hosts(by_listener(whole, admin_address), admin_hosts, refusals), inflight)
    return Application(
        asgi,
        fast_path,
        registry,
        lifecycle,
        inflight,
        Tidying(inflight, registry.served),
        watch.stuck,
        settings.root_path,
        gate,
        admin_asgi,
    )


def _host_of(address: Address) -> str:
    """The IP address of a listener; a Unix socket counts as loopback."""
    return address.host if isinstance(address, TcpAddress) else "127.0.0.1"


def _inflight(settings: Settings) -> InflightBytes:
    """The bound of the bytes held for requests by this process, one of `settings.workers`."""
    if settings.max_inflight_bytes is not None:
        limit, reason = settings.max_inflight_bytes // settings.workers, "--max-inflight-bytes"
    else:
        here = cgroup.memory_here_bytes()
        limit, reason = derived_limit(here, settings.workers), f"of {here / MiB:.0f} MiB of memory here"
    log.info("requests may hold %.0f MiB in this process (%s)", limit / MiB, reason)
    return InflightBytes(limit)


def _share(rows: int | None, processes: int) -> int | None:
    """The part of one process, rounded up, of a limit of the server."""
    return None if rows is None else -(-rows // processes)


def _word_errors(app: FastAPI) -> None:
    """One body for every error, FastAPI's own too."""

    @app.exception_handler(BatonError)
    async def ours(_: Request, error: BatonError) -> Response:
        return _error(status_of(error), str(error), dict(_text(error_headers(error))))

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> Response:
        if error.status_code == HTTP_405_METHOD_NOT_ALLOWED:
            answer = other_method(request.method, _methods(app, request))
            return Response(answer.body, answer.status, dict(_text(answer.headers)))
        detail = str(error.detail)
        if detail == _NO_ROUTE:
            detail = f"path: got {request.url.path!r}, expected one of those that /openapi.json lists"
        return _error(error.status_code, detail, dict(error.headers or {}))

    @app.exception_handler(ClientDisconnect)
    async def left(_: Request, error: ClientDisconnect) -> Response:
        """Nobody reads this; without it every client that leaves while it sends a body is a traceback in the log."""
        return _error(status_of(ClientDisconnected()), "the client closed the connection", {})

    @app.exception_handler(RequestValidationError)
    async def validation(_: Request, error: RequestValidationError) -> Response:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        return _error(400, "; ".join(faults), {})

    @app.exception_handler(Exception)
    async def bug(_: Request, error: Exception) -> Response:
        return _error(500, "internal error", {})


def _methods(app: FastAPI, request: Request) -> list[str]:
    """The methods that a path takes: one of its routes refuses the method that another takes."""

    # A mounted application is asked with the path of its mount as root path.
    root_path = request.scope.get("app_root_path", request.scope.get("root_path", ""))

    def taken(method: str) -> bool:
        scope = {**request.scope, "method": method, "path_params": {}, "root_path": root_path}
        found = [route for route in app.router.routes if route.matches(scope)[0] is Match.FULL]
        # A mount (the files of /docs) matches whatever the method, and is only read.
        return method == "GET" if any(isinstance(route, Mount) for route in found) else bool(found)

    return [method for method in ASKED if taken(method)]


def _error(status: int, message: str, headers: dict[str, str]) -> Response:
    return Response(error_body(message), status, headers, "application/json")


def _text(headers: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode()) for name, value in headers]
