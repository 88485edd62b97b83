"""Enforces the limits of API keys, across all processes of a service.

The counts are in a memory-mapped file shared by the processes: one fixed record per key, found by the key's hash. A
file lock makes each change atomic; it takes two microseconds.
"""

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.errors import RateLimited, quantity
from service.files import make_shared_file
from service.security.keys import Key

RECORDS = 1024
PROCESSES = 62
CREDIT = struct.Struct("<dd")  # credit, and the time at which it was that
COUNT = struct.Struct("<i")
HASH_BYTES = 32
# A record: the key's hash; its credit in requests, and in tokens; its requests in progress in each process.
REQUESTS = HASH_BYTES
TOKENS = REQUESTS + CREDIT.size
COUNTS = TOKENS + CREDIT.size
RECORD_BYTES = COUNTS + PROCESSES * COUNT.size


class RateLimiter:
    """Counts requests and tokens by key, and limits their rates, and the requests in progress.

    The tokens of a request are known once they are computed. They are taken from the credit then, which may fall below
    zero; the key's next requests wait until it is back at zero. An idle key has the credit of a second, and of one
    request at least.
    """

    def __init__(self, file: int | None = None, process: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        """`file` is the descriptor of a file shared by the processes; without one, counts this process only.

        `process` is this one's number. Resets the requests in progress of an earlier process of that number.
        """
        self._file = os.dup(file) if file is not None else make_file()
        self._map = mmap.mmap(self._file, RECORDS * RECORD_BYTES)
        self._process = process % PROCESSES
        self._clock = clock  # system-wide, since processes compare its times
        self._places: dict[str, int] = {}
        with self._locked():
            for place in range(0, len(self._map), RECORD_BYTES):
                COUNT.pack_into(self._map, place + COUNTS + COUNT.size * self._process, 0)

    def acquire(self, key: Key) -> None:
        """Admits a request. Raises RateLimited, which names the limit that it exceeds."""
        if not _limited(key):
            return
        with self._locked():
            place = self._place(key)
            if key.concurrent is not None and self._under_way(place) >= key.concurrent:
                most = f"{quantity(key.concurrent, 'request')} at the same time (tagwerk keys add --concurrent)"
                raise RateLimited(f"the key {key.id!r} is for at most {most}", 1.0)
            if wait := self._wait_for_tokens(place, key):
                most = f"{quantity(key.tokens_per_second or 0, 'token', 'g')} a second (tagwerk keys add --tokens)"
                raise RateLimited(f"the key {key.id!r} is for at most {most}", wait)
            if wait := self._take_request(place, key):
                most = f"{quantity(key.requests_per_second or 0, 'request', 'g')} a second (tagwerk keys add --rate)"
                raise RateLimited(f"the key {key.id!r} is for at most {most}", wait)
            self._add_under_way(place, 1)

    def take(self, key: Key) -> float:
        """Counts one more request of an admitted key; returns 0, or the seconds until its limits allow that."""
        if key.requests_per_second is None and key.tokens_per_second is None:
            return 0.0
        with self._locked():
            place = self._place(key)
            return self._wait_for_tokens(place, key) or self._take_request(place, key)

    def charge(self, key: Key, tokens: int) -> None:
        """Takes tokens that were computed from the key's credit."""
        if key.tokens_per_second is None or not tokens:
            return
        with self._locked():
            place, rate = self._place(key) + TOKENS, key.tokens_per_second
            self._set_credit(place, self._credit(place, rate, rate) - tokens)

    def release(self, key: Key) -> None:
        """Ends an admitted request."""
        if not _limited(key):
            return
        with self._locked():
            self._add_under_way(self._place(key), -1)

    # All of these require the lock.

    def _take_request(self, place: int, key: Key) -> float:
        """Takes a request from the credit; returns 0, or the seconds until there is enough."""
        rate, place = key.requests_per_second, place + REQUESTS
        if rate is None:
            return 0.0
        credit = self._credit(place, rate, max(1.0, rate))
        if credit < 1.0:
            return (1.0 - credit) / rate
        self._set_credit(place, credit - 1.0)
        return 0.0

    def _wait_for_tokens(self, place: int, key: Key) -> float:
        """Returns 0, or the seconds until the tokens of earlier requests are within the rate."""
        rate = key.tokens_per_second
        return 0.0 if rate is None else max(0.0, -self._credit(place + TOKENS, rate, rate) / rate)

    def _credit(self, place: int, rate: float, most: float) -> float:
        credit, then = CREDIT.unpack_from(self._map, place)
        return float(min(most, credit + (self._clock() - then) * rate)) if then else most

    def _set_credit(self, place: int, credit: float) -> None:
        CREDIT.pack_into(self._map, place, credit, self._clock())

    def _place(self, key: Key) -> int:
        if (known := self._places.get(key.sha256)) is not None:
            return known
        wanted = bytes.fromhex(key.sha256)
        first = int.from_bytes(wanted[:8], "big")
        for step in range(RECORDS):
            place = (first + step) % RECORDS * RECORD_BYTES
            found = self._map[place : place + len(wanted)]
            if found == wanted or not any(found):
                self._map[place : place + len(wanted)] = wanted
                break
        self._places[key.sha256] = place  # once 1024 keys have been used, further ones share a record
        return place

    def _under_way(self, place: int) -> int:
        """Returns the key's requests in progress in all processes."""
        counts = self._map[place + COUNTS : place + RECORD_BYTES]
        return sum(count for (count,) in COUNT.iter_unpack(counts))

    def _add_under_way(self, place: int, more: int) -> None:
        own = place + COUNTS + COUNT.size * self._process
        (count,) = COUNT.unpack_from(self._map, own)
        COUNT.pack_into(self._map, own, max(count + more, 0))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX)  # per process, so it works with an inherited descriptor
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)


def make_file() -> int:
    """Makes an anonymous file for a RateLimiter; returns its descriptor."""
    return make_shared_file(RECORDS * RECORD_BYTES)


def _limited(key: Key) -> bool:
    return key.requests_per_second is not None or key.tokens_per_second is not None or key.concurrent is not None
