"""Work behind the models that answer: the rest of a profile is measured, and a version that left is let go of."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

from serving.engine.memory import give_memory_back, trim_heap
from serving.engine.served_model import Key, Loaded, ModelState, ServedModel
from serving.engine.table import ModelTable

log = logging.getLogger("baton.registry")


class Background:
    """Tasks of the event loop, one a version that is measured and one a version that was retired."""

    def __init__(self, table: ModelTable, threads: Executor, forget: Callable[[Key], None]) -> None:
        """`forget`: called for a version that is gone from disk, when its last request is answered."""
        self._table, self._threads, self._forget = table, threads, forget
        self._measuring: dict[Key, asyncio.Task[None]] = {}
        self._retiring: dict[asyncio.Task[None], Key] = {}

    def measure_rest(self, model: ServedModel) -> None:
        """Begin to measure under way the points that took too long before it served."""
        if model.rest is None:
            return
        key = (model.name, model.version)
        task = asyncio.get_running_loop().create_task(self._measured(model, model.rest))
        self._measuring[key] = task

        def ended(done: asyncio.Task[None]) -> None:
            if self._measuring.get(key) is done:
                del self._measuring[key]

        task.add_done_callback(ended)

    def trim(self) -> None:
        """Give back what loading a model took beside the model itself, on a thread."""
        self._threads.submit(trim_heap)

    def let_go(self, model: ServedModel, *, forget: bool) -> asyncio.Task[None]:
        """Wait for the last request of a version that was replaced or taken out, then free its memory."""
        key = (model.name, model.version)
        measuring = self._measuring.get(key)
        if measuring is not None and self._table.answering.get(key) is not model:
            measuring.cancel()
        task = asyncio.get_running_loop().create_task(self._let_go(model, forget=forget))
        self._retiring[task] = key
        task.add_done_callback(self._retiring.pop)
        return task

    def stop_measuring(self) -> None:
        """The server ends, and no plan is needed any more."""
        for task in list(self._measuring.values()):
            task.cancel()

    def retiring(self) -> list[asyncio.Task[None]]:
        """One task for each version whose last request is not answered yet."""
        return list(self._retiring)

    def is_retiring(self, key: Key) -> bool:
        """Whether a version's last requests are not yet known to be answered."""
        return key in self._retiring.values()

    async def _measured(self, model: ServedModel, rest: Callable[[], Awaitable[Loaded | None]]) -> None:
        """Put the measured model in the place of the assumed one, unless that has gone meanwhile."""
        key = (model.name, model.version)
        try:
            renew = await rest()
        except Exception:  # it answers as before, and nothing of a request is lost
            log.exception("%s/%s: measuring under way failed", *key)
            return
        if renew is None or self._table.answering.get(key) is not model:
            return
        renewed = renew()
        self._table.renew(model, renewed)
        log.info("%s/%s is measured: %s", *key, renewed.batcher.plan.in_words)
        del model, rest, renew, renewed  # their sessions are part of the memory that is given back
        await self._give_memory_back()

    async def _let_go(self, model: ServedModel, *, forget: bool) -> None:
        # It still answers a call that found it in the table just before: a swap refuses nobody.
        await model.batcher.admission.idle()
        key = (model.name, model.version)
        if self._table.is_draining(key):  # it may serve again by now, or be forgotten
            if forget:
                self._forget(key)
            else:
                self._table.mark(key, ModelState.REFUSED, "not served: replaced or unloaded")
        del model
        await self._give_memory_back()

    async def _give_memory_back(self) -> None:
        """On a thread, since it looks through everything that is alive."""
        await asyncio.get_running_loop().run_in_executor(self._threads, give_memory_back)
