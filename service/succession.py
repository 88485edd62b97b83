"""The engines that serve, and those that warm up to take their place when the store changes.

New versions are loaded by new engines beside those that serve: what they compile cannot disturb them, a version that
does not come up never reaches a request, and the memory of the old goes with them.
"""

import logging
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from service.channel import Channel, Direct, Load, Loaded, Retire
from service.child import Child
from service.engine.protocol import ModelKey, State
from service.errors import ConfigurationError
from service.metrics import Metrics
from service.registry import Registry
from service.serving import Serving, read_choices, resolve, serving_path
from service.settings import Settings

log = logging.getLogger("tagwerk.supervisor")

PATIENCE_SECONDS = 5.0  # beyond the time for draining, for an engine that has been superseded
MOST_DEATHS = 3


class EngineProcess:
    """One engine: its process, its channel, what it has loaded."""

    def __init__(self, child: Child, door: socket.socket, versions: Collection[ModelKey]) -> None:
        """`door` is the socket that its workers come to."""
        self.child = child
        self.door = door
        self.versions = tuple(versions)
        self.loaded: Loaded | None = None
        self.retired = 0.0
        self._channel: Channel | None = None
        self._directed: Direct | None = None

    def start(self, beside_another: bool) -> None:
        """Starts the process, or starts it again."""
        if self._channel is not None:
            self._channel.close()
        served = () if self.loaded is None else tuple(self.ready)
        self.loaded = None
        self._channel = channel = Channel()
        files = (self.door.fileno(), channel.other_end.fileno())
        self.child.start(files, "--socket", str(files[0]), "--channel", str(files[1]))
        channel.other_end.close()
        channel.say(Load(self.versions, beside_another, in_haste=served))
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
        for word in self._channel.hear() if self._channel is not None else ():
            if isinstance(word, Loaded):
                self.loaded = word
                return True
        return False

    def retire(self) -> None:
        """Lets it go once its callers have."""
        if self._channel is not None:
            self._channel.say(Retire())
        self.retired = time.monotonic()

    @property
    def ready(self) -> frozenset[ModelKey]:
        """The versions that serve in it; before it has loaded any, those that it is to load."""
        if self.loaded is None:
            return frozenset(self.versions)
        return frozenset(state.key for state in self.loaded.states if state.state is State.READY)

    @property
    def refused(self) -> dict[ModelKey, str]:
        """The versions that it refuses, with the reason."""
        states = self.loaded.states if self.loaded is not None else ()
        return {state.key: state.reason or "" for state in states if state.state is State.REFUSED}


