"""OpenAI's API for text completion: /v1/completions and /v1/models.

https://platform.openai.com/docs/api-reference/completions. Unsupported options are refused, not ignored.
"""

import time
import uuid
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType

from service.api import events, request_schemas
from service.api.openapi import INFER, READ, responses
from service.api.route import JsonRoute
from service.artifact.manifest import ModelVersion
from service.errors import InvalidInput
from service.http import problem
from service.http.context import context_of, pipeline_run
from service.http.representation import respond
from service.http.validation import at_most
from service.paths import OPENAI
from service.pipelines.formats import join_list, to_json, write_list, write_object
from service.pipelines.generation import generate_and_write
from service.pipelines.run import PipelineRun
from service.tasks.generation import START, Choice, End, Text, TextChunk, TextGeneration
from service.text.interruptible import Interruptible

router = APIRouter(prefix=OPENAI, route_class=JsonRoute, tags=["OpenAI"])


CompletionFinishReason = TypeAliasType(
    "CompletionFinishReason", Annotated[Literal["stop", "length"], Field(description="Why a text ended.")]
)


LogitBias = TypeAliasType(
    "LogitBias",
    Annotated[dict[str, float], at_most(0), Field(max_length=0, description="What to add to the logits of tokens.")],
)


class StreamOptions(request_schemas.Strict):
    """Options of a stream."""

    include_usage: bool = Field(False, description="Send a last chunk with the usage.", examples=[True])
    include_obfuscation: bool = Field(False, description="Accepted, and without effect.", examples=[False])


class CompletionRequest(request_schemas.GenerateRequest):
    """OpenAI's request for a completion."""

    model: str = Field(description="Name of the model, one of those of /v1/models.", examples=["lm-shakespeare"])
    max_tokens: int = Field(16, ge=1, description="Most tokens (characters) to generate.", examples=[40])
    echo: bool = Field(False, description="Put the prompt before the text.", examples=[False])
    stream_options: StreamOptions | None = Field(None, description="For streams.")
    user: str | None = Field(None, max_length=1000, description="Accepted, and without effect.")
    best_of: int | None = Field(None, ge=1, le=1, description="Only 1.", examples=[1])
    frequency_penalty: float | None = Field(None, ge=0, le=0, description="Only 0.", examples=[0])
    presence_penalty: float | None = Field(None, ge=0, le=0, description="Only 0.", examples=[0])
    logit_bias: LogitBias | None = Field(None, description="Only an empty one.")
    suffix: str | None = Field(None, max_length=0, description="Only an empty one.")


class Logprobs(BaseModel):
    """The log probabilities of a text's tokens, by the model's distribution before temperature, top-k and top-p."""

    tokens: list[str] = Field(description="The tokens (characters).", examples=[["W", "h"]])
    token_logprobs: list[float] = Field(description="Their log probabilities, in nats.", examples=[[-0.69, -0.1]])
    top_logprobs: list[dict[str, float]] = Field(
        description="The most probable tokens in the place of each, and the token itself.",
        examples=[[{"W": -0.69, "T": -1.2}, {"h": -0.1, "i": -2.9}]],
    )
    text_offset: list[int] = Field(description="Where each begins in the text, in code points.", examples=[[0, 1]])


class CompletionChoice(BaseModel):
    """A text."""

    text: str = Field(description="The text, or the next chunk of it.", examples=["\nWhat, shall I speak?"])
    index: int = Field(description="Number of the text: prompt by prompt, from 0.", examples=[0])
    logprobs: Logprobs | None = Field(description="On request.")
    finish_reason: CompletionFinishReason | None = Field(
        description="Why the text ended; null before its end.", examples=["length"]
    )


class Usage(BaseModel):
    """Token usage (characters)."""

    prompt_tokens: int = Field(description="Tokens of the prompts.", examples=[6])
    completion_tokens: int = Field(description="Tokens generated.", examples=[21])
    total_tokens: int = Field(description="Both together.", examples=[27])


class Completion(BaseModel):
    """OpenAI's answer, or a chunk of it."""

    id: str = Field(description="Id of the answer.", examples=["cmpl-6f1c"])
    object: Literal["text_completion"] = Field(description="What this is.", examples=["text_completion"])
    created: int = Field(description="Unix time of creation.", examples=[1767225600])
    model: str = Field(description="Name of the model.", examples=["lm-shakespeare"])
    system_fingerprint: str = Field(description="Its name and version.", examples=["lm-shakespeare/1"])
    choices: list[CompletionChoice] = Field(description="The texts, prompt by prompt.")
    usage: Usage | None = Field(description="Token usage.")


class Model(BaseModel):
    """A model that completes texts."""

    id: str = Field(description="Its name.", examples=["lm-shakespeare"])
    object: Literal["model"] = Field(description="What this is.", examples=["model"])
    created: int = Field(description="Unix time of its creation.", examples=[1767225600])
    owned_by: str = Field(description="The owner.", examples=["tagwerk"])


class Models(BaseModel):
    """The models that complete texts."""

    object: Literal["list"] = Field(description="What this is.", examples=["list"])
    data: list[Model] = Field(description="The models, by name.")


@router.get(
    "/models",
    operation_id="list_completion_models",
    summary="The models that complete texts",
    responses=responses(*READ),
)
async def models(request: Request) -> Models:
    """Lists the models of /v1/completions."""
    catalog = context_of(request).catalog
    names = dict.fromkeys(task.version.key.name for task in catalog.all(TextGeneration))
    return Models(object="list", data=[_model(catalog.find(TextGeneration, name).version) for name in names])


