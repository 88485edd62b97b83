"""Answers plain requests in the event loop: those of an iteration are read, encoded, run and answered together.

A plain request of /tag or /classify has a small JSON body that is valid at first sight. Any other goes through the
application.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from functools import lru_cache, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from service.engine.batches import outputs_of
from service.engine.queue import EngineRequest, OnDone
from service.engine.requests import Requests
from service.errors import DeadlineExceeded, EngineUnavailable, TagwerkError
from service.http.handlers import Exchange, Handler
from service.pipelines.formats import MEDIA_TYPES
from service.pipelines.run import SMALL_BYTES, TURN_SECONDS, WAITED, advance
from service.security.keys import client_of
from service.text.interruptible import Interruptible
from service.types import Outputs

if TYPE_CHECKING:
    from service.http.context import Context

log = logging.getLogger("tagwerk.server")

MOST_PLAIN_BYTES = 16_384  # of a plain request's body
GROUP_BYTES = 16_384  # of the requests that are handled together
# In turns of TURN_SECONDS; work that goes on in a later iteration has one turn of it:
FIRST_TURNS = 2  # for which work on a group runs at once
MOST_TURNS = 5  # of an iteration, after which work on further requests begins in a later one
MOST_HANDLERS = 64  # some may be of versions that have been replaced
DEADLINE, CLIENT = attrgetter("deadline"), attrgetter("client")  # of an exchange


class PlainRequests:
    """The plain requests of a process.

    The engine calls `run` at the start of each iteration: it takes the exchanges that have arrived, checks and encodes
    them by model, and submits them. When a batch has finished requests, it answers them. Long work goes on over several
    iterations.
    """

    def __init__(self, context: "Context") -> None:
        self._context = context
        self._settings = context.settings
        self._arrived: list[Exchange] = []
        self._works: deque[tuple[Interruptible[None], Sequence[Exchange]]] = deque()
        self._begun: list[tuple[Handler, list[Exchange]]] = []  # that are not short, and may be worked on
        self._handler = lru_cache(MOST_HANDLERS)(self._make_handler)
        context.engine.before_step = self.run

    def add(self, exchange: Exchange) -> None:
        """Takes an exchange whose request has arrived."""
        if not self._arrived:
            self._context.engine.wake()
        self._arrived.append(exchange)

    def run(self) -> bool:
        """Admits the exchanges that have arrived, and goes on with long work; returns whether work is left."""
        if self._works:
            self._work(*self._works.popleft(), TURN_SECONDS)
        if self._arrived or self._begun:
            arrived, self._arrived = self._arrived, []
            groups: list[tuple[Handler, list[Exchange]]] = []
            open_groups: dict[Handler, tuple[list[Exchange], int]] = {}  # and their bytes
            with_room: set[int] = set()
            for exchange in arrived:
                if (handler := self._admit(exchange, with_room)) is None:
                    continue
                if (size := len(exchange.body)) > SMALL_BYTES:
                    self._enter(handler, exchange, size)
                    continue
                some, bytes_of_group = open_groups.get(handler, ([], 0))
                if not some or bytes_of_group + size > GROUP_BYTES:
                    some, bytes_of_group = [], 0
                    groups.append((handler, some))
                some.append(exchange)
                open_groups[handler] = some, bytes_of_group + size
            if self._begun:
                groups += [one for one in self._begun if not one[1][0].over]  # the client may have gone
                self._begun = []
            end = time.monotonic() + MOST_TURNS * TURN_SECONDS
            for handler, some in groups:
                seconds = FIRST_TURNS * TURN_SECONDS if time.monotonic() < end else 0.0
                self._work(self._encode(handler, some), some, seconds)
        return bool(self._works or self._begun)

    def _enter(self, handler: Handler, exchange: Exchange, size: int) -> None:
        """Has an exchange that is not short worked on, now or later. It fails if its deadline passes before that."""
        limit = self._context.medium_work

        def expire() -> None:
            stages = {"queue": time.monotonic() - exchange.timing.started}
            exchange.connection.fail(exchange, DeadlineExceeded(WAITED, stages))

        def begin() -> None:
            timer.cancel()
            self._begun.append((handler, [exchange]))
            self._context.engine.wake()

        def leave() -> None:
            timer.cancel()
            limit.leave(place)

        timer = asyncio.get_running_loop().call_later(exchange.deadline - time.monotonic(), expire)
        place = limit.enter(exchange.client, size, begin)
        exchange.leave = leave

    def _work(self, work: Interruptible[None], exchanges: Sequence[Exchange], seconds: float) -> None:
        """Works on exchanges for some time, and goes on in a later iteration. An error, unexpected, fails them."""
        try:
            if not seconds or advance(work, seconds) is None:
                self._works.append((work, exchanges))
                self._context.engine.wake()
        except Exception as error:
            log.exception("failed at a plain request")
            for exchange in exchanges:
                exchange.connection.fail(exchange, error)

    def _encode(self, handler: Handler, exchanges: Sequence[Exchange]) -> Interruptible[None]:
        """Encodes the requests of exchanges together, and submits them; answers blank ones, which have no sequences."""
        began = time.monotonic()
        texts, counts_of_texts, sequences = yield from handler.encode(exchanges)
        seconds, lengths = time.monotonic() - began, sequences.lengths.tolist()
        counts: list[int] = []
        last = end = 0  # of an exchange's texts, and of its sequences
        for exchange in exchanges:
            first, start = last, end
            last += len(exchange.request.text or exchange.request.tokens)
            exchange.content, count = texts[first:last], sum(counts_of_texts[first:last])
            counts.append(count)
            timing, end = exchange.timing, start + count
            timing.began = began
            timing.stages["tokenize"] = seconds
            if count:
                timing.notes |= {"model": handler.model, "sequences": count, "tokens": sum(lengths[start:end])}
        self._context.note_tokenized(handler.task, seconds, len(texts), len(exchanges))
        if 0 in counts:
            blank = [one for one, count in zip(exchanges, counts, strict=True) if not count and not one.over]
            yield from handler.answer(blank, Outputs({}, {}))
            exchanges = [one for one, count in zip(exchanges, counts, strict=True) if count]
            counts = list(filter(None, counts))
        if exchanges:
            deadlines, clients = list(map(DEADLINE, exchanges)), list(map(CLIENT, exchanges))
            requests = Requests(handler.version.key, sequences, counts, deadlines, clients, handler.extra_outputs)
            self._submit(requests, exchanges, handler.on_done)

    def _submit(self, requests: Requests, exchanges: Sequence[Exchange], on_done: OnDone) -> None:
        """Queues the requests of exchanges, one each; fails the exchanges whose requests are rejected."""
        engine = self._context.engine
        try:
            admitted = engine.submit(requests, on_done)
        except EngineUnavailable as error:
            admitted = [error] * len(exchanges)
        for exchange, one in zip(exchanges, admitted, strict=True):
            if isinstance(one, TagwerkError):
                exchange.connection.fail(exchange, one)
            elif exchange.over:  # its client went while it was encoded
                engine.abandon(one)
            else:
                exchange.running, one.owner = one, exchange

    def _answer(self, handler: Handler, ended: Sequence[EngineRequest]) -> None:
        """Answers the exchanges of engine requests that are over: with their outputs, or their errors."""
        good: list[EngineRequest] = []
        exchanges: list[Exchange] = []
        for request in ended:
            exchange: Exchange = request.owner
            exchange.running = None
            if request.error is not None:
                exchange.connection.fail(exchange, request.error)
            elif not exchange.over:
                timing = exchange.timing
                timing.batch_size = max(timing.batch_size, request.batch_size)
                timing.stages |= {"queue": request.queue_seconds, "inference": request.inference_seconds}
                good.append(request)
                exchanges.append(exchange)
        if good:
            self._work(handler.answer(exchanges, outputs_of(good)), exchanges, FIRST_TURNS * TURN_SECONDS)

    def abandon(self, exchange: Exchange) -> None:
        """Drops an exchange whose client has gone, and counts it if it has been admitted."""
        exchange.over = True
        if exchange.request is not None:
            self._context.metrics.cancelled.inc()
        if (running := exchange.running) is not None:
            exchange.running = running.owner = None  # the queue may still hold the request
            self._context.engine.abandon(running)

    def _admit(self, exchange: Exchange, with_room: set[int]) -> Handler | None:
        """Checks a request, and returns its handler; answers or redirects it otherwise.

        `with_room` has the clients for which the queue is known to have room in this iteration.
        """
        if exchange.over:
            return None
        made = exchange.made
        try:
            request = made.parse(exchange.body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            request = None
        if request is None or not self._is_valid(request):
            exchange.connection.redirect(exchange)
            return None
        exchange.request = request
        if (form := getattr(request, "format", None)) is not None:
            exchange.media_type = MEDIA_TYPES[form]
        try:
            if self._context.authenticator is not None:
                exchange.key = self._context.admit(made.route, exchange.headers, exchange.timing)
                exchange.client = client_of(exchange.key)
            task = self._context.catalog.find(made.kind, request.model)
            handler = self._handler(made, task, *made.options(request))
            if exchange.client not in with_room:
                self._context.engine.check_room(exchange.client)
                with_room.add(exchange.client)
            if (size := len(exchange.body)) > SMALL_BYTES:
                self._context.begin(size)
            else:  # most requests
                self._context.bytes_in_progress += size
            exchange.in_progress = size
            return handler
        except Exception as error:
            if not isinstance(error, TagwerkError):
                log.exception("failed at a plain request")
            exchange.connection.fail(exchange, error)
        return None

    def _is_valid(self, request: Any) -> bool:
        """Returns whether a parsed request is valid at first sight. Makes its text a list."""
        if request.text.__class__ is str:
            request.text = [request.text]
        items, tokens = request.text, getattr(request, "tokens", None)
        if (items is None) == (tokens is None):
            return False
        if tokens is not None:
            if not all(tokens) or not all(token and token.strip() for some in tokens for token in some):
                return False
            items, size = tokens, sum(sum(map(len, some)) + len(some) - 1 for some in tokens)
        else:
            size = sum(map(len, items))
        return 0 < len(items) <= self._settings.max_items and size <= self._settings.max_text_characters

    def _make_handler(self, made: type[Handler], *task_and_options: Any) -> Handler:
        """Makes what handles requests with the same model and options. Raises InvalidInput."""
        handler = made(self._context, *task_and_options)
        handler.on_done = partial(self._answer, handler)
        return handler
