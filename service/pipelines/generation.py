"""Generates texts from prompts: whole, or as a stream."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from service.artifact.manifest import ModelVersion
from service.engine.loader import MAX_WAITING_STREAMS
from service.engine.requests import Generation, Sampling
from service.errors import TooLarge, shortened
from service.pipelines.run import PipelineRun
from service.tasks.generation import End, Text, TextChunk, TextGeneration
from service.text.interruptible import Interruptible
from service.types import Sampled

HEARTBEAT_SECONDS = 10.0
MAX_SEED = 2**53 - 1  # the largest integer that every JSON implementation represents
T = TypeVar("T")


StopString = TypeAliasType(
    "StopString", Annotated[str, Field(min_length=1, max_length=100, description="A string before which a text ends.")]
)


class GenerationOptions(BaseModel):
    """What to generate, and how. The requests of /generate and /v1/completions add their own fields.

    The texts of a prompt use consecutive seeds, so that each can be reproduced alone.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    model: str | None = None
    max_tokens: int = Field(200, ge=1, description="Most tokens (characters) to generate.", examples=[40])
    temperature: float = Field(
        1.0,
        ge=0,
        le=10,
        description="Below 1 the probable becomes more probable; 0 always takes the most probable token.",
        examples=[0.7],
    )
    top_k: int = Field(
        0, ge=0, le=1_000_000, description="Sample from this many most probable tokens; 0 from all.", examples=[0]
    )
    top_p: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Sample from the most probable tokens whose probabilities sum to this.",
        examples=[0.95],
    )
    seed: int | None = Field(
        None, ge=0, le=MAX_SEED, description="The same seed gives the same text. Random by default.", examples=[7]
    )
    n: int = Field(
        1, ge=1, le=128, description="Texts for each prompt. Their seeds count up from `seed`.", examples=[1]
    )
    stop: Sequence[StopString] = Field((), max_length=16)
    logprobs: int | None = Field(
        None,
        ge=0,
        le=5,
        description="Return the log probability of each generated token and of this many most probable tokens at its"
        " position; by default none.",
    )
    prompt: Sequence[str]


TextEvent = tuple[int, TextChunk | End]  # the next characters, or the end, of the text of this index


def requests(run: PipelineRun, options: GenerationOptions, at_once: bool) -> tuple[TextGeneration, list[Generation]]:
    """Returns the model and n requests per prompt, prompt by prompt. at_once: see `Generation`."""
    task = run.resources.catalog.find(TextGeneration, options.model)
    began = time.monotonic()
    run.check_size("prompt", options.prompt, len, options.n)
    most = run.resources.settings.max_generated_tokens
    if options.max_tokens > most:
        raise TooLarge("/max_tokens", f"got {shortened(str(options.max_tokens))}", f"at most {most}")
    if (texts := len(options.prompt) * options.n) > MAX_WAITING_STREAMS:
        raise TooLarge("/n", f"{texts} texts in all, `n` for each prompt", f"at most {MAX_WAITING_STREAMS} in all")
    seed = secrets.randbits(53) if options.seed is None else options.seed
    prompts = [task.encode(prompt) for prompt in options.prompt]
    run.tokenized(task, began, len(prompts))
    return task, [
        Generation(
            model=task.version.key,
            prompt=prompt,
            max_tokens=options.max_tokens,
            sampling=Sampling(options.temperature, options.top_k, options.top_p, (seed + i) & MAX_SEED),
            deadline=run.deadline,
            logprobs=options.logprobs is not None,
            at_once=at_once,
            client=run.client,
        )
        for prompt in prompts
        for i in range(options.n)
    ]


async def generate(run: PipelineRun, options: GenerationOptions) -> tuple[ModelVersion, list[Text]]:
    """Continues prompts; returns the model version and the texts, prompt by prompt.

    Raises ModelNotFound, TooLarge, and what `Engine.generate` raises.
    """
    return await _continued(run, options, _unchanged)


async def generate_and_write(
    run: PipelineRun, options: GenerationOptions, write: Callable[[int, Text], Interruptible[list[bytes]]]
) -> tuple[ModelVersion, list[list[bytes]]]:
    """Continues prompts; returns the model version and the chunks that `write(index, text)` makes of each text.

    They are held for the client while other texts are generated.
    """

    def hold(index: int, text: Text) -> Interruptible[list[bytes]]:
        chunks = yield from write(index, text)
        run.reserve(sum(map(len, chunks)))
        return chunks

    return await _continued(run, options, hold)


async def _continued(
    run: PipelineRun, options: GenerationOptions, write: Callable[[int, Text], Interruptible[T]]
) -> tuple[ModelVersion, list[T]]:
    task, wanted = requests(run, options, at_once=bool(options.stop))  # a stop string may end the text early

    async def continued(index: int, tokens: AsyncGenerator[Sampled, None]) -> T:
        text = await task.decode(tokens, options.stop, options.logprobs or 0)
        return await run.do_in_turns(write(index, replace(text, end=_end_of(wanted[index], text.end))))

    with run.counted("queue"), run.generated(wanted) as texts:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(continued(*text)) for text in enumerate(texts)]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
    return task.version, [done.result() for done in tasks]


async def stream(run: PipelineRun, options: GenerationOptions) -> AsyncGenerator[TextEvent | None, None]:
    """Yields the chunks of all texts as they arrive, and the end of each; None when idle for a while.

    Closing the generator cancels the work.
    """
    task, wanted = requests(run, options, at_once=True)
    queue: asyncio.Queue[TextEvent | Exception] = asyncio.Queue()

    async def follow(index: int, tokens: AsyncGenerator[Sampled, None]) -> None:
        try:
            async with aclosing(task.chunks(tokens, options.stop, options.logprobs or 0)) as chunks:
                async for chunk in chunks:
                    queue.put_nowait((index, _end_of(wanted[index], chunk) if isinstance(chunk, End) else chunk))
        except Exception as error:  # passed on, since no more chunks follow
            queue.put_nowait(error)

    with run.counted("queue"), run.generated(wanted) as texts:
        tasks = [asyncio.create_task(follow(*text)) for text in enumerate(texts)]
        unfinished = len(tasks)
        try:
            while unfinished:
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        event = await queue.get()
                except TimeoutError:
                    yield None
                    continue
                if isinstance(event, Exception):
                    raise event
                unfinished -= isinstance(event[1], End)
                yield event
        finally:
            for following in tasks:
                following.cancel()


def _unchanged(index: int, text: Text) -> Interruptible[Text]:
    yield
    return text


def _end_of(request: Generation, end: End) -> End:
    """Returns the end of a text with its seed, and with the reason `shutdown` if it was cut before its last token."""
    cut = end.finish_reason == "length" and end.tokens < request.max_tokens
    return End("shutdown" if cut else end.finish_reason, end.tokens, request.sampling.seed)
