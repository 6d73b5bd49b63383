"""All workers as one of them speaks for them: `serving.engine.group.Group` for a server of several processes."""

import socket
from typing import Any, NamedTuple

from inference.errors import LoadRefused, ModelNotFound, ModelNotReady
from serving.engine.group import Collected, Process
from serving.engine.served_model import IndexEntry, ModelState, in_order
from serving.workers.families import Families
from serving.workers.link import SupervisorLink
from serving.workers.merging import add_ended, add_ended_statistics, merge_families, merge_statistics
from serving.workers.messages import AllReports, Answer, FromWorker, GetReport, Load, Readiness, Unload
from serving.workers.orders import OrderHandler
from serving.workers.profiles import SharedProfiles

_COUNTS = ("answered", "queued_rows", "pending_rows")
"""Of a model's diagnostics, those that add up over the workers."""
_WORST_LAST = (ModelState.READY, ModelState.LOADING, ModelState.DRAINING, ModelState.REFUSED)


class WorkerId(NamedTuple):
    """The number of a worker, from 1, and how many there are."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"worker {self.number} of {self.of}"


class WorkerGroup:
    """The group as a worker has it. `join` is given to `serving.app.create_app`."""

    def __init__(self, control: socket.socket, worker_id: WorkerId, profiles: SharedProfiles) -> None:
        """`control`: connected to the supervisor."""
        self._id, self._profiles = worker_id, profiles
        starting = Readiness(ready=False, problems={}, missing=[f"{worker_id} is not ready: it is starting"])
        self._link = SupervisorLink(control, starting)
        self._process: Process
        self._orders: OrderHandler

    def join(self, process: Process) -> "WorkerGroup":
        """Speak for this process."""
        self._process = process
        self._orders = OrderHandler(self._id.number, process, self._profiles)
        return self

    def tell(self, message: FromWorker) -> None:
        """Send the supervisor a message, unless it has gone."""
        self._link.tell(message)

    async def run(self) -> None:
        """Obey until the supervisor has gone."""
        await self._link.run(lambda order: self._orders.handle(order))

    async def leave(self) -> None:
        """Send the last report, so that the counts of this worker stay."""
        self._link.tell(self._orders.report())
        await self._link.close()

    def ready(self) -> bool:
        """Whether all workers are there and ready."""
        return self._process.is_ready() and self._link.readiness.ready

    def stuck(self) -> str:
        """Never: the supervisor replaces a worker that is."""
        return ""

    def problems(self) -> dict[str, str]:
        """Here, or in another worker."""
        return {**self._link.readiness.problems, **self._process.registry.problems()}

    def missing(self) -> list[str]:
        """The workers that do not answer yet, or no more."""
        return self._link.readiness.missing

    async def metrics(self) -> Collected:
        """Of all workers together, with the counts of those that have ended."""
        all_reports = await self._reports()
        whole = all_reports.families
        told = {family.name for family in whole}  # of the server, so a worker's own word does not count
        parts = (
            [each for each in report.families if each.name not in told] for report in all_reports.reports
        )
        live = merge_families((*parts, whole))
        return Families(add_ended(live, all_reports.ended.families))

    async def statistics(self) -> list[dict[str, Any]]:
        """Of all workers together, with the counts of those that have ended."""
        all_reports = await self._reports()
        live = merge_statistics(each.statistics for each in all_reports.reports)
        return add_ended_statistics(live, all_reports.ended.statistics)

    async def index(self) -> list[IndexEntry]:
        """Each version in the worst state that it has in any worker, which is named unless all agree."""
        states: dict[tuple[str, int | str], dict[int, tuple[ModelState, str]]] = {}
        for report in (await self._reports()).reports:
            for name, version, state, reason in report.index:
                states.setdefault((name, version), {})[report.worker] = ModelState(state), reason
        return [self._worst(key, states[key]) for key in sorted(states, key=in_order)]

    async def diagnostics(self) -> dict[str, Any]:
        """This worker's, with the counts of all, and then each worker's models."""
        reports = (await self._reports()).reports
        own = self._process.diagnostics()
        workers = [
            {
                "worker": report.worker,
                "pid": report.diagnostics["pid"],
                "models": report.diagnostics["models"],
            }
            for report in reports
        ]
        models = [_with_sums(model, workers) for model in own["models"]]
        return {**own, "models": models, "worker": self._id.number, "workers": workers}

    async def load(self, name: str) -> None:
        """Load a model in every worker, one before the others, which take over its profile."""
        await self._have_changed(Load(name))

    async def unload(self, name: str) -> None:
        """Stop serving a model in every worker; its requests under way finish first."""
        await self._have_changed(Unload(name))

    async def _have_changed(self, act: Load | Unload) -> None:
        answer = await self._link.ask(act, Answer)
        failures = {number: failure for number, failure in answer.outcomes.items() if failure is not None}
        if not failures:
            return
        reasons = {failure.reason for failure in failures.values()}
        if not any(failure.found for failure in failures.values()):
            raise ModelNotFound(act.name)
        kind = LoadRefused if all(failure.serves for failure in failures.values()) else ModelNotReady
        if len(failures) == len(answer.outcomes) and len(reasons) == 1:
            raise kind(act.name, reasons.pop())
        by_worker = (
            f"{WorkerId(number, self._id.of)}: {failure.reason}"
            for number, failure in sorted(failures.items())
        )
        raise kind(act.name, "; ".join(by_worker))

    async def _reports(self) -> AllReports:
        return await self._link.ask(GetReport(), AllReports)

    def _worst(self, key: tuple[str, int | str], by_worker: dict[int, tuple[ModelState, str]]) -> IndexEntry:
        number, (state, reason) = max(by_worker.items(), key=lambda item: _WORST_LAST.index(item[1][0]))
        if len(set(by_worker.values())) > 1:
            reason = f"{WorkerId(number, self._id.of)}: {reason or f'it is {state.value.lower()}'}"
        return IndexEntry(*key, state, reason)


def _with_sums(model: dict[str, Any], workers: list[dict[str, Any]]) -> dict[str, Any]:
    """One model's diagnostics with the counts that it has in all workers."""
    key = model["name"], model["version"]
    same = [each for worker in workers for each in worker["models"] if (each["name"], each["version"]) == key]
    return {**model, **{name: sum(each[name] for each in same) for name in _COUNTS}}
