"""Long work in slices: a generator that yields wherever it may be interrupted, and returns its result.

An event loop runs one slice at a time and serves other requests in between. A slice takes a millisecond at most.
"""

from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")
Sliced = Generator[None, None, T]
TEXTS_AT_ONCE = 4  # short texts processed per slice
SENTENCES_AT_ONCE = 8  # sentences processed per slice


def collect(items: Iterable[T], at_once: int) -> Sliced[list[T]]:
    """Returns a list of items that are made one by one; yields after each `at_once` of them."""
    found: list[T] = []
    for item in items:
        found.append(item)
        if not len(found) % at_once:
            yield
    return found


def finish(work: Sliced[T]) -> T:
    """Runs all slices; returns the result."""
    try:
        while True:
            next(work)
    except StopIteration as done:
        result: T = done.value
        return result
