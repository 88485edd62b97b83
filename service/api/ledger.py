"""What is kept of each request that is over: it is counted, recorded as a span where those are wanted, and logged."""

import asyncio
import time
from collections.abc import Mapping

from service.api.request_log import RequestLog
from service.api.spans import make_spans
from service.api.timing import Timing
from service.api.trace import RequestIds
from service.metrics import Metrics
from service.settings import Settings


class Ledger:
    """Has a place for each of them; whoever answers a request notes it here."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        quiet = settings.log_level in ("warning", "error") or not settings.log_requests
        self._metrics = metrics
        self._log = None if quiet else RequestLog(settings)
        self._spans = make_spans()

    def note(
        self, ids: RequestIds, headers: Mapping[bytes, bytes], method: str, route: str, status: int, timing: Timing
    ) -> None:
        """Notes a request that is over."""
        self._metrics.answered(route, status, time.monotonic() - timing.started)
        if self._spans is not None:
            ids = self._spans.record(ids, headers, method, route, status, timing)
        if self._log is not None:
            self._log.note(ids, method, route, status, timing)

    async def close(self) -> None:
        """Writes and sends what has not been yet."""
        if self._log is not None:
            self._log.write()
        if self._spans is not None:
            await asyncio.to_thread(self._spans.close)
