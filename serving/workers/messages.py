"""What supervisor and workers say to each other over a pair of sockets: typed, and never a pickle."""

import asyncio
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

_LENGTH_BYTES = 4
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
    """All that a worker shows of itself: its metrics, statistics, index (name, version, state, reason), diagnostics."""

    worker: int
    families: list[Family]
    statistics: list[dict[str, Any]]
    index: list[tuple[str, int | str, str, str]]
    diagnostics: dict[str, Any]


class Start(Struct, tag=True):
    """Load everything but what was unloaded."""

    unloaded: list[str]


class Refresh(Struct, tag=True):
    """Look at the repository again."""


class Load(Struct, tag=True):
    """Load a model."""

    name: str


class Unload(Struct, tag=True):
    """Stop serving a model."""

    name: str


class Look(Struct, tag=True):
    """Report."""


Change = Start | Refresh | Load | Unload


class Failure(Struct):
    """Why a change was not made; `found` is False where there is no such model."""

    reason: str
    found: bool = True
    serves: bool = False
    """The model answers as before."""


class Changed(Struct, tag=True):
    """A worker after a change: whether it is ready, what ails its models, what it measured, or why it failed."""

    ready: bool
    problems: dict[str, str]
    profiles: dict[str, bytes]
    failure: Failure | None = None
    served: list[str] = []
    """The models that answer in it."""


class Order(Struct, tag=True):
    """To a worker, which answers with `Done`. `profiles`: what others measured, so that it need not."""

    id: int
    act: Start | Refresh | Load | Unload | Look
    profiles: dict[str, bytes] = {}


class Done(Struct, tag=True):
    """What came of an order."""

    id: int
    result: Changed | Report


class Ask(Struct, tag=True):
    """A worker wants something of all workers, itself among them; `Answer` or `Sight` comes back."""

    id: int
    act: Load | Unload | Look


class Answer(Struct, tag=True):
    """What came of a change, by worker: None where it was made."""

    id: int
    outcomes: dict[int, Failure | None]


class Sight(Struct, tag=True):
    """The whole server: each worker's report, what remains of workers that have ended, the supervisor's own metrics."""

    id: int
    reports: list[Report]
    ended: Report
    families: list[Family]


class Standing(Struct, tag=True):
    """How all stand together: whether all are ready, what ails the models of any, and who is missing."""

    ready: bool
    problems: dict[str, str]
    missing: list[str]


class Up(Struct, tag=True):
    """A worker takes connections."""


class Leaving(Struct, tag=True):
    """A worker was told to stop; it should be dealt no more connections."""


class Refusal(Struct, tag=True):
    """A worker cannot work with these settings, and ends with this status."""

    message: str
    status: int


class Closed(Struct, tag=True):
    """How many of a worker's connections have ended since it began."""

    total: int


FromWorker = Up | Leaving | Refusal | Closed | Done | Ask | Report
ToWorker = Order | Answer | Sight | Standing

from_worker = msgspec.msgpack.Decoder[FromWorker](FromWorker)
to_worker = msgspec.msgpack.Decoder[ToWorker](ToWorker)


def frame(message: FromWorker | ToWorker) -> bytes:
    """A message as it goes over the socket: its length, then itself."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


async def receive(
    reader: asyncio.StreamReader, decoder: "msgspec.msgpack.Decoder[_Message]"
) -> _Message | None:
    """The next message; None when the other side has gone."""
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
        return decoder.decode(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
