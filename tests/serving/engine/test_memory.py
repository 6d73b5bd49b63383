"""Memory goes back to the system, and loaded models are not looked through again."""

import gc
import platform
import subprocess
import sys

import pytest

from serving.engine.memory import give_memory_back, set_up_heap


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
    set_up_heap()
    give_memory_back()
    gc.unfreeze()


_HOLES = """
import sys
import numpy as np
from serving.engine.memory import set_up_heap
if sys.argv[1] == "set up":
    set_up_heap()
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
