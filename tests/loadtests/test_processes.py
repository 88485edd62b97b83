"""Memory and names of processes, while some start and end."""

import os
import subprocess
import sys
import time

import pytest

from loadtests.processes import memory, memory_of, name_of, processes, server_processes

SLEEPING = [sys.executable, "-c", "input()"]


def test_a_process_has_memory_and_descendants_until_it_ends() -> None:
    with subprocess.Popen(SLEEPING, stdin=subprocess.PIPE) as child:
        until = time.monotonic() + 10
        while memory(child.pid).others < 1_000_000 and time.monotonic() < until:
            time.sleep(0.01)
        assert memory_of([child.pid]).others > 1_000_000
        assert processes(os.getpid()).count(child.pid) == 1
        assert name_of(child.pid) == sys.executable
        child.kill()
        child.wait()
        ended = memory(child.pid)
        assert (ended.files, ended.others, name_of(child.pid)) == (0, 0, "")


@pytest.mark.parametrize(("own", "name"), [("tagwerk-2", "server"), ("tagwerk-fork", "fork server")])
def test_a_process_that_names_itself_has_that_name(own, name):
    naming = f"from service.process.server_process import *; set_process_name('{own}'); print(flush=True); input()"
    command = [sys.executable, "-c", naming, "service", "fork-server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert name_of(child.pid) == name
        assert (child.pid in server_processes(os.getpid())) == (name == "server")
        child.kill()
