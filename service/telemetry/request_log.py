"""The request log: one line per request.

Bypasses `logging`, which would take 5% of a short request's time: lines are formatted directly, buffered, and written
together, by a thread.
"""

import time

import msgspec

from service.settings import Settings
from service.telemetry.log_output import LogOutput
from service.telemetry.logs import moment
from service.telemetry.request_ids import RequestIds
from service.telemetry.timing import Timing

PIECE_BYTES = 4096  # written atomically to a pipe (PIPE_BUF), so that lines of several processes do not mix
NOT_LOGGED = frozenset({"/livez", "/readyz", "/healthz", "/metrics", "/v2/health/live", "/v2/health/ready"})


LOGGER = "tagwerk.request"
Entry = tuple[float, float, RequestIds, str, str, int, Timing]  # Unix time of its end, its seconds, and so on


class RequestLog:
    """Writes the lines to standard error."""

    def __init__(self, settings: Settings) -> None:
        self._json = settings.log_format == "json"
        self._encoder = msgspec.json.Encoder()
        self._waiting: list[Entry] = []
        self._output = LogOutput()

    def note(self, ids: RequestIds, method: str, route: str, status: int, timing: Timing) -> None:
        """Adds a completed request to what the next `write` writes, unless it is a probe."""
        if route in NOT_LOGGED and status in (200, 503):
            return
        self._waiting.append((time.time(), time.monotonic() - timing.started, ids, method, route, status, timing))

    def _line(self, entry: Entry) -> bytes:
        """Returns the line of a request, without its end."""
        ended, seconds, ids, method, route, status, timing = entry
        if self._json:
            line = {
                "time": moment(ended),
                "level": "info",
                "logger": LOGGER,
                "request": ids.request,
                "method": method,
                "route": route,
                "status": status,
                "ms": round(seconds * 1000, 3),
                "trace": ids.trace,
                **timing.notes,
                "batch": timing.batch_size or None,
                "stages": {name: round(stage * 1000, 3) for name, stage in timing.stages.items()} or None,
            }
            return self._encoder.encode({name: value for name, value in line.items() if value is not None})
        notes = timing.notes
        words = f"{moment(ended)} INFO {LOGGER}: {method} {route} {status} {round(seconds * 1000, 3):g} ms; "
        for name, stage in timing.stages.items():
            words += f"{name} {round(stage * 1000, 3):g}; "
        if "model" in notes:
            words += f"{notes['model']}, {notes.get('sequences')} sequences, {notes.get('tokens')} tokens; "
        if "key" in notes:
            words += f"key {notes['key']}; "
        trace = f", trace {ids.trace}" if ids.trace else ""
        return f"{words}request {ids.request}{trace}".encode(errors="replace")

    def close(self) -> None:
        """Writes the buffered lines, and waits until that is done, for a second at most."""
        self.write()
        self._output.close()

    def write(self) -> None:
        """Writes the buffered lines soon."""
        waiting, self._waiting = self._waiting, []
        piece = bytearray()
        for one in waiting:
            line = self._line(one)
            if piece and len(piece) + len(line) >= PIECE_BYTES:
                self._output.write(bytes(piece))
                piece = bytearray()
            piece += line
            piece += b"\n"
        if piece:
            self._output.write(bytes(piece))
