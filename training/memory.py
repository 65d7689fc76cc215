"""How a process that trains asks the system for memory: once."""

import ctypes
import sys

# Of malloc.h in the GNU C library: from which size on memory is taken from the system and given back at once, and how
# much free memory at the end of the heap is given back.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
MOST_BYTES = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process keep memory that it frees, for its next step, instead of giving it back to the system.

    Every training step asks for the same tensors. Large ones (up to 32 MB), and the end of the heap, would each time be
    taken from the system anew and cleared page by page (tests/training/test_memory.py counts the pages of a loop that
    asks for tensors of 40 MB and frees them). For a process that trains and then ends; elsewhere than with glibc it
    does nothing.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 2**30)
        mallopt(M_TRIM_THRESHOLD, MOST_BYTES)
