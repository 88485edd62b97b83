"""Bounds the bytes that a process holds for its clients, in both directions.

Limits of single requests do not bound their sum: bodies that arrive slowly, requests that are sent ahead of their
answers, answers that are not read. Above the total, the slowest client is dropped.
"""

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.http.connection.bounded_protocol import BoundedProtocol

MOST_BYTES = 176 * 2**20  # in a process; the largest answer to a valid request has some 166 MiB
LEAST_BODIES = 4  # bodies of the maximum size always fit
CHECKS = 8  # at the total, a check after each such part of it
LEAST_SECONDS = 1.0  # over which a rate is computed; until then it counts as high


class ClientMemory:
    """Sums the bytes that are held for the clients of a process, and drops clients above a total.

    The sum is taken from the clients each time, not kept up to date: so no byte is forgotten or counted twice.
    """

    def __init__(self, max_body_bytes: int) -> None:
        self.most = max(MOST_BYTES, LEAST_BODIES * max_body_bytes)
        # Since when each connection holds bytes, and those moved by then.
        self.clients: dict[BoundedProtocol, tuple[float, int] | None] = {}
        self.clock = time.monotonic
        self._unchecked = 0  # bytes that may have been added since the last check
        self._total = 0  # at the last check

    def grow(self, size: int) -> None:
        """Adds bytes that may have to be held; checks the sum where it may be above the total."""
        self._unchecked += size
        if self._unchecked > max(self.most - self._total, self.most / CHECKS):
            self.check()

    def has_room(self, size: int) -> bool:
        """Returns whether so many bytes more can be held without dropping a client."""
        self.check()
        return self._total + size <= self.most

    def check(self) -> None:
        """Sums the bytes; drops clients above the total."""
        self._unchecked, now, total = 0, self.clock(), 0
        for client, mark in self.clients.items():
            size = client.held_bytes()
            total += size
            if (mark is None) is (size > 0):
                self.clients[client] = (now, client.moved_bytes()) if size else None
        if total > self.most:
            total = self._drop(total, now)
        self._total = total

    def _drop(self, total: int, now: float) -> int:
        """Drops the slowest clients until the others fit, clients that wait for the service last; returns the sum."""
        holding: list[tuple[bool, float, int, BoundedProtocol]] = []
        for client, mark in self.clients.items():
            if mark is not None:
                since, moved = mark
                rate = (client.moved_bytes() - moved) / (now - since) if now - since >= LEAST_SECONDS else math.inf
                holding.append((client.waits(), rate, -client.held_bytes(), client))
        for _, _, size, client in sorted(holding, key=lambda one: one[:3]):
            self.clients.pop(client, None)  # what it still holds is freed as it closes
            client.drop(self.most)
            total += size
            if total <= self.most:
                break
        return total
