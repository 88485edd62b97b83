"""What the processes of a service share in memory: their states, numbers of connections, and versions of models.

One anonymous file, which all processes map. Each of them has a slot: numbers that are read often, and a status record.
The supervisor has its own record, with the versions to load and to serve. Each record is written by one process
alone: a sequence number that is odd while it is written tells readers to try again (a seqlock).
"""

import ctypes
import mmap
import struct
import time
from typing import Generic, TypeVar

import msgspec

from service.files import make_shared_file
from service.types import ModelKey, ModelState, State

SPARE_SLOTS = 2  # for a process that loads new versions, and a process that has just died
RECORD_BYTES = 1_048_576  # of a process's record; memory that is not written is not allocated
SUPERVISOR_BYTES = 16_777_216
TICK_SECONDS = 0.05  # between heartbeats of a process, and between the supervisor's checks
STALE_BEATS = 3  # a process whose last heartbeat is that old does not count as accepting connections
READS = 5  # attempts to read a record that is being written

T = TypeVar("T", bound=msgspec.Struct)
Refused = tuple[ModelKey, str]  # a version and the reason

STATES = (State.STOPPED, State.STARTING, State.READY, State.DRAINING)


class ProcessStatus(msgspec.Struct, frozen=True):
    """What a process loads and serves.

    Attributes:
        loading: the version that it is loading; if the process dies, this version is the cause.
        ready: the versions that it serves.
        refused: the versions that it refuses.
        unread: the versions that it could not load for a fault of the machine: an unreadable file, a full disk.
    """

    loading: ModelKey | None = None
    ready: tuple[ModelKey, ...] = ()
    refused: tuple[Refused, ...] = ()
    unread: tuple[Refused, ...] = ()


class ServiceStatus(msgspec.Struct, frozen=True):
    """What the service serves, as its supervisor has determined.

    Attributes:
        load: the versions that a new process loads, with their shares of requests.
        shares: the versions that requests may name, since all processes have them, with their shares.
        refused: the versions that are refused; one of them may still serve as its files were before.
        defaults: names of the models that serve requests for their task without a model name.
        about: the task and the description of each version, by its name and version.
        hurried: whether a process that loads has a share of the processor even if others need all of it.
    """

    load: tuple[tuple[ModelKey, float], ...] = ()
    shares: tuple[tuple[ModelKey, float], ...] = ()
    refused: tuple[Refused, ...] = ()
    defaults: tuple[str, ...] = ()
    about: dict[str, tuple[str | None, str | None]] = {}
    hurried: bool = False


class Record(Generic[T]):
    """A value in shared memory, encoded as MessagePack: written by one process, read by all."""

    _HEAD = struct.Struct("<QQ")  # sequence number, length

    def __init__(self, memory: memoryview, kind: type[T]) -> None:
        self._memory = memory
        self._empty = kind()
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._known: tuple[int, T] = (0, self._empty)

    @property
    def sequence(self) -> int:
        """Changes whenever the value does."""
        return int(self._HEAD.unpack_from(self._memory)[0])

    def write(self, value: T) -> None:
        """Replaces the value. Raises ValueError if it is too large."""
        content = msgspec.msgpack.encode(value)
        size = self._HEAD.size
        if len(content) > len(self._memory) - size:
            raise ValueError(f"a status record of {len(content)} bytes does not fit")
        sequence = self.sequence | 1
        self._HEAD.pack_into(self._memory, 0, sequence, len(content))
        self._memory[size : size + len(content)] = content
        self._HEAD.pack_into(self._memory, 0, sequence + 1, len(content))

    def read(self) -> T:
        """Returns the value; while a new one is being written, the value that was read before."""
        for _ in range(READS):
            sequence, length = self._HEAD.unpack_from(self._memory)
            if sequence == self._known[0]:
                break
            content = bytes(self._memory[self._HEAD.size : self._HEAD.size + length])
            if not sequence & 1 and self.sequence == sequence:
                try:
                    self._known = sequence, self._decoder.decode(content) if content else self._empty
                except msgspec.DecodeError:
                    continue
                break
        return self._known[1]

    def clear(self) -> None:
        """Removes the value, also if a process has died while it wrote it."""
        self._HEAD.pack_into(self._memory, 0, (self.sequence | 1) + 1, 0)


