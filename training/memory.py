"""How a process that trains asks the system for memory: once, and in large pages."""

import ctypes
import sys

# Of malloc.h in the GNU C library: from which size on memory is taken from the system and given back at once, and how
# much free memory at the end of the heap is given back.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
MOST_BYTES = 2**31 - 1

MADV_HUGEPAGE = 14  # of Linux, mman.h
LARGE_PAGE, LARGE_PAGES_BYTES = 2**21, 2**29


def keep_freed_memory() -> None:
    """Let this process keep memory that it frees, for its next step, instead of giving it back to the system.

    Every training step asks for the same tensors. Large ones (up to 32 MB), and the end of the heap, would each time be
    taken from the system anew and cleared page by page (tests/training/test_memory.py counts the pages of a loop that
    asks for tensors of 40 MB and frees them). For a process that trains and then ends; elsewhere than with glibc it
    does nothing.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):  # musl has none
        return
    libc.mallopt(M_MMAP_THRESHOLD, 2**30)
    libc.mallopt(M_TRIM_THRESHOLD, MOST_BYTES)
    _ask_for_large_pages(libc)


def _ask_for_large_pages(libc: ctypes.CDLL) -> None:
    """Pages of 2 MB instead of 4 KB under the next 512 MB of the heap.

    A step reads some 40 MB in ten thousand small pages, more than a processor keeps the addresses of. 512 MB of
    addresses are not memory: a page is there once it is written. Where the system has no large pages, nothing changes.
    """
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if (block := libc.malloc(LARGE_PAGES_BYTES)) is None:
        return
    first_page = -(-block // LARGE_PAGE) * LARGE_PAGE
    libc.madvise(first_page, block + LARGE_PAGES_BYTES - first_page, MADV_HUGEPAGE)
    libc.free(block)  # goes on belonging to the heap, which gives nothing back now
