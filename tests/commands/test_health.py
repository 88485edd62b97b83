"""`tagwerk health`, and an engine and a worker that run by themselves, over TCP."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

import httpx
import pytest

from service.__main__ import main
from tests.conftest import CACHE, ROOT, SMALL, STORE, free_port
from tests.e2e.test_server import SENTENCE, metric, wait_until


@contextmanager
def part(command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Starts `tagwerk api` or `tagwerk engine`; ends it for sure."""
    settings = {**SMALL, "TAGWERK_XLA_CACHE": str(CACHE), **environment}
    process = subprocess.Popen([sys.executable, "-m", "service", command], env={**os.environ, **settings}, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_an_engine_and_a_worker_apart_say_when_they_are_ready(tagger_store, monkeypatch, capsys):
    http, engine, metrics = (str(free_port()) for _ in range(3))
    environment = {
        "TAGWERK_MODEL_STORE": str(tagger_store),
        "TAGWERK_PORT": http,
        "TAGWERK_ENGINE_ADDRESS": f"127.0.0.1:{engine}",
        "TAGWERK_ENGINE_METRICS_PORT": metrics,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def health(*arguments: str) -> tuple[int, str]:
        return main(["health", *arguments]), capsys.readouterr().out.strip()

    with part("api") as worker:
        wait_until(lambda: health() == (1, "starting"), seconds=240)
        url = f"http://127.0.0.1:{http}"
        assert metric(url, "tagwerk_ready_workers") == 0
        with part("engine") as device:
            wait_until(lambda: health("--engine")[1] == "starting", seconds=240)
            wait_until(lambda: health("--engine") == (0, "ready"), seconds=240)
            wait_until(lambda: health() == (0, "ready"), seconds=60)
            assert httpx.post(f"{url}/tag", json=SENTENCE).status_code == 200
            assert metric(url, "tagwerk_ready_workers") == 1
            with urlopen(f"http://127.0.0.1:{metrics}/metrics") as told:
                assert 'tagwerk_batch_size_count{model="tagger-en"} 1.0' in told.read().decode()
            device.terminate()
            assert device.wait(60) == 0
        wait_until(lambda: health() == (1, "stopped"))
        assert metric(url, "tagwerk_ready_workers") == 0
        worker.terminate()
        assert worker.wait(60) == 0


def test_nobody_there_is_not_ready(monkeypatch, capsys):
    monkeypatch.setenv("TAGWERK_HOST", "0.0.0.0")
    monkeypatch.setenv("TAGWERK_PORT", str(free_port()))
    assert main(["health"]) == 1
    assert "no answer from 127.0.0.1:" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["health", "--engine"], ["api"], ["engine"]])
def test_an_engine_at_no_address_is_an_error(capsys, command):
    assert main(command) != 0
    assert "set TAGWERK_ENGINE_ADDRESS" in capsys.readouterr().err


def test_a_port_for_metrics_that_is_taken_is_an_error(monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("TAGWERK_ENGINE_METRICS_PORT", str(taken.getsockname()[1]))
        monkeypatch.setenv("TAGWERK_ENGINE_ADDRESS", "127.0.0.1:1")
        monkeypatch.setenv("TAGWERK_MODEL_STORE", str(STORE))
        assert main(["engine"]) != 0
    assert "cannot export metrics at TAGWERK_HOST=127.0.0.1" in capsys.readouterr().err
