"""The messages between supervisor and workers over a pair of sockets: typed, and never a pickle."""

import asyncio
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

_LENGTH_BYTES = 4  # up to 4 GiB: a report grows with the number of models
_Message = TypeVar("_Message")


class Sample(Struct, array_like=True):
    """One line of a metric family; the exemplar is its labels, its value and its Unix time."""

    name: str
    labels: dict[str, str]
    value: float
    exemplar: tuple[dict[str, str], float, float | None] | None = None


class Family(Struct, array_like=True):
    """A metric family as Prometheus knows it: `kind` is its type."""

    name: str
    kind: str
    documentation: str
    samples: list[Sample]


class Report(Struct, tag=True):
    """A worker's metrics, statistics, index (name, version, state, reason) and diagnostics."""

    worker: int
    families: list[Family]
    statistics: list[dict[str, Any]]
    index: list[tuple[str, int | str, str, str]]
    diagnostics: dict[str, Any]


class Start(Struct, tag=True):
    """Load every model but those that were unloaded."""

    unloaded: list[str]


class Refresh(Struct, tag=True):
    """Look at the repository again."""


class Load(Struct, tag=True):
    """Load a model."""

    name: str


class Unload(Struct, tag=True):
    """Stop serving a model."""

    name: str


class GetReport(Struct, tag=True):
    """Answer with a report; of an `Ask`, with those of all workers."""


Change = Start | Refresh | Load | Unload


class Failure(Struct):
    """The reason why a change was not made; `found` is False where there is no such model."""

    reason: str
    found: bool = True
    serves: bool = False
    """The model answers as before."""


class Changed(Struct, tag=True):
    """A worker after a change: its readiness, its models' problems, its new profiles, or the failure."""

    ready: bool
    problems: dict[str, str]
    profiles: dict[str, bytes]
    failure: Failure | None = None
    served: list[str] = []
    """The models that answer in it."""


class Order(Struct, tag=True):
    """To a worker, which answers with `Done`. `profiles`: the other workers', so that it need not measure."""

    id: int
    act: Start | Refresh | Load | Unload | GetReport
    profiles: dict[str, bytes] = {}


class Done(Struct, tag=True):
    """The result of an order."""

    id: int
    result: Changed | Report


class Ask(Struct, tag=True):
    """A request to all workers, the asker among them; `Answer` or `AllReports` comes back."""

    id: int
    act: Load | Unload | GetReport


class Answer(Struct, tag=True):
    """The outcomes of a change, by worker: None where it was made."""

    id: int
    outcomes: dict[int, Failure | None]


class AllReports(Struct, tag=True):
    """Each worker's report, the counts of workers that have ended, and the supervisor's own metrics."""

    id: int
    reports: list[Report]
    ended: Report
    families: list[Family]


class Readiness(Struct, tag=True):
    """Whether all workers are ready, the problems of any worker's models, and the workers that are missing."""

    ready: bool
    problems: dict[str, str]
    missing: list[str]


class Up(Struct, tag=True):
    """A worker takes connections."""


class Beat(Struct, tag=True):
    """A worker's event loop turns."""


class Stuck(Struct, tag=True):
    """A run in a worker does not end, so another worker should take its place."""

    reason: str


class Leaving(Struct, tag=True):
    """A worker was told to stop; it should be dealt no more connections."""


class Refusal(Struct, tag=True):
    """A worker cannot work with these settings, and ends with this status."""

    message: str
    status: int


class Closed(Struct, tag=True):
    """How many of a worker's connections have ended since it began."""

    total: int


FromWorker = Up | Beat | Stuck | Leaving | Refusal | Closed | Done | Ask | Report
ToWorker = Order | Answer | AllReports | Readiness

from_worker = msgspec.msgpack.Decoder[FromWorker](FromWorker)
to_worker = msgspec.msgpack.Decoder[ToWorker](ToWorker)


def frame(message: FromWorker | ToWorker) -> bytes:
    """A message as it goes over the socket: its length, then itself."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


async def receive(
    reader: asyncio.StreamReader, decoder: "msgspec.msgpack.Decoder[_Message]"
) -> _Message | None:
    """The next message; None when the other side has closed its socket."""
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
        return decoder.decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
