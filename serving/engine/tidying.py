"""Memory that large requests leave behind, given back to the system when they have ended.

An arena of ONNX Runtime and the C library's heap both keep what was freed, for the next time. After a request of
hundreds of megabytes that time may never come.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from serving.engine.inflight import InflightBytes
from serving.engine.memory import trim_heap
from serving.engine.served_model import ServedModel

log = logging.getLogger("baton.memory")

EVERY_S = 5.0
"""Between two times: each holds up the threads that ask for memory meanwhile, for some milliseconds."""


class Tidying:
    """Looks whether large requests have ended, and gives their memory back on a thread."""

    def __init__(
        self,
        inflight: InflightBytes,
        served: Callable[[], Iterable[ServedModel]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`served`: the models that answer now."""
        self._inflight, self._served, self._clock = inflight, served, clock
        self._last = -EVERY_S
        self._task: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Begin to tidy, if there is something to, and the last time is long enough ago; called once a second."""
        now = self._clock()
        busy = self._task is not None and not self._task.done()
        if busy or not self._inflight.left_behind or now - self._last < EVERY_S:
            return
        self._inflight.left_behind, self._last = False, now
        sessions = [model.predictor.session for model in self._served()]

        def tidy() -> None:
            for session in sessions:
                session.give_back()
            trim_heap()

        self._task = asyncio.create_task(self._run(tidy))

    async def _run(self, tidy: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(tidy)
        except Exception:
            log.exception("memory of large requests was not given back")
