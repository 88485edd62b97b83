"""The service with one task more, which is a pipeline, two schemas and a route, and nothing else.

python -m tests.e2e.added_task STORE PORT
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from fastapi import Request
from fastapi.responses import Response
from pydantic import Field

from service.api import answer_schemas, infer, request_schemas
from service.api.app import create_app
from service.artifact.manifest import ModelVersion
from service.engine.tensorflow_engine import make_engine
from service.http.context import Context, ProcessGroup, pipeline_run
from service.http.representation import respond
from service.http.validation import Texts
from service.pipelines import classification
from service.pipelines.catalog import Catalog, Dictionaries
from service.pipelines.formats import to_json, write_answer
from service.pipelines.run import PipelineRun
from service.settings import Settings
from service.store.serving import served
from service.tasks.sentiment import Sentiment
from service.telemetry.metrics import Metrics

# The pipeline


async def rank(run: PipelineRun, texts: Sequence[str], label: str, model: str | None) -> tuple[ModelVersion, list[int]]:
    """Orders texts by how probable a label is, and returns the place of each."""
    task = run.resources.catalog.find(Sentiment, model)
    await run.begin(run.check_size("text", texts, len))
    began = time.monotonic()
    tokenizer = run.resources.catalog.tokenizer(task.version)
    encoded, _, sequences = await run.do(classification.encode(task, tokenizer, texts, False, False))
    run.tokenized(task, began, len(texts))
    outputs = await run.infer(task.version, sequences) if len(sequences) else {}
    classified = await run.do(classification.decode(task, encoded, outputs, False, False))
    falling = sorted(range(len(texts)), key=lambda i: -classified[i].classification.scores[label])
    return task.version, [falling.index(i) for i in range(len(texts))]


# Its schemas


class RankRequest(request_schemas.Request):
    """Texts to order."""

    text: Texts = Field(description="The texts.", examples=[["Good.", "Bad."]])
    label: str = Field(description="A label of the model.", examples=["positive"])


class RankAnswer(answer_schemas.Answer):
    """The places of texts."""

    results: list[int] = Field(description="That of each text, from 0.", examples=[[0, 1]])


# Its route


@infer.router.post("/rank", operation_id="rank", response_model=RankAnswer)
async def rank_(body: RankRequest, request: Request) -> Response:
    """Orders texts."""
    version, places = await rank(pipeline_run(request), body.text, body.label, body.model)
    return await respond(request, write_answer(version, [[to_json(place)] for place in places]))


# The service of one process


def main(store: str, port: str) -> None:
    """Serves a store."""
    settings = Settings(model_store=Path(store))
    metrics = Metrics()
    catalog = Catalog(Dictionaries(settings, metrics))
    versions, defaults = served(settings)
    engine = make_engine(settings, versions, metrics, catalog.prepare)
    context = Context(settings, metrics, engine, catalog, None, ProcessGroup(tuple(defaults.values())))
    uvicorn.run(create_app(context, waits=True), port=int(port), log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
