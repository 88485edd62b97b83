import os
import time

from service.process.child import Child


def test_a_child_is_not_reached_by_the_terminals_signals_and_shares_the_supervisors_session():
    child = Child("process 1", ["serve", "--help"], os.environ)
    child.start(())
    assert child.pid is not None
    try:
        assert os.getpgid(child.pid) == child.pid != os.getpgrp()
        assert os.getsid(child.pid) == os.getsid(0)  # in another one its niceness may mean nothing
    finally:
        child.kill()
        while child.status is None:
            time.sleep(0.01)
