"""The whole application in this process, without a socket: every step of it is taken when the fuzzer says so.

Its pools do their work where it is given to them, so nothing happens between two turns of the loop that the
fuzzer has not asked for, and a stream is answered alike each time.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
from onnx import TensorProto, helper
from uvicorn.lifespan.on import LifespanOn
from uvicorn.server import ServerState

from benchmarks.fuzz.bodies import DTYPES, MIXED
from benchmarks.graphs import write_mlp
from serving.app import Application, create_app
from serving.engine.metrics import CANCELLED, DEADLINE, FAILED, INVALID, REJECTED
from serving.engine.served_model import ServedModel
from serving.http.protocol import FastProtocol
from serving.server import make_config
from serving.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
ADMIN = "only for fuzzing"
MAX_BODY_BYTES = 20_000
MAX_INSTANCES = 4

_OUTCOMES = INVALID, REJECTED, DEADLINE, CANCELLED, FAILED
ANSWERED, EXPLAINED = "answered", "explained"
_COUNTED = (ANSWERED, EXPLAINED, *_OUTCOMES)
_INLINE = ("run", "decode", "large")
"""The pools that work at once; a model is still measured on a thread of its own."""


class AtOnce(Executor):
    """Does the work that it is given before it returns."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """The work, done."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class Faults(logging.Handler):
    """Notes every traceback and every error that the server writes into its log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """A record: one with a traceback, or an error."""
        if record.exc_info or record.levelno >= logging.ERROR:
            text = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                text = f"{text}: {record.exc_info[1]!r}"
            self.seen.append(text)

    def unhandled(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The loop's: an exception that nobody took."""
        self.seen.append(f"unhandled: {context.get('message')}: {context.get('exception')!r}")

    def take(self) -> list[str]:
        """Those since the last call."""
        seen, self.seen = self.seen, []
        return seen


class World:
    """The application with its models, and both ways into it."""

    def __init__(self, app: Application, config: Any, app_state: dict[str, Any], faults: Faults) -> None:
        self.app, self.config, self.app_state, self.faults = app, config, app_state, faults
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"now")]
        self.fast: type[FastProtocol] = config.http_protocol_class
        self.ordinary: type[FastProtocol] = type(
            "OrdinaryProtocol", (self.fast,), {"_fast_route": lambda _: None, "heads": {}}
        )
        self.loop: Any = asyncio.get_running_loop()
        self.counted = self.counts()
        """As they were when the last stream was over."""
        self._held = 0

    @property
    def models(self) -> list[ServedModel]:
        """Those that are served."""
        return list(self.app.registry.served())

    def counts(self) -> tuple[int, ...]:
        """Everything that is counted by request: answers of the server, then of each model its outcomes."""
        found = [self.state.total_requests]
        for model in self.models:
            metrics = model.metrics
            found += (metrics.requests.count, metrics.explanations)
            found += [metrics.outcomes[outcome] for outcome in _OUTCOMES]
        return tuple(found)

    def under_way(self) -> str:
        """What is not over, though every client has gone; "" for nothing."""
        busy = [model.name for model in self.models if model.metrics.in_flight or model.batcher.queued_rows]
        if busy:
            return f"requests of {', '.join(busy)}"
        if self.state.connections:
            return f"{len(self.state.connections)} connections"
        if self.state.tasks:
            return f"{len(self.state.tasks)} tasks"
        held, before = self.app.inflight.used, self._held
        self._held = held  # so that a stream is not told of for another's sake
        return "" if held == before else f"{held - before} bytes held"

    def forget(self) -> None:
        """Empty the tables that requests fill: of heads, and of routes."""
        self.fast.heads.clear()
        routes: Any = self.app.fast_path.routes
        routes._by_path.clear()
        routes._by_url.clear()

    async def settle(self) -> None:
        """Let the loop run until nothing more is ready."""
        ready, sleep = self.loop._ready, asyncio.sleep
        while True:
            await sleep(0)
            if not ready:
                return


def counted_at(place: int) -> str:
    """What `World.counts` counts at a place: "all", or how the requests of a model ended."""
    return _COUNTED[(place - 1) % len(_COUNTED)] if place else "all"


