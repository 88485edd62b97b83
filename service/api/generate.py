"""POST /generate, and what speaks of it in other words."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from service.api import schemas
from service.api.call import Call, answer
from service.api.problem import Rejected, all_accepted
from service.engine.protocol import Generation
from service.errors import TooLarge
from service.registry import ModelVersion
from service.tasks.generation import Choice, End, Piece, TextGeneration

HEARTBEAT_SECONDS = 10.0
MAX_SEED = 2**53 - 1  # the largest whole number that JSON keeps everywhere


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


def wishes(
    call: Call, body: schemas.GenerateRequest, at_once: bool
) -> tuple[TextGeneration, list[Generation | Rejected]]:
    """Returns the model and what it shall generate: n texts for each prompt, prompt by prompt.

    The texts of one prompt have consecutive seeds, so that each can be had again alone. at_once: as in `Generation`.
    """
    task = call.here.catalog.find(TextGeneration, body.model)
    began = time.monotonic()
    accepted = call.admit("prompt", body.prompt, len, body.n)
    most = call.here.settings.max_generated_tokens
    if body.max_tokens > most:
        raise TooLarge("/max_tokens", f"got {body.max_tokens}", f"at most {most}")
    seed = secrets.randbits(53) if body.seed is None else body.seed
    prompts = [prompt if isinstance(prompt, Rejected) else task.encode(prompt) for prompt in accepted]
    call.tokenized(task.version, began)
    return task, [
        prompt
        if isinstance(prompt, Rejected)
        else Generation(
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


async def generate(call: Call, body: schemas.GenerateRequest) -> dict[str, Any]:
    """Continues prompts; returns the answer in the shape of `schemas.GenerateAnswer`."""
    return answer(*await generate_texts(call, body))


async def generate_texts(
    call: Call, body: schemas.GenerateRequest
) -> tuple[ModelVersion, list[dict[str, Any] | Rejected]]:
    """Continues prompts; returns the model, and for each text its result in the shape of `schemas.Generated`."""
    task, wanted = wishes(call, body, at_once=bool(body.stop))  # which may end the text

    async def continued(wish: Generation | Rejected) -> dict[str, Any] | Rejected:
        if isinstance(wish, Rejected):
            return wish
        text = await task.decode(call.generated(wish), body.stop, body.logprobs or 0)
        return {
            "text": text.text,
            **logprobs(body, text.choices),
            "finish_reason": _judged(text.end, wish).finish_reason,
            "tokens": text.end.tokens,
            "seed": wish.seed,
        }

    with call.counted("queue"):
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(continued(wish)) for wish in wanted]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
    return task.version, [done.result() for done in tasks]


def logprobs(body: schemas.GenerateRequest, choices: Iterable[Choice]) -> dict[str, Any]:
    """Returns the member that has the logprobs, in the shape of `schemas.Choice`, where they are asked for."""
    if body.logprobs is None:
        return {}
    return {"logprobs": [c.chosen._asdict() | {"top": [one._asdict() for one in c.top]} for c in choices]}


async def stream(call: Call, body: schemas.GenerateRequest) -> AsyncGenerator[Next | Finish | None, None]:
    """Yields the pieces of all texts as they come, and the end of each; None where nothing came for a while.

    Closing the generator stops the work.
    """
    task, wishes_or_errors = wishes(call, body, at_once=True)
    wanted = all_accepted(wishes_or_errors)
    queue: asyncio.Queue[Next | Finish | Exception] = asyncio.Queue()

    async def follow(index: int, wish: Generation) -> None:
        try:
            async with aclosing(task.pieces(call.generated(wish), body.stop, body.logprobs or 0)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, End):
                        queue.put_nowait(Finish(index, _judged(piece, wish), wish.seed))
                    else:
                        queue.put_nowait(Next(index, piece))
        except Exception as error:  # whatever it is, nothing more comes
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
                if isinstance(event, Exception):
                    raise event
                unfinished -= isinstance(event, Finish)
                yield event
    finally:
        for following in tasks:
            following.cancel()


def _judged(end: End, wish: Generation) -> End:
    """Returns the end of a text; one that ran out before its last token was cut when the service shut down."""
    cut = end.finish_reason == "length" and end.tokens < wish.max_tokens
    return End("shutdown", end.tokens) if cut else end
