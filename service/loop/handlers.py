"""Encodes plain requests for one model, and answers them with the outputs of a batch."""

import time
from collections.abc import Sequence
from typing import Any, Protocol

from service.engine.batches import outputs_of
from service.engine.queue import EngineRequest, OnDone
from service.engine.requests import Requests
from service.errors import TagwerkError
from service.formats import classification as classification_format
from service.formats import tagging as tagging_format
from service.loop.exchange import Exchange
from service.pipelines import classification, tagging
from service.pipelines.run import Resources
from service.tasks.sentiment import EXPLANATION, Sentiment
from service.tasks.tagging import Tagging
from service.tasks.windows import windows
from service.text import conllu
from service.text.slices import Sliced
from service.types import Ragged

Work = Sliced[None]


class Handler(Protocol):
    """Handles the plain requests of one kind for a model."""

    def encode(self, exchanges: Sequence[Exchange]) -> Work:
        """Encodes the requests of exchanges together, and submits them."""

    def answer(self, ended: Sequence[EngineRequest]) -> None:
        """Answers the exchanges of engine requests that are over."""


class Plain(Protocol):
    """What a handler needs of `PlainRequests`."""

    def start(self, work: Work, exchanges: Sequence[Exchange]) -> None:
        """Runs work on exchanges: at once if it is short, otherwise over several iterations."""

    def submit(
        self, handler: Handler, exchanges: Sequence[Exchange], requests: Requests, on_done: OnDone | None = None
    ) -> None:
        """Queues the requests of exchanges, one each."""

    def fail(self, exchange: Exchange, error: TagwerkError) -> None:
        """Answers an exchange with an error."""


class ClassifyHandler:
    """Handles plain requests of /classify with the same options."""

    def __init__(
        self, plain: Plain, resources: Resources, task: Sentiment, contributions: bool | str, sentences: bool
    ) -> None:
        """Raises InvalidInput if the model does not have what is requested."""
        classification.check_explains(task, contributions)
        self._plain = plain
        self._resources = resources
        self._task = task
        self._options = contributions, sentences
        self._further = EXPLANATION if contributions else frozenset[str]()
        self._tokenizer = resources.catalog.tokenizer(task.version)

    def encode(self, exchanges: Sequence[Exchange]) -> Work:
        """Encodes the requests of exchanges together, and submits them."""
        began, task = time.monotonic(), self._task
        texts = [text for exchange in exchanges for text in exchange.request.text]
        found, sequences = yield from classification.encode(task, self._tokenizer, texts, *self._options)
        counts: list[int] = []
        start = 0
        for exchange in exchanges:
            end = start + len(exchange.request.text)
            exchange.content = own = found[start:end]
            counts.append(sum([len(windows) for text in own for windows in text.windows]))
            start = end
        note_encoded(self._resources, task.version.key.name, str(task.version.key), exchanges, began, counts, sequences)
        self._plain.submit(self, exchanges, requests_of(exchanges, task.version.key, sequences, counts, self._further))

    def answer(self, ended: Sequence[EngineRequest]) -> None:
        """Answers the exchanges of engine requests that are over."""
        if good := successful(self._plain, ended):
            self._plain.start(self._respond(good), [request.owner for request in good])

    def _respond(self, ended: Sequence[EngineRequest]) -> Work:
        timed, others = outputs_of(ended)
        texts = [text for request in ended for text in request.owner.content]
        outputs = classification.Outputs(timed | others)
        results = yield from classification.decode(self._task, texts, outputs, *self._options)
        start = 0
        for request in ended:
            exchange: Exchange = request.owner
            end = start + len(exchange.content)
            own, start = results[start:end], end
            pieces = yield from classification_format.write_json(self._task.version, own, exchange.request.offsets)
            yield from exchange.connection.respond(exchange, pieces)


