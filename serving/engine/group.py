"""The server as a whole, whatever the number of its processes; here the process that is alone.

Routes ask a `Group` for everything that must hold for the server and not for one process: readiness,
metrics, statistics, index, load and unload. `serving.workers.worker_group` is the same for one of several.
"""

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Metric

from serving.engine.description import statistics
from serving.engine.diagnostics import diagnose
from serving.engine.inflight import InflightBytes
from serving.engine.memory import give_memory_back
from serving.engine.registry import ModelRegistry
from serving.engine.served_model import IndexEntry

log = logging.getLogger("baton.app")

AGAIN_S = 1.0
"""Seconds until a first look that failed is tried again, where nothing else says how often to look."""


class Collected(Protocol):
    """Metric families, as the encoders of `prometheus_client` read them."""

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        ...


@dataclass(frozen=True, slots=True)
class Process:
    """One process: its models, its metrics, its readiness."""

    registry: ModelRegistry
    metrics: CollectorRegistry
    is_ready: Callable[[], bool]
    device: str
    poll_s: float
    inflight: InflightBytes
    stuck: Callable[[], str] = str
    """Why it should be replaced; "" while it need not be."""

    def statistics(self) -> list[dict[str, Any]]:
        """Of every version that answers."""
        return [statistics(model) for model in self.registry.served()]

    def diagnostics(self) -> dict[str, Any]:
        """The settings that are in force."""
        return diagnose(self.registry, self.device, self.inflight)


class Group(Protocol):
    """Every process that answers on the port, as one of them speaks for all."""

    async def run(self) -> None:
        """Load the models, then follow their changes until it is cancelled."""
        ...

    async def leave(self) -> None:
        """Everything is answered; this process ends."""
        ...

    def ready(self) -> bool:
        """Whether every process answers for the models that it should."""
        ...

    def stuck(self) -> str:
        """Why the server should be ended and started again; "" while it need not be."""
        ...

    def problems(self) -> dict[str, str]:
        """Each model that should answer and somewhere does not, with the reason."""
        ...

    def missing(self) -> list[str]:
        """Other reasons why the server is not ready, in words."""
        ...

    async def metrics(self) -> Collected:
        """The metrics of all."""
        ...

    async def statistics(self) -> list[dict[str, Any]]:
        """The statistics of every version that answers."""
        ...

    async def index(self) -> list[IndexEntry]:
        """Every version known, in the worst state that it has anywhere."""
        ...

    async def diagnostics(self) -> dict[str, Any]:
        """The settings that are in force in each process."""
        ...

    async def load(self, name: str) -> None:
        """Load a model everywhere; `ModelNotFound`, `ModelNotReady` or `LoadRefused` name fault and process."""
        ...

    async def unload(self, name: str) -> None:
        """Stop serving a model everywhere; `ModelNotFound`, or `ModelNotReady`."""
        ...


class Alone:
    """The group of one process."""

    def __init__(self, process: Process) -> None:
        self._process, self._registry = process, process.registry
        self._failed = ""
        """The failure of a look that was logged last."""

    async def run(self) -> None:
        """Load everything, then look again every `poll_s` seconds, if that is not 0; nothing on disk can end it.

        A folder that could not be read at the start is looked at until it can.
        """
        await self._outlive(self._registry.start())
        settle()
        while self._process.poll_s or not self._registry.started:
            await asyncio.sleep(self._process.poll_s or AGAIN_S)
            await self._outlive(self._registry.refresh())

    async def _outlive(self, look: Coroutine[Any, Any, None]) -> None:
        """The registry answers for each entry; any other failure is logged, and the next look comes."""
        try:
            await look
        except Exception as error:
            if repr(error) != self._failed:
                self._failed = repr(error)
                log.exception("looking at the folder of models failed, and is tried again")

    async def leave(self) -> None:
        """There is no other process to tell."""

    def stuck(self) -> str:
        """Of this process."""
        return self._process.stuck()

    def ready(self) -> bool:
        """Of this process."""
        return self._process.is_ready()

    def problems(self) -> dict[str, str]:
        """Of this process."""
        return self._registry.problems()

    def missing(self) -> list[str]:
        """Nothing but models."""
        return []

    async def metrics(self) -> Collected:
        """Of this process."""
        return self._process.metrics

    async def statistics(self) -> list[dict[str, Any]]:
        """Of this process."""
        return self._process.statistics()

    async def index(self) -> list[IndexEntry]:
        """Of this process."""
        return self._registry.index()

    async def diagnostics(self) -> dict[str, Any]:
        """Of this process."""
        return self._process.diagnostics()

    async def load(self, name: str) -> None:
        """Here."""
        await self._registry.load(name)

    async def unload(self, name: str) -> None:
        """Here."""
        await self._registry.unload(name)


def settle() -> None:
    """Everything is loaded: from now on there is garbage, and `serving.__main__` had the collector wait for it."""
    give_memory_back()
    gc.enable()
