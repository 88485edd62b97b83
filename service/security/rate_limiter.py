"""Enforces the limits of API keys, across all api workers of a service.

The counts are in a memory-mapped file shared by the workers: one fixed record per key, found by the key's hash. A file
lock makes each change atomic; it takes two microseconds.
"""

import fcntl
import mmap
import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.errors import RateLimited
from service.security.keys import Key

RECORDS = 1024
WORKERS = 62
RECORD = struct.Struct(f"<32sdd{WORKERS}i")  # hash, credit in requests, its time, requests in progress per worker
HASH_BYTES = 32
CREDIT = struct.Struct("<dd")  # as in a record, after the hash
BURST_SECONDS = 1.0  # credit that an idle key accumulates, as a duration at its rate; one request at least


class RateLimiter:
    """Counts requests by key, and limits their rate and concurrency."""

    def __init__(self, file: int | None = None, worker: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        """`file` is the descriptor of a file shared by the workers; without one, counts this process only.

        `worker` is this worker's number. Resets the requests in progress of an earlier worker of that number.
        """
        self._file = os.dup(file) if file is not None else _nameless_file()
        self._map = mmap.mmap(self._file, RECORDS * RECORD.size)
        self._worker = worker % WORKERS
        self._clock = clock  # system-wide, since workers compare its times
        self._places: dict[str, int] = {}
        with self._locked():
            for place in range(0, len(self._map), RECORD.size):
                self._set_under_way(place, 0)

    def acquire(self, key: Key) -> None:
        """Admits a request. Raises RateLimited, which names the limit that it exceeds."""
        if key.requests_per_second is None and key.concurrent is None:
            return
        with self._locked():
            place = self._place(key)
            under_way = RECORD.unpack_from(self._map, place)[3:]
            if key.concurrent is not None and sum(under_way) >= key.concurrent:
                most = f"{key.concurrent} requests at the same time (tagwerk keys add --concurrent)"
                raise RateLimited(f"the key {key.id!r} is for at most {most}", 1.0)
            if key.requests_per_second is not None and (wait := self._spend(place, key.requests_per_second)):
                most = f"{key.requests_per_second:g} requests a second (tagwerk keys add --rate)"
                raise RateLimited(f"the key {key.id!r} is for at most {most}", wait)
            self._set_under_way(place, under_way[self._worker] + 1)

    def take(self, key: Key) -> float:
        """Counts a further request of an admitted one; returns 0, or the seconds until the rate allows it."""
        if key.requests_per_second is None:
            return 0.0
        with self._locked():
            return self._spend(self._place(key), key.requests_per_second)

    def _spend(self, place: int, rate: float) -> float:
        """Takes a request from the credit; returns 0, or the seconds until there is enough. Requires the lock."""
        now, most = self._clock(), max(1.0, rate * BURST_SECONDS)
        credit, then = CREDIT.unpack_from(self._map, place + HASH_BYTES)
        credit = min(most, credit + (now - then) * rate) if then else most
        if credit < 1.0:
            return float((1.0 - credit) / rate)
        CREDIT.pack_into(self._map, place + HASH_BYTES, credit - 1.0, now)
        return 0.0

    def release(self, key: Key) -> None:
        """Ends an admitted request."""
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
        self._places[key.sha256] = place  # once 1024 keys have been used, further ones share a record
        return place

    def _under_way(self, place: int) -> int:
        count: int = RECORD.unpack_from(self._map, place)[3 + self._worker]
        return count

    def _set_under_way(self, place: int, count: int) -> None:
        struct.pack_into("<i", self._map, place + 48 + 4 * self._worker, max(count, 0))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX)  # per process, so it works with an inherited descriptor
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)


def make_file() -> int:
    """Creates an anonymous file for a RateLimiter; returns its descriptor."""
    return _nameless_file()


def _nameless_file() -> int:
    with tempfile.TemporaryFile() as file:
        file.truncate(RECORDS * RECORD.size)
        return os.dup(file.fileno())
