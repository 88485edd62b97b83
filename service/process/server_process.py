"""A server process: HTTP, texts, queue, batches and steps in one thread, with a copy of the models."""

import contextlib
import ctypes
import errno
import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from service.artifact.manifest import ModelVersion
from service.backend.priority import Priority, set_priority
from service.engine.loader import loading_order
from service.engine.tensorflow_engine import import_tensorflow, make_engine
from service.errors import ArtifactError, ConfigurationError
from service.http.context import Context, ProcessGroup
from service.pipelines.catalog import Catalog, Dictionaries
from service.process import memory
from service.process.board import SPARE_SLOTS, Board, ProcessStatus, Refused, Slot
from service.process.fork_server import Inherited, fork_on_request
from service.process.server import LEAVING_SECONDS, Server
from service.process.supervised import EXIT_MACHINE
from service.security.keys import Authenticator
from service.security.rate_limiter import RateLimiter
from service.settings import Settings
from service.store.registry import load_version
from service.telemetry import logs
from service.telemetry.metrics import SHARED_FOLDER, Metrics
from service.types import ModelKey, ModelState, State

log = logging.getLogger("tagwerk.server")


class BoardGroup(ProcessGroup):
    """The processes of a service, as they are in shared memory."""

    def __init__(self, board: Board, slot: Slot, unread: Sequence[Refused]) -> None:
        """`unread` are the versions whose files this process could not read."""
        self._board = board
        self._slot = slot
        self._lock = threading.Lock()  # the loading thread writes the status, too
        self._status = ProcessStatus(unread=tuple(unread))
        self._slot.status.write(self._status)

    def offered(self, own: Sequence[ModelState]) -> Sequence[ModelState]:
        """Returns the states of this process's versions with their shares.

        If none of this process's versions of a model has a share yet, the others do not have these versions, either:
        they get the shares that they will have.
        """
        status, unread = self._board.service.read(), dict(self._status.unread)
        shares, coming = dict(status.shares), dict(status.load)
        here = {state.key for state in own if state.state is State.READY}
        served = {key.name for key, share in shares.items() if share and key in here}
        return [
            replace(
                state,
                state=State.STARTING if state.key in unread else state.state,  # another process tries it again
                share=(shares if state.key.name in served else coming).get(state.key, 0.0),
                default=state.key.name in status.defaults,
                named=state.key in shares,
            )
            for state in own
        ]

    def states(self, own: Sequence[ModelState]) -> Sequence[ModelState]:
        """Returns the states of all versions of the service: the same in every process."""
        return self._board.model_states()

    def ready(self, own: bool) -> bool:
        """Returns whether a process of the service is ready."""
        return self._board.ready()

    def note(self, own: Sequence[ModelState]) -> None:
        """Writes which versions this process serves and refuses."""
        ready = tuple(state.key for state in own if state.state is State.READY)
        with self._lock:
            refused = tuple(
                (state.key, state.reason or "")
                for state in own
                if state.state is State.REFUSED and state.key not in dict(self._status.unread)
            )
            done = {*ready, *dict(refused), *dict(self._status.unread)}
            loading = self._status.loading if self._status.loading not in done else None
            self._write(msgspec.structs.replace(self._status, ready=ready, refused=refused, loading=loading))

    def note_loading(self, key: ModelKey, compiled: int) -> None:
        """Writes which version is being loaded. Called in the loading thread: the load may kill this process."""
        self._slot.progress += 1
        if not compiled:
            with self._lock:
                self._write(msgspec.structs.replace(self._status, loading=key))

    def note_unread(self, key: ModelKey, reason: str) -> None:
        """Writes that a version could not be loaded for a fault of the machine. Called in the loading thread."""
        with self._lock:
            self._write(msgspec.structs.replace(self._status, unread=(*self._status.unread, (key, reason))))

    def _write(self, status: ProcessStatus) -> None:
        if status != self._status:
            self._status = status
            self._slot.status.write(status)


def run_fork_server(settings: Settings, requests: socket.socket, files: Inherited) -> int:
    """Runs the fork server; returns the exit status of a server process, in that. Raises ConfigurationError."""
    memory.limit_arenas()
    set_process_name("tagwerk-fork")
    import_tensorflow(whole=False)
    number = fork_on_request(requests)
    if number is None:
        time.sleep(LEAVING_SECONDS)  # server processes that have begun still use it, and remove it themselves
        remove_folder()
        return 0
    logging.root.handlers.clear()
    logs.set_up(settings, number + 1, waits=False)
    try:
        use_own_temporary_folder(number)
        return run_server(settings, number, files)
    except OSError:
        log.exception("the process ends: a fault of the machine")
        return EXIT_MACHINE


