"""Versions come, go and take over while requests are answered: the real processes, with tiny models."""

import shutil
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.__main__ import main
from tests.conftest import CACHE, Server, start_server
from tests.e2e.clients import Client, beside_clients, until, until_more
from tests.e2e.processes import servers
from tests.tiny_store import NAME, copy_version
from tests.waiting import wait_until

SETTINGS = {"TAGWERK_XLA_CACHE": str(CACHE), "TAGWERK_BATCH_SIZES": "1,8", "TAGWERK_STORE_INTERVAL_SECONDS": "0.1"}
BODY = {"text": ["The dog sees the cat. The bird feeds a child.", "A teacher likes the very very very long day today."]}
SECONDS = 240.0
PAUSE_SECONDS = 0.25  # of what waits for new versions, between two looks
FOLLOWS_SECONDS = 0.5  # until each process has read what the supervisor has written


@pytest.fixture
def made(tiny_versions: Path) -> Path:
    """Returns a folder with the versions 1 and 2 to copy from."""
    return tiny_versions / NAME


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """Returns a store with version 1."""
    (tmp_path / "store" / NAME).mkdir(parents=True)
    copy_version(made / "1", tmp_path / "store" / NAME / "1")
    return tmp_path / "store"


def model_states(server: Server) -> dict[str, dict[str, Any]]:
    return {model["version"]: model for model in httpx.get(f"{server.url}/models").json()["models"]}


def serves(server: Server, version: str, share: float = 1.0) -> bool:
    """True once all processes serve a version with this share of the requests."""
    return model_states(server).get(version, {}).get("share") == share


def choose(store: Path, *arguments: str) -> None:
    """Runs `tagwerk models`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGWERK_MODEL_STORE", str(store))
        assert main(["models", *arguments]) == 0


def confidences(answer: dict[str, Any]) -> list[float]:
    return [t["confidence"] for result in answer["results"] for s in result["sentences"] for t in s["tokens"]]


def answers_beside(server: Server, scenario: Callable[[list[Client]], Awaitable[object]]) -> list[dict[str, Any]]:
    """Returns the answers of clients beside a scenario, of which none fails."""
    clients = beside_clients(server, 6, scenario, BODY)
    assert [client.lost for client in clients] == [0] * 6
    return [answer for client in clients for answer in client.answers]


def check_unmixed(server: Server, answers: list[dict[str, Any]], version: str) -> None:
    """Checks that there are answers of both versions, and that those that name one are wholly of it."""
    assert {answer["version"] for answer in answers} == {"1", "2"}
    alone = httpx.post(f"{server.url}/tag", json=BODY | {"model": f"{NAME}/{version}"}).json()
    assert alone["version"] == version
    for answer in answers:
        if answer["version"] == version:
            assert confidences(answer) == pytest.approx(confidences(alone), abs=1e-4)


def test_a_new_version_takes_over_under_load_and_no_request_fails(store, made, tmp_path):
    settings = SETTINGS | {"TAGWERK_PROCESSES": "2"}
    with start_server(tmp_path / "log", **settings, TAGWERK_MODEL_STORE=str(store)) as server:
        server.wait_until_ready()
        wait_until(lambda: server.metric("tagwerk_ready_processes") == 2)
        before, most = servers(server), []

        def named_where_all_have_it() -> bool:
            """Names the new version, which is known once all processes have it, and counts the processes."""
            time.sleep(PAUSE_SECONDS)
            most.append(len(servers(server)))
            answer = httpx.post(f"{server.url}/tag", json=BODY | {"model": f"{NAME}/2"})
            assert answer.status_code in (200, 404)
            assert (answer.status_code == 200) <= before.isdisjoint(serving(server))
            return answer.status_code == 200 and serves(server, "2")

        async def scenario(clients: list[Client]) -> None:
            copy_version(made / "2", store / NAME / "2")
            await until(named_where_all_have_it, SECONDS)
            await until_more(clients, 5)

        answers = answers_beside(server, scenario)
        assert max(most) == 2 + 1, "one more than usual"
        first, second = confidences(answers[0]), confidences(answers[-1])
        assert first != pytest.approx(second, abs=1e-3), "the versions cannot be told apart"
        check_unmixed(server, answers, "2")
        wait_until(lambda: before.isdisjoint(servers(server)), SECONDS)
        wait_until(lambda: server.metric('tagwerk_swaps_total{result="done"}') == 1)
        for pid in servers(server):
            after = threads(pid)
            assert after["tf_Compute"] == after["tf_XLAEigen"] == after["main"], "what serves does not give way"
        assert server.metric('tagwerk_model_info{model="tagger-tiny",version="2"}') == 1
        assert server.metric("tagwerk_restarts_total") == 0
        assert httpx.post(f"{server.url}/tag", json=BODY | {"model": f"{NAME}/1"}).status_code == 404
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()


def serving(server: Server) -> set[int]:
    """Returns the server processes but those that drain, as the log says, and those that have just ended."""
    names = {pid: process_name(pid) for pid in servers(server)}
    log = server.log.read_text()
    return {pid for pid, name in names.items() if name and f"{name} is replaced, and drains" not in log}


def process_name(pid: int) -> str | None:
    """Returns the name of a process in the supervisor's log, None if it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip().replace("tagwerk-", "process ")
    except (FileNotFoundError, ProcessLookupError):
        return None


