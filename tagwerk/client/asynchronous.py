"""The client for programs with an event loop."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack, cast

import aiohttp
import msgspec

from tagwerk.client.batching import cut
from tagwerk.client.connection import Connection, error_of_problem
from tagwerk.client.errors import Problem, Refused, Unavailable
from tagwerk.client.lines import LineStream
from tagwerk.client.options import ClassifyOptions, FeedbackOptions, GenerateOptions, TagOptions
from tagwerk.client.results import Classified, Feedback, Generated, Limits, Model, Models, Piece, Tagged

Result = TypeVar("Result")
Item = TypeVar("Item")
Texts = Iterable[str] | AsyncIterable[str]
REQUESTS_OF_A_LIST = 4  # at the same time


class Answer(msgspec.Struct, Generic[Result], frozen=True):
    """The results of a request, one a text."""

    results: tuple[Result, ...]


class AsyncClient:
    """Calls a tagwerk service. A context manager; for use in one event loop.

    A request that the service has no capacity for, or that a connection has lost, is sent again until its timeout, with
    the remaining time in a header. Methods raise Refused, Unavailable and DeadlineExceeded, which are
    ClientErrors.

    Args:
        url: of the service.
        api_key: where the service requires one.
        timeout_seconds: of each request, its retries included. A list of more texts than one request may have takes
            several.
        connections: at most so many at the same time; further requests wait.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout_seconds: float = 30.0,
        connections: int = 64,
    ) -> None:
        self._connection = Connection(url, api_key, timeout_seconds, connections)
        self._limits: Limits | None = None

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    async def tag(self, texts: str | Sequence[str], **options: Unpack[TagOptions]) -> list[Tagged]:
        """Splits texts into sentences and tokens, and tags these; `options`: see `TagOptions`. One result per text."""
        return await self._batches("/tag", "text", _as_list(texts), len, options, Tagged)

    async def tag_tokens(self, sentences: Sequence[Sequence[str]], **options: Unpack[TagOptions]) -> list[Tagged]:
        """Tags sentences given as at least one token each; returns a result per sentence. `options`: see `tag`."""

        def characters(tokens: Sequence[str]) -> int:
            return sum(map(len, tokens)) + len(tokens)

        return await self._batches("/tag", "tokens", sentences, characters, options, Tagged)

    async def classify(self, texts: str | Sequence[str], **options: Unpack[ClassifyOptions]) -> list[Classified]:
        """Classifies texts; returns a result per text. `options`: see `ClassifyOptions`."""
        return await self._batches("/classify", "text", _as_list(texts), len, options, Classified)

    async def generate(self, prompts: str | Sequence[str], **options: Unpack[GenerateOptions]) -> list[Generated]:
        """Continues prompts; returns the texts, prompt by prompt. `options`: see `GenerateOptions`."""
        return await self._batches("/generate", "prompt", _as_list(prompts), len, options, Generated)

    async def generate_stream(self, prompt: str, **options: Unpack[GenerateOptions]) -> AsyncGenerator[Piece, None]:
        """Continues a prompt; yields the text piece by piece. `options`: see `generate`.

        The pieces of several texts (`n`) come as they are written; each has the number of its text.
        Raises Unavailable if the stream breaks: a text that has begun is not sent again.
        """
        response = await self._connection.stream("/generate", {**options, "prompt": prompt, "stream": True})
        try:
            event = ""
            async for line in response.content:
                name, _, data = line.decode().rstrip("\n").partition(": ")
                if not name:  # the end of an event
                    event = ""
                elif name == "event":
                    event = data
                elif name == "data" and event == "error":
                    raise error_of_problem(msgspec.json.decode(data, type=Problem))
                elif name == "data" and not event:
                    part = msgspec.json.decode(data)
                    yield Piece(part["text"], part["index"])
        except aiohttp.ClientError as error:
            raise Unavailable(f"the stream broke: {error or type(error).__name__}") from error
        finally:
            response.close()

    async def tag_lines(
        self, texts: Texts, *, return_errors: bool = False, **options: Unpack[TagOptions]
    ) -> AsyncGenerator[Tagged | Refused, None]:
        """Tags texts of a stream of any length; yields their results in order, while it reads on.

        The stream is read no faster than results are taken, and continues over a new connection when one breaks. A text
        that is refused raises Refused; with `return_errors` that is yielded in the place of its result. `options`: see
        `tag`.
        """
        async for results in self.lines("/tag", texts, options, Tagged, return_errors):
            for result in results:
                yield result

    async def classify_lines(
        self, texts: Texts, *, return_errors: bool = False, **options: Unpack[ClassifyOptions]
    ) -> AsyncGenerator[Classified | Refused, None]:
        """Classifies texts of a stream of any length; yields their results in order: see `tag_lines`, `classify`."""
        async for results in self.lines("/classify", texts, options, Classified, return_errors):
            for result in results:
                yield result

    async def lines(
        self, path: str, texts: Texts, options: Mapping[str, Any], result: type[Result], return_errors: bool
    ) -> AsyncGenerator[list[Result | Refused], None]:
        """Sends a text a line to a path; yields the results that have come, a list at a time: see `tag_lines`."""
        bodies = ({**options, "text": text} async for text in _asynchronous(texts))
        async for results in LineStream(self._connection, path, bodies, result).results():
            wrong = next((i for i, one in enumerate(results) if isinstance(one, Refused)), None)
            if wrong is not None and not return_errors:
                yield results[:wrong]
                raise cast(Refused, results[wrong])
            yield results

    async def feedback(self, text: str | Sequence[str], **options: Unpack[FeedbackOptions]) -> Feedback:
        """Corrects the tags or the label that a model gives a text, or the tokens of a sentence, or marks them right.

        `options` are the other fields of a request to /feedback: tags or label, model, request_id.
        """
        body = {**options, "text" if isinstance(text, str) else "tokens": text}
        return await self._connection.post("/feedback", body, Feedback)

    async def models(self) -> list[Model]:
        """Returns every model version that the service knows, and its state."""
        return list((await self._connection.get("/models", Models)).models)

    async def _batches(
        self,
        path: str,
        field: str,
        items: Sequence[Item],
        characters: Callable[[Item], int],
        options: Mapping[str, Any],
        result: type[Result],
    ) -> list[Result]:
        """Sends items in as many requests as the limits of the service need; returns their results in order."""
        groups = [items] if len(items) == 1 else list(cut(items, characters, await self._known_limits()))
        under_way = asyncio.Semaphore(REQUESTS_OF_A_LIST)

        async def send(group: Sequence[Item]) -> tuple[Result, ...]:
            async with under_way:
                answer: Answer[Result] = await self._connection.post(
                    path,
                    {**options, field: group},
                    Answer[result],  # type: ignore[valid-type]
                )
                return answer.results

        tasks = [asyncio.ensure_future(send(group)) for group in groups]
        try:
            return [result for results in await asyncio.gather(*tasks) for result in results]
        finally:
            for task in tasks:
                task.cancel()

    async def _known_limits(self) -> Limits:
        if self._limits is None:
            self._limits = (await self._connection.get("/models", Models)).limits
        return self._limits


def _as_list(texts: str | Sequence[str]) -> Sequence[str]:
    if isinstance(texts, str):
        return [texts]
    if not isinstance(texts, Sequence):
        hint = "; tag_lines and classify_lines take streams" if isinstance(texts, Iterable | AsyncIterable) else ""
        raise TypeError(f"{texts!r} is neither a text nor a sequence of texts{hint}")
    return texts


async def _asynchronous(texts: Texts) -> AsyncIterator[str]:
    if isinstance(texts, AsyncIterable):
        async for text in texts:
            yield text
    else:
        for text in texts:
            yield text
