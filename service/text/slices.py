"""Long work in slices: a generator that yields wherever it may be interrupted, and returns its result.

An event loop runs one slice at a time and serves other requests in between. A slice takes a millisecond at most.
"""

import time
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Sliced = Generator[None, None, T]
SLICE_SECONDS = 0.002  # for which long work runs in an iteration of the event loop
TEXTS_AT_ONCE = 4  # short texts processed per slice
SENTENCES_AT_ONCE = 8  # sentences processed per slice


def finish(work: Sliced[T]) -> T:
    """Runs all slices; returns the result."""
    try:
        while True:
            next(work)
    except StopIteration as done:
        result: T = done.value
        return result


def advance(work: Sliced[T], seconds: float) -> tuple[T] | None:
    """Runs work for about `seconds`; returns a tuple of its result, or None if it is not finished."""
    end = time.monotonic() + seconds
    try:
        while True:
            next(work)
            if time.monotonic() >= end:
                return None
    except StopIteration as done:
        return (done.value,)
