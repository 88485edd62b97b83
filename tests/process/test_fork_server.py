"""The fork server with real processes; its program is small, and imports nothing of the service's models."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from service.process.fork_server import EXIT_NOT_FORKED, ForkServer, fork_orphan
from service.process.supervised import Child
from tests.waiting import wait_until

PROGRAM = """
import os, socket, sys, time
from service.process.fork_server import fork_on_request

if (number := fork_on_request(socket.socket(fileno=int(sys.argv[-1])))) is None:
    sys.exit()
with open(os.path.join(os.environ["FOLDER"], str(number)), "a") as file:
    print(os.getpid(), os.environ["OPENBLAS_NUM_THREADS"], file=file)
time.sleep(0.0 if number == 7 else 100.0)
sys.exit(number)
"""


@pytest.fixture
def make(tmp_path) -> Iterator[Callable[..., ForkServer]]:
    made: list[ForkServer] = []

    def make(program: str = PROGRAM) -> ForkServer:
        server = ForkServer(cast(Any, ()), os.environ | {"FOLDER": str(tmp_path), "PYTHONPATH": str(Path.cwd())})
        server._command = [sys.executable, "-c", program]
        made.append(server)
        return server

    yield make
    for server in made:
        server.close()


def forked(server: ForkServer, child: Child) -> int:
    wait_for(server, lambda: child.pid is not None)
    assert child.pid is not None
    return child.pid


def wait_for(server: ForkServer, met: Callable[[], bool]) -> None:
    def polled() -> bool:
        server.poll()
        return met()

    wait_until(polled)


def end(child: Child) -> None:
    child.kill()
    wait_until(lambda: child.status is not None)


def test_processes_are_forked_by_one_and_are_children_of_the_one_who_asks(make, tmp_path):
    server = make()
    children = [server.fork(number) for number in (0, 1)]
    assert [child.pid for child in children] == [None, None]
    assert [child.status for child in children] == [None, None]
    pids = [forked(server, child) for child in children]
    assert psutil.Process(pids[0]).ppid() == os.getpid()
    for number, pid in enumerate(pids):
        file = tmp_path / str(number)
        wait_until(file.exists)
        wait_until(lambda: file.read_text() == f"{pid} 1\n")  # noqa: B023 (at once)
        # In another session its niceness may mean nothing; in this process group a terminal's signals would reach it.
        assert os.getsid(pid) == os.getsid(0)
        assert os.getpgid(pid) != os.getpgrp()
    children[0].send(signal.SIGTERM)
    wait_until(lambda: children[0].status == -signal.SIGTERM)
    assert children[1].status is None
    end(children[1])


def test_a_module_in_the_current_folder_is_not_run(tmp_path):
    (tmp_path / "argparse.py").write_text("raise SystemExit('of the current folder')")
    command = [*ForkServer(cast(Any, ()), {})._command[:-1], "--version"]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("tagwerk ")


def test_a_signal_before_the_process_is_forked_reaches_it(make):
    server = make()
    child = server.fork(0)
    child.send(signal.SIGTERM)
    assert child.status is None
    forked(server, child)
    wait_until(lambda: child.status == -signal.SIGTERM)


def test_processes_outlive_a_fork_server_that_is_killed_and_another_takes_its_place(make):
    server = make()
    first = server.fork(0)
    forked(server, first)
    assert server._process is not None
    server._process.kill()
    server._process.wait()
    second = server.fork(1)
    forked(server, second)
    assert (first.status, second.status) == (None, None)
    end(first)
    assert first.status == -signal.SIGKILL
    end(second)


def test_the_status_of_a_fork_server_that_ends_is_that_of_what_it_was_to_fork(make):
    server = make("raise SystemExit(78)")
    child = server.fork(0)
    wait_for(server, lambda: child.status is not None)
    assert (child.pid, child.status) == (None, 78)


def test_the_fork_server_ends_with_the_supervisor(make):
    server = make()
    child = server.fork(0)
    forked(server, child)
    process = server._process
    assert process is not None
    server._requests.close()
    assert process.wait(10) == 0
    server._process = None
    end(child)


def test_a_process_that_cannot_be_forked_has_a_status(make, caplog):
    server = make("import os, errno\ndef fail(): raise OSError(errno.EAGAIN, 'no')\nos.fork = fail\n" + PROGRAM)
    child = server.fork(0)
    wait_for(server, lambda: child.status is not None)
    assert (child.pid, child.status) == (None, EXIT_NOT_FORKED)
    assert caplog.messages == [f"a process cannot be forked: {os.strerror(errno.EAGAIN)}"]


def test_a_fork_server_that_hangs_is_killed_and_another_takes_its_place(make):
    server = make("import time\ntime.sleep(100)")
    child = server.fork(0)
    server.poll()
    assert child.status is None
    child.kill()  # as the supervisor does where a start makes no progress
    wait_for(server, lambda: child.status is not None)
    assert child.status == -signal.SIGKILL
    server._command = [sys.executable, "-c", PROGRAM]
    another = server.fork(1)
    forked(server, another)
    end(another)


def test_a_second_fork_that_fails_is_an_error_of_the_first(monkeypatch):
    fork, parent = os.fork, os.getpid()

    def fail_in_child() -> int:
        if os.getpid() == parent:
            return fork()
        raise OSError(errno.EAGAIN, "no")

    monkeypatch.setattr(os, "fork", fail_in_child)
    with pytest.raises(OSError, match="temporarily unavailable") as error:
        fork_orphan()
    assert error.value.errno == errno.EAGAIN


def test_pages_of_libraries_are_given_back_and_the_libraries_go_on_working() -> None:
    program = """
import json, resource
import numpy as np
from service.process.fork_server import release_library_pages

def resident() -> int:
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Rss:"))

before = float(np.linalg.det(np.eye(200) * 1.01))
held = resident()
release_library_pages()
released = held - resident()
after = float(np.linalg.det(np.eye(200) * 1.01))
print(json.dumps([released, before == after]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    released, same = json.loads(done.stdout)
    assert released > 4000, "kilobytes"
    assert same


def test_a_fork_server_that_cannot_be_started_is_an_error_and_is_tried_again(make, monkeypatch):
    server = make()
    monkeypatch.setattr(server, "_command", ["/no/such/program"])
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            server.fork(0)
    server.poll()
    assert not server._children
