"""Rolls out new model versions: warms up new engines beside those that serve, then replaces them.

Separate processes keep compilation from disturbing requests, keep a version that fails to load from ever receiving a
request, and free the memory of the old versions when the old engines exit.
"""

import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

from service.process.child import Child
from service.process.control_channel import SetShares
from service.process.engine_launcher import EngineLauncher
from service.process.store_watch import StoreWatch
from service.process.supervised_engine import SupervisedEngine
from service.settings import Settings
from service.store.serving import Serving
from service.telemetry.metrics import Metrics
from service.types import ModelKey, ModelState, State

log = logging.getLogger("tagwerk.supervisor")

GRACE_SECONDS = 5.0  # beyond the drain timeout, before a replaced engine is killed
MOST_FAILURES = 3  # consecutive engine deaths or read errors at a version before it is refused


class Rollout:
    """Keeps the engines running, and the served versions in step with the store."""

    def __init__(
        self,
        settings: Settings,
        sockets: Sequence[socket.socket],
        make_child: Callable[[int], Child],
        clean_up: Callable[[Child], None],
        metrics: Metrics,
    ) -> None:
        """`make_child` creates the engine process of a number; `clean_up` removes what an ended process left behind.

        Raises ConfigurationError if the store is missing or empty.
        """
        self._settings = settings
        self._sockets = sockets
        self._make_child = make_child
        self._launcher = EngineLauncher(partial(make_child, 0), sockets)
        self._clean_up = clean_up
        self._metrics = metrics
        self._shares: dict[ModelKey, float] = {}
        self._reasons: Mapping[ModelKey, str | None] = {}
        self._served: dict[str, int] = {}  # by model: the version with the largest share
        self._new: list[SupervisedEngine] = []
        self._ending: list[SupervisedEngine] = []
        self._failures: Counter[ModelKey] = Counter()
        self._store = StoreWatch(settings)
        self._wanted = self._store.found
        self._serving = self._make(self._wanted.shares)

    @property
    def children(self) -> list[Child]:
        """All engine processes."""
        engines = [engine.child for engine in (*self._serving, *self._new, *self._ending)]
        return engines if (standby := self._launcher.standby) is None else [*engines, standby]

    def start(self) -> None:
        """Starts the engines."""
        self._apply(self._wanted)
        for engine in self._serving:
            engine.start(beside_another=False)

    def tick(self, keep_alive: Callable[[Child, Callable[[], None]], None]) -> None:
        """Handles messages, deaths and store changes; `keep_alive` restarts an ended process by the given function."""
        for engine in self._serving:
            keep_alive(engine.child, partial(self._restart, engine))
            if engine.receive():
                self._record_results(engine)
                self._apply(self._wanted)
        self._remove_ended()
        self._check_new_engines()
        if not self._new and all(engine.loaded is not None for engine in self._serving):
            self._launcher.keep_standby()
        if (found := self._store.poll()) is not None:
            self._apply(found)

    def _make(self, versions: Collection[ModelKey]) -> list[SupervisedEngine]:
        return [
            SupervisedEngine(self._make_child(number), self._launcher, listening, versions)
            for number, listening in enumerate(self._sockets)
        ]

    def _restart(self, engine: SupervisedEngine) -> None:
        """Restarts a dead engine with the versions that it served, or with all wanted.

        A version that is not wanted any more is left out if the engine served a wanted one of the same model.
        """
        engine.receive()
        if engine.loading is not None:
            self._record_failure(engine.loading, _exit_reason(engine))
        wanted = list(self._wanted.shares)
        if engine.loaded is not None:
            names = {key.name for key in engine.ready.intersection(wanted)}
            wanted = [key for key in engine.ready if key in wanted or key.name not in names] or wanted
        engine.start(beside_another=False, versions=wanted)

    # Failures of versions

    def _record_results(self, engine: SupervisedEngine) -> bool:
        """Records which versions an engine loaded and which failed; returns whether any failed."""
        for key in engine.ready:
            self._failures.pop(key, None)
        for key, reason in engine.refused.items():
            self._refuse(key, reason)
        for key, reason in engine.unread.items():
            self._record_failure(key, reason)
        return bool(engine.refused or engine.unread)

    def _record_failure(self, key: ModelKey, reason: str) -> None:
        """Records a failure at a version, which may have another cause: refuses the version after several in a row."""
        self._failures[key] += 1
        if self._failures[key] < MOST_FAILURES:
            log.warning("%s is tried again: %s", key, reason)
            self._store.verify_again(key)
            return
        del self._failures[key]
        self._refuse(key, f"{reason}, {MOST_FAILURES} times")

    def _refuse(self, key: ModelKey, reason: str) -> None:
        """Stops loading a version; the next poll of the store determines what to serve instead."""
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

    # Changes of the wanted versions

    def _apply(self, wanted: Serving) -> None:
        """Serves the wanted versions: at once if they are loaded, otherwise by new engines that load them.

        Starts no new engines before the current ones have loaded their versions.
        """
        self._wanted = wanted
        self._report(wanted)
        ready = frozenset.intersection(*(engine.ready for engine in self._serving))
        self._send_shares(wanted, ready)
        if wanted.shares.keys() <= ready:
            self._end_new_engines("its versions are not wanted any more")
        elif not self._new or set(self._new[0].versions) != wanted.shares.keys():
            self._end_new_engines("the store has changed again")
            if all(engine.loaded is not None for engine in self._serving):
                self._start_new_engines(wanted, ready)

    def _start_new_engines(self, wanted: Serving, ready: Collection[ModelKey]) -> None:
        new = sorted(map(str, wanted.shares.keys() - set(ready)))
        log.info("%s: an engine warms up beside the one that serves", ", ".join(new))
        self._new = self._make(wanted.shares)
        for engine in self._new:
            engine.set_shares(_shares_message(wanted.shares, wanted))
            engine.start(beside_another=True)

    def _send_shares(self, wanted: Serving, ready: frozenset[ModelKey]) -> None:
        """Sends the engines the shares. A model keeps its shares until all its wanted versions are loaded."""
        for name in sorted({key.name for key in wanted.shares}):
            shares = {key: share for key, share in wanted.shares.items() if key.name == name}
            if {key for key, share in shares.items() if share} <= ready:
                self._shares = {key: share for key, share in self._shares.items() if key.name != name} | shares
        message = _shares_message(self._shares, wanted)
        for engine in self._serving:
            engine.set_shares(message)
        if all(engine.loaded is not None for engine in self._serving):
            shares = {key: share for key, share in self._shares.items() if key in ready}
            count_rollbacks(shares, self._served, self._metrics)

    # New engines

    def _check_new_engines(self) -> None:
        if not self._new:
            return
        if ended := [engine for engine in self._new if engine.child.status is not None]:
            self._handle_death(ended[0])
            return
        refused = len(self._reasons)
        failed = [engine for engine in self._new if engine.receive() and self._record_results(engine)]
        if failed:
            self._count_refusal(refused)
            self._end_new_engines("a version could not be loaded")
        elif all(engine.loaded is not None for engine in self._new):
            self._switch_to_new_engines()

    def _handle_death(self, ended: SupervisedEngine) -> None:
        """Ends the new engines after one has died; the next poll of the store starts others.

        Counts the failure against the version that was being loaded. If that version already serves elsewhere, counts
        it against each new version.
        """
        ended.receive()
        known = frozenset().union(*(engine.ready for engine in self._serving))
        new = [key for key in ended.versions if key not in known]
        refused = len(self._reasons)
        for key in [ended.loading] if ended.loading in new else new:
            self._record_failure(key, _exit_reason(ended))
        self._count_refusal(refused)
        self._end_new_engines(_exit_reason(ended))

    def _count_refusal(self, refused_before: int) -> None:
        """Counts a rollout that ended because a version was refused, rather than being tried again."""
        if len(self._reasons) > refused_before:
            self._metrics.swaps.labels("refused").inc()

    def _switch_to_new_engines(self) -> None:
        names = sorted(map(str, self._wanted.shares))
        log.info("the new engine takes over: %s", ", ".join(names))
        for engine in self._serving:
            engine.retire()
        self._ending += self._serving
        self._serving, self._new = self._new, []
        self._metrics.swaps.labels("done").inc()
        self._shares = {}
        self._send_shares(self._wanted, self._serving[0].ready)

    def _end_new_engines(self, reason: str) -> None:
        if self._new:
            log.info("the engine that was warming up ends: %s", reason)
        for engine in self._new:
            engine.child.kill()
            engine.retired = time.monotonic()
        self._ending += self._new
        self._new = []

    def _remove_ended(self) -> None:
        limit = self._settings.drain_timeout_seconds + GRACE_SECONDS
        for engine in list(self._ending):
            engine.receive()  # also sends what is buffered
            if engine.child.status is not None:
                self._ending.remove(engine)
                engine.close()
                self._clean_up(engine.child)
            elif time.monotonic() - engine.retired > limit:
                log.error("killed the %s, which did not end", engine.child.name)
                engine.child.kill()

    def close(self) -> None:
        """Stops polling the store, ends the standby, closes the listening sockets; the engines still hold theirs."""
        self._store.close()
        self._launcher.close()
        for listening in self._sockets:
            listening.close()


def count_rollbacks(shares: Mapping[ModelKey, float], served: dict[str, int], metrics: Metrics) -> None:
    """Counts a rollback for each model whose version with the largest share is older than that in `served`.

    Of equal shares, the older version counts. `shares` are those of loaded versions, 0 to 1. Updates `served`.
    """
    for name in {key.name for key in shares}:
        of_model = {int(key.version): share for key, share in shares.items() if key.name == name}
        version = min(of_model, key=lambda version: (-of_model[version], version))
        rollbacks = metrics.rollbacks.labels(name)  # exports the metric before the first rollback
        if version < served.get(name, version):
            rollbacks.inc()
        served[name] = version


def _shares_message(shares: Mapping[ModelKey, float], wanted: Serving) -> SetShares:
    return SetShares(tuple(shares.items()), wanted.refused, tuple(sorted(set(wanted.defaults.values()))))


def _exit_reason(engine: SupervisedEngine) -> str:
    return f"the engine ended with status {engine.child.status} while it loaded this version"
