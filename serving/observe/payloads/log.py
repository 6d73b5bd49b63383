"""The payload log itself: which requests are kept, the queue, and the thread that writes."""

import logging
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.engine.observers import Addressed, Answered, RawHeaders
from serving.observe.payloads.events import Exchanged, Redaction, make_events
from serving.observe.payloads.sinks import Sink, open_sink
from serving.settings import Settings

log = logging.getLogger("baton.payloads")

QUEUE_BYTES = 32 << 20
"""Bytes of bodies that may wait for the writer; further exchanges are dropped."""

QUEUE_EXCHANGES = 1000
"""And how many of them."""

CLOSE_S = 5.0
"""Seconds for the writer to empty the queue when the server ends."""

_COMPLAIN_EVERY_S = 60.0


class PayloadLog(Collector):
    """Keeps every so manieth exchange. `picks`, `offer` and `collect` run on the event loop and never wait."""

    def __init__(
        self,
        sink: Sink,
        share: float,
        redaction: Redaction,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`share`: of the requests, 0 to 1. `draw` is given by tests."""
        self._sink, self._share, self._redaction, self._draw = sink, share, redaction, draw
        self._source = f"//{socket.gethostname()}/baton"
        self._queue: deque[Exchanged] = deque()
        self._wake = threading.Event()
        self._ends = False
        # Each is added to by one thread only.
        self._put_bytes = self._taken_bytes = 0
        self._dropped = self._written = self._failed = 0
        self._complained_s = -_COMPLAIN_EVERY_S
        self._thread = threading.Thread(target=self._write, name="payloads", daemon=True)
        self._thread.start()

    def picks(self) -> bool:
        """Whether the request that has just come is to be kept."""
        return self._draw() < self._share

    def offer(self, request: Addressed, headers: RawHeaders, body: bytes, answer: Answered) -> None:
        """Keep an exchange, if there is room."""
        kept = Exchanged(
            request.name,
            request.path,
            headers,
            body,
            answer.status,
            dict(answer.headers),
            answer.body,
            time.time(),
        )
        waiting = self._put_bytes - self._taken_bytes
        if self._ends or len(self._queue) >= QUEUE_EXCHANGES or waiting + kept.size > QUEUE_BYTES:
            self._dropped += 1
            return
        self._put_bytes += kept.size
        self._queue.append(kept)
        self._wake.set()

    def collect(self) -> Iterator[Metric]:
        """The number of exchanges by their outcome."""
        family = CounterMetricFamily(
            "baton_payloads",
            "Exchanges picked for the payload log, by what came of them.",
            labels=("outcome",),
        )
        family.add_metric(("written",), self._written)
        family.add_metric(("dropped",), self._dropped)
        family.add_metric(("failed",), self._failed)
        yield family

    def close(self) -> None:
        """Write the queue out, for a while, and end."""
        self._ends = True
        self._wake.set()
        self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            self._sink.close()

    def _write(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._queue:
                self._write_one(self._queue.popleft())
            if self._ends:
                return

    def _write_one(self, kept: Exchanged) -> None:
        try:
            self._sink.write(make_events(kept, self._redaction, self._source))
            self._written += 1
        except Exception as error:  # whatever it is, the next may go well, and no request must know
            self._failed += 1
            if time.monotonic() - self._complained_s >= _COMPLAIN_EVERY_S:
                self._complained_s = time.monotonic()
                log.warning("a payload could not be logged: %s", error)
        finally:
            self._taken_bytes += kept.size


def open_payload_log(settings: Settings) -> PayloadLog | None:
    """As the settings ask for; None where they ask for nothing. OSError where the file cannot be written."""
    if not settings.payload_log:
        return None
    sink = open_sink(settings.payload_log, settings.payload_log_bytes)
    fields = frozenset(name.strip() for name in settings.payload_redact.split(",") if name.strip())
    return PayloadLog(sink, settings.payload_sample, Redaction(settings.payload_raw, fields))


def check_payload_log(settings: Settings) -> None:
    """OSError where `open_payload_log` would fail."""
    if settings.payload_log:
        open_sink(settings.payload_log, settings.payload_log_bytes).close()
