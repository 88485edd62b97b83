"""Versions come, go and take over while requests are answered: the real processes, with tiny models."""

import asyncio
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.__main__ import main
from tests.conftest import CACHE, Server, start_server
from tests.e2e.processes import servers
from tests.e2e.test_server import metric, wait_until
from tests.tiny_store import NAME, copy_version

SETTINGS = {"TAGWERK_XLA_CACHE": str(CACHE), "TAGWERK_BATCH_SIZES": "1,8", "TAGWERK_STORE_INTERVAL_SECONDS": "0.1"}
BODY = {"text": ["The dog sees the cat. The bird feeds a child.", "A teacher likes the very very very long day today."]}
SECONDS = 240.0
PAUSE_SECONDS = 0.25  # of a client between two requests, and of what waits for new versions between two looks
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


class Load:
    """Clients that ask again and again, and everything that they were told."""

    def __init__(self, server: Server, clients: int = 6) -> None:
        self.answers: list[dict[str, Any]] = []
        self.statuses: Counter[int] = Counter()
        self.refusals: list[str] = []  # the bodies of other answers than 200
        self._url = server.url
        self._clients = clients
        self._over = asyncio.Event()

    async def _ask(self) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=30) as client:
            while not self._over.is_set():
                response = await client.post("/tag", json=BODY)
                self.statuses[response.status_code] += 1
                if response.status_code == 200:
                    self.answers.append(response.json())
                else:
                    self.refusals.append(response.text)
                await asyncio.sleep(PAUSE_SECONDS)

    async def while_(self, *steps: Any) -> None:
        """Asks while the steps are done, one after the other, in a thread; the first when an answer has come."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._clients):
                group.create_task(self._ask())
            try:
                while not self.statuses:
                    await asyncio.sleep(0.01)
                for step in steps:
                    await asyncio.to_thread(step)
                enough = len(self.answers) + 50
                while len(self.answers) < enough:
                    await asyncio.sleep(0.01)
            finally:
                self._over.set()


def confidences(answer: dict[str, Any]) -> list[float]:
    return [t["confidence"] for result in answer["results"] for s in result["sentences"] for t in s["tokens"]]


def check_unmixed(server: Server, answers: list[dict[str, Any]]) -> set[str]:
    """Checks that each answer is wholly of the version that it names; returns the versions."""
    versions = {answer["version"] for answer in answers}
    alone = {}
    for version in versions:
        asked = httpx.post(f"{server.url}/tag", json=BODY | {"model": f"{NAME}/{version}"}).json()
        assert asked["version"] == version
        alone[version] = confidences(asked)
    for answer in answers:
        assert confidences(answer) == pytest.approx(alone[answer["version"]], abs=1e-4)
    return versions


def test_a_new_version_takes_over_under_load_and_no_request_fails(store, made, tmp_path):
    settings = SETTINGS | {"TAGWERK_PROCESSES": "2"}
    with start_server(tmp_path / "log", **settings, TAGWERK_MODEL_STORE=str(store)) as server:
        server.wait_until_ready()
        wait_until(lambda: metric(server.url, "tagwerk_ready_processes") == 2)
        before, most = servers(server), []

        def named_where_all_have_it() -> bool:
            """Names the new version, which is known once all processes have it, and counts the processes."""
            time.sleep(PAUSE_SECONDS)
            most.append(len(servers(server)))
            answer = httpx.post(f"{server.url}/tag", json=BODY | {"model": f"{NAME}/2"})
            assert answer.status_code in (200, 404)
            assert (answer.status_code == 200) <= before.isdisjoint(serving(server))
            return answer.status_code == 200 and serves(server, "2")

        load = Load(server)
        asyncio.run(
            load.while_(
                lambda: copy_version(made / "2", store / NAME / "2"),
                lambda: wait_until(named_where_all_have_it, SECONDS),
            )
        )
        assert set(load.statuses) == {200}, load.refusals
        assert max(most) == 2 + 1, "one more than usual"
        assert {answer["version"] for answer in load.answers} == {"1", "2"}
        first, second = confidences(load.answers[0]), confidences(load.answers[-1])
        assert first != pytest.approx(second, abs=1e-3), "the versions cannot be told apart"
        check_unmixed(server, [answer for answer in load.answers if answer["version"] == "2"])
        wait_until(lambda: before.isdisjoint(servers(server)), SECONDS)
        wait_until(lambda: metric(server.url, 'tagwerk_swaps_total{result="done"}') == 1)
        for pid in servers(server):
            after = threads(pid)
            assert after["tf_Compute"] == after["tf_XLAEigen"] == after["main"], "what serves does not give way"
        assert metric(server.url, 'tagwerk_model_info{model="tagger-tiny",version="2"}') == 1
        assert metric(server.url, "tagwerk_restarts_total") == 0
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

        load = Load(server)
        rolled_back = [lambda: choose(store, "rollback", NAME), lambda: wait_until(lambda: serves(server, "1"))]
        asyncio.run(load.while_(*rolled_back))
        assert set(load.statuses) == {200}, load.refusals
        assert {answer["version"] for answer in load.answers} == {"1", "2"}
        check_unmixed(server, [answer for answer in load.answers if answer["version"] == "1"])
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
