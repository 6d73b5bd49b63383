"""The workers that the supervisor counts: which are up, whether they are ready, and the counts of ended ones."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from serving.workers.merging import accumulate_ended, add_up, counts_of_models, nothing_ended
from serving.workers.messages import (
    Changed,
    Family,
    Readiness,
    Refusal,
    Report,
    Sample,
    ToWorker,
    frame,
)
from serving.workers.slot import WorkerSlot


class CpuUse(NamedTuple):
    """CPU seconds that a process had used at a time, and its rate since the look before."""

    at_s: float
    used_s: float | None
    rate: float

    @classmethod
    def after(cls, before: "CpuUse | None", at_s: float, used_s: float | None) -> "CpuUse":
        """The next look; at the first, a process is taken to work."""
        if used_s is None:
            return cls(at_s, None, 0.0)
        if before is None or before.used_s is None:
            return cls(at_s, used_s, 1.0)
        return cls(at_s, used_s, (used_s - before.used_s) / (at_s - before.at_s))


@dataclass(eq=False)
class Worker:
    """One worker's process: its socket, its slot, and its last messages."""

    number: int
    writer: asyncio.StreamWriter
    slot: WorkerSlot = field(default_factory=WorkerSlot)
    pid: int = 0
    up: bool = False
    """It takes connections and orders."""
    was_up: bool = False
    heard_s: float = field(default_factory=time.monotonic)
    """When its last message came, on the monotonic clock."""
    silent: bool = False
    """Nothing was heard of it for longer than the limit: it is dealt no connections, and may be heard again."""
    use: CpuUse | None = None
    stuck: str = ""
    """Of a run in it that does not end."""
    given_up: str = ""
    """Why it is being ended by force."""
    leaving_s: float | None = None
    """When it said that it leaves, on the monotonic clock."""
    ordered: bool = False
    """It was told to load its models."""
    state: Changed | None = None
    """As its last change left it; None until it has loaded its models."""
    report: Report | None = None
    refusal: Refusal | None = None
    orders: dict[int, "asyncio.Future[Changed | Report]"] = field(default_factory=dict)

    @property
    def leaving(self) -> bool:
        """It was told to stop."""
        return self.leaving_s is not None

    @property
    def settled(self) -> bool:
        """It has loaded its models, and takes part in changes of them."""
        return self.up and not self.leaving and self.state is not None

    @property
    def answers(self) -> bool:
        """It is settled, and its event loop turns."""
        return self.settled and not self.silent

    @property
    def served(self) -> list[str]:
        """The models that answer in it."""
        return [] if self.state is None else self.state.served

    def tell(self, message: ToWorker) -> None:
        """Send it a message, unless its socket is closing."""
        if not self.writer.is_closing():
            self.writer.write(frame(message))


class Roster:
    """The workers that run, in the order of their numbers, and the counts of all that ran before."""

    def __init__(self, size: int, *, strict: bool = False) -> None:
        """`size`: how many workers there should be. `strict`: ready only if all of them are."""
        self.size, self.strict = size, strict
        self.complete = False
        """Every worker has loaded its models once: from now on one that is missing is no reason to be unready."""
        self.restarts = 0
        self._ended = nothing_ended()
        self._left: dict[int, Report] = {}
        """By number, the counts of an ended worker's models until its successor has told them."""
        self._workers: dict[int, Worker] = {}

    def __iter__(self) -> Iterator[Worker]:
        return iter([self._workers[number] for number in sorted(self._workers)])

    def add(self, worker: Worker) -> None:
        """A process was started under this number."""
        self._workers[worker.number] = worker

    def remove(self, worker: Worker) -> None:
        """Its process has ended; the counts of its last report stay."""
        del self._workers[worker.number]
        if worker.report is not None:
            self._ended = accumulate_ended(self._ended, worker.report)
            if worker.state is not None:
                self._left[worker.number] = counts_of_models(worker.report)

    def report(self, worker: Worker, report: Report) -> None:
        """A worker has told its counts: those of its predecessor's models are among them when it has loaded them."""
        worker.report = report
        if worker.state is not None:
            self._left.pop(worker.number, None)

    @property
    def ended(self) -> Report:
        """The counts of processes that have ended, as far as no process that runs tells them."""
        return add_up([self._ended, *self._left.values()])

    @property
    def shown(self) -> list[Worker]:
        """Those whose report is asked for: not one that has yet to load its models, when others have."""
        return [worker for worker in self.up if worker.state or not (self.complete or self._left)]

    @property
    def up(self) -> list[Worker]:
        """Those that take connections and orders."""
        return [worker for worker in self if worker.up]

    @property
    def settled(self) -> list[Worker]:
        """Those that take part in changes of models."""
        return [worker for worker in self if worker.settled]

    @property
    def unstarted(self) -> list[Worker]:
        """Those that are up and have yet to be told to load their models."""
        return [worker for worker in self.up if not worker.ordered]

    def settle(self, worker: Worker, changed: Changed) -> None:
        """A worker has loaded or changed its models."""
        worker.state = changed
        self.complete = self.complete or len(self.settled) == self.size

    def takers(self, *, leaving: bool = False) -> list[Worker]:
        """Those to deal connections: that answer for every model that any answers for, or else all that are up.

        `leaving`: those too that were told to stop, as all of them are when the server ends.
        """
        able = [worker for worker in self.up if not worker.silent and (leaving or not worker.leaving)]
        served = self._served
        whole = [each for each in able if each.state and each.state.ready and not _lacks(each.state, served)]
        return whole or able

    def readiness(self) -> Readiness:
        """Whether the server should be sent requests, the problems of any worker, and the workers that are missing.

        Connections go to the workers that answer. So while one does, a missing one costs throughput alone; if
        Kubernetes took the whole server out of its service, it would cost the rest too. `missing` and
        `baton_workers_up` tell of it. At the start all are waited for, since connections stay where they are dealt.
        """
        problems: dict[str, str] = {}
        missing: list[str] = []
        served, whole, answering = self._served, True, 0
        for number in range(1, self.size + 1):
            worker = self._workers.get(number)
            if worker is None or worker.state is None or not worker.answers:
                missing.append(f"worker {number} of {self.size} {_absence(worker)}")
                continue
            answering += 1
            # A model that answers in one worker only is lost to those who are connected to the others.
            whole = whole and worker.state.ready and not _lacks(worker.state, served)
            problems |= worker.state.problems
        enough = answering > 0 if self.complete and not self.strict else not missing
        return Readiness(ready=whole and enough, problems=problems, missing=missing)

    @property
    def _served(self) -> set[str]:
        """The models that any worker answers for."""
        return {name for worker in self if worker.answers for name in worker.served}

    def families(self) -> list[Family]:
        """The supervisor's own metrics."""
        own = (
            ("baton_ready", "gauge", "1 if requests should be sent here.", self.readiness().ready),
            ("baton_workers", "gauge", "Processes that should answer.", self.size),
            ("baton_workers_up", "gauge", "Processes that answer.", sum(each.answers for each in self)),
            ("baton_worker_restarts", "counter", "Processes that ended and were replaced.", self.restarts),
        )
        return [
            Family(
                name, kind, text, [Sample(f"{name}_total" if kind == "counter" else name, {}, float(value))]
            )
            for name, kind, text, value in own
        ]


def _absence(worker: Worker | None) -> str:
    if worker is None or worker.state is None:
        return "is starting"
    return "is leaving" if worker.leaving else "does not answer"


def _lacks(state: Changed, served: set[str]) -> bool:
    """Whether a worker has a problem with a model that another answers for."""
    return not served.isdisjoint(state.problems)
