"""Requests with keys and without, to an application that asks for them."""

import asyncio
import json
import logging
import shutil
from pathlib import Path

import httpx
import pytest

from service.security.keys import remove_key
from tests.artifact.test_manifest import write_version
from tests.http.running import scene
from tests.http.scene import SequenceModelDevice, header_of, keyed
from tests.http.test_problems import check


class Lock:
    """A file with a key for inference, one for administration, and one with limits."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.json"
        self.authenticator, lines = keyed(self.path, "web", "boss", "rare", "narrow", "terse")
        self.web, self.boss, self.rare, self.narrow, self.terse = map(header_of, lines.values())


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    return Lock(tmp_path)


FINE = {"text": "fine"}


async def test_without_a_key_nothing_but_probes_and_documentation_is_answered(lock):
    async with scene(lock.authenticator) as client:
        for path in ("/livez", "/readyz", "/healthz", "/metrics", "/docs", "/openapi.json", "/v2/health/live"):
            assert (await client.get(path)).status_code == 200, path
        for path in ("/models", "/models/classifier", "/v1/models", "/v2", "/v2/models/classifier", "/nothing"):
            refused = await client.get(path)
            assert check(refused, 401).type.endswith(":unauthorized"), path
            assert refused.headers["www-authenticate"] == "Bearer"
        for path in ("/classify", "/tag", "/generate", "/v1/completions", "/admin/models/classifier"):
            check(await client.post(path, json=FINE), 401)
        wrong = ["", "Bearer", "Bearer x", "Basic " + lock.web["Authorization"][7:], lock.web["Authorization"] + "x"]
        for value in wrong:
            check(await client.post("/classify", json=FINE, headers={"Authorization": value}), 401)


async def test_a_key_is_for_its_scopes(lock):
    async with scene(lock.authenticator) as client:
        assert (await client.post("/classify", json=FINE, headers=lock.web)).status_code == 200
        assert (await client.get("/models", headers=lock.web)).status_code == 200
        forbidden = check(await client.post("/admin/models/classifier", json={}, headers=lock.web), 403)
        assert forbidden.type.endswith(":forbidden")
        assert "this needs admin" in forbidden.detail
        check(await client.post("/classify", json=FINE, headers=lock.boss), 403)


async def test_a_key_over_its_rate_is_told_when_to_come_again(lock):
    async with scene(lock.authenticator) as client:
        assert (await client.post("/classify", json=FINE, headers=lock.rare)).status_code == 200
        over = await client.post("/classify", json=FINE, headers=lock.rare)
        assert check(over, 429).type.endswith(":rate-limited")
        assert over.headers["retry-after"] == "2"
        assert "at most 0.5 requests a second (tagwerk keys add --rate)" in over.json()["detail"]
        assert (await client.post("/classify", json=FINE, headers=lock.web)).status_code == 200, "another's key"


async def test_a_key_over_its_tokens_is_told_when_to_come_again_and_what_it_used_is_counted(lock):
    async with scene(lock.authenticator) as client:
        text = {"text": "fine fine fine fine"}
        assert (await client.post("/classify", json={"text": 7}, headers=lock.terse)).status_code == 422
        assert (await client.post("/classify", json=text, headers=lock.terse)).status_code == 200
        over = await client.post("/classify", json=text, headers=lock.terse)
        assert check(over, 429).type.endswith(":rate-limited")
        assert over.headers["retry-after"] == "7"  # four tokens of which half a one was there, at half a one a second
        assert "at most 0.5 tokens a second (tagwerk keys add --tokens)" in over.json()["detail"]
        lines = {**lock.web, "Content-Type": "application/x-ndjson"}
        answered = await client.post("/classify", content=b'{"text": "fine fine"}\n' * 3, headers=lines)
        assert answered.text.count("label") == 3
        metrics = (await client.get("/metrics")).text
        assert 'tagwerk_key_tokens_total{key="terse"} 4.0' in metrics
        assert 'tagwerk_key_tokens_total{key="web"} 6.0' in metrics


async def test_what_is_computed_for_a_client_that_leaves_is_charged_to_its_key(lock):
    device = SequenceModelDevice()
    async with scene(lock.authenticator, device) as client:

        async def ask() -> httpx.Response:
            return await client.post("/classify", json={"text": "fine fine fine fine"}, headers=lock.terse)

        first = await device.hold(ask())
        first.cancel()
        await asyncio.wait([first])
        device.go.set()
        while 'tagwerk_key_tokens_total{key="terse"} 4.0' not in (await client.get("/metrics")).text:
            await asyncio.sleep(0)
        assert "tokens a second" in check(await ask(), 429).detail


async def test_a_key_over_its_requests_at_the_same_time_is_free_again_when_one_ends_however_it_does(lock):
    device = SequenceModelDevice()
    async with scene(lock.authenticator, device) as client:

        async def ask() -> httpx.Response:
            return await client.post("/classify", json=FINE, headers=lock.narrow)

        first = await device.hold(ask())
        over = check(await ask(), 429)
        assert "at most 1 request at the same time (tagwerk keys add --concurrent)" in over.detail
        device.go.set()
        assert (await first).status_code == 200
        assert (await client.post("/classify", json={"text": 7}, headers=lock.narrow)).status_code == 422
        assert (await ask()).status_code == 200


async def test_a_key_that_is_removed_is_of_no_use_and_a_file_that_is_missing_or_broken_changes_nothing(lock, caplog):
    caplog.set_level(logging.INFO, "tagwerk")
    away = lock.path.with_name("away")

    def break_file(unused: Path) -> None:
        lock.path.write_text("broken")

    async with scene(lock.authenticator) as client:

        def said() -> list[str]:
            return [record.getMessage() for record in caplog.records if record.module == "keys"]

        async def models(headers: dict[str, str]) -> httpx.Response:
            lock.authenticator.reload_if_changed()
            return await client.get("/models", headers=headers)

        remove_key(lock.path, "rare")
        check(await models(lock.rare), 401)
        assert (await models(lock.web)).status_code == 200
        for harm, reason in ((lock.path.rename, "No such file"), (break_file, "Invalid JSON")):
            caplog.clear()
            shutil.copy2(lock.path, away)
            harm(lock.path.with_name("elsewhere"))
            for _ in range(3):
                assert (await models(lock.web)).status_code == 200
                check(await models(lock.rare), 401)
            (message,) = said()
            assert reason in message
            assert message.endswith("; the keys read before stay valid")
            away.rename(lock.path)  # with the time of before
            assert (await models(lock.web)).status_code == 200
            assert said()[1:] == ["the keys are read again"]
        remove_key(lock.path, "web")
        check(await models(lock.web), 401)
        lock.path.write_text("[]")
        check(await models(lock.boss), 401)


async def test_the_log_names_the_key_and_holds_no_secret(lock, capfd):
    async with scene(lock.authenticator, log_format="json") as client:
        await client.get("/models", headers=lock.web)
        await client.get("/models", headers={"Authorization": "Bearer wrong"})
    written = capfd.readouterr().err
    assert '"key":"web"' in written
    assert "wrong" not in written
    assert lock.web["Authorization"][7:] not in written


async def test_the_admin_route_chooses_versions(lock, tmp_path, caplog):
    caplog.set_level("INFO", "tagwerk.server")
    store = tmp_path / "store"
    for _ in range(3):
        write_version(store)
    async with scene(lock.authenticator, model_store=store) as client:

        async def change(name: str, **body: object) -> httpx.Response:
            return await client.post(f"/admin/models/{name}", json=body, headers=lock.boss)

        chosen = await change("tagger-en", action="use", version="2")
        assert (chosen.status_code, chosen.json()) == (202, {"version": "2", "canary": None, "load": None})
        assert (await change("tagger-en", action="rollback")).json()["version"] == "1"
        canary = await change("tagger-en", action="canary", version="3", share=0.2)
        assert canary.json() == {"version": "1", "canary": {"version": "3", "share": 0.2}, "load": None}
        assert '"share": 0.2' in (store / "serving.json").read_text()
        assert "tagger-en: canary 3 0.2, by the key boss, request " in caplog.text
        check(await change("nobody", action="rollback"), 404)
        check(await change("tagger-en", action="use", version="9"), 404)
        assert (await change("tagger-en", action="default")).status_code == 202
        assert json.loads((store / "serving.json").read_text())["defaults"] == {"tag": "tagger-en"}
        (store / "tagger-en/3/words.json").unlink()
        refused = check(await change("tagger-en", action="use", version="3"), 409)
        assert refused.detail == "tagger-en/3 cannot serve: words.json is missing"
        for wrong in (
            {"action": "explode"},
            {"action": "default", "version": "1"},
            {"action": "canary"},
            {"action": "use", "share": 0.1},
        ):
            check(await change("tagger-en", **wrong), 422)


async def test_without_keys_there_is_no_admin_route():
    async with scene() as client:
        check(await client.post("/admin/models/classifier", json={"action": "rollback"}), 404)
        assert "/admin" not in (await client.get("/openapi.json")).text
