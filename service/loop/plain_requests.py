"""Answers plain requests in the event loop: those of an iteration are read, encoded, run and answered together.

A plain request of /tag or /classify has a small JSON body that is valid at first sight. Any other goes through the
application, and ends in the same functions: a request gives the same bytes on both ways.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from service.engine.queue import OnDone
from service.engine.requests import Requests
from service.errors import DeadlineExceeded, EngineUnavailable, Overloaded, TagwerkError
from service.loop.exchange import Exchange
from service.loop.handlers import ClassifyHandler, Handler, TagHandler, Work
from service.pipelines.run import NOTHING, SMALL_BYTES, Resources
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tagging
from service.text import conllu
from service.text.slices import advance

log = logging.getLogger("tagwerk.server")

MOST_BYTES = 16_384  # of a plain request's body
GROUP_BYTES = 16_384  # of the requests that are handled together
FIRST_SECONDS = 0.004  # for which work runs at once
SLICE_SECONDS = 0.002  # for which it goes on in a later iteration
MOST_SECONDS = 0.01  # of an iteration, after which work on further requests begins in a later one
MOST_HANDLERS = 64
JSON = "application/json"


class PlainTag(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a plain request to /tag; see `request_schemas.TagRequest`."""

    text: str | list[str] | None = None
    tokens: list[list[str]] | None = None
    model: str | None = None
    language: None = None  # one that is named goes through the application, which checks it
    offsets: Literal["code_points", "utf16", "utf8"] = "code_points"
    n_best: Literal[1, 2, 3, 4, 5] = 1
    lemmas: bool = True
    format: Literal["json", "conllu", "conllu-chain"] | None = None


