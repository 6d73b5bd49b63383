"""Memory goes back to the system, and loaded models are not looked through again."""

import gc
import platform
import re
import subprocess
import sys

import pytest

from serving.engine.memory import give_memory_back, keep_arenas_few, keep_no_large_blocks


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
    keep_no_large_blocks()
    give_memory_back()
    keep_arenas_few()
    gc.unfreeze()


_HOLES = """
import sys
import numpy as np
from serving.engine.memory import keep_no_large_blocks
if sys.argv[1] == "set up":
    keep_no_large_blocks()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
before = resident()
np.ones(24 << 20, np.uint8)  # freed: the C library learns to keep such blocks
blocks = [np.ones(20 << 20, np.uint8) for _ in range(8)]
last = blocks.pop()
del blocks
print(resident() - before >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps other blocks")
def test_large_blocks_go_back_to_the_system_though_others_lie_behind_them() -> None:
    def left(mode: str) -> int:
        return int(subprocess.check_output([sys.executable, "-c", _HOLES, mode], timeout=60))

    assert left("as it is") > 100
    assert left("set up") < 40


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
