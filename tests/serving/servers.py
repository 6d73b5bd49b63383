"""The server as tests start it: real, on a free port, on a thread of their process."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from socket import socket
from typing import Any

import uvloop
from onnx import TensorProto

from serving.app import Application, create_app
from serving.server import BatonServer, make_config
from serving.settings import Settings
from tests.bundles import sum_graph, write_bare, write_brightness
from tests.serving.graphs import MIXED, identity_graph, types_graph

ADMIN = "only for tests"


class ThreadedServer(BatonServer):
    """The server as it is, on a thread, telling when it listens and has loaded its models."""

    def __init__(self, settings: Settings) -> None:
        self.app: Application = create_app(settings)
        super().__init__(make_config(settings, self.app), self.app, settings.drain_delay_s)
        self.up = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self.serve())

    async def startup(self, sockets: list[socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)
        await self.app.registry.refresh()  # waits for the first look, which began before
        self.up.set()

    @property
    def url(self) -> str:
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    @contextlib.contextmanager
    def running(self) -> Iterator["ThreadedServer"]:
        self._thread.start()
        assert self.up.wait(60)
        try:
            yield self
        finally:
            self.should_exit = True
            self._thread.join(60)


def write_models(root: Path) -> None:
    write_brightness(root)
    write_bare(root, "sum", sum_graph(), version=None)
    write_bare(root, "types", types_graph(MIXED))
    write_bare(root, "half", identity_graph(TensorProto.BFLOAT16, "batch", "length"))
    write_bare(root, "echo", identity_graph(TensorProto.STRING, "batch", 1))
    write_bare(root, "flex", identity_graph(TensorProto.FLOAT, "batch", "length"))
    write_bare(root, "whole", identity_graph(TensorProto.FLOAT, 2, 3))


def start(**settings: Any) -> contextlib.AbstractContextManager[ThreadedServer]:
    return ThreadedServer(Settings(port=0, **settings)).running()
