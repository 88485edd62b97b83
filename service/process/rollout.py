"""Keeps as many server processes running as there should be, and the versions that they serve in step with the store.

A new set of versions is loaded by a new process, beside the processes that serve. Once it is ready, an old process
drains; one after the other. Compilation disturbs no requests, a version that cannot be loaded never gets a request, and
the memory of old versions is freed when the old processes end.
"""

import logging
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec

from service.errors import ConfigurationError
from service.process.board import TICK_SECONDS, Board, ServiceStatus
from service.process.store_watch import StoreWatch
from service.process.supervised import EXIT_MACHINE, GRACE_SECONDS, Child, SupervisedProcess
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.types import ModelKey, State

log = logging.getLogger("tagwerk.supervisor")

STALLED_TICKS = 5.0 / TICK_SECONDS  # without a heartbeat, after which a process is killed
NO_PROGRESS_TICKS = 120.0 / TICK_SECONDS  # of a start, after which the process is killed
MOST_FAILURES = 3  # deaths in a row at a version, before it is refused
# Between the start of a process and the start of its successor; doubled with each death in a row until one is loaded.
PAUSE_SECONDS = 1.0
MOST_DOUBLINGS = 5


class Rollout:
    """Starts, replaces and retires server processes.

    Attributes:
        processes: the processes that are to serve.
        ending: the processes that have been told to end.
    """

    def __init__(
        self,
        settings: Settings,
        board: Board,
        start: Callable[[int], Child],
        clean_up: Callable[[int], None],
        metrics: Metrics,
    ) -> None:
        """`start` starts the process of a slot; `clean_up` removes what the ended process of a slot left behind.

        Raises ConfigurationError if the store is missing or empty.
        """
        self._settings = settings
        self._board = board
        self._start = start
        self._clean_up = clean_up
        self._metrics = metrics
        self._store = StoreWatch(settings)
        self._wanted = self._store.found
        self._shares: dict[ModelKey, float] = {}
        self._reasons: Mapping[ModelKey, str] = {}
        self._failures: Counter[ModelKey] = Counter()
        self._deaths = 0  # in a row, without any process that has loaded all versions meanwhile
        self._start_at = 0.0  # not before this time
        self._rolling_out = self._hurried = False
        self._coming: frozenset[ModelKey] = frozenset()  # the versions of the rollout in progress
        self._loaded_once = False  # a process has been ready: its settings are right
        self._published = ServiceStatus()
        self.processes: list[SupervisedProcess] = []
        self.ending: list[SupervisedProcess] = []
        self._report()
        self._publish()

    @property
    def ready(self) -> bool:
        """True if a process has loaded all of its versions, and serves one."""
        return any(process.loaded and process.serves for process in self.processes)

    def tick(self) -> None:
        """Handles deaths, stalls, results of loading and changes of the store. Raises ConfigurationError."""
        self._remove_ended()
        for process in list(self.processes):
            self._check(process)
        if (found := self._store.poll()) is not None:
            self._wanted = found
            self._report()
        self._reconcile()
        self._publish()
        self._count_rollout()

    # Processes

    def _reconcile(self) -> None:
        """Starts or retires a process if there are too few or too many, or the wrong versions are loaded."""
        wanted = self._wanted.shares.keys()
        if self.ready:  # otherwise, what is being loaded is better than nothing
            for process in [p for p in self.processes if not p.loaded and not wanted <= p.versions]:
                self._retire(process)
        outdated = [process for process in self.processes if not wanted <= process.serves]
        all_loaded = all(process.loaded for process in self.processes)
        usual = self._settings.processes
        if len(self.processes) < usual:
            self._start_processes(usual - len(self.processes))
        elif self._store.polling:
            return  # after a version has been refused, what is wanted instead is not known before
        elif outdated and all_loaded and len(self.processes) == usual and not self.ending:
            if not self._rolling_out:
                new = ", ".join(sorted(map(str, wanted - self._shares.keys()))) or "the versions that all are to serve"
                log.info("%s: a process loads beside the processes that serve", new)
            self._rolling_out = True
            self._start_processes(1)
        elif len(self.processes) > usual and all_loaded:
            # First a process that could not load a version.
            self._retire(min(outdated, key=lambda process: len(process.serves)) if outdated else self.processes[-1])
        elif self._rolling_out and all_loaded and not self.ending:
            self._rolling_out = self._hurried = False
            log.info("all processes serve %s", ", ".join(sorted(map(str, wanted))))

    def _served(self) -> frozenset[ModelKey]:
        """Returns the versions that any process serves."""
        return frozenset().union(*(process.serves for process in self.processes if process.loaded))

    def _start_processes(self, count: int) -> None:
        if time.monotonic() < self._start_at:
            return
        self._publish()
        used = {process.number for process in (*self.processes, *self.ending)}
        free = [number for number in range(len(self._board.slots)) if number not in used]
        for number in free[:count]:
            slot = self._board.slots[number]
            slot.reset()
            slot.state = State.STARTING
            try:
                child = self._start(number)
            except OSError as error:  # no memory, no process ids, no descriptors: tries again
                slot.reset()
                self._pause()
                log.error("a process cannot be started: %s", error)
                return
            self.processes.append(SupervisedProcess(child, slot, number, self._wanted.shares))

    def _pause(self) -> None:
        """Puts off the next start."""
        self._deaths += 1
        self._start_at = time.monotonic() + PAUSE_SECONDS * 2 ** min(self._deaths - 1, MOST_DOUBLINGS)

    def _check(self, process: SupervisedProcess) -> None:
        status = process.child.status
        just_loaded = process.tick()
        if status is not None:
            self._handle_death(process, status)
        elif process.killed:
            return
        elif process.ticks_without_beat >= STALLED_TICKS:
            log.error("the event loop of %s has stood still for 5 s: it is killed", process.child.name)
            process.kill()
        elif process.ticks_without_progress >= NO_PROGRESS_TICKS:
            log.error("%s has made no progress for 120 s while it loads: it is killed", process.child.name)
            self._hurried = True  # it may have had no processor
            process.kill()
        elif just_loaded:
            self._loaded_once = True
            self._record_results(process)

    def _handle_death(self, process: SupervisedProcess, status: int) -> None:
        """Removes a process that has ended by itself. A death while it loads counts against what it was loading."""
        if status == ConfigurationError.EXIT_STATUS and not self._loaded_once:
            raise ConfigurationError(f"{process.child.name} cannot start; its reason is above")
        log.error("%s ended with status %d; starting it again", process.child.name, status)
        self._metrics.restarts.labels("server").inc()
        self.processes.remove(process)
        self._clean_up(process.number)
        # Once a process has been ready, settings that are wrong mean that a file is away, such as the file of keys.
        if status in (EXIT_MACHINE, ConfigurationError.EXIT_STATUS) or process.child.pid is None:
            self._pause()
        elif not process.loaded:
            known = self._served()
            loading, new = process.status.loading, process.versions - known
            for key in [loading] if loading is not None and (loading in new or not known) else new if known else []:
                self._record_failure(key, f"a process ended with status {status} while it loaded this version")
            self._pause()
        self._start_at = max(self._start_at, process.started + PAUSE_SECONDS)
        process.slot.reset()

    def _retire(self, process: SupervisedProcess) -> None:
        """Has a process drain and end, or end at once if it still loads; others have taken its place."""
        if process.loaded:
            log.info("%s is replaced, and drains", process.child.name)
            process.slot.retiring = True
            process.child.send(signal.SIGTERM)
        else:
            log.info("%s, which was loading, is ended: the store has changed again", process.child.name)
            process.child.kill()
        process.kill_at = time.monotonic() + self._settings.drain_timeout_seconds + GRACE_SECONDS
        self.processes.remove(process)
        self.ending.append(process)

    def _remove_ended(self) -> None:
        for process in list(self.ending):
            if process.child.status is not None:
                self.ending.remove(process)
                self._clean_up(process.number)
                process.slot.reset()
            elif time.monotonic() > process.kill_at:
                log.error("killed %s, which did not end", process.child.name)
                process.child.kill()

    # Versions

    def _record_results(self, process: SupervisedProcess) -> None:
        """Records which versions a process has loaded and which failed."""
        status = process.status
        for key in status.ready:
            self._failures.pop(key, None)
        for key, reason in status.refused:
            self._refuse(key, reason)
        for key, reason in status.unread:
            log.warning("%s is tried again: %s", key, reason)
            self._store.verify_again(key)
        if status.unread:
            self._pause()
        else:
            self._deaths = 0

    def _record_failure(self, key: ModelKey, reason: str) -> None:
        """Records a death at a version, which may have another cause: refuses the version after several in a row."""
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
        self._deaths = 0  # their cause is gone
        shares = {wanted: share for wanted, share in self._wanted.shares.items() if wanted != key}
        self._wanted = replace(self._wanted, shares=shares, refused={**self._wanted.refused, key: reason})
        self._report()

    def _report(self) -> None:
        """Logs versions that are refused for a new reason, or not refused any more."""
        reasons = self._wanted.refused
        for key in reasons.keys() | self._reasons.keys():
            if reasons.get(key) != self._reasons.get(key) and key in reasons:
                log.error("refused %s: %s", key, reasons[key])
            elif key not in reasons:
                log.info("%s is not refused any more", key)
            self._metrics.model_refused.labels(key.name, key.version).set(key in reasons)
        self._reasons = reasons

    def _publish(self) -> None:
        """Writes what the service serves. A model keeps its shares until all processes have its wanted versions.

        One that is not in the store any more keeps them while all processes have them.
        """
        wanted = self._wanted
        serving = [process for process in self.processes if process.loaded]
        if serving:
            everywhere = frozenset.intersection(*(process.serves for process in serving))
        else:
            everywhere = frozenset(wanted.shares)
        for name in sorted({key.name for key in wanted.shares}):
            shares = {key: share for key, share in wanted.shares.items() if key.name == name}
            if {key for key, share in shares.items() if share} <= everywhere:
                others = {key: share for key, share in self._shares.items() if key.name != name}
                self._shares = others | {key: share for key, share in shares.items() if key in everywhere}
        names = {key.name for key in wanted.shares}
        if not self._store.polling:
            self._shares = {k: share for k, share in self._shares.items() if k.name in names or k in everywhere}
        status = ServiceStatus(
            load=tuple(wanted.shares.items()),
            shares=tuple(self._shares.items()),
            refused=tuple(wanted.refused.items()),
            defaults=tuple(sorted(set(wanted.defaults.values()))),
            about={str(key): about for key, about in wanted.about.items()},
            hurried=self._hurried,
        )
        if status != self._published:
            before, self._published = self._published, status
            try:
                self._board.service.write(status)
            except ValueError as error:
                log.error("%s: the reasons why versions are refused are left out", error)
                self._board.service.write(msgspec.structs.replace(status, refused=(), about={}))
            if serving and status.shares != before.shares:
                shown = ", ".join(f"{key} {share:.0%}" for key, share in sorted(status.shares, key=lambda s: str(s[0])))
                log.info("serves %s", shown)

    def _count_rollout(self) -> None:
        """Counts a rollout that has ended: all processes have its versions, one is refused, or the store has others."""
        if not self.ready:  # nothing serves, so what is to be loaded is published
            return
        wanted = frozenset(self._wanted.shares)
        coming = wanted - self._shares.keys()
        if not self._coming:
            self._coming = coming
            return
        if not self._coming.isdisjoint(self._wanted.refused):
            result = "refused"
        elif not coming <= self._coming <= wanted:
            result = "abandoned"
        elif not coming:
            result = "done"
        else:
            return
        self._metrics.swaps.labels(result).inc()
        self._coming = coming
        if result != "done":  # some processes may still have to be replaced
            self._rolling_out = self._hurried = False
