"""Which request, of which trace, something belongs to: for the log."""

import os
import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import NamedTuple

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


class RequestIds(NamedTuple):
    """The id of a request, and the ids of the trace and of the caller's span, where it came with a `traceparent`."""

    request: str
    trace: str | None = None
    parent: str | None = None

    def __str__(self) -> str:
        return f"request {self.request}" + (f", trace {self.trace}" if self.trace else "")


def ids_from(headers: Mapping[bytes, bytes]) -> RequestIds:
    """Takes the id that a request came with, or makes one."""
    return ids_of(_clean(headers.get(b"x-request-id", b"")) or os.urandom(16).hex(), headers.get(b"traceparent"))


current: ContextVar[RequestIds] = ContextVar("tagwerk_request_ids")


def ids_of(request: str, traceparent: bytes | None) -> RequestIds:
    """Reads a `traceparent` (W3C Trace Context); one that is malformed is as good as none."""
    if traceparent is None:
        return RequestIds(request)
    found = _TRACEPARENT.fullmatch(traceparent.decode("latin-1").strip())
    if found is None or (traceparent.startswith(b"00") and found[3]):
        return RequestIds(request)
    return RequestIds(request, found[1], found[2])


def _clean(id: bytes) -> str:
    """Keeps a request id that is safe in a log and a header."""
    return id.decode() if len(id) <= 128 and id.isascii() and id.decode().isprintable() else ""
