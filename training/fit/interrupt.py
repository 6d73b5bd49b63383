"""Ctrl+C and SIGTERM (a job that is moved): the fit ends after the current step, which is checkpointed."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether a signal has asked the fit to stop."""

    def __init__(self) -> None:
        self.asked = False


@contextmanager
def interruptible(*, alone: bool) -> Iterator[Interrupt]:
    """Catch both signals; a second one ends the process at once.

    Several processes stop where they are, each on its own: in step they would have to agree on the step. So do fits
    outside of the main thread, since Python lets only that one handle signals.
    """
    interrupt = Interrupt()
    if not alone or threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if interrupt.asked:
            raise KeyboardInterrupt
        interrupt.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
