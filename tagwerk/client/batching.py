"""Cuts lists of texts into requests within the limits of the service."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from tagwerk.client.results import Limits

Item = TypeVar("Item")
BYTES_OF_A_CHARACTER = 6  # in JSON, at most: \\u0000
SPARE_BYTES = 4096  # of a body, for what is not text


def cut(items: Sequence[Item], characters: Callable[[Item], int], limits: Limits) -> Iterator[Sequence[Item]]:
    """Yields the items in order, in groups that fit a request each; an item over a limit is alone.

    Args:
        characters: counts those of an item.
    """
    most = min(limits.text_characters, max(1, (limits.body_bytes - SPARE_BYTES) // BYTES_OF_A_CHARACTER))
    start, used = 0, 0
    for i, item in enumerate(items):
        size = characters(item)
        if i > start and (used + size > most or i - start == limits.items):
            yield items[start:i]
            start, used = i, 0
        used += size
    if start < len(items):
        yield items[start:]
