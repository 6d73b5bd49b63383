"""Memory that goes back to the system when a model is loaded or dropped."""

import ctypes
import gc
import sys


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
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except (OSError, AttributeError):  # another C library than glibc
            return
