"""POST /feedback: what it checks, stores and answers."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.errors import NotStored
from service.store.corrections import CorrectionFiles
from tests.http.running import scene
from tests.http.scene import header_of, keyed, without_lemmas
from tests.http.test_problems import check
from tests.waiting import until


def stored(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


async def send(folder: Path, body: object, **settings: Any) -> httpx.Response:
    async with scene(feedback_dir=str(folder), **settings) as client:
        content, headers = json.dumps(body), {"Content-Type": "application/json"}
        return await client.post("/feedback", content=content, headers=headers)


async def test_tags_are_stored_with_what_the_model_gave(tmp_path):
    first = {"token": 1, "text": "fine", "upos": "VERB", "feats": "Number=Sing", "lemma": "fined"}
    body = {"model": "tagger", "text": "cats fine. a", "tags": [first, {"token": 0, "upos": "NOUN"}], "request_id": "r"}
    answer = await send(tmp_path, body)
    assert (answer.status_code, answer.json()) == (201, {"model": "tagger", "version": "1", "changed": 3})
    (line,) = stored(tmp_path)
    assert line.keys() == {"time", "model", "version", "text", "sentences", "request_id"}
    tokens = [token for sentence in line["sentences"] for token in sentence]
    assert tokens[1].pop("was") | {"lemma": ""} == {"upos": "NOUN", "feats": "_", "lemma": ""}
    assert tokens[1] == {
        "text": "fine",
        "start": 5,
        "end": 9,
        "upos": "VERB",
        "xpos": "NN",
        "feats": "Number=Sing",
        "lemma": "fined",
    }
    assert "was" not in tokens[0], "it is what the model gives"


@pytest.mark.parametrize(
    ("right", "changed", "upos"), [([], 2, "VERB"), ([{"token": 1, "upos": "NOUN"}], 1, "NOUN")], ids=["all", "model's"]
)
async def test_a_tag_of_the_dictionary_counts_beside_what_the_model_gave(tmp_path, right, changed, upos):
    (tmp_path / "tagger.tsv").write_text("fine\t\tVERB\tVB\n")
    body = {"text": "cats fine. a", "tags": right}
    answer = await send(tmp_path / "kept", body, overrides_dir=str(tmp_path))
    assert (answer.status_code, answer.json()["changed"]) == (201, changed)
    (line,) = stored(tmp_path / "kept")
    token = line["sentences"][0][1]
    assert (token["text"], token["upos"], token["xpos"]) == ("fine", upos, "VB")
    assert token["was"] == {"xpos": "NN"} | ({"upos": "NOUN"} if upos == "VERB" else {})


async def test_tokens_are_one_sentence_and_none_marks_the_answer_as_right(tmp_path):
    answer = await send(tmp_path, {"tokens": ["a cat", "b"], "tags": []})
    assert answer.json()["changed"] == 0
    (line,) = stored(tmp_path)
    assert (line["text"], line["spaced"]) == ("a cat b", False)
    assert [token["text"] for token in line["sentences"][0]] == ["a cat", "b"]


@pytest.mark.parametrize(("label", "changed", "was"), [("bad", 1, "good"), ("good", 0, None)])
async def test_a_label_is_stored(tmp_path, label, changed, was):
    answer = await send(tmp_path, {"text": "fine", "label": label})
    assert answer.json() == {"model": "classifier", "version": "1", "changed": changed}
    (line,) = stored(tmp_path)
    assert (line["text"], line["label"], line.get("was")) == ("fine", label, was)


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"text": "a", "label": "godo"}, "/label", "such as "),
    ({"text": "a"}, "", "exactly one of the fields tags, label"),
    ({"text": "a", "label": "good", "tags": []}, "", "exactly one of the fields tags, label"),
    ({"tags": []}, "", "text or, beside tags, tokens"),
    ({"tokens": ["a"], "label": "good"}, "", "text or, beside tags, tokens"),
    ({"text": " ", "label": "good"}, "/text", "a string that is not blank"),
    ({"text": ["a"], "label": "good"}, "/text", "a valid string"),
    ({"tokens": [], "tags": []}, "/tokens", "at least 1 item"),
    ({"tokens": ["a", ""], "tags": []}, "/tokens/1", "a string that is not blank"),
    ({"text": "a", "tags": [], "request_id": "a b"}, "/request_id", "matches"),
    ({"text": "a", "tags": [{"upos": "NOUN"}]}, "/tags/0/token", "index of the token"),
    ({"text": "a", "tags": [{"token": -1}]}, "/tags/0/token", "greater than or equal to 0"),
    ({"text": "a", "tags": [{"token": 0, "tag": "NOUN"}]}, "/tags/0/tag", "the fields sentence, token, text, upos"),
    ({"text": "a", "tags": [{"token": 0}] * 1001}, "/tags", "at most 1000 items"),
    ({"text": "a b", "tags": [{"token": 2}]}, "/tags/0/token", "a token of the text"),
    ({"text": "a b", "tags": [{"sentence": 1, "token": 0}]}, "/tags/0/token", "a token of the text"),
    ({"text": "a", "tags": [{"token": 0, "upos": "VERB"}, {"token": 0}]}, "/tags/1/text", "each token once"),
    ({"text": "a", "tags": [{"token": 0}, {"token": 0}]}, "/tags/1/text", "each token once"),
    ({"text": "a b", "tags": [{"token": 0, "text": "b"}]}, "/tags/0/text", "with its text"),
    ({"text": "a", "tags": [{"token": 0, "upos": "NUON"}]}, "/tags/0/upos", "such as NOUN, VERB"),
    ({"text": "a", "tags": [{"token": 0, "xpos": ""}]}, "/tags/0/xpos", "such as "),
    ({"text": "a", "tags": [{"token": 0, "feats": "A=B"}]}, "/tags/0/feats", "such as Number=Sing, _"),
    ({"text": "a", "tags": [{"token": 0, "lemma": "\n"}]}, "/tags/0/lemma", "a string that is not blank"),
    ({"text": "a", "model": "plain", "tags": [{"token": 0, "lemma": "a"}]}, "/tags/0/lemma", "none: the model gives"),
]


@pytest.mark.parametrize(("body", "pointer", "allowed"), WRONG)
async def test_what_is_wrong_is_named(tmp_path, body, pointer, allowed):
    found = check(await send(tmp_path, body, more=[without_lemmas("plain")]), 422)
    assert found.errors[0].pointer == pointer
    assert allowed in found.errors[0].allowed
    assert not stored(tmp_path), "nothing of a request that is refused"


async def test_all_places_are_named_and_others_have_their_own_status(tmp_path):
    found = check(
        await send(tmp_path, {"text": "a", "tags": [{"token": 1}, {"token": 0, "upos": "X", "xpos": "X"}]}), 422
    )
    assert [one.pointer for one in found.errors] == ["/tags/0/token", "/tags/1/upos", "/tags/1/xpos"]
    assert found.error_count == 3
    check(await send(tmp_path, {"model": "none", "text": "a", "tags": []}), 404)
    check(await send(tmp_path, {"model": "lm", "text": "a", "tags": []}), 404)
    check(await send(tmp_path, {"text": "a" * 20_001, "label": "good"}), 413)
    assert not stored(tmp_path)


async def test_without_the_option_none_is_stored_and_the_option_is_named():
    async with scene() as client:
        found = check(await client.post("/feedback", json={"text": "fine", "label": "bad"}), 403)
        assert "TAGWERK_FEEDBACK_DIR is not set" in found.detail
        assert (await client.get("/models")).json()["feedback"] is False


async def test_a_key_needs_the_scope_and_is_noted(tmp_path):
    folder = tmp_path / "kept"
    authenticator, lines = keyed(tmp_path / "keys.json", "web", "boss", "critic")
    web, boss, critic = map(header_of, lines.values())
    async with scene(authenticator, feedback_dir=str(folder)) as client:
        for key in (web, boss):
            answer = await client.post("/feedback", json={"text": "a", "label": "bad"}, headers=key)
            assert "this needs feedback" in check(answer, 403).detail
        check(await client.post("/classify", json={"text": "a"}, headers=critic), 403)
        answer = await client.post("/feedback", json={"text": "a", "label": "bad"}, headers=critic)
        assert answer.status_code == 201
        assert (await client.get("/models", headers=web)).json()["feedback"] is True
    assert [line["key"] for line in stored(folder)] == ["critic"]


async def test_a_disk_that_blocks_or_is_full_hinders_no_other_request(tmp_path, monkeypatch):
    writing, go_on = threading.Event(), threading.Event()

    def append(self: CorrectionFiles, correction: object) -> None:
        writing.set()
        go_on.wait(60)
        raise NotStored("the correction is not stored, in TAGWERK_FEEDBACK_DIR: No space left on device")

    monkeypatch.setattr(CorrectionFiles, "append", append)
    async with scene(feedback_dir=str(tmp_path)) as client:
        waiting = asyncio.create_task(client.post("/feedback", json={"text": "fine", "label": "bad"}))
        await until(writing.is_set)
        assert (await client.post("/classify", json={"text": "fine"})).status_code == 200
        assert not waiting.done()
        go_on.set()
        found = check(await waiting, 507)
        assert (found.type, found.title) == ("urn:tagwerk:problem:not-stored", "The correction is not stored")
        assert "No space left on device" in found.detail
