"""The client for programs without an event loop."""

from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from types import TracebackType
from typing import Self, TypeVar, Unpack

from anyio.from_thread import BlockingPortal, start_blocking_portal

from tagwerk.client.asynchronous import AsyncClient
from tagwerk.client.errors import Refused
from tagwerk.client.options import ClassifyOptions, FeedbackOptions, GenerateOptions, TagOptions
from tagwerk.client.reading import read_in_thread
from tagwerk.client.results import Classified, Feedback, Generated, Model, Piece, Tagged

Item = TypeVar("Item")


class Client:
    """The methods of `AsyncClient`, each of which blocks until it has its results. A context manager; thread-safe.

    Args: see AsyncClient.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout_seconds: float = 30.0,
        connections: int = 64,
    ) -> None:
        self._client = AsyncClient(url, api_key=api_key, timeout_seconds=timeout_seconds, connections=connections)

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            self._portal: BlockingPortal = opened.enter_context(start_blocking_portal())
            opened.enter_context(self._portal.wrap_async_context_manager(self._client))
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def tag(self, texts: str | Sequence[str], **options: Unpack[TagOptions]) -> list[Tagged]:
        """Tags texts; see `AsyncClient.tag`."""
        return self._portal.call(partial(self._client.tag, texts, **options))

    def tag_tokens(self, sentences: Sequence[Sequence[str]], **options: Unpack[TagOptions]) -> list[Tagged]:
        """Tags tokens; see `AsyncClient.tag_tokens`."""
        return self._portal.call(partial(self._client.tag_tokens, sentences, **options))

    def classify(self, texts: str | Sequence[str], **options: Unpack[ClassifyOptions]) -> list[Classified]:
        """Classifies texts; see `AsyncClient.classify`."""
        return self._portal.call(partial(self._client.classify, texts, **options))

    def generate(self, prompts: str | Sequence[str], **options: Unpack[GenerateOptions]) -> list[Generated]:
        """Continues prompts; see `AsyncClient.generate`."""
        return self._portal.call(partial(self._client.generate, prompts, **options))

    def generate_stream(self, prompt: str, **options: Unpack[GenerateOptions]) -> Iterator[Piece]:
        """Continues a prompt, piece by piece; see `AsyncClient.generate_stream`."""
        return self._iterate(self._client.generate_stream(prompt, **options))

    def tag_lines(
        self, texts: Iterable[str], *, return_errors: bool = False, **options: Unpack[TagOptions]
    ) -> Iterator[Tagged | Refused]:
        """Tags a stream of texts, which is read in a thread; see `AsyncClient.tag_lines`."""
        lines = self._client.lines("/tag", read_in_thread(texts), options, Tagged, return_errors)
        return self._each(lines)

    def classify_lines(
        self, texts: Iterable[str], *, return_errors: bool = False, **options: Unpack[ClassifyOptions]
    ) -> Iterator[Classified | Refused]:
        """Classifies a stream of texts, which is read in a thread; see `AsyncClient.classify_lines`."""
        lines = self._client.lines("/classify", read_in_thread(texts), options, Classified, return_errors)
        return self._each(lines)

    def feedback(self, text: str | Sequence[str], **options: Unpack[FeedbackOptions]) -> Feedback:
        """Corrects an answer, or marks it as right; see `AsyncClient.feedback`."""
        return self._portal.call(partial(self._client.feedback, text, **options))

    def models(self) -> list[Model]:
        """Returns every model version; see `AsyncClient.models`."""
        return self._portal.call(self._client.models)

    def _each(self, lists: AsyncGenerator[list[Item], None]) -> Iterator[Item]:
        """Yields the items of lists that come one after the other; closes as `_iterate` does."""
        with closing(self._iterate(lists)) as iterated:
            for items in iterated:
                yield from items

    def _iterate(self, items: AsyncGenerator[Item, None]) -> Generator[Item, None, None]:
        """Yields the items of an asynchronous iterator; closes it at the end, or when it is not read to its end."""
        try:
            while True:
                try:
                    yield self._portal.call(items.__anext__)
                except StopAsyncIteration:
                    return
        finally:
            self._portal.call(items.aclose)
