"""Bounds the bytes that a process holds for its clients, in both directions.

Limits of single requests do not bound their sum: bodies that arrive slowly, requests that are sent ahead of their
answers, answers that are not read. Above the total, the slowest client is dropped.
"""

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.http.connection.bounded_protocol import BoundedProtocol

MOST_BYTES = 176 * 2**20  # in a process; the largest answer to a valid request has some 163 MiB
LEAST_BODIES = 4  # bodies of the maximum size always fit
CHECKS = 32  # a check after each such part of the total
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
        self._unchecked = 0  # bytes

    def grow(self, size: int) -> None:
        """Adds bytes that may have to be held; checks the sum after each part of the total."""
        self._unchecked += size
        if self._unchecked * CHECKS > self.most:
            self.check()

    def check(self) -> None:
        """Sums the bytes, and drops the slowest clients above the total, last of all those waiting for the service."""
        self._unchecked, now, total = 0, self.clock(), 0
        holding: list[tuple[bool, float, int, BoundedProtocol]] = []
        for client, mark in self.clients.items():
            if not (size := client.held_bytes()):
                self.clients[client] = None
                continue
            since, moved = mark or (now, client.moved_bytes())
            self.clients[client] = since, moved
            rate = (client.moved_bytes() - moved) / (now - since) if now - since >= LEAST_SECONDS else math.inf
            holding.append((client.waits(), rate, -size, client))
            total += size
        if total > self.most:
            for _, _, size, client in sorted(holding, key=lambda one: one[:3]):
                client.drop(self.most)
                total += size
                if total <= self.most:
                    break
