"""A timer finer than the event loop's, whose timeouts are whole milliseconds: at 5,000 requests a second one is
due every 0.2 ms.
"""

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable

_CLOCK_MONOTONIC = 1
_FLAGS = os.O_NONBLOCK | getattr(
    os, "O_CLOEXEC", 0
)  # as TFD_NONBLOCK and TFD_CLOEXEC are defined (timerfd.h)


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class Alarm:
    """Calls back once for each `set`; a second `set` before it rings replaces the first.

    Linux's timerfd wakes an idle loop within some 50 µs (Python has it from 3.13 on); elsewhere it is the
    loop's own timer, up to a millisecond late.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None
        self._library = ctypes.CDLL(None) if sys.platform == "linux" else None
        self._descriptor = _timerfd(self._library)
        if self._descriptor >= 0:
            self._loop.add_reader(self._descriptor, self._rang)

    def set(self, delay_s: float) -> None:
        """Ring in `delay_s` seconds; at once if that is not positive."""
        if self._library is None or self._descriptor < 0:
            self._cancel()
            self._timer = self._loop.call_later(max(0.0, delay_s), self._ring)
            return
        # A value of zero would disarm it.
        seconds, nanoseconds = divmod(max(1, int(delay_s * 1e9)), 1_000_000_000)
        spec = _TimerSpec(_TimeSpec(0, 0), _TimeSpec(seconds, nanoseconds))
        self._library.timerfd_settime(self._descriptor, 0, ctypes.byref(spec), None)

    def close(self) -> None:
        """Ring no more."""
        self._cancel()
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _rang(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:  # set again between ringing and here
            return
        self._ring()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _timerfd(library: ctypes.CDLL | None) -> int:
    """A descriptor that becomes readable when the time is up; -1 on systems without timerfd."""
    try:
        return -1 if library is None else int(library.timerfd_create(_CLOCK_MONOTONIC, _FLAGS))
    except AttributeError:  # a C library older than the call
        return -1
