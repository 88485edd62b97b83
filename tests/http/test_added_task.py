"""A task is added by its pipeline, its schema and its route, and nothing else."""

import json

import httpx
import pytest
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from service.api import answer_schemas, infer, openapi, request_schemas
from service.api.app import create_routes
from service.api.lines import MEDIA_TYPE, takes_lines
from service.api.openapi import INFER, responses
from service.api.route import JsonRoute
from service.http.context import pipeline_run
from service.http.representation import respond
from service.http.validation import Texts
from service.pipelines.formats import to_json, write_answer
from service.pipelines.run import PipelineRun
from service.pipelines.tagging import tag
from tests.http.running import scene
from tests.http.scene import header_of, keyed, made_context
from tests.http.test_problems import check


class CountRequest(request_schemas.Request):
    """Texts whose tokens are counted."""

    text: Texts = Field(description="The texts whose tokens are counted.", examples=["Dogs bark."])


class CountAnswer(answer_schemas.Answer):
    """The numbers of tokens."""

    results: list[int] = Field(description="That of each text.", examples=[[3]])


async def run_count(run: PipelineRun, body: CountRequest) -> list[bytes]:
    """Counts the tokens of texts."""
    version, tagged = await tag(run, body.text, model=body.model, lemmas=False)
    counts = [sum(len(sentence.tokens) for sentence in text.sentences) for text in tagged]
    return write_answer(version, [[to_json(count)] for count in counts])


router = APIRouter(route_class=JsonRoute, responses=responses(406, *INFER))


@router.post("/count", operation_id="count", response_model=CountAnswer)
@takes_lines(run_count)
async def count_(body: CountRequest, request: Request) -> Response:
    """Counts tokens."""
    return await respond(request, await run_count(pipeline_run(request), body))


@pytest.fixture(autouse=True)
def _added(monkeypatch):
    """Serves the added task in place of the others."""
    monkeypatch.setattr(infer, "router", router)
    monkeypatch.setattr(openapi, "_documents", {})


async def test_an_added_task_is_answered_authenticated_bounded_and_counted_like_the_others(tmp_path):
    authenticator, keys = keyed(tmp_path / "keys.json", "web")
    async with scene(authenticator, max_items=4) as client:
        client.headers = httpx.Headers(header_of(keys["web"]))
        answer = await client.post("/count", json={"text": ["Dogs bark.", "fine"]})
        assert answer.json() == {"model": "tagger", "version": "1", "results": [3, 1]}
        lines = b'{"id": 1, "text": "Dogs bark."}\n{"id": 2, "text": 7}\n'
        ndjson = {"content-type": MEDIA_TYPE}
        answer = await client.post("/count", content=lines, headers=ndjson)
        first, second = map(json.loads, answer.text.splitlines())
        assert (first["id"], first["results"], second["id"], second["error"]["status"]) == (1, [3], 2, 422)
        check(await client.post("/count", json={"text": "a"}, headers={"authorization": "Bearer x"}), 401)
        check(await client.post("/count", json={"text": ["a"] * 5}), 413)
        counted = (await client.get("/metrics")).text
        assert 'tagwerk_requests_total{route="/count",status="200"} 2.0' in counted


def test_an_added_task_is_in_the_openapi_document():
    operation = create_routes(made_context()).openapi()["paths"]["/count"]["post"]
    assert {"401", "429", "503", "504"} < set(operation["responses"])
    assert {"$ref": "#/components/parameters/X-Request-Timeout-Ms"} in operation["parameters"]
    content = operation["responses"]["200"]["content"]
    assert content["application/json"]["example"]["results"] == [3]
    assert json.loads(content[MEDIA_TYPE]["example"].splitlines()[0])["results"] == [3]
