"""Ctrl+C and SIGTERM: the first asks, the second ends."""

import os
import signal
import threading

import pytest

from training.fit.interrupt import interruptible


def test_who_asks_twice_does_not_wait() -> None:
    before = signal.getsignal(signal.SIGTERM)  # the system's own, or that of a tool which measures coverage
    with interruptible(alone=True) as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    with interruptible(alone=False):
        assert signal.getsignal(signal.SIGTERM) is before


def test_handlers_are_those_of_before_even_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT)

    def fit() -> None:
        with interruptible(alone=True):
            assert signal.getsignal(signal.SIGINT) is not before
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fit()
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_leaves_signals_alone() -> None:
    asked = []

    def fit() -> None:
        with interruptible(alone=True) as interrupt:
            asked.append(interrupt.asked)

    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    assert asked == [False]
