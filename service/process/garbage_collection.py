"""How often Python searches for garbage: seldom, since requests leave hardly any that counting references misses."""

import ctypes
import gc
import sys
import time

NEW_OBJECTS = 10_000  # before a search; by default 700, which many requests under way have again and again
MIDDLE_SEARCHES = 4  # through the newest objects, before one through those that were new in all of them
NEVER = 2**31 - 1
FULL_SEARCH_SECONDS = 10.0


def tune() -> None:
    """Leaves what is there out of all searches to come, which takes a tenth of a second, and makes them rare."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
    gc.enable()


class FullSearches:
    """Searches through all objects every ten seconds, at moments when that is short, and returns memory that is free.

    Python does so when there are many more objects than before: amid a large request, whose objects would take it a
    tenth of a second. Searches through new objects are more frequent than Python's own, and shorter.
    """

    def __init__(self) -> None:
        gc.set_threshold(NEW_OBJECTS, MIDDLE_SEARCHES, NEVER)
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda padding: 0)  # the C library of GNU has it
        self._last = time.monotonic()

    def search(self, idle: bool) -> None:
        """Searches if it is time, and no long work is under way."""
        if idle and time.monotonic() - self._last >= FULL_SEARCH_SECONDS:
            # Python's cache of attributes keeps each name that C code looked up, in 4096 places all over the heap.
            sys._clear_type_cache()
            gc.collect()
            self._trim(0)
            self._last = time.monotonic()