def threads(pid: int) -> dict[str, set[str]]:
    """Returns the niceness of a process's threads by their names, and that of its first as `main`."""
    found: dict[str, set[str]] = {}
    for status in Path(f"/proc/{pid}/task").glob("*/stat"):
        name, _, rest = status.read_text().partition("(")[2].rpartition(")")
        found.setdefault(name, set()).add(rest.split()[16])
        if status.parent.name == str(pid):
            found["main"] = {rest.split()[16]}
    return found


def test_versions_are_rolled_back_shared_named_and_deleted(store, made, tmp_path):
    copy_version(made / "2", store / NAME / "2")
    choose(store, "canary", f"{NAME}/1", "0.000001")  # so that it is loaded as well
    with start_server(tmp_path / "log", **SETTINGS, TAGWERK_MODEL_STORE=str(store)) as server:
        server.wait_until_ready()
        serving = servers(server)

        def ask(model: str | None = None) -> httpx.Response:
            return httpx.post(f"{server.url}/tag", json=BODY | ({"model": model} if model else {}))

        assert ask().json()["version"] == "2"
        assert ask(f"{NAME}/1").json()["version"] == "1"
        unknown = ask(f"{NAME}/9")
        assert unknown.status_code == 404
        assert f"{NAME}/2, {NAME}/1" in unknown.json()["detail"]
        body = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["A dog."]}]}
        for path, version in ((NAME, "2"), (f"{NAME}/versions/1", "1")):
            answer = httpx.post(f"{server.url}/v2/models/{path}/infer", json=body).json()
            assert answer["model_version"] == version

        async def scenario(clients: list[Client]) -> None:
            choose(store, "rollback", NAME)
            await until(lambda: serves(server, "1"))
            await until_more(clients, 5)

        check_unmixed(server, answers_beside(server, scenario), "1")
        assert ask().json()["version"] == "1"

        choose(store, "canary", f"{NAME}/2", "0.3")
        wait_until(lambda: serves(server, "2", 0.3))
        time.sleep(FOLLOWS_SECONDS)
        with httpx.Client(base_url=server.url) as client:
            versions = Counter(client.post("/tag", json={"text": "A dog."}).json()["version"] for _ in range(400))
        assert 60 < versions["2"] < 190, "0.3 of 400, more than six standard deviations either way"
        assert servers(server) == serving, "both versions were loaded"

        choose(store, "use", NAME)
        wait_until(lambda: serves(server, "2"))
        shutil.rmtree(store / NAME / "2")
        wait_until(lambda: ask().json()["version"] == "1")
        wait_until(lambda: serves(server, "1"))
        shutil.rmtree(store / NAME / "1")
        assert ask().status_code == 200, "what is loaded answers without its folder"
        assert server.stop() == 0
