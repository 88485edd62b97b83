"""Windows of sentences that are longer than the longest sequence of a model."""

from itertools import pairwise
from typing import NamedTuple

OVERLAP = 32  # tokens


class Window(NamedTuple):
    """A part [start, end) of a long sentence; the tags of [keep_start, keep_end) are used."""

    start: int
    end: int
    keep_start: int
    keep_end: int


def windows(length: int, longest: int) -> list[Window]:
    """Covers a sentence of `length` tokens with windows of at most `longest`.

    Windows overlap, and the tags change over in the middle of an overlap, so each token has context on both sides.
    """
    if length <= longest:
        return [Window(0, length, 0, length)]
    overlap = min(OVERLAP, longest // 2)
    starts = [*range(0, length - longest, longest - overlap), length - longest]
    seams = [(left + longest + right) // 2 for left, right in pairwise(starts)]
    return [
        Window(start, start + longest, keep_start, keep_end)
        for start, keep_start, keep_end in zip(starts, [0, *seams], [*seams, length], strict=True)
    ]


def kept_of(length: int, longest: int, start: int) -> tuple[list[slice], int]:
    """Returns the slices of a sentence's used tags among the cells of all windows, and the end of its windows.

    `start` is the start of its first window.
    """
    if length <= longest:
        return [slice(start, start + length)], start + length
    kept = []
    for window in windows(length, longest):
        kept.append(slice(start + window.keep_start - window.start, start + window.keep_end - window.start))
        start += window.end - window.start
    return kept, start
