"""A bound on the bytes of large request bodies that a worker holds at the same time.

Each body has a limit of its own; a thousand of them at that limit would still fill the memory. Above the total, the
body that arrives slowest is refused, so that senders that stall cannot keep the total from others.
"""

import asyncio
import time

from starlette.types import Message

from service.errors import Overloaded
from service.http.body import Body

SMALL_BYTES = 65_536  # what is announced to be no larger, and is not compressed, is not counted
BODIES = 16  # at their limit, that fit into the total
RETRY_AFTER_SECONDS = 1.0


class BodyBudget:
    """Counts the bytes of the bodies that are held, unzipped."""

    def __init__(self, max_body_bytes: int) -> None:
        self.total = BODIES * max_body_bytes
        self.held = 0
        self._arriving: dict[HeldBody, None] = {}

    def add(self, body: "HeldBody", size: int) -> None:
        """Counts bytes of a body. Over the total, refuses the slowest of those that arrive; if it is this, raises."""
        body.size += size
        self.held += size
        self._arriving[body] = None
        while self.held > self.total and self._arriving:
            slowest = min(self._arriving, key=HeldBody.bytes_per_second)
            self.remove(slowest)
            if slowest is body:
                raise body.refuse()
            slowest.interrupt()

    def arrived(self, body: "HeldBody") -> None:
        """Notes that a body is whole: from now on it is held until its request is answered."""
        self._arriving.pop(body, None)

    def remove(self, body: "HeldBody") -> None:
        """Counts a body no longer; a second time does nothing."""
        self._arriving.pop(body, None)
        self.held -= body.size
        body.size = 0


class HeldBody:
    """Receives a body, and counts what the application holds of it: all, unless it reads piece by piece."""

    def __init__(self, body: Body, budget: BodyBudget) -> None:
        self.size = 0  # bytes that are counted
        self.refused = False
        self._body = body
        self._budget = budget
        self._began = time.monotonic()
        self._receiving: asyncio.Task[object] | None = None

    def bytes_per_second(self) -> float:
        """Returns how fast the body has arrived until now."""
        return self.size / max(time.monotonic() - self._began, 1e-6)

    async def receive(self) -> Message:
        """Returns the next message. Raises what `Body.receive` raises, and Overloaded for a body that is refused."""
        if self.refused:
            raise self.refuse()
        self._receiving = asyncio.current_task()
        try:
            message = await self._body.receive()
        except asyncio.CancelledError:
            if self.refused and self._receiving is not None:
                self._receiving.uncancel()
                raise self.refuse() from None
            raise
        finally:
            self._receiving = None
        if self._body.limit is None:  # its handler holds a part of it, within bounds of its own
            self._budget.remove(self)
        elif message["type"] == "http.request":
            self._budget.add(self, len(message.get("body", b"")))
            if not message.get("more_body", False):
                self._budget.arrived(self)
        return message

    def interrupt(self) -> None:
        """Has the body refused by its next `receive`, or by the one that waits."""
        self.refused = True
        if self._receiving is not None:
            self._receiving.cancel()

    def refuse(self) -> Overloaded:
        """Returns the error to raise."""
        self.refused = True
        return Overloaded(
            f"the request bodies that arrive are more than {self._budget.total} bytes together; "
            "this one came slowest: send it again later, or faster",
            RETRY_AFTER_SECONDS,
        )


def may_be_large(headers: dict[bytes, bytes]) -> bool:
    """Says whether a request's body is worth counting. Most requests announce a small one."""
    if b"content-encoding" in headers or b"transfer-encoding" in headers:
        return True
    length = headers.get(b"content-length", b"0")
    return len(length) > 5 or not length.isdigit() or int(length) > SMALL_BYTES
