"""Generates texts from prompts: whole, or as a stream."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from service.artifact.manifest import ModelVersion
from service.engine.loader import MAX_WAITING_STREAMS
from service.engine.requests import Generation, Sampling
from service.errors import TooLarge, shortened
from service.pipelines.run import PipelineRun
from service.tasks.generation import End, Piece, Text, TextGeneration
from service.text.slices import Sliced

HEARTBEAT_SECONDS = 10.0
MAX_SEED = 2**53 - 1  # the largest integer that every JSON implementation represents
PROMPTS_AT_ONCE = 65_536  # prompt tokens sent to the engine in one event loop iteration
LEAST_PROMPT = 256  # tokens counted for a shorter prompt
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationOptions:
    """The options of a generation; see `service.engine.requests.Generation`.

    Attributes:
        n: texts for each prompt.
        seed: of the first text of each prompt; random if None. The other texts use consecutive seeds, so that each can
            be reproduced alone.
        stop: strings before which a text ends.
        logprobs: number of most probable tokens to return for each token; None returns no log probabilities.
    """

    prompts: Sequence[str]
    model: str | None = None
    n: int = 1
    max_tokens: int = 200
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None
    stop: Sequence[str] = ()
    logprobs: int | None = None


Part = tuple[int, Piece | End]  # the next characters, or the end, of the text of this index


def requests(run: PipelineRun, options: GenerationOptions, at_once: bool) -> tuple[TextGeneration, list[Generation]]:
    """Returns the model and n requests per prompt, prompt by prompt. at_once: see `Generation`."""
    task = run.resources.catalog.find(TextGeneration, options.model)
    began = time.monotonic()
    run.check_size("prompt", options.prompts, len, options.n)
    most = run.resources.settings.max_generated_tokens
    if options.max_tokens > most:
        raise TooLarge("/max_tokens", f"got {shortened(str(options.max_tokens))}", f"at most {most}")
    if (texts := len(options.prompts) * options.n) > MAX_WAITING_STREAMS:
        raise TooLarge("/n", f"{texts} texts in all, `n` for each prompt", f"at most {MAX_WAITING_STREAMS} in all")
    run.resources.engine.check_room_for_texts(task.version.key, texts)  # once, for all
    seed = secrets.randbits(53) if options.seed is None else options.seed
    prompts = [task.encode(prompt) for prompt in options.prompts]
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
    run: PipelineRun, options: GenerationOptions, write: Callable[[int, Text], Sliced[list[bytes]]]
) -> tuple[ModelVersion, list[list[bytes]]]:
    """Continues prompts; returns the model version and the pieces that `write(index, text)` makes of each text.

    They are held for the client while other texts are generated.
    """

    def hold(index: int, text: Text) -> Sliced[list[bytes]]:
        pieces = yield from write(index, text)
        run.reserve(sum(map(len, pieces)))
        return pieces

    return await _continued(run, options, hold)


async def _continued(
    run: PipelineRun, options: GenerationOptions, write: Callable[[int, Text], Sliced[T]]
) -> tuple[ModelVersion, list[T]]:
    task, wanted = requests(run, options, at_once=bool(options.stop))  # a stop string may end the text early

    async def continued(index: int, request: Generation) -> T:
        text = await task.decode(run.generated(request), options.stop, options.logprobs or 0)
        return await run.do_in_turns(write(index, replace(text, end=_end_of(request, text.end))))

    with run.counted("queue"):
        try:
            async with asyncio.TaskGroup() as group:
                tasks: list[asyncio.Task[T]] = []
                await begin(wanted, continued, lambda text: tasks.append(group.create_task(text)))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
    return task.version, [done.result() for done in tasks]


async def begin(
    wanted: Sequence[Generation],
    follow: Callable[[int, Generation], Coroutine[Any, Any, T]],
    start: Callable[[Coroutine[Any, Any, T]], None],
) -> None:
    """Starts `follow` on each text; yields to the event loop after many or long prompts."""
    tokens = 0
    for index, request in enumerate(wanted):
        start(follow(index, request))
        tokens += max(len(request.prompt), LEAST_PROMPT)
        if tokens >= PROMPTS_AT_ONCE:
            await asyncio.sleep(0)
            tokens = 0


async def stream(run: PipelineRun, options: GenerationOptions) -> AsyncGenerator[Part | None, None]:
    """Yields the pieces of all texts as they arrive, and the end of each; None when idle for a while.

    Closing the generator cancels the work.
    """
    task, wanted = requests(run, options, at_once=True)
    queue: asyncio.Queue[Part | Exception] = asyncio.Queue()

    async def follow(index: int, request: Generation) -> None:
        try:
            async with aclosing(task.pieces(run.generated(request), options.stop, options.logprobs or 0)) as pieces:
                async for piece in pieces:
                    queue.put_nowait((index, _end_of(request, piece) if isinstance(piece, End) else piece))
        except Exception as error:  # passed on, since no more pieces follow
            queue.put_nowait(error)

    tasks: list[asyncio.Task[None]] = []
    unfinished = len(wanted)
    try:
        await begin(wanted, follow, lambda text: tasks.append(asyncio.create_task(text)))
        with run.counted("queue"):
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


def _unchanged(index: int, text: Text) -> Sliced[Text]:
    yield
    return text


def _end_of(request: Generation, end: End) -> End:
    """Returns the end of a text with its seed, and with the reason `shutdown` if it was cut before its last token."""
    cut = end.finish_reason == "length" and end.tokens < request.max_tokens
    return End("shutdown" if cut else end.finish_reason, end.tokens, request.sampling.seed)
