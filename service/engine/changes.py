"""Notifies the caller of an engine about state changes."""

import asyncio
import logging

from service.engine.protocol import OnChange

log = logging.getLogger("tagwerk.engine")


class Changes:
    """Calls `on_change`. Logs its errors instead of raising them, so that they do not end the engine."""

    def __init__(self, on_change: OnChange = lambda: None) -> None:
        self._on_change = on_change
        self._running: set[asyncio.Future[None]] = set()

    def notify(self) -> asyncio.Future[None] | None:
        """Calls `on_change`; returns the part of it that runs in the background, if there is one."""
        try:
            rest = self._on_change()
        except Exception:
            log.exception("the handler of an engine's state change failed")
            return None
        if rest is None:
            return None
        running = asyncio.ensure_future(rest)
        self._running.add(running)
        running.add_done_callback(self._end)
        return running

    def cancel(self) -> None:
        """Cancels the handlers that are still running."""
        for running in self._running:
            running.cancel()

    def _end(self, ended: asyncio.Future[None]) -> None:
        self._running.discard(ended)
        if not ended.cancelled() and (error := ended.exception()) is not None:
            log.error("the handler of an engine's state change failed", exc_info=error)
