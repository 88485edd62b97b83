"""The real process: started, loaded, broken, stopped."""

import asyncio
import json
import math
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from service.__main__ import main
from tests.conftest import start_server, store_of
from tests.e2e.clients import SENTENCE, Client, beside_clients, until_more
from tests.telemetry.test_logs import TIME
from tests.waiting import wait_until


def test_it_answers_while_it_compiles_and_a_second_start_reads_what_it_has_compiled(
    tagger_store, tmp_path, monkeypatch, capsys
):
    cache = tmp_path / "cache"
    settings = {"TAGWERK_MODEL_STORE": str(tagger_store), "TAGWERK_XLA_CACHE": str(cache)}
    with start_server(tmp_path / "log", **settings) as server:
        assert httpx.get(f"{server.url}/livez", timeout=60).status_code == 200
        ready = httpx.get(f"{server.url}/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "starting")
        monkeypatch.setenv("TAGWERK_PORT", server.url.rpartition(":")[2])
        assert (main(["health"]), capsys.readouterr().out) == (1, "starting\n")
        early = httpx.post(f"{server.url}/tag", json=SENTENCE)
        assert (early.status_code, early.headers["retry-after"]) == (503, "1")
        server.wait_until_ready()
        answer = httpx.post(f"{server.url}/tag", json=SENTENCE)
        assert answer.status_code == 200
        assert server.stop() == 0
        log = server.log.read_text()
        assert "Traceback" not in log
        assert re.search(r"tagger-en/\d+: 4 executables, [\d.]+ s; \d+ MB in all", log), "what it costs"
        assert re.search(r"ready on CPU: .*tagger-en/\d+; [\d.]+ s, \d+ MB in all", log), "what it serves"
        assert "POST /tag 200" in log
        stopping = log[log.index("SIGTERM: stopping; the processes drain") :]
        for line in (
            r"tagwerk\.server\[1\]: SIGTERM: draining; requests in flight: 0",
            r"tagwerk\.server\[1\]: stopped accepting connections; requests in flight: 0, for at most 30 s",
            r"tagwerk\.server\[1\]: stopped",
            r"tagwerk\.supervisor: stopped, with status 0",
        ):
            assert re.search(rf"^{TIME} INFO {line}$", stopping, re.MULTILINE), line
        assert all(re.match(f"{TIME} ", line) for line in log.splitlines()), "one format in all processes"

    compiled = written(cache)
    assert Counter(path.suffix for path in compiled) >= Counter({".pb": 2 + 1, ".mlir": 2 + 1}), "batches, and words"
    with start_server(tmp_path / "log", **settings, TAGWERK_BATCH_SIZES="8") as server:  # less before what it reads
        server.wait_until_ready()
        assert httpx.post(f"{server.url}/tag", json=SENTENCE).json() == answer.json()
    assert written(cache) == compiled, "something is compiled again"


def written(cache: Path) -> dict[Path, int]:
    """Returns when each executable, and what it was compiled from, was written."""
    return {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.suffix in (".pb", ".mlir")}


def test_sigterm_loses_no_request_that_is_in_flight(tmp_path):
    """Clients send without a pause, each on a connection that is kept; SIGTERM comes in the midst of it."""

    async def scenario(clients: list[Client]) -> None:
        wish = {"prompt": "ROMEO:", "max_tokens": 400, "seed": 1}
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as probe:
            generating = [asyncio.create_task(probe.post("/generate", json=wish)) for _ in range(3)]
            await until_more(clients, 3)
            assert (await probe.get("/readyz")).status_code == 200
            server.process.send_signal(signal.SIGTERM)
            while (ready := await probe.get("/readyz")).status_code == 200:
                pass
            assert (ready.status_code, ready.json()["status"]) == (503, "draining")
            assert ready.headers["connection"] == "close"
            answers = [answer.json() for answer in await asyncio.gather(*generating)]
        assert [answer["results"][0]["tokens"] for answer in answers] == [400] * 3
        assert await asyncio.to_thread(server.process.wait, 60) == 0

    store = store_of(tmp_path / "store", "tagger-en", "lm-shakespeare")
    settings = {"TAGWERK_DRAIN_DELAY_SECONDS": "1.0", "TAGWERK_MODEL_STORE": str(store)}
    with start_server(tmp_path / "log", **settings, TAGWERK_PROCESSES="2") as server:
        server.wait_until_ready()
        wait_until(lambda: server.metric("tagwerk_ready_processes") == 2)
        clients = beside_clients(server, 16, scenario, requests=math.inf)
        assert [client.lost for client in clients] == [0] * 16
        assert "Traceback" not in server.log.read_text()


def test_texts_that_outlast_the_drain_are_cut_and_say_so(tmp_path):
    """More texts than slots, each of seconds; the drain lasts half of one."""
    wish = {"prompt": "ROMEO:", "max_tokens": 4096, "seed": 1, "n": 8}
    patience = {"TAGWERK_DRAIN_DELAY_SECONDS": "0.1", "TAGWERK_DRAIN_TIMEOUT_SECONDS": "0.5"}

    async def scenario(url: str, stop) -> tuple[str, dict[str, Any]]:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            whole = asyncio.create_task(client.post("/generate", json=wish))
            text = ""
            async with client.stream("POST", "/generate", json=wish | {"stream": True}) as response:
                async for chunk in response.aiter_text():
                    if not text:
                        stop()
                    text += chunk
            return text, (await whole).json()

    store = store_of(tmp_path / "store", "lm-shakespeare")
    with start_server(tmp_path / "log", **patience, TAGWERK_MODEL_STORE=str(store)) as server:
        server.wait_until_ready()
        streamed, whole = asyncio.run(scenario(server.url, lambda: server.process.send_signal(signal.SIGTERM)))
        assert server.process.wait(60) == 0
    ends = [json.loads(part.split("data: ")[1]) for part in streamed.split("\n\n") if "event: finish" in part]
    assert sorted(end["index"] for end in ends) == list(range(8))
    assert {end["finish_reason"] for end in ends} == {"shutdown"}
    assert [result["finish_reason"] for result in whole["results"]] == ["shutdown"] * 8
    assert '"text":"' in streamed
    assert "Traceback" not in (tmp_path / "log").read_text()
