"""The Open Inference Protocol (V2) below /v2, as used by Triton's clients among others.

https://github.com/kserve/open-inference-protocol
"""

from importlib.metadata import version as version_of
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from service.api.openapi import ANY, INFER, READ, responses
from service.api.protocols import tensors
from service.api.protocols.served import TEXT, TensorMetadata, compute, find, output_metadata
from service.api.protocols.tensors import InferenceRequest, InferenceResponse, Parameters
from service.errors import EngineUnavailable, InvalidInput
from service.http.body import in_turn, receive
from service.http.context import context_of, pipeline_run
from service.http.problem import RETRY_AFTER
from service.http.representation import response_of
from service.http.validation import describe
from service.paths import OPEN_INFERENCE
from service.pipelines.formats import JSON
from service.tasks.requirements import AnyTask
from service.types import State

OCTETS = "application/octet-stream"
LONGEST_TIMEOUT = 999_999_999_000  # microseconds; the maximum of X-Request-Timeout-Ms
STRING = {"type": "string"}
router = APIRouter(prefix=OPEN_INFERENCE, tags=["Open Inference Protocol"])


class ModelMetadata(BaseModel):
    """The inputs and outputs of a model."""

    name: str = Field(description="Its name.", examples=["tagger-en"])
    versions: list[str] = Field(description="The versions that are loaded.", examples=[["1"]])
    platform: str = Field(description="What runs it.", examples=["tensorflow_savedmodel"])
    inputs: list[TensorMetadata] = Field(description="Its inputs.")
    outputs: list[TensorMetadata] = Field(description="Its outputs.")


class ServerMetadata(BaseModel):
    """The server."""

    name: str = Field(description="Its name.", examples=["tagwerk"])
    version: str = Field(description="Its version.", examples=["0.2.0"])
    extensions: list[str] = Field(description="The supported extensions.", examples=[["binary_tensor_data"]])


class Live(BaseModel):
    """The process answers."""

    live: bool = Field(description="Always true.", examples=[True])


class Ready(BaseModel):
    """Whether requests are accepted."""

    ready: bool = Field(description="Whether they are.", examples=[True])


class ModelReady(Ready):
    """Whether requests for a model are accepted."""

    name: str = Field(description="Name of the model.", examples=["tagger-en"])


@router.get("", operation_id="server_metadata", summary="The server", responses=responses(*READ))
async def server() -> ServerMetadata:
    """Describes the server."""
    return ServerMetadata(name="tagwerk", version=version_of("tagwerk"), extensions=["binary_tensor_data"])


@router.get("/health/live", operation_id="server_live", summary="Is the process alive?", responses=responses(*ANY))
async def live() -> Live:
    """Answers while the process is running."""
    return Live(live=True)


@router.get(
    "/health/ready",
    operation_id="server_ready",
    summary="Does it take requests?",
    response_model=Ready,
    responses={503: {"model": Ready, "description": "Not ready"}, **responses(*ANY)},
)
async def ready(request: Request) -> Response:
    """Returns the readiness, like /readyz."""
    context = context_of(request)
    return _readiness(Ready(ready=context.ready()))


METADATA: dict[str, Any] = {"responses": responses(404, 503, *READ)}
VERSION: dict[str, Any] = {"parameters": [{"name": "version", "in": "path", "required": True, "schema": STRING}]}


@router.get("/models/{name}", operation_id="model_metadata", summary="A model", **METADATA)
@router.get(
    "/models/{name}/versions/{version}",
    operation_id="model_version_metadata",
    summary="A version of a model",
    openapi_extra=VERSION,
    **METADATA,
)
async def metadata(request: Request, name: str) -> ModelMetadata:
    """Describes the inputs and outputs of a version of a model, by default the serving version."""
    context = context_of(request)
    outputs = output_metadata(find(context.catalog, name, request.path_params.get("version")))
    versions = [s.key.version for s in context.model_states() if s.key.name == name and s.state is State.READY]
    return ModelMetadata(name=name, versions=versions, platform="tensorflow_savedmodel", inputs=[TEXT], outputs=outputs)


MODEL_READINESS: dict[str, Any] = {
    "response_model": ModelReady,
    "summary": "Is it ready?",
    "responses": {503: {"model": ModelReady, "description": "Not ready"}, **responses(404, *READ)},
}


