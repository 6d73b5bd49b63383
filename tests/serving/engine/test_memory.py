"""Memory goes back to the system, and loaded models are not looked through again."""

import gc
import re
import subprocess
import sys

import pytest

from serving.engine.memory import give_memory_back, keep_arenas_few


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
    keep_arenas_few()
    gc.unfreeze()


_ARENAS = """
import ctypes, sys, threading
from serving.engine.memory import keep_arenas_few
if sys.argv[1] == "few":
    keep_arenas_few()
allocate = ctypes.CDLL(None).malloc
together = threading.Barrier(6)

def work():
    allocate(5000)
    together.wait()

threads = [threading.Thread(target=work) for _ in range(5)]
for each in threads:
    each.start()
together.wait()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_threads_share_one_arena_unless_the_operator_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    def arenas(how: str) -> int:
        told = subprocess.run(
            [sys.executable, "-c", _ARENAS, how], capture_output=True, text=True, check=True
        )
        return len(re.findall(r"^Arena", told.stderr, re.MULTILINE))

    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    assert arenas("many") > 1
    assert arenas("few") == 1
    monkeypatch.setenv("MALLOC_ARENA_MAX", "8")
    assert arenas("few") > 1