class PlainClassify(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a plain request to /classify; see `request_schemas.ClassifyRequest`."""

    text: str | list[str]
    model: str | None = None
    contributions: bool | str = False
    sentences: bool = False
    offsets: Literal["code_points", "utf16", "utf8"] = "code_points"


parse_tag = msgspec.json.Decoder(PlainTag).decode
parse_classify = msgspec.json.Decoder(PlainClassify).decode


class PlainRequests:
    """The plain requests of a process.

    The engine calls `run` at the start of each iteration: it takes the exchanges that have arrived, checks and encodes
    them by model, and submits them. Their handlers answer those that a batch has finished. Long work goes on over
    several iterations.
    """

    def __init__(self, resources: Resources, needs_keys: bool) -> None:
        """`needs_keys`: whether requests are admitted by their API keys."""
        self._resources = resources
        self._needs_keys = needs_keys
        self._settings = resources.settings
        self._arrived: list[Exchange] = []
        self._works: deque[Work] = deque()
        self._handlers: dict[object, Handler] = {}
        resources.engine.before_step = self.run

    def add(self, exchange: Exchange) -> None:
        """Takes an exchange whose request has arrived."""
        if not self._arrived:
            self._resources.engine.wake()
        self._arrived.append(exchange)

    def run(self) -> bool:
        """Admits what has arrived, and goes on with long work; returns whether there is more of it."""
        if self._works:
            work = self._works.popleft()
            if advance(work, SLICE_SECONDS) is None:
                self._works.append(work)
        if self._arrived:
            arrived, self._arrived = self._arrived, []
            groups: dict[Handler, list[Exchange]] = {}
            large: list[tuple[Handler, list[Exchange]]] = []
            with_room: set[int] = set()
            for exchange in arrived:
                if (handler := self._admit(exchange, with_room)) is None:
                    continue
                if len(exchange.body) > SMALL_BYTES:
                    large.append((handler, [exchange]))
                else:
                    groups.setdefault(handler, []).append(exchange)
            small = [(handler, some) for handler, exchanges in groups.items() for some in in_groups(exchanges)]
            end = time.monotonic() + MOST_SECONDS
            for handler, some in small + large:
                self.start(handler.encode(some), some, at_once=time.monotonic() < end)
        return bool(self._works)

    def start(self, work: Work, exchanges: Sequence[Exchange], at_once: bool = True) -> None:
        """Runs work on exchanges: at once if it is short, otherwise over several iterations."""
        guarded = guard(work, exchanges)
        if not at_once or advance(guarded, FIRST_SECONDS) is None:
            self._works.append(guarded)
            self._resources.engine.wake()

    def submit(
        self, handler: Handler, exchanges: Sequence[Exchange], requests: Requests, on_done: OnDone | None = None
    ) -> None:
        """Queues the requests of exchanges, one each; fails those that are rejected or late."""
        now = time.monotonic()
        for exchange in exchanges:
            if exchange.over or exchange.deadline <= now:
                exchanges, requests = self._without_late(exchanges, requests, now)
                break
        if not exchanges:
            return
        try:
            admitted = self._resources.engine.submit(requests, on_done or handler.answer)
        except EngineUnavailable as error:
            admitted = [error] * len(exchanges)
        for exchange, one in zip(exchanges, admitted, strict=True):
            if isinstance(one, TagwerkError):
                self.fail(exchange, one)
            else:
                exchange.running, one.owner = one, exchange

    def fail(self, exchange: Exchange, error: TagwerkError) -> None:
        """Answers an exchange with an error, and counts that."""
        if exchange.over:
            return
        if isinstance(error, Overloaded):
            self._resources.metrics.rejected.labels("overloaded").inc()
        elif isinstance(error, DeadlineExceeded):
            self._resources.metrics.expired.inc()
            stages = exchange.timing.stages
            for stage, seconds in error.stages.items():
                stages[stage] = stages.get(stage, 0.0) + seconds  # of an earlier step
        exchange.connection.fail(exchange, error)

    def abandon(self, exchange: Exchange) -> None:
        """Drops an exchange whose client has gone, and counts it if it has been admitted."""
        exchange.over = True
        if exchange.request is not None:
            self._resources.metrics.cancelled.inc()
        if (running := exchange.running) is not None:
            exchange.running = running.owner = None  # the queue may still hold the request
            self._resources.engine.abandon(running)

    def _without_late(
        self, exchanges: Sequence[Exchange], requests: Requests, now: float
    ) -> tuple[list[Exchange], Requests]:
        """Fails exchanges whose deadline has passed; returns the others whose clients wait, and their requests."""
        kept: list[Exchange] = []
        parts: list[Requests] = []
        for exchange, part in zip(exchanges, requests.each(), strict=True):
            if exchange.deadline <= now:
                self.fail(exchange, DeadlineExceeded("the deadline passed before the engine was reached", NOTHING))
            elif not exchange.over:
                kept.append(exchange)
                parts.append(part)
        return kept, Requests.joined(parts) if parts else requests

    def _admit(self, exchange: Exchange, with_room: set[int]) -> Handler | None:
        """Checks a request, and returns its handler; answers or redirects it otherwise.

        `with_room` has the clients for which the queue is known to have room in this iteration.
        """
        if exchange.over:
            return None
        is_tag = exchange.route == "/tag"
        try:
            request: Any = parse_tag(exchange.body) if is_tag else parse_classify(exchange.body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            exchange.connection.redirect(exchange)
            return None
        if (text := request.text).__class__ is str:
            request.text = [text]
            valid = len(text) <= self._settings.max_text_characters and not (is_tag and request.tokens is not None)
        else:
            valid = self._is_valid(request, is_tag)
        if not valid:
            exchange.connection.redirect(exchange)
            return None
        exchange.request = request
        if is_tag and request.format is not None:
            exchange.media_type = JSON if request.format == "json" else conllu.MEDIA_TYPE
        try:
            if self._needs_keys:
                exchange.connection.authenticate(exchange)
            handler = self._handler(request, is_tag)
            if exchange.client not in with_room:
                self._resources.check_room(exchange.client)
                with_room.add(exchange.client)
            self._resources.begin(len(exchange.body))
            exchange.in_progress = len(exchange.body)
            return handler
        except TagwerkError as error:
            exchange.connection.fail(exchange, error)
        except Exception:
            log.exception("failed at a plain request")
            exchange.connection.fail(exchange, None)
        return None

    def _is_valid(self, request: Any, is_tag: bool) -> bool:
        """Returns whether a parsed request is valid at first sight."""
        texts = request.text
        if is_tag and (texts is None) == (request.tokens is None):
            return False
        if texts is None:
            if not all(request.tokens) or not all(token and token.strip() for some in request.tokens for token in some):
                return False
            size = sum(sum(map(len, some)) + len(some) - 1 for some in request.tokens)
        else:
            size = sum(map(len, texts))
        items = request.tokens if texts is None else texts
        return 0 < len(items) <= self._settings.max_items and size <= self._settings.max_text_characters

    def _handler(self, request: Any, is_tag: bool) -> Handler:
        """Returns what handles a request. Raises ModelNotFound, EngineUnavailable, InvalidInput."""
        catalog = self._resources.catalog
        if is_tag:
            kind: tuple[object, ...] = (catalog.find(Tagging, request.model), request.lemmas, request.n_best > 1)
        else:
            kind = (catalog.find(Sentiment, request.model), request.contributions, request.sentences)
        if (handler := self._handlers.get(kind)) is None:
            if len(self._handlers) >= MOST_HANDLERS:  # of versions that have been replaced
                self._handlers.clear()
            made = TagHandler if is_tag else ClassifyHandler
            handler = self._handlers[kind] = made(self, self._resources, *kind)  # type: ignore[arg-type]
        return handler


def guard(work: Work, exchanges: Sequence[Exchange]) -> Work:
    """Does work on exchanges; fails them if it raises an error, which is unexpected."""
    try:
        yield from work
    except Exception:
        log.exception("failed at a plain request")
        for exchange in exchanges:
            if not exchange.over:
                exchange.connection.fail(exchange, None)


def in_groups(exchanges: Sequence[Exchange]) -> Iterator[list[Exchange]]:
    """Yields small exchanges that are handled together, up to some bytes."""
    some: list[Exchange] = []
    size = 0
    for exchange in exchanges:
        if size + (more := len(exchange.body)) > GROUP_BYTES:
            yield some
            some, size = [], 0
        some.append(exchange)
        size += more
    if some:
        yield some
