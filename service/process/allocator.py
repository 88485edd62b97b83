"""Limits the memory that glibc's allocator retains. Does nothing with another C library."""

import ctypes

ARENAS = 2  # heaps shared by the threads; glibc's default is eight per core, each with free memory of its own
M_ARENA_MAX = -8  # of malloc.h


def limit_arenas() -> None:
    """Limits the heaps of threads started from now on: those that compile a model leave much free memory behind."""
    getattr(ctypes.CDLL(None), "mallopt", lambda option, value: 0)(M_ARENA_MAX, ARENAS)


def return_free_memory() -> None:
    """Returns free heap memory to the system."""
    getattr(ctypes.CDLL(None), "malloc_trim", lambda padding: 0)(0)
