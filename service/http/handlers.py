"""A plain request, and what differs between those of /tag and /classify: their bodies, encoding and answers.

Both answer with the same functions as the application, so that a request gives the same bytes on both ways.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from service.engine.queue import EngineRequest, OnDone
from service.engine.requests import ANONYMOUS
from service.pipelines import classification, formats, tagging
from service.pipelines.formats import FORMATS, JSON, TagFormat
from service.pipelines.run import Resources
from service.security.keys import Key
from service.tasks.sentiment import EXPLANATION, Sentiment
from service.tasks.tagging import Tagging
from service.telemetry.request import Timing
from service.text.interruptible import Interruptible
from service.text.tokens import Unit
from service.types import Outputs, Ragged

if TYPE_CHECKING:
    from service.http.connection.connection import Connection

ACCEPTED: dict[bytes | None, str] = {None: JSON, b"*/*": JSON, JSON.encode(): JSON}


@dataclass(slots=True, eq=False)
class Exchange:
    """A plain request: POST, JSON, small, without coding. It has no ASGI scope, task or future.

    Attributes:
        made: the handler class of the route.
        headers: by name in lower case.
        deadline: a time of the monotonic clock.
        key: the API key that it was admitted with; to be released with the answer.
        client: the number of the key's owner.
        request: the parsed body.
        media_type: of the answer.
        in_progress: bytes of the body that are counted, once it is admitted, until it is answered.
        leave: lets others be worked on; called once it is over.
        running: what waits in the engine, or runs.
        content: what the request's handler keeps between encoding and decoding.
        over: answered, redirected, or its client has gone.
    """

    connection: "Connection"
    made: Any
    headers: Mapping[bytes, bytes]
    body: bytes
    timing: Timing
    deadline: float
    key: Key | None = None
    client: int = ANONYMOUS
    request: Any = None
    media_type: str = ""
    in_progress: int = 0
    leave: Callable[[], None] | None = None
    running: EngineRequest | None = None
    content: Any = None
    over: bool = False


class PlainTag(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a plain request to /tag; see `request_schemas.TagRequest`."""

    text: str | list[str] | None = None
    tokens: list[list[str]] | None = None
    model: str | None = None
    language: None = None  # a request that names a language goes through the application, which checks it
    offsets: Unit = "code_points"
    n_best: Literal[1, 2, 3, 4, 5] = 1
    lemmas: bool = True
    format: TagFormat | None = None


class PlainClassify(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a plain request to /classify; see `request_schemas.ClassifyRequest`."""

    text: str | list[str]
    model: str | None = None
    contributions: bool | str = False
    sentences: bool = False
    offsets: Unit = "code_points"


class TagHandler:
    """Encodes and answers plain requests of /tag with the same options.

    Attributes:
        media_types: by the value of the Accept header.
        options: returns what must be equal for requests to be handled together.
        model: the name and version, for the log.
        extra_outputs: see `Requests`.
        on_done: called with engine requests that are over.
    """

    route: ClassVar[str] = "/tag"
    media_types: ClassVar[dict[bytes | None, str]] = ACCEPTED | {name.encode(): name for name in FORMATS}
    kind: ClassVar[Any] = Tagging
    parse = staticmethod(msgspec.json.Decoder(PlainTag).decode)
    options = attrgetter("lemmas", "n_best")
    on_done: OnDone

    def __init__(self, resources: Resources, task: Tagging, lemmas: bool, n_best: int) -> None:
        self.version, self.model, candidates = task.version, str(task.version.key), n_best > 1
        self.extra_outputs = task.candidate_outputs if candidates else frozenset[str]()
        self.task = task
        self._tokenizer = resources.catalog.tokenizer(task.version)
        self._options = {"lemmas": lemmas, "candidates": candidates}

    def encode(self, exchanges: Sequence[Exchange]) -> Interruptible[tuple[list[Any], list[int], Ragged]]:
        """Encodes exchanges together; returns their texts, the number of sequences of each, and all sequences."""
        inputs = [(exchange.request.text, exchange.request.tokens) for exchange in exchanges]
        return tagging.encode(self.task, self._tokenizer, inputs)

    def answer(self, exchanges: Sequence[Exchange], outputs: Outputs) -> Interruptible[None]:
        """Answers exchanges with the outputs of their sequences."""
        split = [text for exchange in exchanges for text in exchange.content]
        tagged = yield from tagging.decode(self.task, split, outputs.timed, **self._options)
        waiting = iter(tagged)
        for exchange in exchanges:
            request, own = exchange.request, list(islice(waiting, len(exchange.content)))
            format = request.format or FORMATS[exchange.media_type]
            chunks = yield from formats.write_tagged(self.version, own, request.offsets, request.n_best, format)
            yield from exchange.connection.respond(exchange, chunks)


class ClassifyHandler:
    """Encodes and answers plain requests of /classify with the same options; see `TagHandler`."""

    route: ClassVar[str] = "/classify"
    media_types: ClassVar[dict[bytes | None, str]] = ACCEPTED
    kind: ClassVar[Any] = Sentiment
    parse = staticmethod(msgspec.json.Decoder(PlainClassify).decode)
    options = attrgetter("contributions", "sentences")
    on_done: OnDone

    def __init__(self, resources: Resources, task: Sentiment, contributions: bool | str, sentences: bool) -> None:
        """Raises InvalidInput if contributions are requested that the model does not have."""
        classification.check_explains(task, contributions)
        self.version, self.model = task.version, str(task.version.key)
        self.extra_outputs = EXPLANATION if contributions else frozenset[str]()
        self.task = task
        self._tokenizer = resources.catalog.tokenizer(task.version)
        self._options = contributions, sentences

    def encode(self, exchanges: Sequence[Exchange]) -> Interruptible[tuple[list[Any], list[int], Ragged]]:
        """Encodes exchanges together; returns their texts, the number of sequences of each, and all sequences."""
        texts = [text for exchange in exchanges for text in exchange.request.text]
        return classification.encode(self.task, self._tokenizer, texts, *self._options)

    def answer(self, exchanges: Sequence[Exchange], outputs: Outputs) -> Interruptible[None]:
        """Answers exchanges with the outputs of their sequences."""
        texts = [text for exchange in exchanges for text in exchange.content]
        of_windows = outputs.timed | outputs.others
        results = yield from classification.decode(self.task, texts, of_windows, *self._options)
        waiting = iter(results)
        for exchange in exchanges:
            own = list(islice(waiting, len(exchange.content)))
            chunks = yield from formats.write_classified(self.version, own, exchange.request.offsets)
            yield from exchange.connection.respond(exchange, chunks)


Handler = TagHandler | ClassifyHandler
HANDLERS: dict[bytes, type[Handler]] = {made.route.encode(): made for made in (TagHandler, ClassifyHandler)}
