"""Clients that send requests all the time, each on a connection that is kept, while something happens to a service."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from tests.conftest import Server
from tests.waiting import wait_until

SENTENCE = {"text": "The quick brown fox jumps over the lazy dog."}
REQUESTS = 100.0  # a second, of all clients of a test


class Client:
    """A client of one connection, which it opens again after an answer that closes it, or an error.

    Attributes:
        port: its own port of the connection.
        answers: in their order; all have the status 200.
        lost: how often its connection broke before an answer; where nothing listens, no request is lost.
    """

    def __init__(self) -> None:
        self.port = 0
        self.answers: list[dict[str, Any]] = []
        self.lost = 0

    async def send_until(self, over: asyncio.Event, url: str, body: Mapping[str, Any], pause_seconds: float) -> None:
        """Sends requests to tag until something is over."""
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
            while not over.is_set():
                try:
                    async with client.stream("POST", "/tag", json=body) as response:
                        self.port = response.extensions["network_stream"].get_extra_info("client_addr")[1]
                        await response.aread()
                except httpx.TransportError as error:
                    self.lost += not isinstance(error, httpx.ConnectError)
                    await asyncio.sleep(0.05)
                    continue
                assert response.status_code == 200, response.text
                self.answers.append(response.json())
                await asyncio.sleep(pause_seconds)


def beside_clients(
    server: Server,
    count: int,
    scenario: Callable[[list[Client]], Awaitable[object]],
    body: Mapping[str, Any] = SENTENCE,
    requests: float = REQUESTS,
) -> list[Client]:
    """Runs a scenario once each of some clients has an answer; returns them. `requests` a second are sent at most."""

    async def run() -> list[Client]:
        over, clients = asyncio.Event(), [Client() for _ in range(count)]
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.send_until(over, server.url, body, count / requests))
            try:
                await until(lambda: all(client.answers for client in clients))
                await scenario(clients)
            finally:
                over.set()
        return clients

    return asyncio.run(run())


async def until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Waits for a condition that takes milliseconds to find out."""
    await asyncio.to_thread(wait_until, condition, seconds)


async def until_more(clients: list[Client], count: int) -> None:
    """Waits until each client has so many further answers."""
    enough = [len(client.answers) + count for client in clients]
    await until(lambda: all(len(client.answers) >= number for client, number in zip(clients, enough, strict=True)))
