"""Being asked to stop, by Ctrl+C or SIGTERM (a job that is moved): at the end of the step, which is then kept."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether somebody has asked."""

    def __init__(self) -> None:
        self.asked = False


@contextmanager
def stoppable(*, alone: bool) -> Iterator[Stop]:
    """Take both signals; who asks a second time does not wait.

    Several processes stop where they are, each on its own: in step they would have to agree on the step. So do runs
    outside of the main thread, which alone may take signals.
    """
    stop = Stop()
    if not alone or threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