@router.get(
    "/models/{name}", operation_id="get_completion_model", summary="One of them", responses=responses(404, 503, *READ)
)
async def model(name: str, request: Request) -> Model:
    """Describes a model."""
    return _model(context_of(request).catalog.find(TextGeneration, name).version)


EVENTS_EXAMPLE = """data: {"id":"cmpl-6f1c","object":"text_completion","created":1767225600,"model":"lm-shakespeare",\
"system_fingerprint":"lm-shakespeare/4","choices":[{"text":"W","index":0,"logprobs":null,"finish_reason":null}],\
"usage":null}

data: [DONE]

"""


@router.post(
    "/completions",
    operation_id="create_completion",
    response_model=Completion,
    summary="Complete texts",
    responses={200: events.described(EVENTS_EXAMPLE), **responses(*INFER)},
)
async def completions(body: CompletionRequest, request: Request) -> Response:
    """Continues prompts as /generate does, with OpenAI's fields."""
    run = pipeline_run(request)
    task = run.resources.catalog.find(TextGeneration, body.model)
    if body.echo and body.logprobs is not None:
        raise InvalidInput("/logprobs", f"got {body.logprobs} with echo", "null, or no echo: a prompt has no logprobs")
    body.model = str(task.version.key)
    writer = CompletionWriter(task.version, body)
    if body.stream:
        usage = body.stream_options is not None and body.stream_options.include_usage
        return await events.streamed(writer.chunks(run, usage))
    _, choices = await generate_and_write(run, body, writer.write_choice)
    return await respond(request, writer.write(choices))


def _model(version: ModelVersion) -> Model:
    created = int(version.manifest.created.timestamp())
    return Model(id=version.manifest.name, object="model", created=created, owned_by="tagwerk")


class CompletionWriter:
    """Encodes one response: its id, its creation time, its texts or their chunks, and its token usage."""

    def __init__(self, version: ModelVersion, body: CompletionRequest) -> None:
        self.tokens = 0
        self._read = sum(len(prompt or START) for prompt in body.prompt)
        self._echoes = [prompt if body.echo else "" for prompt in body.prompt for _ in range(body.n)]
        self._body = body
        self._written = [0] * len(self._echoes)  # characters of each text
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": version.manifest.name,
            "system_fingerprint": str(version.key),
        }

    def write_choice(self, index: int, text: Text) -> Interruptible[list[bytes]]:
        """Encodes a complete text as a `CompletionChoice`, in chunks."""
        self.tokens += text.end.tokens
        choice = {
            "text": self._echoes[index] + text.text,
            "index": index,
            "finish_reason": _finish_reason(text.end.finish_reason),
        }
        if self._body.logprobs is None:
            return [to_json({**choice, "logprobs": None})]
        lists: dict[str, list[bytes]] = {}
        for name, values in _logprobs(text.choices, 0).items():
            lists[name] = yield from write_list(values)
        return write_object(choice, logprobs=write_object({}, **lists))

    def write(self, choices: Sequence[list[bytes]]) -> list[bytes]:
        """Encodes the whole response, in chunks."""
        return write_object({**self._head, "usage": self.usage()}, choices=join_list(choices))

    def write_chunk(self, index: int, chunk: TextChunk | End) -> bytes:
        """Encodes the event of a text's next characters, the first of which follow the echoed prompt, or of its end."""
        choice: dict[str, Any] = {"text": self._echoes[index], "index": index, "logprobs": None, "finish_reason": None}
        self._echoes[index] = ""
        if isinstance(chunk, End):
            self.tokens += chunk.tokens
            choice["finish_reason"] = _finish_reason(chunk.finish_reason)
        else:
            choice["text"] += chunk.text
            if self._body.logprobs is not None:
                probable = _logprobs(chunk.choices, self._written[index])
                choice["logprobs"] = {name: list(values) for name, values in probable.items()}
            self._written[index] += len(chunk.text)
        return events.event({**self._head, "choices": [choice], "usage": None})

    def usage(self) -> dict[str, int]:
        """Returns the numbers of tokens read and generated."""
        total = self._read + self.tokens
        return {"prompt_tokens": self._read, "completion_tokens": self.tokens, "total_tokens": total}

    def chunks(self, run: PipelineRun, with_usage: bool) -> AsyncGenerator[bytes, None]:
        """Yields the events of a stream: the chunks of texts, the usage on request, and [DONE]; or an error."""

        def write_end() -> Iterator[bytes]:
            if with_usage:
                yield events.event({**self._head, "choices": [], "usage": self.usage()})
            yield b"data: [DONE]\n\n"

        def write_error(document: dict[str, Any]) -> bytes:
            return events.event(problem.with_protocol_error(f"{OPENAI}/", document))

        return events.generation_events(run, self._body, self.write_chunk, write_error, write_end)


def _logprobs(choices: Sequence[Choice], start: int) -> dict[str, Iterable[Any]]:
    """Returns the choices of characters from `start` on as `Logprobs`."""
    return {
        "tokens": (choice.chosen.token for choice in choices),
        "token_logprobs": (choice.chosen.logprob for choice in choices),
        "top_logprobs": (dict((*choice.top, choice.chosen)) for choice in choices),
        "text_offset": range(start, start + len(choices)),
    }


def _finish_reason(reason: str) -> str:
    return "length" if reason == "shutdown" else reason  # the API has no shutdown reason
