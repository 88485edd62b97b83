"""The processes of a service: how they share connections, and what happens when they are killed or stopped."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tagwerk.client import AsyncClient
from tests.conftest import Server, start_server
from tests.e2e.clients import SENTENCE, Client, beside_clients, until, until_more
from tests.e2e.processes import connections, owners, servers
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def running(tagger_store, tmp_path_factory) -> Iterator[Server]:
    """Starts two processes, which the tests kill one after the other; each leaves two that are ready."""
    log = tmp_path_factory.mktemp("running") / "log"
    with start_server(log, TAGWERK_MODEL_STORE=str(tagger_store), TAGWERK_PROCESSES="2") as server:
        server.wait_until_ready()
        wait_until(lambda: ready(server) == 2)
        yield server


def ready(server: Server) -> float:
    """Returns how many processes are ready."""
    return server.metric("tagwerk_ready_processes")


def restarts(server: Server) -> float:
    return server.metric('tagwerk_restarts_total{process="server"}')


async def call_until(recovered: asyncio.Event, server: Server) -> None:
    """Calls the service by the client, with requests and with a stream of lines, of which none may fail or be lost."""
    sent = 0

    async def texts() -> AsyncIterator[str]:
        nonlocal sent
        while not recovered.is_set():
            sent += 1
            yield f"Dog {sent} barks."
            await asyncio.sleep(0.01)

    async def call(client: AsyncClient) -> None:
        while not recovered.is_set():
            assert len((await client.tag(SENTENCE["text"]))[0].sentences) == 1
            await asyncio.sleep(0.01)

    async with AsyncClient(server.url, timeout_seconds=60) as client:
        calling = asyncio.create_task(call(client))
        read = [one async for one in client.tag_lines(texts())]
        assert [one.sentences[0].text for one in read] == [f"Dog {i + 1} barks." for i in range(sent)]  # type: ignore[union-attr]
        await calling


def test_connections_are_spread_evenly_also_after_one_of_the_processes_is_replaced(running):
    async def scenario(clients: list[Client]) -> None:
        await until(lambda: connections(running) == [32, 32])
        killed = min(servers(running))
        os.kill(killed, signal.SIGKILL)
        await until(lambda: killed not in (now := servers(running)) and len(now) == 2)
        await until(lambda: connections(running) == [32, 32])

    beside_clients(running, 64, scenario)
    wait_until(lambda: ready(running) == 2)


def test_a_process_that_is_killed_ends_its_own_connections_alone_and_is_replaced(running):
    async def scenario(clients: list[Client]) -> None:
        recovered = asyncio.Event()
        calling = asyncio.create_task(call_until(recovered, running))
        killed = min(servers(running))
        await until(lambda: connections(running)[0] >= 8)
        own = owners(running)
        os.kill(killed, signal.SIGKILL)
        await until(lambda: killed not in (now := servers(running)) and len(now) == 2)
        await until(lambda: ready(running) == 2)
        await until_more(clients, 20)
        recovered.set()
        await calling
        lost = [client for client in clients if client.lost]
        assert {client.lost for client in lost} <= {1}, "a connection breaks once; the next finds a process that lives"
        assert len(lost) <= list(own.values()).count(killed)

    before, (first, second) = restarts(running), sorted(servers(running))
    beside_clients(running, 16, scenario)
    assert second in servers(running)
    assert first not in servers(running)
    assert restarts(running) == before + 1
    assert "ended with status -9; starting it again" in running.log.read_text()


def test_a_process_that_stands_still_is_replaced_and_the_other_is_not_harmed(running):
    """Also connections that are new find the one that runs."""
    stopped, other = sorted(servers(running))

    async def scenario(clients: list[Client]) -> None:
        await until(lambda: connections(running)[0] >= 8)
        os.kill(stopped, signal.SIGSTOP)
        own = await asyncio.to_thread(owners, running)
        unharmed = [client for client in clients if own.get(client.port) == other]
        assert unharmed
        before = [len(client.answers) for client in unharmed]
        while stopped in await asyncio.to_thread(servers, running):
            async with httpx.AsyncClient(base_url=running.url, timeout=60) as new:
                assert (await new.post("/tag", json=SENTENCE)).status_code == 200
        assert all(len(client.answers) > count + 10 for client, count in zip(unharmed, before, strict=True))
        assert [client.lost for client in unharmed] == [0] * len(unharmed)
        await until(lambda: len(servers(running)) == 2)
        await until(lambda: ready(running) == 2)

    beside_clients(running, 16, scenario)
    assert other in servers(running)
    assert "has stood still for 5 s: it is killed" in running.log.read_text()


def test_processes_share_their_metrics_and_have_names(running):
    counted = 'tagwerk_requests_total{route="/v1/models",status="200"}'  # which no other test asks for
    for _ in range(20):
        assert httpx.get(f"{running.url}/v1/models").status_code == 200  # a connection each
    wait_until(lambda: running.metric(counted) == 20)  # each counts a moment after it has answered
    for _ in range(5):
        assert running.metric(counted) == 20
    assert running.metric("tagwerk_process_info{pid=") == 3
    assert running.metric("tagwerk_model_info{") == 1
    wait_until(lambda: running.metric("tagwerk_connections ") <= 1)  # that of the exposition
    for file in ("comm", "cmdline"):  # for `ps` and `top`
        names = {Path(f"/proc/{pid}/{file}").read_text().strip("\n\0") for pid in servers(running)}
        assert names == {"tagwerk-1", "tagwerk-2"}


def test_nothing_is_left_when_the_supervisor_is_killed(running):
    """The last of those that share the service."""
    left = servers(running)
    assert len(left) == 2
    folder = Path(psutil.Process(min(left)).environ()["TMPDIR"])
    with httpx.Client(base_url=running.url, timeout=60) as client:  # an open connection keeps no process alive
        assert client.get("/livez").status_code == 200
        running.process.kill()
        running.process.wait()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left), seconds=10)
    assert not folder.exists()
