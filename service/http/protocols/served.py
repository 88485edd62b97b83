"""Adapts the models to the Open Inference Protocol: tensors in, tensors out.

Each model takes texts under its own name. Taggers and classifiers also take token ids, as their manifest defines
them, under their name followed by `.ids`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from service.artifact.manifest import PROBABILITIES
from service.artifact.version import ModelVersion
from service.engine.checks import vocabulary_size
from service.errors import InvalidInput, TooLarge
from service.formats.tagging import write_result
from service.http import request_schemas
from service.http.context import Context
from service.http.parsing import validate
from service.http.protocols.tensors import Tensor
from service.pipelines.catalog import not_found
from service.pipelines.classification import classify
from service.pipelines.generation import generate
from service.pipelines.run import PipelineRun
from service.pipelines.tagging import TaggedText, tag
from service.store.loading import AnyTask
from service.tasks.generation import TextGeneration
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tagging
from service.text.slices import Sliced
from service.types import Array, Ragged

IDS = ".ids"
DATATYPES = {"int32": "INT32", "float32": "FP32"}
Parameters = dict[str, Any]


class TensorMetadata(BaseModel):
    """An input or output tensor of a model."""

    name: str = Field(description="Its name.", examples=["text"])
    datatype: str = Field(description="BYTES, INT32, INT64 or FP32.", examples=["BYTES"])
    shape: list[int] = Field(description="Its shape, the batch first; -1 is any length.", examples=[[-1]])


@dataclass(frozen=True, slots=True)
class Served:
    """A model's inputs and outputs, and the function that computes the outputs."""

    version: ModelVersion
    inputs: Sequence[TensorMetadata]
    outputs: Sequence[TensorMetadata]
    compute: Callable[[PipelineRun, Mapping[str, Tensor], Parameters], Awaitable[list[Tensor]]]


def find(context: Context, name: str, version: str | None) -> Served:
    """Returns a model by name, in the given version or the one that serves.

    Raises ModelNotFound, or EngineUnavailable while models are being loaded.
    """
    catalog, base = context.catalog, name.removesuffix(IDS)
    requested = base if version is None else f"{base}/{version}"
    tasks: list[AnyTask] = [*catalog.all(Tagging), *catalog.all(Sentiment), *catalog.all(TextGeneration)]
    kinds = {type(task) for task in tasks if task.version.key.name == base}
    if Tagging in kinds:
        tagging = catalog.find(Tagging, requested)
        return tagger(tagging) if name == base else id_model(tagging)
    if Sentiment in kinds:
        sentiment = catalog.find(Sentiment, requested)
        return classifier(sentiment) if name == base else id_model(sentiment)
    if TextGeneration in kinds and name == base:
        return generator(catalog.find(TextGeneration, requested))
    catalog.check_loaded()
    kept = ((task.version.key.name, "" if isinstance(task, TextGeneration) else IDS) for task in tasks)
    raise not_found(f"model {name[:100]!r} is loaded", (base + ids for base, suffix in kept for ids in ("", suffix)))


def described(name: str, datatype: str, *shape: int) -> TensorMetadata:
    """Describes a tensor."""
    return TensorMetadata(name=name, datatype=datatype, shape=list(shape))


TEXT = described("text", "BYTES", -1)


def tagger(task: Tagging) -> Served:
    """Adapts a tagger: texts to tagged sentences, each text's as the JSON of a /tag result."""

    async def compute(run: PipelineRun, given: Mapping[str, Tensor], parameters: Parameters) -> list[Tensor]:
        refuse(parameters)
        _, texts = await tag(run, given["text"].array.tolist(), model=str(task.version.key))
        return [strings("sentences", await run.do(written(texts)))]

    def written(texts: Sequence[TaggedText]) -> Sliced[list[str]]:
        results: list[str] = []
        for text in texts:
            pieces = yield from write_result(text)
            results.append(b"".join(pieces).decode())
        return results

    return Served(task.version, [TEXT], [described("sentences", "BYTES", -1)], compute)


def classifier(task: Sentiment) -> Served:
    """Adapts a classifier: texts to labels, the probabilities of all labels in the manifest's order, and scores."""
    ((_, labels),) = task.version.manifest.labels.items()

    async def compute(run: PipelineRun, given: Mapping[str, Tensor], parameters: Parameters) -> list[Tensor]:
        refuse(parameters)
        _, texts = await classify(run, given["text"].array.tolist(), model=str(task.version.key))
        results = [text.classification for text in texts]
        probabilities = np.array([[result.scores[label] for label in labels] for result in results], np.float32)
        found = [strings("label", [result.label for result in results]), Tensor("probabilities", "FP32", probabilities)]
        if task.has_score:
            found.append(Tensor("score", "FP32", np.array([result.score for result in results], np.float32)))
        return found

    outputs = [described("label", "BYTES", -1), described("probabilities", "FP32", -1, len(labels))]
    if task.has_score:
        outputs.append(described("score", "FP32", -1))
    return Served(task.version, [TEXT], outputs, compute)


