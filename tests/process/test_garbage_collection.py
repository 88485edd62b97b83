"""Full searches for garbage wait for a moment with little in progress."""

import gc
import sys
import time
from collections.abc import Iterator

import pytest

from service.process import memory
from service.process.memory import FullCollections
from tests.fakes import Clock


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Yields the generations that are searched; restores the thresholds."""
    before, found = gc.get_threshold(), list[int]()
    monkeypatch.setattr(gc, "collect", lambda: found.append(2))
    yield found
    gc.set_threshold(*before)


def test_all_objects_are_searched_now_and_then_while_little_is_in_progress(
    searches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    full = FullCollections()
    monkeypatch.setattr(memory, "return_free_memory", lambda: searches.append(0))
    monkeypatch.setattr(sys, "_clear_type_cache", lambda: searches.append(1))
    full.run_if_due(idle=True)
    assert searches == []
    clock.now += 11
    full.run_if_due(idle=False)
    assert searches == []
    full.run_if_due(idle=True)
    full.run_if_due(idle=True)
    assert searches == [1, 2, 0]
    clock.now += 11
    full.run_if_due(idle=True)
    assert searches == [1, 2, 0, 1, 2, 0]
    clock.now += 59
    full.run_if_due(idle=False)
    assert searches == [1, 2, 0, 1, 2, 0]
    clock.now += 2
    full.run_if_due(idle=False)
    assert searches == [1, 2, 0, 1, 2, 0, 1, 2, 0], "without it, nothing would be given back under a steady load"