def _pool(workers: int, thread_name_prefix: str = "") -> Executor:
    return AtOnce() if thread_name_prefix in _INLINE else ThreadPoolExecutor(workers, thread_name_prefix)


def write_small_models(models: Path) -> None:
    """`tiny` in JSON, `flex` of any length, and `full`, which is held full: none takes more than 20 µs."""
    write_mlp(models, "tiny", (2, 2))
    write_mlp(models, "full", (2, 2))
    _write_identity(models, "flex", {"": (TensorProto.FLOAT, ["batch", "length"])})
    broken = models / "broken" / "1"
    broken.mkdir(parents=True)
    (broken / "model.onnx").write_bytes(b"no graph")


def write_typed_models(models: Path) -> None:
    """Models that give their inputs back: of every datatype, of any length, and without a batch axis."""
    float_, half, text = TensorProto.FLOAT, TensorProto.BFLOAT16, TensorProto.STRING
    kinds = {name: onnx_type(name) for name in MIXED}
    _write_identity(models, "types", {name: (kind, ["batch", 2]) for name, kind in kinds.items()})
    _write_identity(models, "half", {"": (half, ["batch", "length"])})
    _write_identity(models, "echo", {"": (text, ["batch", 1])})
    _write_identity(models, "flex", {"": (float_, ["batch", "length"])})
    _write_identity(models, "whole", {"": (float_, [2, 3])})


def onnx_type(datatype: str) -> int:
    """ONNX's number for a datatype of the protocol, BF16 left out."""
    if datatype == "BYTES":
        return int(TensorProto.STRING)
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(DTYPES[datatype])))


def _write_identity(models: Path, name: str, tensors: dict[str, tuple[int, list[int | str]]]) -> None:
    """Of each tensor a pair in_NAME → out_NAME; of one without a name x → y."""
    pairs = [((f"in_{key}", f"out_{key}") if key else ("x", "y"), *of) for key, of in tensors.items()]
    nodes = [helper.make_node("Identity", [x], [y]) for (x, y), _, _ in pairs]
    inputs = [helper.make_tensor_value_info(names[0], kind, axes) for names, kind, axes in pairs]
    outputs = [helper.make_tensor_value_info(names[1], kind, axes) for names, kind, axes in pairs]
    graph = helper.make_graph(nodes, name, inputs, outputs)
    folder = models / name / "1"
    folder.mkdir(parents=True)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        folder / "model.onnx",
    )


@asynccontextmanager
async def opened(models: Path, faults: Faults | None = None, **changed: Any) -> AsyncIterator[World]:
    """A server of a folder of models that has begun, and ends with the block. `faults`: those of another, to share."""
    chosen: dict[str, Any] = {
        "max_body_bytes": MAX_BODY_BYTES,
        "max_instances": MAX_INSTANCES,
        "admin_token": ADMIN,
        "instances": 0,
        "intra_op_threads": 1,
        "max_batch_size": 8,
        "poll_s": 0,
        **changed,
    }
    # A wrong token is kept waiting, for seconds where there were many: a world has no time for that.
    with patch("serving.access.administration.LAST_WAIT_S", 0.0):
        async with _opened(Settings(models=models, port=0, **chosen), faults) as world:
            yield world


@asynccontextmanager
async def _opened(settings: Settings, faults: Faults | None) -> AsyncIterator[World]:
    threads = ("serving.app.ThreadPoolExecutor", "serving.engine.large_work.ThreadPoolExecutor")
    with patch(threads[0], _pool), patch(threads[1], _pool):
        app = create_app(settings)
    config = make_config(settings, app)
    config.load()
    faults = faults or Faults()
    lifespan = LifespanOn(config)
    await lifespan.startup()
    await app.registry.refresh()  # waits for the first look, which began before
    logging.getLogger().addHandler(faults)
    asyncio.get_running_loop().set_exception_handler(faults.unhandled)
    try:
        yield World(app, config, lifespan.state, faults)
    finally:
        logging.getLogger().removeHandler(faults)
        asyncio.get_running_loop().set_exception_handler(None)
        await lifespan.shutdown()
