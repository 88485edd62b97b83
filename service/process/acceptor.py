"""Opens the socket that the processes of a service share, and accepts connections, so that all have equally many."""

import asyncio
import resource
import socket
import struct
from collections.abc import Callable

from service.errors import ConfigurationError
from service.process.board import Board, Slot

BACKLOG = 2048
LEAVE_SECONDS = 0.004  # for which a new connection is left to a process that has fewer
MOST_AT_ONCE = 16  # connections that are accepted, in LEAVE_SECONDS at most
MOST_CONNECTIONS = 4096  # of a process
OTHER_DESCRIPTORS = 128  # files, models, pipes, and connections that are being closed
_WAITING = struct.Struct("=24xI")  # tcpi_unacked of Linux's tcp_info: of a listening socket, connections that wait


def open_socket(host: str, port: int) -> socket.socket:
    """Opens a listening socket. Raises ConfigurationError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        where = f"TAGWERK_HOST={host} TAGWERK_PORT={port}"
        raise ConfigurationError(f"cannot listen at {where}: {error.strerror}") from None
    return listening


def address_of(listening: socket.socket) -> str:
    """Returns the URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def waiting_connections(listening: socket.socket) -> int:
    """Returns how many connections wait to be accepted: one at least, and no more where the system does not say."""
    try:
        (waiting,) = _WAITING.unpack(listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _WAITING.size))
    except (AttributeError, OSError, struct.error):
        return 1
    return max(1, int(waiting))


def most_connections() -> int:
    """Returns how many connections this process may have; raises its limit of descriptors as far as it may for that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + OTHER_DESCRIPTORS
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft) - OTHER_DESCRIPTORS)


class Acceptor:
    """Accepts connections in an event loop.

    A process takes its share of the connections that wait. It leaves any other for a few milliseconds to the ready
    process with the fewest, if that has fewer, and then takes it itself: no connection depends on another process being
    alive or awake. A process that is not ready takes none while another is. A process with as many connections as it
    may have closes the longest idle ones.
    """

    def __init__(
        self,
        listening: socket.socket,
        board: Board,
        slot: Slot,
        make_protocol: Callable[[], asyncio.Protocol],
        close_idle: Callable[[int], None],
    ) -> None:
        """`close_idle` closes so many connections without a request."""
        self._listening = listening
        self._board = board
        self._slot = slot
        self._make_protocol = make_protocol
        self._close_idle = close_idle
        self._most = most_connections()
        self._loop = asyncio.get_running_loop()
        self._accepting = False
        self._reading = False  # uvloop's `remove_reader` does not say whether there was one
        self._connecting: set[asyncio.Task[object]] = set()

    def start(self) -> None:
        """Starts accepting connections."""
        self._accepting = True
        self._read()

    def stop(self) -> None:
        """Stops accepting connections, without closing the socket."""
        self._accepting = False
        if self._reading:
            self._loop.remove_reader(self._listening)
            self._reading = False

    def connect(self, connection: socket.socket) -> None:
        """Serves a connection that has been accepted."""
        connection.setblocking(False)
        self._slot.connections += 1  # at once; the protocol counts it out
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._make_protocol, connection))
        self._connecting.add(task)
        task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[object]) -> None:
        self._connecting.discard(task)
        if task.cancelled() or task.exception() is not None:
            self._slot.connections -= 1

    def _read(self) -> None:
        if self._accepting:
            self._reading = True
            self._loop.add_reader(self._listening, self._readable)

    def _readable(self) -> None:
        """Called by the event loop while connections wait."""
        for _ in range(MOST_AT_ONCE):
            if self._slot.connections >= self._most:
                self._close_idle(MOST_AT_ONCE)
                self._leave(self._read)
                return
            if self._must_leave() or self._has_its_share():
                self._leave(self._take_then_read)
                return
            if not self._take():
                return
        self._leave(self._read)  # so that these are read before others come

    def _leave(self, then: Callable[[], None]) -> None:
        """Leaves connections to other processes for a few milliseconds."""
        if self._reading:
            self._loop.remove_reader(self._listening)
            self._reading = False
            self._loop.call_later(LEAVE_SECONDS, then)

    def _take_then_read(self) -> None:
        if self._accepting and not self._must_leave() and self._slot.connections < self._most:
            self._take()
        self._read()

    def _must_leave(self) -> bool:
        """Returns whether connections are others' alone: while this process is not ready, and another is."""
        return not self._slot.ready and any(slot.ready for slot in self._board.slots)

    def _has_its_share(self) -> bool:
        """Returns whether another process has fewer connections, and this one as many as there are for each."""
        own: int = self._slot.connections
        counts: list[int] = [slot.connections for slot in self._board.slots if slot.accepts or slot is self._slot]
        return own > min(counts) and own >= (sum(counts) + waiting_connections(self._listening)) // len(counts)

    def _take(self) -> bool:
        """Accepts a connection; returns False if none waits."""
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError:  # no descriptors are left: tries again once some have been closed
            self._leave(self._read)
            return False
        self.connect(connection)
        return True
