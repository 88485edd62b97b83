"""Request and trace ids, for logs and spans."""

import os
import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import NamedTuple

_ID = re.compile(rb"[!-+\--:<-~]{1,128}")  # visible ASCII; a comma or semicolon would look like a field of the log
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


class RequestIds(NamedTuple):
    """A request's id, and the ids of its trace and parent span if it has a `traceparent` header."""

    request: str
    trace: str | None = None
    parent: str | None = None

    def __str__(self) -> str:
        return f"request {self.request}" + (f", trace {self.trace}" if self.trace else "")


def ids_from(headers: Mapping[bytes, bytes]) -> RequestIds:
    """Returns the request's ids, and those of its `traceparent` (W3C Trace Context) unless it is malformed.

    Generates a request id if the request has none.
    """
    given = headers.get(b"x-request-id")
    request = given.decode() if given is not None and _ID.fullmatch(given) else os.urandom(16).hex()
    if (traceparent := headers.get(b"traceparent")) is None:
        return RequestIds(request)
    found = _TRACEPARENT.fullmatch(traceparent.decode("latin-1").strip())
    if found is None or (traceparent.startswith(b"00") and found[3]):
        return RequestIds(request)
    return RequestIds(request, found[1], found[2])


current: ContextVar[RequestIds] = ContextVar("tagwerk_request_ids")
