"""Memory that goes back to the system when a model is loaded or dropped."""

import contextlib
import ctypes
import gc
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_LARGE_BLOCK = 4 << 20  # below it, asking the system for every body would be felt
_KEPT_ON_TOP = 16 << 20
_M_ARENA_MAX = -8  # of malloc.h


def keep_arenas_few() -> None:
    """Have all threads allocate from one arena. Before any other thread is started.

    glibc gives each of the first 16 threads of two CPUs an arena of its own. Measuring and loading on such threads
    left pieces in each of them: 250 MiB after three weeks of `benchmarks.soak` in the place of 200.
    """
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def keep_no_large_blocks() -> None:
    """Have the C library return large blocks to the system when they are freed. Before anything is served.

    By itself it learns from each that is freed to keep the next one, up to 32 MiB. A few bodies that have gone then
    leave the heap as large as all of them, with holes.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)
            mallopt(_M_TRIM_THRESHOLD, _KEPT_ON_TOP)


def give_memory_back() -> None:
    """Return to the system the memory that free() keeps after loading or a dropped session: triton server issue 4966.

    Loaded models stay: the collector need not look through them again and again while requests are answered.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    trim_heap()


def trim_heap() -> None:
    """Return to the system what free() keeps; other threads go on, but for those that ask for memory."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
