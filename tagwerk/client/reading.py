"""Reads an iterator that may block, such as a file or a pipe, in a thread beside the event loop."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from typing import TypeVar

Item = TypeVar("Item")
LEAD = 256  # items read before they are taken


async def read_in_thread(items: Iterable[Item]) -> AsyncGenerator[Item, None]:
    """Yields the items of an iterable that a thread reads, at most LEAD of them ahead; raises what it raises."""
    loop = asyncio.get_running_loop()
    read: asyncio.Queue[tuple[Item | None, BaseException | None]] = asyncio.Queue()
    room = threading.Semaphore(LEAD)
    closed = threading.Event()

    def put(item: Item | None, error: BaseException | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: there is no reader
            loop.call_soon_threadsafe(read.put_nowait, (item, error))

    def run() -> None:
        try:
            for item in items:
                room.acquire()
                if closed.is_set():
                    return
                put(item, None)
        except BaseException as error:
            put(None, error)
        else:
            put(None, StopAsyncIteration())

    threading.Thread(target=run, name="tagwerk-client-source", daemon=True).start()
    try:
        while True:
            item, error = await read.get()
            if isinstance(error, StopAsyncIteration):
                return
            if error is not None:
                raise error
            room.release()
            yield item  # type: ignore[misc]
    finally:
        closed.set()
        room.release()