class Succession:
    """Keeps the engines alive and follows the store."""

    def __init__(
        self,
        settings: Settings,
        doors: Sequence[socket.socket],
        make_child: Callable[[int], Child],
        forget: Callable[[Child], None],
        metrics: Metrics,
    ) -> None:
        """`make_child` makes the process at a door, `forget` does away with what one that has ended leaves behind.

        Raises ConfigurationError where there is no store, or nothing in it.
        """
        self._settings = settings
        self._doors = doors
        self._make_child = make_child
        self._forget = forget
        self._metrics = metrics
        self._registry = Registry(settings.model_store, settings.model_signers)
        if not self._registry.keys():
            place = settings.model_store.absolute()
            raise ConfigurationError(f"the model store {place} holds no <name>/<version>/manifest.json")
        self._choices = read_choices(serving_path(settings))
        self._shares: dict[ModelKey, float] = {}
        self._reasons: Mapping[ModelKey, str | None] = {}
        self._serving: list[EngineProcess] = []
        self._next: list[EngineProcess] = []
        self._leaving: list[EngineProcess] = []
        self._deaths = 0  # of successors in a row
        self._looking = ThreadPoolExecutor(1, thread_name_prefix="store")  # checksums take their time
        self._look: Future[Serving] | None = None
        self._looked = time.monotonic()
        self._written = _moment(serving_path(settings))
        self._wanted = resolve(self._registry, self._choices, settings)
        self._serving = self._make(self._wanted.shares)

    @property
    def children(self) -> list[Child]:
        """All processes."""
        return [engine.child for engine in (*self._serving, *self._next, *self._leaving)]

    def start(self) -> None:
        """Starts the engines."""
        self._follow(self._wanted)
        for engine in self._serving:
            engine.start(beside_another=False)

    def tick(self, keep_alive: Callable[[Child, Callable[[], None]], None]) -> None:
        """Does what is to be done now; `keep_alive` starts a process again, by the function, if it has ended."""
        for engine in self._serving:
            keep_alive(engine.child, partial(engine.start, beside_another=False))
            if engine.listen():
                self._refuse(engine.refused)
        self._see_off()
        self._watch_successors()
        self._watch_store()

    def _make(self, versions: Collection[ModelKey]) -> list[EngineProcess]:
        return [EngineProcess(self._make_child(number), door, versions) for number, door in enumerate(self._doors)]

    # The store

    def _watch_store(self) -> None:
        if self._look is not None and self._look.done():
            look, self._look = self._look, None
            self._looked = time.monotonic()
            try:
                self._follow(look.result())
            except (OSError, ConfigurationError) as error:
                log.error("cannot look at the model store: %s", error)
        interval, path = self._settings.store_interval_seconds, serving_path(self._settings)
        if not interval or self._look is not None or any(engine.loaded is None for engine in self._serving):
            return
        chosen = _moment(path) != self._written
        if chosen or time.monotonic() - self._looked >= interval:
            self._written = _moment(path)
            self._look = self._looking.submit(self._resolve)

    def _resolve(self) -> Serving:
        try:
            self._choices = read_choices(serving_path(self._settings))
        except ConfigurationError as error:
            log.error("%s; what was chosen before stands", error)
        return resolve(self._registry, self._choices, self._settings)

    def _refuse(self, refused: Mapping[ModelKey, str]) -> None:
        """Notes what engines found wrong, and looks for what to serve instead."""
        for key, reason in refused.items():
            self._registry.refuse(key, reason)
        if refused:
            self._follow(resolve(self._registry, self._choices, self._settings))

    def _follow(self, wanted: Serving) -> None:
        """Serves what is wanted: at once where it is loaded, else by successors that load it."""
        self._wanted = wanted
        self._report(wanted)
        ready = frozenset.intersection(*(engine.ready for engine in self._serving))
        self._share(wanted, ready)
        if wanted.shares.keys() <= ready:
            self._dismiss("what they were to serve is not wanted any more")
        elif not self._next or set(self._next[0].versions) != wanted.shares.keys():
            self._dismiss("the store has changed again")
            new = sorted(map(str, wanted.shares.keys() - ready))
            log.info("%s: an engine warms up beside the one that serves", ", ".join(new))
            self._next = self._make(wanted.shares)
            for engine in self._next:
                engine.direct(Direct(tuple(wanted.shares.items()), wanted.refused))
                engine.start(beside_another=True)

    def _share(self, wanted: Serving, ready: frozenset[ModelKey]) -> None:
        """Tells the engines the shares. A model keeps those that it has until all that are wanted for it are loaded."""
        for name in {key.name for key in wanted.shares}:
            shares = {key: share for key, share in wanted.shares.items() if key.name == name}
            if {key for key, share in shares.items() if share} <= ready:
                self._shares = {key: share for key, share in self._shares.items() if key.name != name} | shares
        word = Direct(tuple(self._shares.items()), wanted.refused)
        for engine in self._serving:
            engine.direct(word)

    def _report(self, wanted: Serving) -> None:
        reasons = {state.key: state.reason for state in wanted.refused}
        for key in reasons.keys() | self._reasons.keys():
            if reasons.get(key) != self._reasons.get(key) and key in reasons:
                log.error("refused %s: %s", key, reasons[key])
            self._metrics.model_refused.labels(key.name, key.version).set(key in reasons)
        self._reasons = reasons

    # The successors

    def _watch_successors(self) -> None:
        if not self._next:
            return
        if ended := [engine for engine in self._next if engine.child.status is not None]:
            self._try_again(ended[0])
            return
        for engine in self._next:
            engine.listen()
        if refused := {key: why for engine in self._next for key, why in engine.refused.items()}:
            self._refuse_and_dismiss(refused)
        elif all(engine.loaded is not None for engine in self._next):
            self._take_over()

    def _try_again(self, ended: EngineProcess) -> None:
        """Starts the successors anew, since one has died; where one dies each time, what it loads is the reason."""
        self._deaths += 1
        reason = f"the engine that loaded it ended with status {ended.child.status}"
        if self._deaths < MOST_DEATHS:
            self._dismiss(reason)
            self._follow(self._wanted)
            return
        self._deaths = 0
        known = frozenset().union(*(engine.ready for engine in self._serving))
        self._refuse_and_dismiss({key: f"{reason}, {MOST_DEATHS} times" for key in ended.versions if key not in known})

    def _refuse_and_dismiss(self, refused: Mapping[ModelKey, str]) -> None:
        self._metrics.swaps.labels("refused").inc()
        self._dismiss("a version was refused")
        self._refuse(refused)

    def _take_over(self) -> None:
        names = sorted(map(str, self._wanted.shares))
        log.info("the new engine takes over: %s", ", ".join(names))
        for engine in self._serving:
            engine.retire()
        self._leaving += self._serving
        self._serving, self._next, self._deaths = self._next, [], 0
        self._metrics.swaps.labels("done").inc()
        self._shares = {}
        self._share(self._wanted, self._serving[0].ready)

    def _dismiss(self, why: str) -> None:
        if self._next:
            log.info("the engine that was warming up ends: %s", why)
        for engine in self._next:
            engine.child.kill()
            engine.retired = time.monotonic()
        self._leaving += self._next
        self._next = []

    def _see_off(self) -> None:
        patience = self._settings.drain_timeout_seconds + PATIENCE_SECONDS
        for engine in list(self._leaving):
            if engine.child.status is not None:
                self._leaving.remove(engine)
                self._forget(engine.child)
            elif time.monotonic() - engine.retired > patience:
                log.error("killed the %s, which did not end", engine.child.name)
                engine.child.kill()

    def close(self) -> None:
        """Looks no more, and leaves the doors to the engines, which close them when they end."""
        self._looking.shutdown(wait=False, cancel_futures=True)
        for door in self._doors:
            door.close()


def _moment(path: Path) -> int | None:
    """Returns when a file was last written; None where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
