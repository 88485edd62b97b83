"""What each key has used of its limits, counted by all api workers of a service together.

The counts lie in a file that the workers map into their memory, one fixed record a key, found by the key's hash. A lock
on the file makes each change whole; it costs two microseconds.
"""

import fcntl
import mmap
import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.security.keys import Key

RECORDS = 1024
WORKERS = 62
RECORD = struct.Struct(f"<32sdd{WORKERS}i")  # hash, credit in requests, moment of it, requests under way by worker
HASH_BYTES = 32
CREDIT = struct.Struct("<dd")  # as it lies in a record, behind the hash
BURST_SECONDS = 1.0  # of the rate that a key which has paused may use at once; one request at least


class RateLimiter:
    """Counts requests by key."""

    def __init__(self, file: int | None = None, worker: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        """`file` is the descriptor of a file that the workers share; without one it counts for this process alone.

        `worker` is the number of this one. What a worker of that number had under way before is forgotten.
        """
        self._file = os.dup(file) if file is not None else _nameless_file()
        self._map = mmap.mmap(self._file, RECORDS * RECORD.size)
        self._worker = worker % WORKERS
        self._clock = clock  # that of the whole system: workers compare its moments
        self._places: dict[str, int] = {}
        with self._locked():
            for place in range(0, len(self._map), RECORD.size):
                self._set_under_way(place, 0)

    def enter(self, key: Key) -> float:
        """Begins a request; returns 0, or in how many seconds it may come again if it is over a limit."""
        if key.requests_per_second is None and key.concurrent is None:
            return 0.0
        with self._locked():
            place = self._place(key)
            under_way = RECORD.unpack_from(self._map, place)[3:]
            if key.concurrent is not None and sum(under_way) >= key.concurrent:
                return 1.0
            if key.requests_per_second is not None and (wait := self._spend(place, key.requests_per_second)):
                return wait
            self._set_under_way(place, under_way[self._worker] + 1)
        return 0.0

    def take(self, key: Key) -> float:
        """Counts a request within one that `enter` let in; returns 0, or in how many seconds the rate allows it."""
        if key.requests_per_second is None:
            return 0.0
        with self._locked():
            return self._spend(self._place(key), key.requests_per_second)

    def _spend(self, place: int, rate: float) -> float:
        """Takes a request from a credit; returns 0, or in how many seconds there is enough. For one with the lock."""
        now, most = self._clock(), max(1.0, rate * BURST_SECONDS)
        credit, then = CREDIT.unpack_from(self._map, place + HASH_BYTES)
        credit = min(most, credit + (now - then) * rate) if then else most
        if credit < 1.0:
            return float((1.0 - credit) / rate)
        CREDIT.pack_into(self._map, place + HASH_BYTES, credit - 1.0, now)
        return 0.0

    def leave(self, key: Key) -> None:
        """Ends a request that `enter` let in."""
        if key.requests_per_second is None and key.concurrent is None:
            return
        with self._locked():
            place = self._place(key)
            self._set_under_way(place, self._under_way(place) - 1)

    def _place(self, key: Key) -> int:
        if (known := self._places.get(key.sha256)) is not None:
            return known
        wanted = bytes.fromhex(key.sha256)
        first = int.from_bytes(wanted[:8], "big")
        for step in range(RECORDS):
            place = (first + step) % RECORDS * RECORD.size
            found = self._map[place : place + len(wanted)]
            if found == wanted or not any(found):
                self._map[place : place + len(wanted)] = wanted
                break
        self._places[key.sha256] = place  # with a thousand keys gone by, the last ones share a record
        return place

    def _under_way(self, place: int) -> int:
        count: int = RECORD.unpack_from(self._map, place)[3 + self._worker]
        return count

    def _set_under_way(self, place: int, count: int) -> None:
        struct.pack_into("<i", self._map, place + 48 + 4 * self._worker, max(count, 0))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX)  # of the process, so that it holds though the descriptor is shared
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)


def make_file() -> int:
    """Returns the descriptor of a file for a meter, which no path leads to."""
    return _nameless_file()


def _nameless_file() -> int:
    with tempfile.TemporaryFile() as file:
        file.truncate(RECORDS * RECORD.size)
        return os.dup(file.fileno())
