"""POST /generate, and what speaks of it in other words."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from service.api import schemas
from service.api.call import Call, answer
from service.engine.protocol import Generation
from service.errors import TagwerkError, TooLarge
from service.tasks.generation import End, TextGeneration

HEARTBEAT_SECONDS = 10.0
MAX_SEED = 2**53 - 1  # the largest whole number that JSON keeps everywhere


@dataclass(frozen=True, slots=True)
class Piece:
    """The next characters of the text at `index`."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of the text at `index`."""

    index: int
    end: End
    seed: int


def wishes(call: Call, body: schemas.GenerateRequest) -> tuple[TextGeneration, list[Generation]]:
    """Returns the model and what it shall generate: n texts for each prompt, prompt by prompt.

    The texts of one prompt have consecutive seeds, so that each can be had again alone.
    """
    task = call.here.catalog.find(TextGeneration, body.model)
    call.check_size("prompt", body.prompt, body.n)
    most = call.here.settings.max_generated_tokens
    if body.max_tokens > most:
        raise TooLarge("/max_tokens", f"got {body.max_tokens}", f"at most {most}")
    seed = secrets.randbits(53) if body.seed is None else body.seed
    return task, [
        Generation(
            model=task.version.key,
            prompt=task.encode(prompt),
            max_tokens=body.max_tokens,
            temperature=body.temperature,
            top_k=body.top_k,
            top_p=body.top_p,
            seed=(seed + i) & MAX_SEED,
            deadline=call.deadline,
        )
        for prompt in body.prompt
        for i in range(body.n)
    ]


async def generate(call: Call, body: schemas.GenerateRequest) -> dict[str, Any]:
    """Continues prompts; returns the answer in the shape of `schemas.GenerateAnswer`."""
    task, wanted = wishes(call, body)

    async def continued(wish: Generation) -> dict[str, Any]:
        text = await task.decode(call.generated(wish), body.stop)
        return {
            "text": text.text,
            "finish_reason": text.end.finish_reason,
            "tokens": text.end.tokens,
            "seed": wish.seed,
        }

    with call.counted("queue"):
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(continued(wish)) for wish in wanted]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
    return answer(task.version, [done.result() for done in tasks])


async def stream(call: Call, body: schemas.GenerateRequest) -> AsyncGenerator[Piece | Finish | None, None]:
    """Yields the pieces of all texts as they come, and the end of each; None where nothing came for a while.

    Closing the generator stops the work.
    """
    task, wanted = wishes(call, body)
    queue: asyncio.Queue[Piece | Finish | TagwerkError] = asyncio.Queue()

    async def follow(index: int, wish: Generation) -> None:
        try:
            async with aclosing(task.pieces(call.generated(wish), body.stop)) as pieces:
                async for piece in pieces:
                    queue.put_nowait(Finish(index, piece, wish.seed) if isinstance(piece, End) else Piece(index, piece))
        except TagwerkError as error:
            queue.put_nowait(error)

    tasks = [asyncio.create_task(follow(index, wish)) for index, wish in enumerate(wanted)]
    unfinished = len(tasks)
    try:
        with call.counted("queue"):
            while unfinished:
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        event = await queue.get()
                except TimeoutError:
                    yield None
                    continue
                if isinstance(event, TagwerkError):
                    raise event
                unfinished -= isinstance(event, Finish)
                yield event
    finally:
        for following in tasks:
            following.cancel()
