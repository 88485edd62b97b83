"""The interface of the engine's threads for results."""

from collections.abc import Sequence
from typing import Protocol

from service.engine.queue import EngineRequest
from service.engine.slots import Stream
from service.types import Sampled


class Listener(Protocol):
    """Receives results. Called in the device thread, so implementations must be fast."""

    def on_models(self) -> None:
        """Receives a change of the models' states. Called in the loading thread."""

    def on_finished_requests(self, requests: Sequence[EngineRequest]) -> None:
        """Receives requests that are over: with outputs, or an error."""

    def on_tokens(self, tokens: Sequence[tuple[Stream, Sequence[Sampled]]]) -> None:
        """Receives generated tokens."""

    def on_failed_streams(self, streams: Sequence[Stream]) -> None:
        """Receives streams that ended with their `error`."""
