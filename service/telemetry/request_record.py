"""Records each completed request: in the metrics, as a span if enabled, and in the log."""

import asyncio
import time
from collections.abc import Mapping

from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.telemetry.request_ids import RequestIds
from service.telemetry.request_log import RequestLog
from service.telemetry.spans import make_spans
from service.telemetry.timing import Timing

FLUSH_SECONDS = 0.1  # until requests are in metrics and log; a killed process loses those since the last time


class RequestRecorder:
    """Records completed requests in metrics, spans and log."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        quiet = settings.log_level in ("warning", "error")
        self._metrics = metrics
        self._log = None if quiet else RequestLog(settings)
        self._spans = make_spans()
        self._flushes_soon = False

    def note(
        self, ids: RequestIds, headers: Mapping[bytes, bytes], method: str, route: str, status: int, timing: Timing
    ) -> None:
        """Records a completed request."""
        if not self._flushes_soon:
            self._flush_soon()
        self._metrics.answered(route, status, time.monotonic() - timing.started)
        if self._spans is not None:
            ids = self._spans.record(ids, headers, method, route, status, timing)
        if self._log is not None:
            self._log.note(ids, method, route, status, timing)

    def note_tokenized(self, model: str, seconds: float, requests: int) -> None:
        """Records the duration of tokenizing and encoding requests for a model, together."""
        if not self._flushes_soon:
            self._flush_soon()
        self._metrics.tokenized(model, seconds, requests)

    def _flush_soon(self) -> None:
        self._flushes_soon = True
        asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        self._flushes_soon = False
        self._metrics.flush()
        if self._log is not None:
            self._log.write()

    async def close(self) -> None:
        """Flushes metrics, log and spans."""
        self._metrics.flush()
        if self._log is not None:
            await asyncio.to_thread(self._log.close)
        if self._spans is not None:
            await asyncio.to_thread(self._spans.close)
