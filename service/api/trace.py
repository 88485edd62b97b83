"""Which request, of which trace, something belongs to: for the log."""

import re
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


current: ContextVar[RequestIds] = ContextVar("tagwerk_request_ids")


def ids_of(request: str, traceparent: bytes | None) -> RequestIds:
    """Reads a `traceparent` (W3C Trace Context); one that is malformed is as good as none."""
    if traceparent is None:
        return RequestIds(request)
    found = _TRACEPARENT.fullmatch(traceparent.decode("latin-1").strip())
    if found is None or (traceparent.startswith(b"00") and found[3]):
        return RequestIds(request)
    return RequestIds(request, found[1], found[2])
