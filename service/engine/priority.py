"""Work that may take its time, so as not to disturb who serves meanwhile."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

T = TypeVar("T")
NICENESS = 10  # of niceness: a tenth of the time of one who serves, where both want all of it


class Call(Protocol):
    """Calls a function and returns what it returns."""

    def __call__(self, work: Callable[[], T], /) -> T:
        """Calls it."""


def call_directly(work: Callable[[], T]) -> T:
    """Calls a function."""
    return work()


def call_at_low_priority(work: Callable[[], T]) -> T:
    """Calls a function in a thread that gives way to those who serve, as do the threads that it starts.

    A thread of its own, since only a privileged one can take its priority back. On Linux niceness is the thread's.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)  # 19 at most
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="patient", daemon=True).start()
    return done.result()
