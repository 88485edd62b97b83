"""An engine process as the supervisor manages it."""

import socket
import time
from collections.abc import Collection

from service.process.child import Child
from service.process.control_channel import Channel, Load, Loaded, Loading, Retire, SetShares
from service.process.engine_launcher import EngineLauncher
from service.types import ModelKey, ModelState, State


class SupervisedEngine:
    """Holds one engine's process, its control channel, and what it has loaded."""

    def __init__(
        self, child: Child, launcher: EngineLauncher, listening: socket.socket, versions: Collection[ModelKey]
    ) -> None:
        """`listening` is the socket on which the engine accepts workers."""
        self.child = child
        self._launcher = launcher
        self.listening = listening
        self.versions = tuple(versions)
        self.loaded: Loaded | None = None
        self.loading: ModelKey | None = None  # the version being loaded, before all are
        self.retired = 0.0
        self._channel: Channel | None = None
        self._shares: SetShares | None = None

    def start(self, beside_another: bool, versions: Collection[ModelKey] | None = None) -> None:
        """Starts or restarts the process, with the same versions unless others are given."""
        self.close()
        if versions is not None:
            self.versions = tuple(versions)
        self.loaded, self.loading = None, None
        self._channel = self._launcher.launch(self.child)
        self._channel.send(Load(self.versions, beside_another, self.listening.fileno()))
        if self._shares is not None:
            self._channel.send(self._shares)

    def set_shares(self, message: SetShares) -> None:
        """Sends the shares if they have changed."""
        if message != self._shares:
            self._shares = message
            if self._channel is not None:
                self._channel.send(message)

    def receive(self) -> bool:
        """Handles the engine's messages; returns True once, when it has loaded its versions."""
        before = self.loaded
        for message in self._channel.receive() if self._channel is not None else ():
            match message:
                case Loading(key):
                    self.loading = key
                case Loaded():
                    self.loaded, self.loading = message, None
        return self.loaded is not before

    def retire(self) -> None:
        """Makes the engine exit once its workers have disconnected."""
        if self._channel is not None:
            self._channel.send(Retire())
        self.retired = time.monotonic()

    def close(self) -> None:
        """Closes the channel of a process that has ended."""
        if self._channel is not None:
            self._channel.close()

    @property
    def ready(self) -> frozenset[ModelKey]:
        """The versions that serve; before any are loaded, those it has been given to load."""
        if self.loaded is None:
            return frozenset(self.versions)
        return frozenset(state.key for state in self.loaded.states if state.state is State.READY)

    @property
    def refused(self) -> dict[ModelKey, str]:
        """The versions that the engine refuses, with the reason."""
        return _reasons(self.loaded.states if self.loaded is not None else ())

    @property
    def unread(self) -> dict[ModelKey, str]:
        """The versions whose files the engine could not read, with the reason."""
        return _reasons(self.loaded.unread if self.loaded is not None else ())


def _reasons(states: Collection[ModelState]) -> dict[ModelKey, str]:
    return {state.key: state.reason or "" for state in states if state.state is State.REFUSED}
