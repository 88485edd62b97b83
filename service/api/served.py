"""The models as the Open Inference Protocol sees them: tensors in, tensors out.

Under its name each model reads texts. Taggers and classifiers are there under their name and `.ids`, too, where they
read token ids as their manifest has them.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from service.api import problem, schemas
from service.api.call import Call
from service.api.classify import judge
from service.api.context import Context
from service.api.encoding import to_json
from service.api.generate import generate_texts
from service.api.tag import as_json, tag
from service.api.tensors import Tensor
from service.artifact import PROBABILITIES
from service.engine.padding import Array
from service.engine.protocol import State
from service.errors import EngineUnavailable, InvalidInput, ModelNotFound, TooLarge
from service.registry import ModelVersion
from service.tasks.catalog import AnyTask
from service.tasks.generation import TextGeneration
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tagging

IDS = ".ids"
DATATYPES = {"int32": "INT32", "float32": "FP32"}
VOCABULARIES = {"word_ids": "words", "char_ids": "characters"}  # of the inputs
Parameters = dict[str, Any]


class TensorMetadata(BaseModel):
    """A tensor that a model reads or gives."""

    name: str = Field(description="Its name.", examples=["text"])
    datatype: str = Field(description="BYTES, INT32, INT64 or FP32.", examples=["BYTES"])
    shape: list[int] = Field(description="Its shape, the batch first; -1 is any length.", examples=[[-1]])


@dataclass(frozen=True, slots=True)
class Served:
    """What a model reads and gives, and what computes one from the other."""

    version: ModelVersion
    inputs: Sequence[TensorMetadata]
    outputs: Sequence[TensorMetadata]
    run: Callable[[Call, Mapping[str, Tensor], Parameters], Awaitable[list[Tensor]]]


def find(here: Context, name: str, version: str | None) -> Served:
    """Returns a model by its name, in the version that serves unless another is named.

    Raises ModelNotFound, or EngineUnavailable where it may still come.
    """
    catalog, base = here.catalog, name.removesuffix(IDS)
    wished = base if version is None else f"{base}/{version}"
    tasks: list[AnyTask] = [*catalog.all(Tagging), *catalog.all(Sentiment), *catalog.all(TextGeneration)]
    kinds = {type(task) for task in tasks if task.version.key.name == base}
    if Tagging in kinds:
        tagging = catalog.find(Tagging, wished)
        return tagger(tagging) if name == base else reader_of_ids(tagging)
    if Sentiment in kinds:
        sentiment = catalog.find(Sentiment, wished)
        return classifier(sentiment) if name == base else reader_of_ids(sentiment)
    if TextGeneration in kinds and name == base:
        return generator(catalog.find(TextGeneration, wished))
    if not catalog.states or any(state.state is State.STARTING for state in catalog.states):
        raise EngineUnavailable("the models are still being loaded")
    kept = ((task.version.key.name, "" if isinstance(task, TextGeneration) else IDS) for task in tasks)
    names = dict.fromkeys(name + ids for name, suffix in kept for ids in dict.fromkeys(("", suffix)))
    raise ModelNotFound(f"no model {name[:100]!r} is loaded; there is: {', '.join(names) or 'none'}")


def described(name: str, datatype: str, *shape: int) -> TensorMetadata:
    """Describes a tensor."""
    return TensorMetadata(name=name, datatype=datatype, shape=list(shape))


TEXT = described("text", "BYTES", -1)


def tagger(task: Tagging) -> Served:
    """Texts to their tagged sentences, each the JSON of a result of /tag."""

    async def run(call: Call, given: Mapping[str, Tensor], parameters: Parameters) -> list[Tensor]:
        refuse(parameters)
        body = schemas.TagRequest(model=str(task.version.key), text=given["text"].array.tolist())
        tagging, texts = await tag(call, body)
        results = as_json(tagging, problem.all_accepted(texts), "code_points")["results"]
        return [strings("sentences", [to_json(result).decode() for result in results])]

    return Served(task.version, [TEXT], [described("sentences", "BYTES", -1)], run)


def classifier(task: Sentiment) -> Served:
    """Texts to their labels and the probabilities of all labels, in the order of the manifest."""
    ((_, labels),) = task.version.manifest.labels.items()

    async def run(call: Call, given: Mapping[str, Tensor], parameters: Parameters) -> list[Tensor]:
        refuse(parameters)
        body = schemas.ClassifyRequest(model=str(task.version.key), text=given["text"].array.tolist())
        results = problem.all_accepted((await judge(call, body))[1])
        probabilities = np.array([[result["scores"][label] for label in labels] for result in results], np.float32)
        found = strings("label", [result["label"] for result in results])
        return [found, Tensor("probabilities", "FP32", probabilities)]

    outputs = [described("label", "BYTES", -1), described("probabilities", "FP32", -1, len(labels))]
    return Served(task.version, [TEXT], outputs, run)


def generator(task: TextGeneration) -> Served:
    """Prompts to their continuations; the parameters are the fields of /generate."""

    async def run(call: Call, given: Mapping[str, Tensor], parameters: Parameters) -> list[Tensor]:
        wish = {"model": str(task.version.key), "prompt": given["text"].array.tolist()}
        if mine := parameters.keys() & {*wish, "stream", "logprobs"}:
            raise InvalidInput(f"/parameters/{min(mine)}", "not for this protocol", "the other fields of /generate")
        try:
            body = schemas.GenerateRequest.model_validate(parameters | wish)
        except ValidationError as error:
            faults = [{**fault, "loc": ("parameters", *fault["loc"])} for fault in error.errors()]
            raise problem.Refused(problem.not_valid(faults, {"parameters": parameters})) from None
        results = problem.all_accepted((await generate_texts(call, body))[1])
        return [
            strings("text", [result["text"] for result in results]),
            strings("finish_reason", [result["finish_reason"] for result in results]),
            Tensor("tokens", "INT32", np.array([result["tokens"] for result in results], np.int32)),
            Tensor("seed", "INT64", np.array([result["seed"] for result in results], np.int64)),
        ]

    facts = [described("tokens", "INT32", -1), described("seed", "INT64", -1)]
    return Served(task.version, [TEXT], [TEXT, described("finish_reason", "BYTES", -1), *facts], run)


def reader_of_ids(task: Tagging | Sentiment) -> Served:
    """Token ids and lengths, right-padded, to what the model gives for them.

    A head with a label for each token gives the id of the best label and its probability  # [B, T].
    """
    version, endpoint = task.version, task.version.manifest.endpoint
    inputs = [described(n, DATATYPES[spec.dtype], *_shape(spec.axes)) for n, spec in endpoint.inputs.items()]
    outputs = []
    for name in version.manifest.heads:
        outputs += [described(f"{name}_id", "INT32", -1, -1), described(f"{name}_probability", "FP32", -1, -1)]
    if spec := endpoint.outputs.get(PROBABILITIES):
        outputs.append(described(PROBABILITIES, DATATYPES[spec.dtype], *_shape(spec.axes)))

    async def run(call: Call, given: Mapping[str, Tensor], parameters: Parameters) -> list[Tensor]:
        refuse(parameters)
        arrays = {name: tensor.array for name, tensor in given.items()}
        lengths = arrays.pop("lengths")  # [B]
        settings = call.here.settings
        check_ids(version, arrays, lengths, task.longest)
        if len(lengths) > settings.max_items:
            raise TooLarge("/inputs", f"{len(lengths)} rows", f"at most {settings.max_items}")
        rows = [
            [{name: array[i, :length].astype(np.int32) for name, array in arrays.items()}]
            for i, length in enumerate(lengths.tolist())
        ]
        found = [row[0] for row in await call.infer(version, rows)]
        longest = next(iter(arrays.values())).shape[1]
        return [
            Tensor(output.name, output.datatype, _padded([row[output.name] for row in found], output.shape, longest))
            for output in outputs
        ]

    return Served(version, inputs, outputs, run)


def check_ids(version: ModelVersion, arrays: Mapping[str, Array], lengths: Array, longest: int) -> None:
    """Raises InvalidInput for shapes that do not belong together, and for ids that are no token's."""
    shapes = {array.shape[:2] for array in arrays.values()}  # (B, T)
    if len(shapes) > 1 or {rows for rows, _ in shapes} != {len(lengths)}:
        raise InvalidInput("/inputs", f"the shapes begin with {sorted(shapes)}", "one batch and one length for all")
    ((_, width),) = shapes
    most = min(width, longest)
    if lengths.min() < 1 or lengths.max() > most:
        raise InvalidInput("/inputs", f"lengths from {lengths.min()} to {lengths.max()}", f"lengths from 1 to {most}")
    for name, array in arrays.items():
        size = len(version.vocabularies[VOCABULARIES[name]])
        if array.min() < 0 or array.max() >= size:
            raise InvalidInput("/inputs", f"{name} from {array.min()} to {array.max()}", f"ids from 0 to {size - 1}")


def refuse(parameters: Parameters) -> None:
    """Raises InvalidInput where there is a parameter: nothing is ignored in silence."""
    for name in parameters:
        raise InvalidInput(f"/parameters/{name[:60]}", "unknown parameter", "binary_data_output, timeout")


def strings(name: str, values: Sequence[str]) -> Tensor:
    """Returns a tensor of strings  # [B]."""
    array = np.empty(len(values), object)
    array[:] = values
    return Tensor(name, "BYTES", array)


def _shape(axes: Sequence[str | int]) -> list[int]:
    return [axis if isinstance(axis, int) else -1 for axis in axes]


def _padded(rows: Sequence[Array], shape: Sequence[int], longest: int) -> Array:
    """Returns the rows [B, ...] as they are, or those of a length of their own padded with zeros  # [B, T]."""
    if list(shape) != [-1, -1]:
        return np.stack(rows)
    padded = np.zeros((len(rows), longest), rows[0].dtype)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return padded
