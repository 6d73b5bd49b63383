"""Turns on the CPUs while models are loaded: several are created side by side, or one is measured.

Nobody waits for ever: a disk that hangs while one model is read must not keep the others.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

MAX_WAIT_S = 10.0  # for the turn of another model, after which a model goes on without it


class Turns:
    """Models are created side by side, and measured one at a time while none is created: each disturbs the other."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._creating = 0
        self._measuring = False

    @property
    def creating(self) -> bool:
        """Whether a session is being created."""
        return self._creating > 0

    @contextmanager
    def create(self) -> Iterator[None]:
        """Wait until no model is measured, then create."""
        with self._changed:
            self._changed.wait_for(lambda: not self._measuring, MAX_WAIT_S)
            self._creating += 1
        try:
            yield
        finally:
            with self._changed:
                self._creating -= 1
                self._changed.notify_all()

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Wait until no other model is created or measured, then measure."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._measuring or self._creating), MAX_WAIT_S)
            self._measuring = True
        try:
            yield
        finally:
            with self._changed:
                self._measuring = False
                self._changed.notify_all()
