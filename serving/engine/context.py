"""One request as the layers below HTTP see it: its bounds, and where its time went."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from serving.access.keys import ApiClient
from serving.engine.inflight import Hold

STAGES = ("decode", "preprocess", "queue", "run", "postprocess", "encode")
"""The parts of a request, in order; the same words in spans, metric labels and `Server-Timing`."""

clock_ns = time.monotonic_ns
"""The one clock of a request: its deadline, its stages and its seconds are all read from it."""

# One formatting of the whole takes half as long as an f-string of seven.
_SERVER_TIMING = b'%s, batch;desc="%%d"' % b", ".join(b"%s;dur=%%.3f" % stage.encode() for stage in STAGES)
_OF_TENSORS = _SERVER_TIMING
for _stage in (b"preprocess", b"postprocess"):
    _OF_TENSORS = _OF_TENSORS.replace(b"%s;dur=%%.3f" % _stage, b"%s;dur=0.000" % _stage)


def _stays() -> bool:
    """A client that nobody has seen leave."""
    return False


@dataclass(slots=True)
class StageTimes:
    """Nanoseconds by stage, filled in as the request goes along, and the batch that it ran in."""

    decode: int = 0
    preprocess: int = 0
    queue: int = 0
    run: int = 0
    postprocess: int = 0
    encode: int = 0
    batch_rows: int = 0

    def server_timing(self) -> bytes:
        """The value of a `Server-Timing` header: milliseconds by stage, and the rows of the batch."""
        if not (self.preprocess or self.postprocess):  # nor is there for tensors
            return _OF_TENSORS % (
                self.decode * 1e-6,
                self.queue * 1e-6,
                self.run * 1e-6,
                self.encode * 1e-6,
                self.batch_rows,
            )
        return _SERVER_TIMING % (
            self.decode * 1e-6,
            self.preprocess * 1e-6,
            self.queue * 1e-6,
            self.run * 1e-6,
            self.postprocess * 1e-6,
            self.encode * 1e-6,
            self.batch_rows,
        )


@dataclass(slots=True)
class RequestContext:
    """A request without its data: its bounds, its client and its times.

    `deadline_s` is on `clock_ns`'s clock, None for none. `is_disconnected` says whether the client has gone; it is
    asked before a batch forms. `priority` 0 goes before 1.
    """

    deadline_s: float | None = None
    timeout_s: float = 0.0
    is_disconnected: Callable[[], bool] = _stays
    priority: int = 0
    times: StageTimes = field(default_factory=StageTimes)
    started_ns: int = field(default_factory=clock_ns)
    """When the front door began to read it."""
    large: bool = False
    """Whether it is worked on in pieces (`engine.large_work`)."""
    large_run: bool = False
    """Whether its tensors, all in one run, are too large for a run on the event loop."""
    body: bytes | None = None
    """The request's, where the payload log keeps it."""
    client: ApiClient | None = None
    """Whose API key it showed, where one is asked for."""
    hold: Hold | None = None
    """The bytes that are held for it; None where nobody counts them. Its front door releases it."""
