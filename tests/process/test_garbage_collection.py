"""Full searches for garbage wait for a moment with little in progress."""

import gc
import sys
import time

from service.process import memory
from service.process.memory import FullCollections
from tests.fakes import Clock


def test_all_objects_are_searched_now_and_then_while_little_is_in_progress(monkeypatch):
    did, clock = list[str](), Clock()
    monkeypatch.setattr(gc, "set_threshold", lambda *thresholds: None)
    monkeypatch.setattr(sys, "_clear_type_cache", lambda: did.append("clear"))
    monkeypatch.setattr(gc, "collect", lambda: did.append("collect"))
    monkeypatch.setattr(memory, "return_free_memory", lambda: did.append("return"))
    monkeypatch.setattr(time, "monotonic", clock)
    full = FullCollections()
    for seconds, idle, due in (
        (0, True, False),
        (11, False, False),
        (0, True, True),
        (0, True, False),
        (11, True, True),
        (59, False, False),
        (2, False, True),  # without it, nothing would be given back under a steady load
    ):
        clock.now += seconds
        full.run_if_due(idle)
        assert did == (["clear", "collect", "return"] if due else [])
        did.clear()