class Slot(ctypes.Structure):
    """The shared memory of one process: numbers that are read often, and a status record.

    Attributes:
        connections: how many are open.
        beats: counts up while the event loop runs.
        progress: counts up with each file, model and executable that is loaded.
        loaded: all versions are loaded or refused.
        retiring: another process takes the place of this one.
        status: what it loads and serves.
    """

    _fields_ = [
        ("_state", ctypes.c_int64),
        ("connections", ctypes.c_int64),
        ("beats", ctypes.c_int64),
        ("_heartbeat", ctypes.c_int64),  # time of the last beat, in nanoseconds
        ("progress", ctypes.c_int64),
        ("loaded", ctypes.c_bool),
        ("retiring", ctypes.c_bool),
    ]
    _state: int
    connections: int
    beats: int
    _heartbeat: int
    progress: int
    loaded: bool
    retiring: bool
    status: Record[ProcessStatus]

    def reset(self) -> None:
        """Prepares the slot for a new process."""
        ctypes.memset(ctypes.addressof(self), 0, ctypes.sizeof(self))
        self.status.clear()

    @property
    def state(self) -> State:
        """STARTING until it takes part in serving; STOPPED if there is no process."""
        return STATES[self._state]

    @state.setter
    def state(self, state: State) -> None:
        self._state = STATES.index(state)

    def beat(self) -> None:
        """Shows that the event loop runs."""
        self.beats += 1
        self._heartbeat = time.monotonic_ns()

    @property
    def ready(self) -> bool:
        """True if the process has loaded its versions, and does not drain."""
        return STATES[self._state] is State.READY

    @property
    def accepts(self) -> bool:
        """True if the process is ready and its event loop runs, as others see it."""
        return self.ready and time.monotonic_ns() - self._heartbeat < STALE_BEATS * TICK_SECONDS * 1e9


class Board:
    """The shared memory of a service.

    Attributes:
        file: descriptor of the mapped file, for other processes to inherit.
        slots: of each process.
        service: what the service serves.
    """

    def __init__(self, slots: int, file: int | None = None) -> None:
        """Maps an inherited file, or makes one, with so many slots."""
        size = SUPERVISOR_BYTES + slots * (RECORD_BYTES + ctypes.sizeof(Slot))
        self.file = file if file is not None else make_shared_file(size)
        memory = memoryview(mmap.mmap(self.file, size))
        self.service = Record(memory[:SUPERVISOR_BYTES], ServiceStatus)
        numbers = (Slot * slots).from_buffer(memory[size - slots * ctypes.sizeof(Slot) :])
        self.slots = list(numbers)
        for start, slot in zip(range(SUPERVISOR_BYTES, size, RECORD_BYTES), self.slots, strict=False):
            slot.status = Record(memory[start : start + RECORD_BYTES], ProcessStatus)

    def fewest_connections(self) -> int | None:
        """Returns the connections of the ready process that has the fewest; None if no process is ready."""
        return min((slot.connections for slot in self.slots if slot.accepts), default=None)

    def surplus(self, slot: Slot) -> int:
        """Returns how many connections a process should give up to the ready process that has the fewest."""
        fewest = self.fewest_connections()
        if fewest is None:
            return 0
        return (slot.connections - fewest) // 2 if slot.ready else slot.connections  # its own heartbeat may be late

    def lacks_model(self, slot: Slot) -> bool:
        """Returns whether a process that accepts connections serves a model that the process of a slot does not.

        It has refused the model's new version: it should serve no request before the supervisor has replaced it.
        """
        own = {key.name for key in slot.status.read().ready}
        lacking = {key.name for key, _ in self.service.read().shares} - own
        accepting = [other.status.read().ready for other in self.slots if other.accepts] if lacking else []
        return any(key.name in lacking for ready in accepting for key in ready)

    def ready(self) -> bool:
        """Returns whether a process is ready, and serves a model."""
        return any(slot.ready and slot.status.read().ready for slot in self.slots)

    def model_states(self) -> list[ModelState]:
        """Returns the state of each version: the same in every process."""
        status = self.service.read()
        load, served, unfit = dict(status.load), dict(status.shares), dict(status.refused)
        ready: set[ModelKey] = set()
        refused: dict[ModelKey, str] = {}  # also what the supervisor has not read yet
        for slot in self.slots:
            if slot.state is not State.STOPPED:
                of_process = slot.status.read()
                ready.update(of_process.ready)
                refused.update(of_process.refused)

        found = []
        for key in served | load | unfit:
            share, default = served.get(key, 0.0), key.name in status.defaults
            if key in served and key in ready:
                state, reason = State.READY, unfit.get(key)
            elif key in served | load and (key in ready or key not in refused):
                state, reason = State.STARTING, None
            else:
                state, reason, share, default = State.REFUSED, refused.get(key, unfit.get(key)), 0.0, False
            task, description = status.about.get(str(key), (None, None))
            found.append(ModelState(key, state, reason, share, default, task=task, description=description))
        return found
