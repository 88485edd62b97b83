"""Stops working for a client that has gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request

from service.errors import ClientGone


@asynccontextmanager
async def while_client_waits(request: Request) -> AsyncIterator[None]:
    """Cancels the block when the client closes its connection, and raises ClientGone.

    The body of the request must have been read: what is received after it is the disconnect.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (a request handler runs in a task)
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone = True
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not gone:
            raise
        task.uncancel()
        raise ClientGone("the client closed its connection before the answer was there") from None
    finally:
        watcher.cancel()
