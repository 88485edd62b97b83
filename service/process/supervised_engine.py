"""An engine process, as its supervisor sees it."""

import socket
import time
from collections.abc import Collection

from service.process.child import Child
from service.process.control_channel import Channel, Direct, Load, Loaded, Loading, Retire
from service.types import ModelKey, ModelState, State


class SupervisedEngine:
    """One engine: its process, its channel, what it has loaded."""

    def __init__(self, child: Child, listening: socket.socket, versions: Collection[ModelKey]) -> None:
        """`listening` is the socket that its workers come to."""
        self.child = child
        self.listening = listening
        self.versions = tuple(versions)
        self.loaded: Loaded | None = None
        self.loading: ModelKey | None = None  # what it is at before it has loaded all
        self.retired = 0.0
        self._channel: Channel | None = None
        self._directed: Direct | None = None

    def start(self, beside_another: bool, versions: Collection[ModelKey] | None = None) -> None:
        """Starts the process, or starts it again, with the same versions unless others are named."""
        self.close()
        if versions is not None:
            self.versions = tuple(versions)
        self.loaded, self.loading = None, None
        self._channel = channel = Channel()
        files = (self.listening.fileno(), channel.other_end.fileno())
        self.child.start(files, "--socket", str(files[0]), "--channel", str(files[1]))
        channel.other_end.close()
        channel.say(Load(self.versions, beside_another))
        if self._directed is not None:
            channel.say(self._directed)

    def direct(self, word: Direct) -> None:
        """Tells it the shares, if they are new to it."""
        if word != self._directed:
            self._directed = word
            if self._channel is not None:
                self._channel.say(word)

    def listen(self) -> bool:
        """Hears what it says; returns True once, when it has loaded its versions."""
        before = self.loaded
        for word in self._channel.hear() if self._channel is not None else ():
            match word:
                case Loading(key):
                    self.loading = key
                case Loaded():
                    self.loaded, self.loading = word, None
        return self.loaded is not before

    def retire(self) -> None:
        """Lets it go once its callers have."""
        if self._channel is not None:
            self._channel.say(Retire())
        self.retired = time.monotonic()

    def close(self) -> None:
        """Closes the channel, of a process that has ended."""
        if self._channel is not None:
            self._channel.close()

    @property
    def ready(self) -> frozenset[ModelKey]:
        """The versions that serve in it; before it has loaded any, those that it is to load."""
        if self.loaded is None:
            return frozenset(self.versions)
        return frozenset(state.key for state in self.loaded.states if state.state is State.READY)

    @property
    def refused(self) -> dict[ModelKey, str]:
        """The versions that it refuses, with the reason."""
        return _reasons(self.loaded.states if self.loaded is not None else ())

    @property
    def unread(self) -> dict[ModelKey, str]:
        """The versions whose files it could not read, with the reason."""
        return _reasons(self.loaded.unread if self.loaded is not None else ())


def _reasons(states: Collection[ModelState]) -> dict[ModelKey, str]:
    return {state.key: state.reason or "" for state in states if state.state is State.REFUSED}
