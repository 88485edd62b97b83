"""Generates the texts of the language models of a process."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from service.backend.base import Fetch
from service.engine.batches import Finish, log_failure
from service.engine.loader import Generator
from service.engine.requests import Generation
from service.engine.slots import SlotStep, Stream
from service.errors import DeadlineExceeded, TagwerkError
from service.telemetry.metrics import Metrics
from service.types import ModelKey, Sampled


class Streams:
    """The language models of a process, and the texts that they generate.

    Attributes:
        models: the language models that are loaded.
        texts: what is generated, and where the tokens go; None is the end.
    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float], wake: Callable[[], None]) -> None:
        """`wake` is called when there is work."""
        self._metrics = metrics
        self._clock = clock
        self._wake = wake
        self.texts: dict[Stream, asyncio.Queue[Sampled | TagwerkError | None]] = {}
        self.models: dict[ModelKey, Generator] = {}

    @property
    def busy(self) -> bool:
        """True while a text waits for a step."""
        return any(model.slots.busy for model in self.models.values())

    @contextmanager
    def generate(self, requests: Sequence[Generation]) -> Iterator[list[AsyncGenerator[Sampled, None]]]:
        """Generates the texts of a request: see `Engine.generate`."""
        now = self._clock()
        streams = [Stream(request, now) for request in requests]
        self.models[requests[0].model].slots.admit(streams)
        self.texts |= {stream: asyncio.Queue() for stream in streams}
        timer = asyncio.get_running_loop().call_later(requests[0].deadline - now, self._expire, streams)
        self._wake()
        try:
            yield [self._tokens(stream) for stream in streams]
        finally:
            timer.cancel()
            for stream in streams:
                self._leave(stream)

    async def _tokens(self, stream: Stream) -> AsyncGenerator[Sampled, None]:
        text = self.texts[stream]
        try:
            for _ in range(stream.request.max_tokens):
                item = await text.get()
                if item is None:
                    return
                if isinstance(item, TagwerkError):
                    raise item
                yield item
        finally:
            self._leave(stream)

    def _expire(self, streams: Sequence[Stream]) -> None:
        now = self._clock()
        for stream in self.texts.keys() & streams:
            late = DeadlineExceeded("the deadline passed before the text was complete", stream.time_spent(now))
            self.texts[stream].put_nowait(late)

    def _leave(self, stream: Stream) -> None:
        """Frees the slot of a text, unless it has been freed."""
        if self.texts.pop(stream, None) is not None:
            key = stream.request.model
            self.models[key].slots.cancel(stream)
            self._show_slots(key.name)

    def end(self, error: TagwerkError | None = None) -> None:
        """Ends all texts where they are: with an error, or as if they were complete."""
        for text in self.texts.values():
            text.put_nowait(error)

    def start_steps(self) -> list[Finish]:
        """Starts the next steps of each model; returns what finishes them."""
        begun: list[Finish] = []
        for key, generator in self.models.items():
            for step in generator.slots.assemble(self._clock()):
                started = self._clock()
                try:
                    logprobs = any(stream.request.logprobs for stream in step.streams)
                    fetch = generator.model.start(step.inputs, logprobs)
                    begun.append(partial(self._finish, key, step, started, fetch))
                except Exception as error:
                    self._fail(key, step, error)
            self._show_slots(key.name)
        return begun

    def _finish(self, key: ModelKey, step: SlotStep, started: float, fetch: Fetch) -> Iterable[tuple[int, int]]:
        slots, before = self.models[key].slots, [stream.generated for stream in step.streams]
        try:
            sampled, now = fetch(), self._clock()
            slots.measured(step, now - started)
            due = slots.advance(step, sampled, now)
        except Exception as error:
            self._fail(key, step, error)
            return ()
        self._metrics.generated_tokens.labels(key.name).inc(sum(len(tokens) for _, tokens in due))
        for stream, tokens in due:
            if (text := self.texts.get(stream)) is not None:
                for token in tokens:
                    text.put_nowait(token)
        return ((s.request.client, s.generated - count) for s, count in zip(step.streams, before, strict=True))

    def _show_slots(self, name: str) -> None:
        """Shows the slots in use of all versions of a model."""
        in_use = sum(generator.slots.in_use for key, generator in self.models.items() if key.name == name)
        self._metrics.slots_in_use.labels(name).set(in_use)

    def _fail(self, key: ModelKey, step: SlotStep, error: Exception) -> None:
        known = log_failure(error, f"a generation step of {key}")
        for stream in step.streams:
            stream.error = known
            if (text := self.texts.get(stream)) is not None:
                text.put_nowait(known)
