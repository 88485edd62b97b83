"""The processes of the split service: killed, and what is left of them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tagwerk.client import AsyncClient
from tests.conftest import CACHE, ROOT, SMALL, Server, free_port, start_server
from tests.e2e.test_server import SENTENCE, metric, wait_until

ENOUGH = 50  # answers, before and after something happens to the service


@pytest.fixture(scope="module")
def settings(tagger_store) -> dict[str, str]:
    """Returns the options of a service with the tagger alone."""
    return {"TAGWERK_MODEL_STORE": str(tagger_store)}


@pytest.fixture(scope="module")
def running(settings, tmp_path_factory) -> Iterator[Server]:
    """Starts an engine and two workers, whose processes the tests kill one after the other; each leaves all of them."""
    with start_server(tmp_path_factory.mktemp("running") / "log", **settings, TAGWERK_WORKERS="2") as server:
        server.wait_until_ready()
        wait_until(lambda: working(server) == ["api", "api", "engine"])
        yield server


def working(server: Server) -> list[str]:
    """Returns the kinds of the child processes, without a standby."""
    return sorted(kind for kind in kinds(server.process.pid).values() if kind in ("api", "engine"))


def children(of: int) -> dict[str, int]:
    """Returns a child process of each kind."""
    return {kind: pid for pid, kind in kinds(of).items()}


def kinds(of: int) -> dict[int, str]:
    """Returns what each child process is, "engine" or "api"; of an engine that waits, "importing" or "standby"."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = next(line for line in status.read_text().splitlines() if line.startswith("PPid:"))
            command = (status.parent / "cmdline").read_bytes().decode().split("\0")
            name = (status.parent / "comm").read_text().strip()
        except (OSError, StopIteration):
            continue
        if int(parent.split()[1]) == of and "service" in command:
            kind = command[command.index("service") + 1]
            if "--standby" in command and name != "tagwerk-engine":
                kind = "standby" if name == "tagwerk-standby" else "importing"
            found[int(status.parent.name)] = kind
    return found


def restarts(server: Server) -> Counter[str]:
    """Returns how often processes of each kind were started again."""
    return Counter(
        {kind: int(metric(server.url, f'tagwerk_restarts_total{{process="{kind}"}}')) for kind in ("engine", "worker")}
    )


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


def test_a_worker_that_is_killed_loses_its_own_requests_alone_and_comes_back(running):
    lost: Counter[int] = Counter()
    answered = 0

    async def load(server: Server, killed: int) -> None:
        recovered = asyncio.Event()

        async def talk(number: int) -> None:
            nonlocal answered
            headers = {"Connection": "close"} if number % 2 else {}  # half of the clients also meet the new worker
            async with httpx.AsyncClient(base_url=server.url, timeout=60, headers=headers) as client:
                while not recovered.is_set():
                    try:
                        response = await client.post("/tag", json=SENTENCE)
                    except httpx.TransportError:
                        lost[number] += 1
                        await asyncio.sleep(0.05)
                        continue
                    assert response.status_code == 200, "neither worker refuses anything"
                    answered += 1

        async def kill() -> None:
            while answered < ENOUGH:
                await asyncio.sleep(0.01)
            os.kill(killed, signal.SIGKILL)
            while killed in (now := kinds(server.process.pid)) or [*now.values()].count("api") < 2:
                await asyncio.sleep(0.1)
            await asyncio.to_thread(wait_until, lambda: metric(server.url, "tagwerk_ready_workers") == 2)
            enough = answered + ENOUGH
            while answered < enough:
                await asyncio.sleep(0.01)
            recovered.set()

        async with asyncio.TaskGroup() as group:
            for number in range(16):
                group.create_task(talk(number))
            group.create_task(kill())
            group.create_task(call_until(recovered, server))

    before, first = restarts(running), children(running.process.pid)
    asyncio.run(load(running, first["api"]))
    assert set(lost.values()) <= {1}, "a connection breaks once; the next finds a worker that lives"
    assert children(running.process.pid)["engine"] == first["engine"]
    assert restarts(running) - before == Counter(worker=1)


def test_workers_share_their_metrics_and_hold_no_tensorflow(running):
    counted = 'tagwerk_requests_total{route="/tag",status="200"}'
    queued = 'tagwerk_queue_duration_seconds_count{model="tagger-en"}'
    before, queued_before = settled(running.url, counted), settled(running.url, queued)
    for _ in range(20):
        assert httpx.post(f"{running.url}/tag", json=SENTENCE).status_code == 200  # a connection each
    wait_until(lambda: metric(running.url, counted) == before + 20)  # each worker counts a moment after it has answered
    for _ in range(5):
        assert metric(running.url, counted) == before + 20
        assert metric(running.url, queued) == queued_before + 20
    worker = children(running.process.pid)["api"]
    assert "tensorflow" not in Path(f"/proc/{worker}/maps").read_text()
    resident = next(line for line in Path(f"/proc/{worker}/status").read_text().splitlines() if "VmRSS" in line)
    assert int(resident.split()[1]) < 250_000, "kB; a process that has imported TensorFlow takes three times as much"
    environment = Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")
    assert {b"PYTHONMALLOC=malloc", b"MALLOC_ARENA_MAX=1"} <= set(environment), "it gives memory back"


