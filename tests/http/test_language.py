"""Requests to /tag whose texts do not say in which language they are, with taggers for English and French."""

import json
import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

from service.api import answer_schemas
from service.api.lines import MEDIA_TYPE
from service.artifact.manifest import ModelVersion
from tests.http.running import post, running, scene
from tests.http.scene import tagger
from tests.http.test_problems import check
from tests.http.wire import post as post_request

ENGLISH = "The children were playing in the garden."
FRENCH = "Les enfants jouaient dans le jardin."
DANISH = "Børnene legede ude i haven hele dagen."


def french() -> ModelVersion:
    version = tagger()
    return replace(version, manifest=version.manifest.model_copy(update={"name": "zz-fr", "language": "fr"}))


def tag(**body: Any) -> httpx.Response:
    return post("/tag", json.dumps({"language": "auto", **body}).encode(), more=[french()])


@pytest.mark.parametrize("by", ["text", "tokens"])
def test_each_text_is_tagged_by_a_model_of_its_language(by: str) -> None:
    texts = [FRENCH, ENGLISH, "", "1 + 1", FRENCH.upper()][: 5 if by == "text" else 2]
    answer = tag(**{by: texts if by == "text" else [text.split() for text in texts]})
    body = answer.json()
    answer_schemas.TagAnswer.model_validate(body, strict=True, extra="forbid")
    expected = [("fr", "zz-fr"), ("en", "tagger"), ("und", "tagger"), ("und", "tagger"), ("fr", "zz-fr")]
    assert [(one["language"], one["model"]) for one in body["results"]] == expected[: len(texts)]
    assert [" ".join(s["text"] for s in one["sentences"]) for one in body["results"]] == texts
    assert [one["probability"] > 0.9 for one in body["results"]] == [tag != "und" for tag, _ in expected[: len(texts)]]
    assert (body["model"], body["version"]) == ("zz-fr", "1")
    stages = re.findall(r"(\w+);", answer.headers["server-timing"])
    assert {"tokenize", "queue", "inference"} <= {*stages}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({"text": DANISH}, "/text"), ({"text": [ENGLISH, DANISH]}, "/text/1"), ({"tokens": [DANISH.split()]}, "/tokens")],
)
def test_a_text_in_a_language_without_a_model_is_refused_unless_a_model_is_named(
    body: dict[str, Any], pointer: str
) -> None:
    (fault,) = check(tag(**body), 422).errors
    assert fault.pointer == pointer
    assert fault.problem.startswith("it seems to be in 'da', with a probability of ")
    assert fault.allowed == "texts in en, fr, or a model for texts in other languages"
    result = tag(**body, model="zz-fr").json()["results"][-1]
    assert (result["language"], result["model"]) == ("da", "zz-fr")


def test_conllu_names_the_model_and_language_of_each_text() -> None:
    answer = tag(text=[FRENCH, ENGLISH], format="conllu")
    comments = [line for line in answer.text.split("\n") if line.startswith("# ") and "text" not in line]
    found = [line.rpartition(", ")[2] if "generator" in line else line for line in comments]
    assert found == [
        *("zz-fr/1", "# language = fr", "# newdoc id = 1", "# sent_id = 1-1"),
        *("tagger/1", "# language = en", "# newdoc id = 2", "# sent_id = 2-1"),
    ]


def test_lines_may_leave_their_language_open() -> None:
    lines = [json.dumps({"text": text, "language": "auto"}) for text in (ENGLISH, DANISH, FRENCH)]
    answer = post("/tag", "\n".join(lines).encode(), {"content-type": MEDIA_TYPE}, more=[french()])
    first, second, third = map(json.loads, answer.text.splitlines())
    assert [first["results"][0]["language"], third["results"][0]["language"]] == ["en", "fr"]
    assert second["error"]["status"] == 422


async def test_languages_are_counted_as_they_are_detected_also_those_without_a_model() -> None:
    requests: list[tuple[dict[str, Any], int]] = [
        ({"text": [ENGLISH, FRENCH, "12:30"]}, 200),
        ({"text": DANISH}, 422),
        ({"text": [DANISH, ENGLISH]}, 422),
        ({"text": DANISH, "model": "tagger"}, 200),
    ]
    async with running(more=[french()]) as service:
        for body, status in requests:
            content = json.dumps({"language": "auto", **body}).encode()
            assert (await service.answer(post_request("/tag", content))).status == status
        content = json.dumps({"language": "fr", "text": ENGLISH}).encode()
        assert (await service.answer(post_request("/tag", content))).status == 200
        counted = {
            (language, how): service.metric("languages_total", language=language, how=how)
            for language in ("en", "fr", "da", "und")
            for how in ("asked", "detected")
        }
    expected = {("en", "detected"): 2, ("fr", "detected"): 1, ("da", "detected"): 3, ("und", "detected"): 1}
    assert {key: count for key, count in counted.items() if count} == {**expected, ("fr", "asked"): 1}


async def test_languages_lists_those_that_are_served_and_those_that_are_identified() -> None:
    async with scene(more=[french()]) as client:
        body = (await client.get("/languages")).json()
    assert {(one["language"], one["model"]) for one in body["languages"]} == {("en", "tagger"), ("fr", "zz-fr")}
    assert set("en fr es pt de nl sv da it pl fi".split()) <= set(body["identified"])


def test_a_named_language_excludes_a_model() -> None:
    check(tag(text=ENGLISH, language="fr", model="tagger"), 422)