class TagHandler:
    """Handles plain requests of /tag with the same options."""

    def __init__(self, plain: Plain, resources: Resources, task: Tagging, lemmas: bool, candidates: bool) -> None:
        self._plain = plain
        self._resources = resources
        self._task = task
        self._options = {"lemmas": lemmas, "candidates": candidates}
        self._further = task.candidate_outputs if candidates else frozenset[str]()
        self._tokenizer = resources.catalog.tokenizer(task.version)

    def encode(self, exchanges: Sequence[Exchange]) -> Work:
        """Encodes the requests of exchanges together, and submits them."""
        began, task = time.monotonic(), self._task
        split: list[tagging.SplitText] = []
        counts: list[int] = []
        for exchange in exchanges:
            request = exchange.request
            if request.text is not None:
                own = yield from tagging.split_texts(self._tokenizer, request.text)
            else:
                own = yield from tagging.joined_tokens(request.tokens)
            exchange.content = own
            split += own
            counts.append(sum([self._count(len(s.tokens)) for text in own for s in text.sentences]))
        sequences = yield from tagging.encode(task, split)
        note_encoded(self._resources, task.version.key.name, str(task.version.key), exchanges, began, counts, sequences)
        if 0 in counts:  # blank texts have no sentences
            for exchange in [exchange for exchange, count in zip(exchanges, counts, strict=True) if not count]:
                if not exchange.over:
                    blank = yield from tagging.decode(task, exchange.content, {}, lemmas=False, candidates=False)
                    yield from self._write(exchange, blank)
            exchanges = [exchange for exchange, count in zip(exchanges, counts, strict=True) if count]
            counts = [count for count in counts if count]
        if exchanges:
            requests = requests_of(exchanges, task.version.key, sequences, counts, self._further)
            self._plain.submit(self, exchanges, requests)

    def _count(self, tokens: int) -> int:
        """Returns the number of sequences of a sentence."""
        return 1 if tokens <= self._task.longest else len(windows(tokens, self._task.longest))

    def answer(self, ended: Sequence[EngineRequest]) -> None:
        """Answers the exchanges of engine requests that are over."""
        if good := successful(self._plain, ended):
            self._plain.start(self._respond(good), [request.owner for request in good])

    def _respond(self, ended: Sequence[EngineRequest]) -> Work:
        timed, _ = outputs_of(ended)
        split = [text for request in ended for text in request.owner.content]
        tagged = yield from tagging.decode(self._task, split, timed, **self._options)
        start = 0
        for request in ended:
            exchange: Exchange = request.owner
            end = start + len(exchange.content)
            own, start = tagged[start:end], end
            yield from self._write(exchange, own)

    def _write(self, exchange: Exchange, texts: list[tagging.TaggedText]) -> Work:
        version, request = self._task.version, exchange.request
        if exchange.media_type == conllu.MEDIA_TYPE:
            chain = request.format == "conllu-chain"
            pieces = yield from tagging_format.write_conllu(version, texts, request.offsets, chain=chain)
        else:
            pieces = yield from tagging_format.write_json(version, texts, request.offsets, request.n_best)
        yield from exchange.connection.respond(exchange, pieces)


def note_encoded(
    resources: Resources,
    name: str,
    key: str,
    exchanges: Sequence[Exchange],
    began: float,
    counts: Sequence[int],
    sequences: Ragged,
) -> None:
    """Records what has been encoded, and how long that took, in the timing of each exchange."""
    seconds = time.monotonic() - began
    lengths = sequences.lengths.tolist()
    start = 0
    for exchange, count in zip(exchanges, counts, strict=True):
        timing, end = exchange.timing, start + count
        timing.began = began
        timing.stages["tokenize"] = seconds
        if count:
            timing.notes |= {"model": key, "sequences": count, "tokens": sum(lengths[start:end])}
        start = end
    resources.note_tokenized(name, seconds, len(exchanges))


def requests_of(
    exchanges: Sequence[Exchange],
    key: Any,
    sequences: Ragged,
    counts: Sequence[int],
    further: frozenset[str],
    begun: bool = False,
) -> Requests:
    """Returns the engine requests of exchanges, whose sequences are concatenated."""
    deadlines = [exchange.deadline for exchange in exchanges]
    clients = [exchange.client for exchange in exchanges]
    return Requests(key, sequences, counts, deadlines, clients, further, begun)


def successful(plain: Plain, ended: Sequence[EngineRequest]) -> list[EngineRequest]:
    """Returns the engine requests that have outputs and whose clients wait; fails the exchanges of the others."""
    good: list[EngineRequest] = []
    for request in ended:
        exchange: Exchange = request.owner
        exchange.running = None
        if request.error is not None:
            plain.fail(exchange, request.error)
        elif not exchange.over:
            timing = exchange.timing
            timing.batch_size = max(timing.batch_size, request.batch_size)
            stages = timing.stages
            stages["queue"] = stages.get("queue", 0.0) + request.queue_seconds
            stages["inference"] = stages.get("inference", 0.0) + request.inference_seconds
            good.append(request)
    return good
