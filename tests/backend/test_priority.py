"""The priority of threads that load and compile models."""

import os
import threading
import time
from collections.abc import Callable

import pytest

from service.backend import priority
from service.backend.compiling import on_all_cores

Priority = tuple[int, int]  # a scheduling policy, and a niceness


def own_priority() -> Priority:
    return os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def in_thread(run: Callable[[], None]) -> None:
    """Runs a function in a thread of its own: a thread cannot have its former priority again."""
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


@pytest.fixture
def usual() -> Priority:
    return own_priority()


@pytest.fixture
def low(usual: Priority) -> Priority:
    return usual[0], min(usual[1] + priority.NICENESS, 19)


@pytest.fixture
def compiled(monkeypatch):
    """Returns the priority at which something is compiled, by what processors are idle, after a thread has loaded."""

    def measured(idle: float, *, is_low: bool = True) -> Priority:
        def run() -> None:
            if is_low:
                priority.lower_priority()
            list(on_all_cores([lambda: found.append(own_priority())]))

        found: list[Priority] = []
        began = time.monotonic()
        monkeypatch.setattr(priority, "idle_seconds", lambda: idle * (time.monotonic() - began))
        in_thread(run)
        return found[0]

    return measured


def test_a_low_priority_is_that_of_its_thread_alone(usual, low):
    def run() -> None:
        priority.lower_priority()
        found.append(own_priority())

    found: list[Priority] = []
    in_thread(run)
    assert (found, own_priority()) == ([low], usual)


def test_threads_that_compile_give_way_to_all_others_while_processors_are_idle(compiled, usual, low):
    assert compiled(idle=0.5) == (os.SCHED_IDLE, low[1])
    assert compiled(idle=0.1) == low, "they would wait for ever"
    assert compiled(idle=0.5, is_low=False) == usual, "nobody is to be given way to"


def test_where_the_system_does_not_allow_it_they_have_the_low_priority(compiled, low, monkeypatch):
    def refuse(*arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert compiled(idle=0.5) == low


def test_the_time_that_processors_are_idle_is_read_from_the_system():
    before = priority.idle_seconds()
    assert before > 0
    threading.Event().wait(0.05)
    assert priority.idle_seconds() >= before
