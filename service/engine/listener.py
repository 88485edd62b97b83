"""What the device thread tells those who wait for its results."""

from collections.abc import Sequence
from typing import Protocol

from service.engine.queue import Job
from service.engine.slots import Stream
from service.types import Sampled


class Listener(Protocol):
    """Hears of what is done. Called in the device thread, so it must be quick."""

    def on_jobs(self, jobs: Sequence[Job]) -> None:
        """These jobs are done: outputs or error."""

    def on_tokens(self, tokens: Sequence[tuple[Stream, Sequence[Sampled]]]) -> None:
        """These tokens were generated."""

    def on_failed_streams(self, streams: Sequence[Stream]) -> None:
        """These streams ended with their `error`."""
