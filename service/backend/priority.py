"""The priority of threads that load and compile models, beside processes that serve. On Linux it is per thread."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from enum import Enum, auto

NICENESS = 10  # added: a tenth of the time of a thread of normal priority, if both are busy on one core


class Priority(Enum):
    """How a process loads models.

    At a LOW priority it always has a share of the processor, but a thread that wakes up may have to wait some
    milliseconds for it. At the LOWEST what is compiled gives way at once (SCHED_IDLE), and gets next to nothing of a
    processor that is busy; a thread may not leave that policy again. Threads that do not compile are at the low one:
    they hold Python's lock for longer, which the event loop of their process needs.
    """

    USUAL = auto()
    LOW = auto()
    LOWEST = auto()


_priority: ContextVar[Priority] = ContextVar("priority", default=Priority.USUAL)


def set_priority(priority: Priority) -> None:
    """Sets the priority of this thread, and of the threads that it starts."""
    if priority is not Priority.USUAL:
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)  # 19 at most
    _priority.set(priority)


def start_of_compilation() -> Callable[[], None]:
    """Returns what a thread is to call first that this one starts to compile something."""
    return _give_way if _priority.get() is Priority.LOWEST else lambda: None


def _give_way() -> None:
    with suppress(OSError):  # not every system allows it
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
