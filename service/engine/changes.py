"""Notifies the caller of an engine about state changes."""

import asyncio
import logging
from collections.abc import Awaitable

from service.engine.protocol import OnChange

log = logging.getLogger("tagwerk.engine")


class Changes:
    """Calls `on_change`. Logs its errors instead of raising them, so that they do not end the engine."""

    def __init__(self, on_change: OnChange = lambda: None) -> None:
        self._on_change = on_change
        self._running: set[asyncio.Task[None]] = set()

    def notify(self) -> asyncio.Task[None] | None:
        """Calls `on_change`; returns a task for the part that runs in the background, if there is one."""
        try:
            rest = self._on_change()
        except Exception:
            log.exception("the handler of an engine's state change failed")
            return None
        if rest is None:
            return None
        task = asyncio.create_task(self._finish(rest))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def cancel(self) -> None:
        """Cancels the handlers that are still running."""
        for task in self._running:
            task.cancel()

    async def _finish(self, rest: Awaitable[None]) -> None:
        try:
            await rest
        except Exception:
            log.exception("the handler of an engine's state change failed")
