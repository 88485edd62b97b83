"""Timing of a request."""

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Timing:
    """A request's time by stage, in seconds, and its batch size; sent as Server-Timing (W3C)."""

    started: float
    stages: dict[str, float] = field(default_factory=dict)
    began: float | None = None  # start of the first stage
    notes: dict[str, Any] = field(default_factory=dict)  # for the log: key, model, sequences, tokens
    batch_size: int = 0  # sequences in the largest batch, other requests' included; 0 without one

    def header(self) -> str:
        """Returns the header's value, with durations in milliseconds."""
        found = ""
        for name, seconds in self.stages.items():
            found += f"{name};dur={seconds * 1000:.3f}, "
        found += f"total;dur={(time.monotonic() - self.started) * 1000:.3f}"
        return f'{found}, batch;desc="batch of {self.batch_size}"' if self.batch_size else found
