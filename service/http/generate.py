"""POST /generate, and what speaks of it in other words."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from service.artifact.version import ModelVersion
from service.engine.protocol import Generation
from service.errors import TooLarge
from service.http import schemas
from service.http.call import Call
from service.http.encoding import to_json, write_answer, write_list, write_object
from service.http.validation import describe
from service.slices import Sliced
from service.tasks.generation import Choice, End, Piece, Text, TextGeneration
from service.tasks.stops import StopStrings

HEARTBEAT_SECONDS = 10.0
MAX_SEED = 2**53 - 1  # the largest whole number that JSON keeps everywhere
PROMPTS_AT_ONCE = 65_536  # tokens of prompts that go to the engine in one turn of the event loop
LEAST_PROMPT = 256  # tokens that the shortest prompt counts
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Next:
    """The next characters of the text at `index`."""

    index: int
    piece: Piece


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of the text at `index`."""

    index: int
    end: End
    seed: int


def wishes(call: Call, body: schemas.GenerateRequest, at_once: bool) -> tuple[TextGeneration, list[Generation]]:
    """Returns the model and what it shall generate: n texts for each prompt, prompt by prompt.

    The texts of one prompt have consecutive seeds, so that each can be had again alone. at_once: as in `Generation`.
    """
    task = call.here.catalog.find(TextGeneration, body.model)
    began = time.monotonic()
    call.admit("prompt", body.prompt, len, body.n)
    most = call.here.settings.max_generated_tokens
    if body.max_tokens > most:
        raise TooLarge("/max_tokens", f"got {describe(body.max_tokens)}", f"at most {most}")
    seed = secrets.randbits(53) if body.seed is None else body.seed
    prompts = [task.encode(prompt) for prompt in body.prompt]
    call.tokenized(task.version, began)
    return task, [
        Generation(
            model=task.version.key,
            prompt=prompt,
            max_tokens=body.max_tokens,
            temperature=body.temperature,
            top_k=body.top_k,
            top_p=body.top_p,
            seed=(seed + i) & MAX_SEED,
            deadline=call.deadline,
            logprobs=body.logprobs is not None,
            at_once=at_once,
        )
        for prompt in prompts
        for i in range(body.n)
    ]


@dataclass(frozen=True, slots=True)
class Generated:
    """A text that is complete, and the seed that gives it again."""

    text: Text
    seed: int


async def generate(call: Call, body: schemas.GenerateRequest) -> list[bytes]:
    """Continues prompts; returns the answer in the shape of `schemas.GenerateAnswer`, in pieces."""

    def write(index: int, generated: Generated) -> Sliced[list[bytes]]:
        text, end = generated.text, generated.text.end
        facts = {"finish_reason": end.finish_reason, "tokens": end.tokens, "seed": generated.seed}
        if body.logprobs is None:
            return [to_json({"text": text.text, **facts})]
        choices = yield from write_list(map(as_dict, text.choices))
        return write_object({"text": text.text, **facts}, logprobs=choices)

    return write_answer(*await generate_texts(call, body, write))


async def generate_texts(
    call: Call, body: schemas.GenerateRequest, write: Callable[[int, Generated], Sliced[T]]
) -> tuple[ModelVersion, list[T]]:
    """Continues prompts; returns the model, and what is written of each text, by its number, once it is complete."""
    task, wanted = wishes(call, body, at_once=bool(body.stop))  # which may end the text
    stop = StopStrings(body.stop)

    async def continued(index: int, wish: Generation) -> T:
        text = await task.decode(call.generated(wish), stop, body.logprobs or 0)
        end = _with_reason(text.end, wish)
        return await call.run_in_turns(write(index, Generated(Text(text.text, text.choices, end), wish.seed)))

    with call.counted("queue"):
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
    """Starts to follow each of the texts; the event loop turns when many or long prompts are on their way."""
    tokens = 0
    for index, wish in enumerate(wanted):
        start(follow(index, wish))
        tokens += max(len(wish.prompt), LEAST_PROMPT)
        if tokens >= PROMPTS_AT_ONCE:
            await asyncio.sleep(0)
            tokens = 0


def logprobs(body: schemas.GenerateRequest, choices: Iterable[Choice]) -> dict[str, Any]:
    """Returns the member that has the logprobs, where they are asked for."""
    return {} if body.logprobs is None else {"logprobs": list(map(as_dict, choices))}


def as_dict(choice: Choice) -> dict[str, Any]:
    """Returns a choice in the shape of `schemas.Choice`."""
    return choice.chosen._asdict() | {"top": [one._asdict() for one in choice.top]}


async def stream(call: Call, body: schemas.GenerateRequest) -> AsyncGenerator[Next | Finish | None, None]:
    """Yields the pieces of all texts as they come, and the end of each; None where nothing came for a while.

    Closing the generator stops the work.
    """
    task, wanted = wishes(call, body, at_once=True)
    queue: asyncio.Queue[Next | Finish | Exception] = asyncio.Queue()

    async def follow(index: int, wish: Generation) -> None:
        try:
            async with aclosing(task.pieces(call.generated(wish), stop, body.logprobs or 0)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, End):
                        queue.put_nowait(Finish(index, _with_reason(piece, wish), wish.seed))
                    else:
                        queue.put_nowait(Next(index, piece))
        except Exception as error:  # whatever it is, nothing more comes
            queue.put_nowait(error)

    stop = StopStrings(body.stop)
    tasks: list[asyncio.Task[None]] = []
    unfinished = len(wanted)
    try:
        await begin(wanted, follow, lambda text: tasks.append(asyncio.create_task(text)))
        with call.counted("queue"):
            while unfinished:
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        event = await queue.get()
                except TimeoutError:
                    yield None
                    continue
                if isinstance(event, Exception):
                    raise event
                unfinished -= isinstance(event, Finish)
                yield event
    finally:
        for following in tasks:
            following.cancel()


def _with_reason(end: End, wish: Generation) -> End:
    """Returns the end of a text; one that ran out before its last token was cut when the service shut down."""
    cut = end.finish_reason == "length" and end.tokens < wish.max_tokens
    return End("shutdown", end.tokens) if cut else end