@router.get("/models/{name}/ready", operation_id="model_ready", **MODEL_READINESS)
@router.get(
    "/models/{name}/versions/{version}/ready",
    operation_id="model_version_ready",
    openapi_extra=VERSION,
    **MODEL_READINESS,
)
async def readiness(request: Request, name: str) -> Response:
    """Returns whether requests for a version of a model are accepted, by default for the serving version."""
    try:
        find(context_of(request).catalog, name, request.path_params.get("version"))
    except EngineUnavailable:
        return _readiness(ModelReady(name=name, ready=False))
    return _readiness(ModelReady(name=name, ready=True))


def _readiness(content: Ready) -> Response:
    status, headers = (200, None) if content.ready else (503, RETRY_AFTER)
    return Response(content.model_dump_json(), status, headers, JSON)


BINARY = {OCTETS: {"schema": {"type": "string", "format": "binary"}}}  # JSON, and then the bytes of tensors
LENGTH = {"description": "Length of the JSON before the bytes of tensors.", "schema": {"type": "integer", "minimum": 0}}
RUN: dict[str, Any] = {
    "response_model": InferenceResponse,
    "responses": {
        200: {"description": "The outputs", "content": BINARY, "headers": {tensors.HEADER: LENGTH}},
        **responses(*INFER),
    },
}
TENSORS: dict[str, Any] = {
    "parameters": [{"name": tensors.HEADER, "in": "header", **LENGTH}],
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/InferenceRequest"}}, **BINARY},
    },
}
VERSION_TENSORS = {**TENSORS, "parameters": VERSION["parameters"] + TENSORS["parameters"]}


@router.post("/models/{name}/infer", operation_id="model_infer", summary="Run a model", openapi_extra=TENSORS, **RUN)
@router.post(
    "/models/{name}/versions/{version}/infer",
    operation_id="model_version_infer",
    summary="Run a version of a model",
    openapi_extra=VERSION_TENSORS,
    **RUN,
)
async def infer(request: Request, name: str) -> Response:
    """Runs a model on tensors, in JSON or with the binary extension; by default the serving version."""
    context, run = context_of(request), pipeline_run(request)
    task = find(context.catalog, name, request.path_params.get("version"))
    body, json_length = await receive(request), request.headers.get(tensors.HEADER)
    inference, texts = await in_turn(context, body, lambda: tensors.read(body, json_length, context.settings))
    parameters = dict(inference.parameters)
    all_binary = parameters.pop("binary_data_output", False)
    if type(all_binary) is not bool:
        raise InvalidInput("/parameters/binary_data_output", f"got {describe(all_binary)}", "true or false")
    run.deadline = min(run.deadline, run.timing.started + _timeout_seconds(parameters))
    check_outputs(task, inference)
    outputs = {output.name: output for output in await compute(task, run, texts, parameters)}
    named = {output.name: output.parameters.binary_data for output in inference.outputs} or dict.fromkeys(outputs)
    wanted = [outputs[name] for name in named]
    binary = frozenset(name for name, own in named.items() if (all_binary if own is None else own))
    head = {"model_name": name, "model_version": task.version.manifest.version}
    head |= {} if inference.id is None else {"id": inference.id}
    content, header_length = await run.do(tensors.write(head, wanted, binary))
    if header_length is None:
        return response_of(request, content, {}, JSON)
    return response_of(request, content, {tensors.HEADER: str(header_length)}, OCTETS)


def _timeout_seconds(parameters: Parameters) -> float:
    timeout = parameters.pop("timeout", None)
    if timeout is None:
        return float("inf")
    if type(timeout) is not int or not 0 < timeout <= LONGEST_TIMEOUT:
        allowed = f"a whole number of microseconds, 1 to {LONGEST_TIMEOUT}"
        raise InvalidInput("/parameters/timeout", f"got {describe(timeout)}", allowed)
    return timeout / 1e6


def check_outputs(task: AnyTask, inference: InferenceRequest) -> None:
    """Raises InvalidInput if a requested output is unknown or is named twice."""
    known = [output.name for output in output_metadata(task)]
    names: set[str] = set()
    for number, output in enumerate(inference.outputs):
        place = f"/outputs/{number}/name"
        if output.name not in known:
            raise InvalidInput(place, f"got {output.name[:60]!r}", ", ".join(known))
        if output.name in names:  # it would be written as often
            raise InvalidInput(place, f"{output.name!r} is there twice", "each output once")
        names.add(output.name)
