"""The workers that the supervisor counts: which are up, whether all are ready, and the counts of ended ones."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from serving.workers.merging import accumulate_ended, nothing_ended
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


@dataclass(eq=False)
class Worker:
    """One worker's process: its socket, its slot, and its last messages."""

    number: int
    writer: asyncio.StreamWriter
    slot: WorkerSlot = field(default_factory=WorkerSlot)
    up: bool = False
    """It takes connections and orders."""
    was_up: bool = False
    leaving: bool = False
    state: Changed | None = None
    """As its last change left it; None until it has loaded its models."""
    report: Report | None = None
    refusal: Refusal | None = None
    orders: dict[int, "asyncio.Future[Changed | Report]"] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """It has loaded its models, and takes part in changes of them."""
        return self.up and not self.leaving and self.state is not None

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

    def __init__(self, size: int) -> None:
        """`size`: how many workers there should be."""
        self.size = size
        self.restarts = 0
        self.ended = nothing_ended()
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
            self.ended = accumulate_ended(self.ended, worker.report)

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
        """Those that are up and have yet to load their models."""
        return [worker for worker in self.up if worker.state is None]

    def readiness(self) -> Readiness:
        """Whether all workers are ready, the problems of any, and the workers that are missing."""
        problems: dict[str, str] = {}
        missing: list[str] = []
        ready = True
        served = {name for worker in self.settled for name in worker.served}
        for number in range(1, self.size + 1):
            worker = self._workers.get(number)
            if worker is None or not worker.settled or worker.state is None:
                leaving = worker is not None and worker.leaving
                missing.append(f"worker {number} of {self.size} is {'leaving' if leaving else 'starting'}")
            else:
                # A model that answers in one worker only is lost to the clients of the others.
                ready = ready and worker.state.ready and not served & worker.state.problems.keys()
                problems |= worker.state.problems
        return Readiness(ready=ready and not missing, problems=problems, missing=missing)

    def families(self) -> list[Family]:
        """The supervisor's own metrics."""
        own = (
            ("baton_ready", "gauge", "1 if requests should be sent here.", self.readiness().ready),
            ("baton_workers", "gauge", "Processes that should answer.", self.size),
            ("baton_workers_up", "gauge", "Processes that answer.", len(self.up)),
            ("baton_worker_restarts", "counter", "Processes that ended and were replaced.", self.restarts),
        )
        return [
            Family(
                name, kind, text, [Sample(f"{name}_total" if kind == "counter" else name, {}, float(value))]
            )
            for name, kind, text, value in own
        ]
