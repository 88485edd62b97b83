"""The engines that serve, and those that warm up to take their place when the store changes.

New versions are loaded by new engines beside those that serve: what they compile cannot disturb them, a version that
does not come up never reaches a request, and the memory of the old goes with them.
"""

import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

from service.process.child import Child
from service.process.control_channel import Direct
from service.process.store_watch import StoreWatch
from service.process.supervised_engine import SupervisedEngine
from service.settings import Settings
from service.store.serving import Serving
from service.telemetry.metrics import Metrics
from service.types import ModelKey, ModelState, State

log = logging.getLogger("tagwerk.supervisor")

PATIENCE_SECONDS = 5.0  # beyond the time for draining, for an engine that has been superseded
MOST_FAILURES = 3  # in a row, of engines that died while they loaded a version, or could not read it


class Rollout:
    """Keeps the engines alive and follows the store."""

    def __init__(
        self,
        settings: Settings,
        sockets: Sequence[socket.socket],
        make_child: Callable[[int], Child],
        forget: Callable[[Child], None],
        metrics: Metrics,
    ) -> None:
        """`make_child` makes the process at a door, `forget` does away with what one that has ended leaves behind.

        Raises ConfigurationError where there is no store, or nothing in it.
        """
        self._settings = settings
        self._sockets = sockets
        self._make_child = make_child
        self._forget = forget
        self._metrics = metrics
        self._shares: dict[ModelKey, float] = {}
        self._reasons: Mapping[ModelKey, str | None] = {}
        self._next: list[SupervisedEngine] = []
        self._leaving: list[SupervisedEngine] = []
        self._failures: Counter[ModelKey] = Counter()
        self._store = StoreWatch(settings)
        self._wanted = self._store.found
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
            keep_alive(engine.child, partial(self._restart, engine))
            if engine.listen():
                self._learn(engine)
                self._follow(self._wanted)
        self._remove_ended()
        self._watch_successors()
        if (found := self._store.poll()) is not None:
            self._follow(found)

    def _make(self, versions: Collection[ModelKey]) -> list[SupervisedEngine]:
        return [
            SupervisedEngine(self._make_child(number), listening, versions)
            for number, listening in enumerate(self._sockets)
        ]

    def _restart(self, engine: SupervisedEngine) -> None:
        """Starts an engine that has died: with what it served, as far as that is still wanted, else with what is."""
        engine.listen()
        if engine.loading is not None:
            self._fail(engine.loading, _death(engine))
        wanted = list(self._wanted.shares)
        if engine.loaded is not None:
            names = {key.name for key in wanted}
            wanted = [key for key in engine.ready if key in wanted or key.name not in names] or wanted
        engine.start(beside_another=False, versions=wanted)

    # What is wrong with a version

    def _learn(self, engine: SupervisedEngine) -> bool:
        """Notes what an engine has found out about its versions; returns whether there is something wrong with one."""
        for key in engine.ready:
            self._failures.pop(key, None)
        for key, reason in engine.refused.items():
            self._refuse(key, reason)
        for key, reason in engine.unread.items():
            self._fail(key, reason)
        return bool(engine.refused or engine.unread)

    def _fail(self, key: ModelKey, reason: str) -> None:
        """Notes that an engine failed at a version, which may have another reason: a version is refused that is met by
        it again and again.
        """
        self._failures[key] += 1
        if self._failures[key] < MOST_FAILURES:
            log.warning("%s is tried again: %s", key, reason)
            self._store.forget(key)
            return
        del self._failures[key]
        self._refuse(key, f"{reason}, {MOST_FAILURES} times")

    def _refuse(self, key: ModelKey, reason: str) -> None:
        """Does not load a version any more; the next look finds what is to be served in its place."""
        self._store.refuse(key, reason)
        shares = {wanted: share for wanted, share in self._wanted.shares.items() if wanted != key}
        state = ModelState(key, State.REFUSED, reason, 0.0, default=False)
        others = (other for other in self._wanted.refused if other.key != key)
        self._wanted = replace(self._wanted, shares=shares, refused=(*others, state))
        self._report(self._wanted)

    def _report(self, wanted: Serving) -> None:
        reasons = {state.key: state.reason for state in wanted.refused}
        for key in reasons.keys() | self._reasons.keys():
            if reasons.get(key) != self._reasons.get(key) and key in reasons:
                log.error("refused %s: %s", key, reasons[key])
            self._metrics.model_refused.labels(key.name, key.version).set(key in reasons)
        self._reasons = reasons

    # What is wanted

    def _follow(self, wanted: Serving) -> None:
        """Serves what is wanted: at once where it is loaded, else by successors that load it.

        While an engine loads for the first time there are no successors; they come when it has loaded.
        """
        self._wanted = wanted
        self._report(wanted)
        ready = frozenset.intersection(*(engine.ready for engine in self._serving))
        self._share(wanted, ready)
        if wanted.shares.keys() <= ready:
            self._dismiss("what they were to serve is not wanted any more")
        elif not self._next or set(self._next[0].versions) != wanted.shares.keys():
            self._dismiss("the store has changed again")
            if all(engine.loaded is not None for engine in self._serving):
                self._warm_up(wanted, ready)

    def _warm_up(self, wanted: Serving, ready: Collection[ModelKey]) -> None:
        new = sorted(map(str, wanted.shares.keys() - set(ready)))
        log.info("%s: an engine warms up beside the one that serves", ", ".join(new))
        self._next = self._make(wanted.shares)
        for engine in self._next:
            engine.direct(_direct(wanted.shares, wanted))
            engine.start(beside_another=True)

    def _share(self, wanted: Serving, ready: frozenset[ModelKey]) -> None:
        """Tells the engines the shares. A model keeps those that it has until all that are wanted for it are loaded."""
        for name in {key.name for key in wanted.shares}:
            shares = {key: share for key, share in wanted.shares.items() if key.name == name}
            if {key for key, share in shares.items() if share} <= ready:
                self._shares = {key: share for key, share in self._shares.items() if key.name != name} | shares
        word = _direct(self._shares, wanted)
        for engine in self._serving:
            engine.direct(word)

    # The successors

    def _watch_successors(self) -> None:
        if not self._next:
            return
        if ended := [engine for engine in self._next if engine.child.status is not None]:
            self._try_again(ended[0])
            return
        wrong = [engine for engine in self._next if engine.listen() and self._learn(engine)]
        if wrong:
            if any(engine.refused for engine in wrong):
                self._metrics.swaps.labels("refused").inc()
            self._dismiss("a version was refused")
        elif all(engine.loaded is not None for engine in self._next):
            self._take_over()

    def _try_again(self, ended: SupervisedEngine) -> None:
        """Ends the successors, since one has died; the next look at the store starts others.

        What it was loading is the reason. Where that serves, there is nothing wrong with it; then it is one of the new.
        """
        ended.listen()
        known = frozenset().union(*(engine.ready for engine in self._serving))
        new = [key for key in ended.versions if key not in known]
        refused = len(self._reasons)
        for key in [ended.loading] if ended.loading in new else new:
            self._fail(key, _death(ended))
        if len(self._reasons) > refused:
            self._metrics.swaps.labels("refused").inc()
        self._dismiss(_death(ended))

    def _take_over(self) -> None:
        names = sorted(map(str, self._wanted.shares))
        log.info("the new engine takes over: %s", ", ".join(names))
        for engine in self._serving:
            engine.retire()
        self._leaving += self._serving
        self._serving, self._next = self._next, []
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

    def _remove_ended(self) -> None:
        patience = self._settings.drain_timeout_seconds + PATIENCE_SECONDS
        for engine in list(self._leaving):
            engine.listen()  # sends what it has not been told yet
            if engine.child.status is not None:
                self._leaving.remove(engine)
                engine.close()
                self._forget(engine.child)
            elif time.monotonic() - engine.retired > patience:
                log.error("killed the %s, which did not end", engine.child.name)
                engine.child.kill()

    def close(self) -> None:
        """Looks no more, and leaves the doors to the engines, which close them when they end."""
        self._store.close()
        for listening in self._sockets:
            listening.close()


def _direct(shares: Mapping[ModelKey, float], wanted: Serving) -> Direct:
    return Direct(tuple(shares.items()), wanted.refused, tuple(sorted(set(wanted.defaults.values()))))


def _death(engine: SupervisedEngine) -> str:
    return f"the engine ended with status {engine.child.status} while it loaded this version"
