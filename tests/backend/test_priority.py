"""The priority of threads that load and compile models."""

import os
import threading
from collections.abc import Callable

import pytest

from service.backend.compiling import on_all_cores
from service.backend.priority import NICENESS, Priority, set_priority

Found = tuple[int, int]  # a scheduling policy, and a niceness


def own() -> Found:
    return os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


USUAL = own()
LOW = USUAL[0], min(USUAL[1] + NICENESS, 19)


def in_thread(run: Callable[[], None]) -> None:
    """Runs a function in a thread of its own: a thread cannot have its former priority again."""
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def loaded(priority: Priority) -> tuple[Found, Found, Found]:
    """Returns the priority of a thread that loads, and of those that it starts: to prepare, and to compile."""

    def run() -> None:
        set_priority(priority)
        found.append(own())
        in_thread(lambda: found.append(own()))
        list(on_all_cores([lambda: found.append(own())]))

    found: list[Found] = []
    in_thread(run)
    loads, prepares, compiles = found
    return loads, prepares, compiles


def test_what_is_compiled_at_the_lowest_priority_gives_way_to_all_others_and_the_rest_has_its_share():
    assert loaded(Priority.LOWEST) == (LOW, LOW, (os.SCHED_IDLE, LOW[1]))
    assert loaded(Priority.LOW) == (LOW, LOW, LOW)
    assert loaded(Priority.USUAL) == (USUAL, USUAL, USUAL)
    assert own() == USUAL, "a priority is that of its thread alone"


def test_where_the_system_does_not_allow_it_what_is_compiled_has_its_share(monkeypatch):
    def refuse(*arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert loaded(Priority.LOWEST) == (LOW, LOW, LOW)


@pytest.fixture(autouse=True)
def one_core(monkeypatch):
    """Compiles in one thread."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
