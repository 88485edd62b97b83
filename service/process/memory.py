"""Limits the memory that a process keeps: garbage collection, and the C library's allocator.

Garbage collections are rare, since requests leave few reference cycles.
"""

import ctypes
import gc
import sys
import time

GENERATION_0_OBJECTS = 10_000  # allocations per collection; the default of 700 is reached again and again under load
GENERATION_0_PER_1 = 4  # collections of generation 0 per collection of generation 1
NEVER = 2**31 - 1
FULL_COLLECTION_SECONDS = 10.0
LATEST = 6  # of those times, for a process that is never idle
ARENAS = 2  # heaps shared by the threads; glibc's default is eight per core, each with its own free memory
M_ARENA_MAX = -8  # of malloc.h


def limit_arenas() -> None:
    """Limits the heaps of threads started from now on. Threads that compile models leave much free memory behind."""
    getattr(ctypes.CDLL(None), "mallopt", lambda option, value: 0)(M_ARENA_MAX, ARENAS)


def return_free_memory() -> None:
    """Returns free heap memory to the system. Does nothing with another C library than glibc."""
    getattr(ctypes.CDLL(None), "malloc_trim", lambda padding: 0)(0)


def tune(generation_0: int = GENERATION_0_OBJECTS) -> None:
    """Excludes all current objects from future collections, which saves 0.1 s each, and makes collections rare.

    generation_0: objects that are new, less those that are gone, per collection.
    """
    gc.freeze()
    gc.set_threshold(generation_0)
    gc.enable()


class FullCollections:
    """Runs a full collection every ten seconds while idle, and returns free memory to the system.

    A collection traverses the objects of all requests in progress, which takes 0.4 s for a few long texts. Python would
    run it when the number of objects has grown: in the middle of such a request. Python still collects generations 0
    and 1.
    """

    def __init__(self) -> None:
        gc.set_threshold(GENERATION_0_OBJECTS, GENERATION_0_PER_1, NEVER)
        self._last = time.monotonic()

    def run_if_due(self, idle: bool) -> None:
        """Runs a collection if one is due and `idle` is true."""
        if time.monotonic() - self._last >= FULL_COLLECTION_SECONDS * (1 if idle else LATEST):
            # CPython's type attribute cache pins names that C code looked up, all over the heap (4096 entries).
            sys._clear_type_cache()
            gc.collect()
            return_free_memory()
            self._last = time.monotonic()
