"""Runs the models for the Open Inference Protocol: each takes texts, and returns tensors."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from service.api import request_schemas
from service.api.protocols.tensors import Parameters, Tensor, tensor_of
from service.errors import InvalidInput
from service.http.body import validate
from service.pipelines.catalog import Catalog, not_found
from service.pipelines.classification import classify
from service.pipelines.formats import write_tagged_text
from service.pipelines.generation import generate
from service.pipelines.run import PipelineRun
from service.pipelines.tagging import TaggedText, tag
from service.tasks.generation import TextGeneration
from service.tasks.requirements import AnyTask
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tagging
from service.text.interruptible import Interruptible

OutputElements = dict[str, Sequence[Any]]  # an output's elements, one for each text, by its name


class TensorMetadata(BaseModel):
    """An input or output tensor of a model."""

    name: str = Field(description="Its name.", examples=["text"])
    datatype: str = Field(description="BYTES, INT32, INT64 or FP32.", examples=["BYTES"])
    shape: list[int] = Field(description="Its shape, the batch first; -1 is any length.", examples=[[-1]])


def find(catalog: Catalog, name: str, version: str | None) -> AnyTask:
    """Returns a model by name, in the given version or the serving version.

    Raises ModelNotFound, or EngineUnavailable while models are being loaded.
    """
    requested = name if version is None else f"{name}/{version}"
    tasks: list[AnyTask] = [*catalog.all(Tagging), *catalog.all(Sentiment), *catalog.all(TextGeneration)]
    for task in tasks:
        if task.version.key.name == name:
            found: AnyTask = catalog.find(type(task), requested)  # type: ignore[type-var]
            return found
    catalog.check_loaded()
    raise not_found(f"model {name[:100]!r} is loaded", (task.version.key.name for task in tasks))


def described(name: str, datatype: str, *shape: int) -> TensorMetadata:
    """Describes a tensor."""
    return TensorMetadata(name=name, datatype=datatype, shape=list(shape))


TEXT = described("text", "BYTES", -1)


def output_metadata(task: AnyTask) -> list[TensorMetadata]:
    """Describes the outputs of a model."""
    match task:
        case Tagging():
            return [described("sentences", "BYTES", -1)]
        case Sentiment():
            outputs = [described("label", "BYTES", -1), described("probabilities", "FP32", -1, len(task.labels))]
            return [*outputs, described("score", "FP32", -1)] if task.has_score else outputs
        case TextGeneration():
            reason, tokens = described("finish_reason", "BYTES", -1), described("tokens", "INT32", -1)
            return [TEXT, reason, tokens, described("seed", "INT64", -1)]


async def compute(task: AnyTask, run: PipelineRun, texts: list[str], parameters: Parameters) -> list[Tensor]:
    """Runs a model on texts; returns its outputs in the order of `output_metadata`."""
    try:
        match task:
            case Tagging():
                found = await _tag(task, run, texts, parameters)
            case Sentiment():
                found = await _classify(task, run, texts, parameters)
            case TextGeneration():
                found = await _generate(task, run, texts, parameters)
    except InvalidInput as error:
        error.move(_place)
        raise
    return [tensor_of(output.name, output.datatype, found[output.name]) for output in output_metadata(task)]


def _place(pointer: str) -> str:
    """Returns where a request of the protocol has what a pointer into a request of the task names."""
    if pointer.startswith("/parameters/"):
        return pointer
    field, slash, rest = pointer[1:].partition("/")
    return f"/inputs/0/data{slash}{rest}" if field in ("text", "prompt") else f"/parameters{pointer}"


async def _tag(task: Tagging, run: PipelineRun, texts: list[str], parameters: Parameters) -> OutputElements:
    """Tags texts; returns for each text its /tag result as JSON."""
    _refuse(parameters)
    _, tagged = await tag(run, texts, model=str(task.version.key))
    return {"sentences": await run.do(_written(tagged))}


def _written(texts: Sequence[TaggedText]) -> Interruptible[list[str]]:
    results: list[str] = []
    for text in texts:
        chunks = yield from write_tagged_text(text)
        results.append(b"".join(chunks).decode())
    return results


async def _classify(task: Sentiment, run: PipelineRun, texts: list[str], parameters: Parameters) -> OutputElements:
    """Classifies texts: labels, the probabilities of all labels in the manifest's order, and scores."""
    _refuse(parameters)
    _, classified = await classify(run, texts, model=str(task.version.key))
    results = [text.classification for text in classified]
    return {
        "label": [result.label for result in results],
        "probabilities": [[result.scores[label] for label in task.labels] for result in results],
        "score": [result.score for result in results],
    }


async def _generate(task: TextGeneration, run: PipelineRun, texts: list[str], parameters: Parameters) -> OutputElements:
    """Continues texts; the parameters are the fields of /generate."""
    fields = {"model": str(task.version.key), "prompt": texts}
    if mine := parameters.keys() & {*fields, "stream", "logprobs"}:
        raise InvalidInput(f"/parameters/{min(mine)}", "not for this protocol", "the other fields of /generate")
    body = validate(parameters | fields, request_schemas.GenerateRequest, run.resources.settings)
    _, results = await generate(run, body)
    return {
        "text": [result.text for result in results],
        "finish_reason": [result.end.finish_reason for result in results],
        "tokens": [result.end.tokens for result in results],
        "seed": [result.end.seed for result in results],
    }


def _refuse(parameters: Parameters) -> None:
    """Raises InvalidInput for any parameter left over: none is ignored silently."""
    for name in parameters:
        raise InvalidInput(f"/parameters/{name[:60]}", "unknown parameter", "binary_data_output, timeout")
