"""Tells the caller of an engine that its state, or that of one of its models, has changed."""

import asyncio
import logging
from collections.abc import Awaitable

from service.engine.protocol import OnChange

log = logging.getLogger("tagwerk.engine")


class Changes:
    """Calls `on_change`. Its errors are logged and go no further: they are no reason to lose an engine."""

    def __init__(self, on_change: OnChange = lambda: None) -> None:
        self._on_change = on_change
        self._under_way: set[asyncio.Task[None]] = set()

    def tell(self) -> asyncio.Task[None] | None:
        """Calls it now. Where it goes on in the background, returns a task that is done once the change is taken in."""
        try:
            rest = self._on_change()
        except Exception:
            log.exception("a change of the engine was not taken in")
            return None
        if rest is None:
            return None
        task = asyncio.create_task(self._finish(rest))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    def cancel(self) -> None:
        """Cancels what is not taken in yet."""
        for task in self._under_way:
            task.cancel()

    async def _finish(self, rest: Awaitable[None]) -> None:
        try:
            await rest
        except Exception:
            log.exception("a change of the engine was not taken in")
