"""Requests for /metrics share expositions."""

import asyncio
import threading

from service.telemetry.metrics import Metrics
from tests.waiting import iterations, until


async def test_requests_that_arrive_while_one_is_written_share_the_next_however_many_they_are():
    go, written = threading.Event(), list[int]()

    def write() -> bytes:
        written.append(len(written))
        go.wait()
        return b"%d" % (len(written) - 1)

    metrics = Metrics()
    metrics.exposition = write  # type: ignore[method-assign]
    first = asyncio.create_task(metrics.shared_exposition())
    await until(lambda: written)
    others = [asyncio.create_task(metrics.shared_exposition()) for _ in range(6000)]
    await iterations(3)
    for other in others[:5999]:
        other.cancel()
    await iterations(3)
    go.set()
    assert await first == b"0"
    assert await others[-1] == b"1"
    assert written == [0, 1]
    assert await metrics.shared_exposition() == b"2", "what is asked for later is written later"