def run_server(settings: Settings, number: int, files: Inherited) -> int:
    """Runs the server process of a slot; returns its exit status. Raises ConfigurationError."""
    set_process_name(f"tagwerk-{number + 1}")
    board = Board(settings.processes + SPARE_SLOTS, files.board)
    slot = board.slots[number]
    service = board.service.read()
    priority = loading_priority(board.slots, number, settings.processes, service.hurried)
    with ThreadPoolExecutor(1, "reading", partial(set_priority, priority)) as reading:
        versions, unread = reading.submit(read_versions, settings, [key for key, _ in service.load], slot).result()
    if unread and not versions:
        log.error("the model store cannot be read: %s", unread[0][1])
        return EXIT_MACHINE
    versions = loading_order(versions, service.defaults)
    group = BoardGroup(board, slot, unread)
    own = settings.of_process(settings.processes)
    metrics = Metrics("server", record=str(number))
    catalog = Catalog(Dictionaries(settings, metrics))
    starts = not any(slot.ready for slot in board.slots)
    if starts and priority is Priority.LOW:  # another process takes the first
        versions = [*versions[1:2], *versions[:1], *versions[2:]]
    notes = {"on_progress": group.note_loading, "on_unread": group.note_unread}
    engine = make_engine(own, versions, metrics, catalog.prepare, priority=priority, **notes)
    keys = Path(settings.api_keys_file) if settings.api_keys_file else None
    authenticator = Authenticator(keys, RateLimiter(files.rate_limiter, number)) if keys is not None else None
    context = Context(own, metrics, engine, catalog, authenticator, group)
    memory.tune()
    server = Server(context, board, slot)
    watch_lifeline(files.lifeline, server)
    status = server.serve_until_stopped(socket.socket(fileno=files.listening))
    if server.orphaned:
        remove_folder()
    return status


def loading_priority(slots: Sequence[Slot], number: int, processes: int, hurried: bool) -> Priority:
    """Returns the priority at which the process of a slot loads.

    It is the lowest if as many processes serve as there should be, unless it is `hurried`; and low if none serves and
    one of a slot before it is loading: so at a start the first has all cores, and serves sooner. A process that
    replaces a dead one is in a hurry.
    """
    ready = sum(slot.ready for slot in slots)
    if ready >= processes:
        return Priority.LOW if hurried else Priority.LOWEST
    first = ready or all(slot.state is not State.STARTING for slot in slots[:number])
    return Priority.USUAL if first else Priority.LOW


def read_versions(settings: Settings, keys: Iterable[ModelKey], slot: Slot) -> tuple[list[ModelVersion], list[Refused]]:
    """Reads the versions to load; returns them, and the versions that cannot be read, with the reason.

    Verifies everything but the SavedModels, which are verified when they are loaded.
    """
    versions, unread = [], []
    for key in keys:
        folder = settings.model_store / key.name / key.version
        try:
            versions.append(load_version(folder, settings.model_signers, whole=False))
        except (ArtifactError, ConfigurationError) as error:  # the latter: signers' keys removed since the start
            unread.append((key, str(error)))
        slot.progress += 1
    return versions, unread


def watch_lifeline(lifeline: int, server: Server) -> None:
    """Ends this process when the supervisor has died: in order if that is quick, and removes the service's folder."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            os.read(lifeline, 1)
        server.orphaned = True
        if not server.started:  # then the signal may end it at once
            remove_folder()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(LEAVING_SECONDS)
        remove_folder()
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def use_own_temporary_folder(number: int) -> None:
    """Has this process write temporary files to a folder of its slot; removes what a killed process left there.

    The folders of all processes are made again if a cleaner of old files has removed them. Raises OSError.
    """
    service_folder = Path(os.environ["TMPDIR"])
    service_folder.mkdir(mode=0o700, exist_ok=True)
    if service_folder.stat().st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "it belongs to another user", str(service_folder))
    Path(os.environ[SHARED_FOLDER]).mkdir(exist_ok=True)
    folder = service_folder / f"process-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    tempfile.tempdir = str(folder)


def remove_folder() -> None:
    """Removes the temporary folder that the supervisor has made for its children."""
    if folder := os.environ.get("TMPDIR"):
        shutil.rmtree(folder, ignore_errors=True)


def set_process_name(name: str) -> None:
    """Sets what `ps` and `top` show for this process, its name and its command line; on Linux alone.

    The name may have 15 characters. The command line is the memory of the arguments that the process was started with
    (proc(5), arg_start and arg_end): a forked process has the arguments of its parent.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name)
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()  # from the third on
        start, end = int(fields[45]), int(fields[46])
        ctypes.memmove(start, name.encode()[: end - start - 1].ljust(end - start, b"\0"), end - start)
