"""Memory and names of processes, while some start and end."""

import os
import subprocess
import sys
import time

from loadtests.processes import memory, memory_of, name_of, processes

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
