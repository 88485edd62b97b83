"""Forks server processes from one process that has imported what they need.

Importing TensorFlow and spaCy takes seconds of a core, and 300 MB; forking takes milliseconds, and the processes share
that memory. The fork server runs nothing of TensorFlow, whose threads a fork would not copy.
"""

import contextlib
import ctypes
import errno
import gc
import logging
import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from service import __name__ as service
from service.process.supervised import Child

log = logging.getLogger("tagwerk.supervisor")

EXIT_NOT_FORKED = 71  # EX_OSERR of sysexits.h
PR_SET_CHILD_SUBREAPER = 36
MADV_DONTNEED = 4
# In /proc/self/smaps, the addresses of a file's mapping that is not writable, and no page of which was changed.
UNCHANGED_LIBRARY = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) .-.. .* /.*\n(?:\w+:.*\n)*?Anonymous: +0 kB$", re.MULTILINE)
PID = struct.Struct("=i")  # or an error number, below 0
FORKED = struct.Struct("=Bi")  # the number of a slot, and the process id; or an error number, below 0


class Inherited(NamedTuple):
    """The descriptors of what the processes share: the supervisor passes them to the fork server as arguments.

    Attributes:
        board: the shared memory.
        listening: the socket.
        rate_limiter: the counts of API keys.
        lifeline: a pipe that closes when the supervisor has died.
    """

    board: int
    listening: int
    rate_limiter: int
    lifeline: int


class ForkServer:
    """The fork server, as the supervisor sees it. It is started again if a process is to be forked and it has ended."""

    def __init__(self, files: Inherited, environment: Mapping[str, str]) -> None:
        # -P: a `service.py` or `socket.py` in the current folder is not what is imported.
        self._command = [sys.executable, "-P", "-m", service, "fork-server", *map(str, files)]
        self._files = files
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket
        self._children: dict[int, Child] = {}  # that are being forked, by their slots' numbers
        adopt_orphans()

    def start(self) -> None:
        """Starts the fork server if it does not run. Raises OSError."""
        if self._process is not None:
            return
        self._requests, inherited = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with inherited:
            arguments = [*self._command, str(inherited.fileno())]
            # A new process group: otherwise Ctrl-C in a terminal reaches the children directly, besides the
            # supervisor's own signal. Not a new session: Linux may share processors equally between sessions
            # (sched_autogroup_enabled), whatever the niceness of their threads, see `service.backend.priority`.
            try:
                self._process = subprocess.Popen(
                    arguments,
                    env={**self._environment, "OPENBLAS_NUM_THREADS": "1"},  # a fork copies no threads
                    pass_fds=(*self._files, inherited.fileno()),
                    process_group=0,
                )
            except OSError:
                self._requests.close()
                raise

    def fork(self, number: int) -> Child:
        """Starts the server process of a slot. Raises OSError."""
        self.poll()
        self.start()
        self._requests.sendall(bytes([number]))
        child = self._children[number] = Child(f"process {number + 1}")
        return child

    def poll(self) -> None:
        """Reads which processes have been forked. Does not wait."""
        if self._process is None:
            return
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while answer := self._requests.recv(FORKED.size, socket.MSG_DONTWAIT):
                number, pid = FORKED.unpack(answer)
                if pid < 0:
                    log.error("a process cannot be forked: %s", os.strerror(-pid))
                self._children.pop(number).forked(pid if pid > 0 else None, EXIT_NOT_FORKED)
        if any(child.killed_before_fork for child in self._children.values()):
            log.error("the fork server has not answered: it is killed")
            self._process.kill()
        if (status := self._process.poll()) is not None:
            self._requests.close()
            self._process = None
            for child in self._children.values():
                child.forked(None, status)
            self._children.clear()

    def close(self) -> None:
        """Ends the fork server; the processes that it has forked run on."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self.poll()


def fork_on_request(requests: socket.socket) -> int | None:
    """Forks a process for each slot number that is received; returns that number in the new process.

    Returns None in this one, once the supervisor has died.
    """
    # Garbage collection in a child would write to the shared memory. It is not collected before: that takes 0.2 s, and
    # finds 2,000 objects.
    gc.freeze()
    release_library_pages()
    while number := requests.recv(1):
        try:
            pid = fork_orphan()
        except OSError as error:
            pid = -(error.errno or errno.EAGAIN)  # logged by the supervisor: here, a log that nobody reads would block
        if pid == 0:
            requests.close()
            return number[0]
        requests.sendall(FORKED.pack(number[0], pid))
    return None


def release_library_pages() -> None:
    """Gives back the pages of libraries that this process has read: 260 MB that only importing needed.

    A page that is used again is read again from the system's cache of files. Pages that were changed, such as relocated
    addresses, are kept. Does nothing where the system does not say which these are.
    """
    try:
        mappings = Path("/proc/self/smaps").read_text()
    except OSError:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for start, end in UNCHANGED_LIBRARY.findall(mappings):
        address, size = int(start, 16), int(end, 16) - int(start, 16)
        libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), MADV_DONTNEED)


def fork_orphan() -> int:
    """Forks a process whose parent ends at once; returns 0 in the new process, its id in this one. Raises OSError.

    It becomes a child of the supervisor, see `adopt_orphans`, which can wait for it even if the fork server has died.
    """
    reader, writer = os.pipe()
    try:
        parent = os.fork()
        if parent:
            os.waitpid(parent, 0)
            pid = PID.unpack(os.read(reader, PID.size))[0]
            if pid < 0:
                raise OSError(-pid, os.strerror(-pid))
            return int(pid)
        try:
            pid = os.fork()
        except OSError as error:
            pid = -(error.errno or errno.EAGAIN)
        if pid:
            os.write(writer, PID.pack(pid))
            os._exit(0)
        return 0
    finally:
        os.close(reader)
        os.close(writer)


def adopt_orphans() -> None:
    """Makes this process the parent of its descendants whose own parents end."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
