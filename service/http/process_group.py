"""What a process knows of its service: the other processes, and the versions that all of them serve."""

from collections.abc import Sequence
from dataclasses import replace

from service.types import ModelState, State


class ProcessGroup:
    """The processes of a service, as one process sees them. This class stands for a service of one process.

    The given models are the defaults of their tasks; without any, all are.
    """

    def __init__(self, defaults: Sequence[str] = ()) -> None:
        self._defaults = frozenset(defaults)

    def offered(self, own: Sequence[ModelState]) -> Sequence[ModelState]:
        """Returns the states of this process's own versions, with their shares of requests."""
        return [replace(state, default=not self._defaults or state.key.name in self._defaults) for state in own]

    def states(self, own: Sequence[ModelState]) -> Sequence[ModelState]:
        """Returns the states of all versions of the service; `own` has the versions that this process offers."""
        return [state if state.state is State.READY else replace(state, share=0.0) for state in own]

    def ready(self, own: bool) -> bool:
        """Returns whether a process of the service is ready; `own` says whether this one is."""
        return own

    def gives_up_connection(self) -> bool:
        """Returns whether an answer should close its connection, since other processes have fewer. Counts it."""
        return False

    def note(self, own: Sequence[ModelState]) -> None:
        """Tells the others which versions this process serves and refuses."""

    def connection_lost(self) -> None:
        """Called when a connection of this process has ended."""
