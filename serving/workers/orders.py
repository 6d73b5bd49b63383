"""The supervisor's orders in a worker: changes of its models, and reports."""

import logging
import os

from inference.errors import BatonError, LoadRefused, ModelNotFound, ModelNotReady
from serving.engine.group import Process, settle
from serving.workers.families import family_of
from serving.workers.messages import (
    Change,
    Changed,
    Done,
    Failure,
    GetReport,
    Load,
    Order,
    Refresh,
    Report,
    Start,
    Unload,
)
from serving.workers.profiles import SharedProfiles

log = logging.getLogger("baton.worker")


class OrderHandler:
    """Carries out orders in this worker's process."""

    def __init__(self, number: int, process: Process, profiles: SharedProfiles) -> None:
        """`number`: of this worker, from 1."""
        self._number, self._process, self._profiles = number, process, profiles

    async def handle(self, order: Order) -> Done:
        """Obey; a change that fails is a result too."""
        self._profiles.learn(order.profiles)
        if isinstance(order.act, GetReport):
            return Done(order.id, self.report())
        failure = await self._change(order.act)
        registry = self._process.registry
        served = sorted({model.name for model in registry.served()})
        changed = Changed(
            self._process.is_ready(), registry.problems(), self._profiles.fresh(), failure, served
        )
        return Done(order.id, changed)

    def report(self) -> Report:
        """This worker, now."""
        process = self._process
        index = [
            (entry.name, entry.version, entry.state.value, entry.reason) for entry in process.registry.index()
        ]
        return Report(
            worker=self._number,
            families=[family_of(metric) for metric in process.metrics.collect()],
            statistics=process.statistics(),
            index=index,
            diagnostics={**process.diagnostics(), "pid": os.getpid()},
        )

    async def _change(self, act: Change) -> Failure | None:
        try:
            await self._make(act)
        except ModelNotFound as error:
            return Failure(str(error), found=False)
        except LoadRefused as error:
            return Failure(error.reason, serves=True)
        except ModelNotReady as error:
            return Failure(error.reason)
        except (BatonError, OSError) as error:
            return Failure(str(error))
        except Exception as error:  # unanswered, every later change would wait for this one
            log.exception("%s failed", act)
            return Failure(f"{type(error).__name__}: {error}")
        return None

    async def _make(self, act: Change) -> None:
        registry = self._process.registry
        match act:
            case Start():
                await registry.start(act.unloaded)
                settle()  # only now is there garbage to collect
            case Refresh():
                await registry.refresh()
            case Load():
                await registry.load(act.name)
            case Unload():
                await registry.unload(act.name)
