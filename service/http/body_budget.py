"""Bounds the bytes of large request bodies that a process holds at the same time.

The limit of each body does not bound their sum. Above the total, the body that arrives slowest is refused, so that
stalling senders cannot use it up.
"""

import asyncio
import time

from starlette.types import Message

from service.errors import Overloaded
from service.http.body import Body

SMALL_BYTES = 65_536  # uncompressed bodies announced to be no larger are not counted
RETRY_AFTER_SECONDS = 1.0


class BodyBudget:
    """Counts the decompressed bytes of the bodies that are held."""

    def __init__(self, max_body_bytes: int, bodies: int) -> None:
        """`bodies` of the maximum size fit the total."""
        self.bodies = bodies
        self.total = bodies * max_body_bytes
        self.held = 0
        self._arriving: dict[HeldBody, None] = {}

    def add(self, body: "HeldBody", size: int) -> None:
        """Counts bytes of a body. Above the total, refuses the slowest bodies; raises if `body` is one of them."""
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
        """Marks a body as complete: it is held until its request is answered."""
        self._arriving.pop(body, None)

    def remove(self, body: "HeldBody") -> None:
        """Stops counting a body. Does nothing the second time."""
        self._arriving.pop(body, None)
        self.held -= body.size
        body.size = 0


class HeldBody:
    """Receives a body, and counts its bytes: all of them, unless the handler streams it."""

    def __init__(self, body: Body, budget: BodyBudget) -> None:
        self.size = 0  # bytes counted
        self.refused = False
        self._body = body
        self._budget = budget
        self._began = time.monotonic()
        self._receiving: asyncio.Task[object] | None = None

    def bytes_per_second(self) -> float:
        """Returns the body's mean transfer rate so far."""
        return self.size / max(time.monotonic() - self._began, 1e-6)

    async def receive(self) -> Message:
        """Returns the next message. Raises what `Body.receive` raises, and Overloaded if the body is refused."""
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
        if self._body.limit is None:  # its handler streams it, within its own bounds
            self._budget.remove(self)
        elif message["type"] == "http.request":
            self._budget.add(self, len(message.get("body", b"")))
            if not message.get("more_body", False):
                self._budget.arrived(self)
        return message

    def interrupt(self) -> None:
        """Makes the next or the pending `receive` raise the refusal."""
        self.refused = True
        if self._receiving is not None:
            self._receiving.cancel()

    def refuse(self) -> Overloaded:
        """Returns the error to raise."""
        self.refused = True
        return Overloaded(
            f"the request bodies that arrive are more than {self._budget.total} bytes together "
            f"({self._budget.bodies} times TAGWERK_MAX_BODY_BYTES); this one arrived slowest: "
            "send it again later, or faster",
            RETRY_AFTER_SECONDS,
        )


def may_be_large(headers: dict[bytes, bytes]) -> bool:
    """Returns whether a request's body must be counted. Most announce a small one."""
    if b"content-encoding" in headers or b"transfer-encoding" in headers:
        return True
    length = headers.get(b"content-length", b"0")
    return len(length) > 5 or not length.isdigit() or int(length) > SMALL_BYTES