def settled(url: str, name: str) -> float:
    """Returns a metric once the workers have counted what they have answered before."""
    value = metric(url, name)
    for _ in range(60):
        time.sleep(0.5)
        if (later := metric(url, name)) == value:
            return value
        value = later
    pytest.fail(f"{name} still changes although nobody asks: {value}")


def test_one_of_two_engines_is_killed_and_no_request_fails(settings, tmp_path):
    answered = 0

    async def load(server: Server) -> None:
        nonlocal answered
        over = asyncio.Event()

        async def talk() -> None:
            nonlocal answered
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
                while not over.is_set():
                    assert (await client.post("/tag", json=SENTENCE)).status_code == 200
                    answered += 1

        async def kill() -> None:
            while answered < ENOUGH:
                await asyncio.sleep(0.01)
            os.kill(children(server.process.pid)["engine"], signal.SIGKILL)
            while "starting it again" not in server.log.read_text():
                await asyncio.sleep(0.01)
            enough = answered + ENOUGH
            while answered < enough:
                await asyncio.sleep(0.01)
            over.set()

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(talk())
            group.create_task(kill())

    with start_server(tmp_path / "log", **settings, TAGWERK_WORKERS="1", TAGWERK_ENGINES="2") as server:
        server.wait_until_ready()
        wait_until(lambda: server.log.read_text().count("ready on") == 2, seconds=120)
        assert metric(server.url, 'tagwerk_model_info{model="tagger-en"') == 1
        asyncio.run(load(server))
        assert server.stop() == 0


def test_an_engine_that_is_killed_comes_back_and_nobody_hangs(running):
    async def load(server: Server) -> Counter[int]:
        statuses: Counter[int] = Counter()
        recovered = asyncio.Event()

        async def talk() -> None:
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
                while not recovered.is_set():
                    response = await client.post("/tag", json=SENTENCE)
                    statuses[response.status_code] += 1
                    assert response.status_code in (200, 503), response.text
                    if response.status_code == 503:
                        assert response.headers["retry-after"]
                        assert (await client.get("/readyz")).status_code in (200, 503)
                        await asyncio.sleep(0.2)

        async def kill() -> None:
            while statuses[200] < ENOUGH:
                await asyncio.sleep(0.01)
            os.kill(children(server.process.pid)["engine"], signal.SIGKILL)
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
                while (await client.get("/readyz")).status_code == 200:
                    await asyncio.sleep(0.01)
                refused = await client.post("/tag", json=SENTENCE)
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
                assert (await client.get("/livez")).status_code == 200
                while (await client.get("/readyz")).status_code != 200:
                    await asyncio.sleep(0.1)
                assert (await client.post("/tag", json=SENTENCE)).status_code == 200
            enough = statuses[200] + ENOUGH
            while statuses[200] < enough:
                await asyncio.sleep(0.01)
            recovered.set()

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(talk())
            group.create_task(kill())
            group.create_task(call_until(recovered, server))
        return statuses

    before = restarts(running)
    wait_until(lambda: "standby" in children(running.process.pid))  # started during the tests above
    standby = children(running.process.pid)["standby"]
    statuses = asyncio.run(load(running))
    assert statuses[503] > 8
    assert "the engine ended with status -9; starting it again" in running.log.read_text()
    assert restarts(running) - before == Counter(engine=1)
    assert children(running.process.pid)["engine"] == standby


def test_nothing_is_left_when_the_supervisor_is_killed(running):
    """The last of those that share the service."""
    left = kinds(running.process.pid)
    assert working(running) == ["api", "api", "engine"]
    running.process.kill()
    running.process.wait()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left))


def test_the_parts_run_apart_over_tcp(settings, tmp_path):
    environment = {
        **os.environ,
        **SMALL,
        **settings,
        "TAGWERK_XLA_CACHE": str(CACHE),
        "TAGWERK_ENGINE_ADDRESS": f"127.0.0.1:{free_port()}",
        "TAGWERK_PORT": str(free_port()),
    }

    def start(part: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "service", part], env=environment, cwd=ROOT)

    api = start("api")
    engine = start("engine")
    server = Server(api, f"http://127.0.0.1:{environment['TAGWERK_PORT']}", tmp_path / "none")
    try:
        wait_until(lambda: answers(f"{server.url}/readyz"), seconds=120)
        assert httpx.post(f"{server.url}/tag", json=SENTENCE).status_code == 200
    finally:
        for process in (api, engine):
            process.terminate()
    assert [process.wait(30) for process in (api, engine)] == [0, 0]


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
