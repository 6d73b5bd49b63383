"""Observers of requests: the names that both front doors call, and that `serving.observe` implements."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from serving.engine.context import StageTimes

RawHeaders = Mapping[bytes, bytes]
"""Header fields by lower-case name, as they came over the wire."""


class Addressed(Protocol):
    """The verb, model and version that a request names."""

    @property
    def verb(self) -> str:
        """`infer`, `predict` or `explain`."""
        ...

    @property
    def name(self) -> str:
        """The model."""
        ...

    @property
    def version(self) -> int | None:
        """Its version; None for the newest."""
        ...

    @property
    def path(self) -> str:
        """The path, as the client wrote it."""
        ...


class Answered(Protocol):
    """A response, whole."""

    @property
    def status(self) -> int:
        """The HTTP status, 100 to 599."""
        ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Header fields, in order."""
        ...

    @property
    def body(self) -> bytes:
        """The body, compressed where a header says so."""
        ...


Observer = Callable[[Addressed, RawHeaders, StageTimes, int], None]
"""Is told of each answer: the request, its headers, its times, the status."""


class PayloadObserver(Protocol):
    """Keeps some requests with their answers; both methods run on the event loop and never wait."""

    def picks(self) -> bool:
        """Whether the request that has just come is to be kept."""
        ...

    def offer(self, request: Addressed, headers: RawHeaders, body: bytes, answer: Answered) -> None:
        """Keep a request and its answer, if there is room; `body` is the request's."""
        ...
