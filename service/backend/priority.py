"""The priority of threads that load and compile models, beside processes that serve. On Linux it is per thread.

A thread that wakes up takes the processor at once from one of the policy SCHED_IDLE. From one of a high niceness it may
take it milliseconds later, and requests wait. But SCHED_IDLE gets next to nothing of a processor that is busy, and a
thread may not leave it again. So only threads that compile have it, while processors are idle: other threads hold
Python's lock for longer, which the event loop of their process needs.
"""

import os
import re
import threading
import time
from contextlib import suppress
from pathlib import Path

NICENESS = 10  # added: a tenth of the time of a thread of normal priority, if both are busy on one core
MEASURED_SECONDS = 0.2
LEAST_IDLE = 0.2  # processors
IDLE_TICKS = re.compile(r"^cpu(\d+) \d+ \d+ \d+ (\d+)", re.MULTILINE)  # of each processor, in /proc/stat


def lower_priority() -> None:
    """Lowers the priority of this thread; threads that it starts inherit it."""
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)  # 19 at most


def may_give_way() -> bool:
    """Returns whether the threads of this one may have the lowest priority: it has a low one, and processors are idle.

    Takes a fifth of a second if it has.
    """
    if os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) < NICENESS:
        return False
    began, before = time.monotonic(), idle_seconds()
    time.sleep(MEASURED_SECONDS)
    return (idle_seconds() - before) / (time.monotonic() - began) > LEAST_IDLE


def give_way() -> None:
    """Gives this thread the lowest priority, if the system allows it."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def idle_seconds() -> float:
    """Returns how long the processors that this process may use have been idle, together; 0 where it is not known."""
    try:
        found = IDLE_TICKS.findall(Path("/proc/stat").read_text())
    except OSError:
        return 0.0
    own = os.sched_getaffinity(0)
    return sum(int(ticks) for number, ticks in found if int(number) in own) / os.sysconf("SC_CLK_TCK")
