"""Where the time of a request goes."""

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Timing:
    """Where the time of a request goes, in seconds, and how large its batch was; sent as Server-Timing (W3C)."""

    started: float
    stages: dict[str, float] = field(default_factory=dict)
    began: float | None = None  # the moment at which the first of the stages did
    notes: dict[str, Any] = field(default_factory=dict)  # for the log: see `request_log.Line`
    batch_size: int = 0  # sequences in the largest batch, other requests' included; 0 where there was none

    def header(self) -> str:
        """Returns the header's value, durations in milliseconds."""
        stages = self.stages | {"total": time.monotonic() - self.started}
        durations = ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in stages.items())
        return f'{durations}, batch;desc="batch of {self.batch_size}"' if self.batch_size else durations
