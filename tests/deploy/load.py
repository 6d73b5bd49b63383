"""Callers who ask as fast as they are answered, and what became of each of their requests."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

REFUSED = "refused"
"""Nobody listened: the request was never sent, and a caller may safely ask somebody else."""


class Callers:
    """So many callers, each on a connection that it keeps. `ended` counts statuses, refusals and what was lost."""

    def __init__(self, url: str, body: bytes, media_type: str, at_once: int = 8) -> None:
        self.ended: Counter[int | str] = Counter()
        self._url, self._body, self._headers = url, body, {"content-type": media_type}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(at_once)]

    @contextmanager
    def asking(self) -> Iterator["Callers"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    @property
    def lost(self) -> list[str]:
        """Kinds of requests that were sent and not answered."""
        return [kind for kind in self.ended if isinstance(kind, str) and kind != REFUSED]

    def _ask(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._stop.is_set():
                try:
                    answer = client.post(self._url, content=self._body, headers=self._headers)
                    self.ended[answer.status_code] += 1
                except httpx.ConnectError:
                    self.ended[REFUSED] += 1
                    self._stop.wait(0.05)
                except httpx.TransportError as error:
                    self.ended[type(error).__name__] += 1
