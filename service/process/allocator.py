"""Keeps the C library from holding memory that a process does not use. Elsewhere than with GNU's it does nothing."""

import ctypes

ARENAS = 2  # heaps that threads allocate in; by default eight a core, each with free memory of its own
M_ARENA_MAX = -8  # of malloc.h


def limit_arenas() -> None:
    """Lets threads that start from now on share a few heaps: those that compile a model leave much free behind."""
    getattr(ctypes.CDLL(None), "mallopt", lambda option, value: 0)(M_ARENA_MAX, ARENAS)


def return_free_memory() -> None:
    """Gives memory that is free back to the system."""
    getattr(ctypes.CDLL(None), "malloc_trim", lambda padding: 0)(0)
