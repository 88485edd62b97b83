"""What a worker logs when it is stopped."""

import asyncio
import logging
import signal

from service.process.api_server import Server
from tests.http.scene import made_context


def test_a_signal_is_logged_once_with_the_requests_in_flight(caplog):
    async def ticks() -> None:
        server = Server(made_context(drain_delay_seconds=60))
        server.server_state.tasks = {1, 2, 3}  # type: ignore[arg-type]
        await server.on_tick(1)
        server.handle_exit(signal.SIGTERM, None)
        assert caplog.messages == [], "a signal handler may have interrupted the log"
        await server.on_tick(1)
        await server.on_tick(1)

    with caplog.at_level(logging.INFO, "tagwerk.api"):
        asyncio.run(ticks())
    assert caplog.messages == ["SIGTERM: draining; requests in flight: 3"]
