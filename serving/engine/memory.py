"""Memory that goes back to the system when a model is loaded or dropped."""

import ctypes
import gc
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_LARGE_BLOCK = 4 << 20  # below it, asking the system for every body would be felt
_KEPT_ON_TOP = 16 << 20


def give_memory_back() -> None:
    """Return to the system the memory that free() keeps after loading or a dropped session: triton server issue 4966.

    Loaded models stay: the collector need not look through them again and again while requests are answered.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    trim_heap()


def set_up_heap() -> None:
    """Have the C library return large blocks to the system when they are freed; called once, before anything is served.

    By itself it learns from each that is freed to keep the next one, up to 32 MiB, and a few bodies that have gone
    leave the heap as large as all of them, with holes.
    """
    if sys.platform == "linux":
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (OSError, AttributeError):  # another C library than glibc
            return
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_ON_TOP)


def trim_heap() -> None:
    """Return to the system what free() keeps; other threads go on, but for those that ask for memory."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except (OSError, AttributeError):  # another C library than glibc
            return
