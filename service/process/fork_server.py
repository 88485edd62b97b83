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
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from service.process.child import Child

log = logging.getLogger("tagwerk.supervisor")

HANG_SECONDS = 120.0  # without an answer, after which a fork server is killed; importing takes seconds
EXIT_NOT_FORKED = 71  # EX_OSERR of sysexits.h
PR_SET_CHILD_SUBREAPER = 36
MADV_DONTNEED = 4
PID = struct.Struct("=i")  # or an error number, below 0
FORKED = struct.Struct("=Bi")  # the number of a slot, and the process id; or an error number, below 0


class ForkServer:
    """The fork server, as the supervisor sees it. It is started when it does not run and a process is to be forked."""

    def __init__(self, arguments: Sequence[str], files: Sequence[int], environment: Mapping[str, str]) -> None:
        """`arguments` are those of a `tagwerk` command that calls `fork_on_request`; it inherits `files`."""
        # -P: a `service.py` or `socket.py` in the current folder is not what is imported.
        self._command = [sys.executable, "-P", "-m", "service", *arguments]
        self._files = files
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket
        self._asked = 0.0  # when it was last asked to fork
        self._children: dict[int, Child] = {}  # that are being forked, by their slots' numbers
        adopt_orphans()

    def fork(self, number: int) -> Child:
        """Starts the server process of a slot. Raises OSError."""
        self.poll()
        if self._process is None:
            self._start()
        self._requests.sendall(bytes([number]))
        child = self._children[number] = Child(f"process {number + 1}")
        self._asked = time.monotonic()
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
        if self._children and time.monotonic() - self._asked > HANG_SECONDS:
            log.error("the fork server has not answered for %g s: it is killed", HANG_SECONDS)
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

    def _start(self) -> None:
        self._requests, inherited = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with inherited:
            arguments = [*self._command, "--requests", str(inherited.fileno())]
            # A new process group: otherwise Ctrl-C in a terminal reaches the children directly, besides the
            # supervisor's own signal. Not a new session: Linux may share processors equally between sessions
            # (sched_autogroup_enabled), whatever the niceness of their threads, see `service.engine.loader`.
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


def fork_on_request(requests: socket.socket) -> int | None:
    """Forks a process for each slot number that is received; returns that number in the new process.

    Returns None in this one, once the supervisor has died.
    """
    gc.collect()
    gc.freeze()  # garbage collection in a child would write to the shared memory
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
        lines = Path("/proc/self/smaps").read_text().splitlines()
    except OSError:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for mapping, fields in mappings(lines):
        span, permissions, *_, path = mapping
        if path.startswith("/") and "w" not in permissions and fields.get("Anonymous") == "0 kB":
            start, end = (int(address, 16) for address in span.split("-"))
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_DONTNEED)


def mappings(lines: Sequence[str]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yields the address range, permissions, offset, device, inode and path of each mapping, and its further fields."""
    mapping: list[str] = []
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and " " not in name:
            fields[name] = value.strip()
            continue
        if mapping:
            yield mapping, fields
        mapping, fields = [*line.split(maxsplit=5), ""][:6], {}
    if mapping:
        yield mapping, fields


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
    """Makes this process the parent of its descendants whose own parents end. On Linux alone."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
