"""Interruptible work: a generator that yields wherever it may be interrupted, and returns its result.

The event loop runs long work in turns, and serves other requests in between. From one yield to the next, work takes a
millisecond at most.
"""

from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")
Interruptible = Generator[None, None, T]
TEXTS_AT_ONCE = 4  # short texts from one yield to the next
SENTENCES_AT_ONCE = 8  # sentences from one yield to the next


def collect(items: Iterable[T], at_once: int) -> Interruptible[list[T]]:
    """Returns a list of items that are made one by one; yields after each `at_once` of them."""
    found: list[T] = []
    for item in items:
        found.append(item)
        if not len(found) % at_once:
            yield
    return found


def finish(work: Interruptible[T]) -> T:
    """Runs work to its end; returns the result."""
    try:
        while True:
            next(work)
    except StopIteration as done:
        result: T = done.value
        return result
