"""What answers, logs, metrics and spans say of a request: its ids, and its times by stage."""

import os
import re
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_ID = re.compile(rb"[!-+\--:<-~]{1,128}")  # visible ASCII; a comma or semicolon would look like a field of the log
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
current_ids: ContextVar["RequestIds"] = ContextVar("tagwerk_request_ids")


@dataclass(slots=True)
class Timing:
    """A request's time by stage, in seconds, and its batch size; sent as Server-Timing (W3C)."""

    started: float
    stages: dict[str, float] = field(default_factory=dict)
    began: float | None = None  # start of the first stage
    notes: dict[str, Any] = field(default_factory=dict)  # for the log: key, model, sequences, tokens
    batch_size: int = 0  # sequences in the largest batch, other requests' included; 0 without one

    def header(self) -> str:
        """Returns the header's value, with durations in milliseconds."""
        found = ""
        for name, seconds in self.stages.items():
            found += f"{name};dur={seconds * 1000:.3f}, "
        found += f"total;dur={(time.monotonic() - self.started) * 1000:.3f}"
        return f'{found}, batch;desc="batch of {self.batch_size}"' if self.batch_size else found


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
