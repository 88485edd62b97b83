"""Runs work at low priority, so that it does not slow down an engine that serves meanwhile."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

T = TypeVar("T")
NICENESS = 10  # added: a tenth of the time of a thread of normal priority, if both are busy on one core


class Call(Protocol):
    """Calls a function and returns its result."""

    def __call__(self, work: Callable[[], T], /) -> T:
        """Calls the function."""


def call_directly(work: Callable[[], T]) -> T:
    """Calls a function in this thread."""
    return work()


def call_at_low_priority(work: Callable[[], T]) -> T:
    """Calls a function in a new thread of low priority, which threads started by it inherit.

    A separate thread, since an unprivileged one cannot raise its priority again. On Linux niceness is per thread.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)  # 19 at most
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="low-priority", daemon=True).start()
    return done.result()
