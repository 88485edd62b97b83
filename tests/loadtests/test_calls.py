"""The counter of Python calls in the service's files."""

import threading
import time

from loadtests.calls import Profile
from service.settings import variable


def test_calls_of_the_service_are_counted_between_the_switches():
    profile, counting, called = Profile(), threading.Event(), threading.Event()
    found = []

    def control() -> None:
        with profile.counted() as counts:
            counting.set()
            called.wait(60)
        found.append({code.co_qualname: count for code, count in counts.items()})

    controlling = threading.Thread(target=control)
    variable("before")
    controlling.start()
    while not counting.is_set():  # not `wait`: like an event loop, this notices a signal at any time
        time.sleep(0.01)
    for _ in range(3):
        variable("during")
    called.set()
    while controlling.is_alive():
        time.sleep(0.01)
    variable("after")
    assert found == [{"variable": 3}]
