"""Memory goes back to the system, and loaded models are not looked through again."""

import gc

import pytest

from serving.engine.memory import give_memory_back


class Ring:
    """Refers to itself, so that only the collector frees it."""

    freed = 0

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        Ring.freed += 1


def test_garbage_is_collected_and_the_rest_is_frozen() -> None:
    Ring.freed = 0
    gc.disable()
    try:
        Ring()
        assert Ring.freed == 0
        give_memory_back()
        assert Ring.freed == 1
        assert gc.get_freeze_count() > 0
    finally:
        gc.enable()
        gc.unfreeze()


def test_another_c_library_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    give_memory_back()
    gc.unfreeze()