def generator(task: TextGeneration) -> Served:
    """Adapts a language model: prompts to continuations; the parameters are the fields of /generate."""

    async def compute(run: PipelineRun, given: Mapping[str, Tensor], parameters: Parameters) -> list[Tensor]:
        fields = {"model": str(task.version.key), "prompt": given["text"].array.tolist()}
        if mine := parameters.keys() & {*fields, "stream", "logprobs"}:
            raise InvalidInput(f"/parameters/{min(mine)}", "not for this protocol", "the other fields of /generate")
        settings = run.resources.settings
        body = validate(parameters | fields, request_schemas.GenerateRequest, settings, "/parameters")
        _, results = await generate(run, body.options())
        return [
            strings("text", [result.text.text for result in results]),
            strings("finish_reason", [result.text.end.finish_reason for result in results]),
            Tensor("tokens", "INT32", np.array([result.text.end.tokens for result in results], np.int32)),
            Tensor("seed", "INT64", np.array([result.seed for result in results], np.int64)),
        ]

    facts = [described("tokens", "INT32", -1), described("seed", "INT64", -1)]
    return Served(task.version, [TEXT], [TEXT, described("finish_reason", "BYTES", -1), *facts], compute)


def id_model(task: Tagging | Sentiment) -> Served:
    """Adapts a tagger or classifier: right-padded token ids and lengths to the model's outputs.

    For a head with a label per token, returns the id of the best label and its probability  # [B, T].
    """
    version, endpoint = task.version, task.version.manifest.endpoint
    inputs = [described(n, DATATYPES[spec.dtype], *_shape(spec.axes)) for n, spec in endpoint.inputs.items()]
    outputs = []
    for name in version.manifest.heads:
        outputs += [described(f"{name}_id", "INT32", -1, -1), described(f"{name}_probability", "FP32", -1, -1)]
    if spec := endpoint.outputs.get(PROBABILITIES):
        outputs.append(described(PROBABILITIES, DATATYPES[spec.dtype], *_shape(spec.axes)))

    async def compute(run: PipelineRun, given: Mapping[str, Tensor], parameters: Parameters) -> list[Tensor]:
        refuse(parameters)
        arrays = {name: tensor.array for name, tensor in given.items()}
        lengths = arrays.pop("lengths")  # [B]
        settings = run.resources.settings
        check_ids(version, arrays, lengths, task.longest)
        if len(lengths) > settings.max_items:
            raise TooLarge("/inputs", f"{len(lengths)} rows", f"at most {settings.max_items}")
        width = next(iter(arrays.values())).shape[1]
        real = np.arange(width) < lengths[:, None]  # [B, T]
        values = {name: array[real].astype(np.int32) for name, array in arrays.items()}
        found = await run.infer(version, Ragged(lengths.astype(np.int32), values))
        return [Tensor(one.name, one.datatype, _padded(found[one.name], one.shape, real)) for one in outputs]

    return Served(version, inputs, outputs, compute)


def check_ids(version: ModelVersion, arrays: Mapping[str, Array], lengths: Array, longest: int) -> None:
    """Raises InvalidInput for inconsistent shapes, and for ids outside of the vocabulary."""
    shapes = {array.shape[:2] for array in arrays.values()}  # (B, T)
    if len(shapes) > 1 or {rows for rows, _ in shapes} != {len(lengths)}:
        raise InvalidInput("/inputs", f"the shapes begin with {sorted(shapes)}", "one batch and one length for all")
    ((_, width),) = shapes
    most = min(width, longest)
    if lengths.min() < 1 or lengths.max() > most:
        raise InvalidInput("/inputs", f"lengths from {lengths.min()} to {lengths.max()}", f"lengths from 1 to {most}")
    for name, array in arrays.items():
        size = vocabulary_size(version, name)
        if array.min() < 0 or array.max() >= size:
            raise InvalidInput("/inputs", f"{name} from {array.min()} to {array.max()}", f"ids from 0 to {size - 1}")


def refuse(parameters: Parameters) -> None:
    """Raises InvalidInput for any parameter left over: none is ignored silently."""
    for name in parameters:
        raise InvalidInput(f"/parameters/{name[:60]}", "unknown parameter", "binary_data_output, timeout")


def strings(name: str, values: Sequence[str]) -> Tensor:
    """Builds a tensor of strings  # [B]."""
    array = np.empty(len(values), object)
    array[:] = values
    return Tensor(name, "BYTES", array)


def _shape(axes: Sequence[str | int]) -> list[int]:
    return [axis if isinstance(axis, int) else -1 for axis in axes]


def _padded(values: Array, shape: Sequence[int], real: Array) -> Array:
    """Pads an output per token with zeros  # [B, T]; returns an output per row [B, ...] as it is.

    real: the cells that are no padding  # [B, T] bool.
    """
    if list(shape) != [-1, -1]:
        return values
    padded = np.zeros(real.shape, values.dtype)
    padded[real] = values
    return padded
