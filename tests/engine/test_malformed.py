"""What a worker sends that is not as it should be: answered with an error, and nobody else notices."""

import asyncio
import math
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from service.engine.local import LocalEngine
from service.engine.protocol import Outcome
from service.process.listening import open_engine_socket
from service.telemetry.metrics import Metrics
from service.text.vocabulary import Vocabulary
from service.transport.client import outcomes_of
from service.transport.connection import Connection
from service.transport.messages import (
    Cancel,
    Done,
    Failed,
    Generate,
    Infer,
    Packed,
    Ping,
    Pong,
    Report,
    Token,
    column,
    pack,
)
from service.transport.remote import connect
from service.transport.server import EngineServer
from tests.engine.test_engines import SETTINGS, run
from tests.fakes import Device, version_of

IDS = np.arange(1, 4, dtype=np.int32)


def infer(*sequences: np.ndarray, id: int = 2, name: str = "ids", **changes) -> Infer:
    """Returns a request for some sequences, by default a good one, with some fields changed."""
    some = sequences or (IDS,)
    whole = Infer(
        name="tagger",
        version="1",
        ids=column([id], np.int64),
        counts=column([len(some)], np.int64),
        timeouts_seconds=column([60.0], np.float64),
        clients=column([0], np.int64),
        lengths=column([one.size for one in some], np.int32),
        values=pack({name: np.concatenate(some)}),
    )
    return msgspec.structs.replace(whole, **changes)


def packed(*ids: Packed) -> Infer:
    """Returns a request whose values are these bytes."""
    return infer(values={f"ids{i or ''}": one for i, one in enumerate(ids)})


GOOD = infer(id=1)
TEXT = Generate(1, "lm", "1", IDS.tobytes(), 1, 1.0, 0, 1.0, 1, 60.0)


class Worker:
    """A worker that says what its test wants."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Any] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.connection = Connection(
            lambda _: None, lambda _, message: self.answers.put_nowait(message), lambda _: self.closed.set()
        )

    async def ask(self, *messages) -> dict[int, object]:
        """Returns the first answer to each."""
        for message in messages:
            self.connection.send(message)
        answers: dict[int, object] = {}
        while len(answers) < len(messages):
            answer = await self.answers.get()
            if isinstance(answer, Done):
                answers |= dict(outcomes_of(answer))
            elif not isinstance(answer, Report):
                answers.setdefault(answer.id, answer)
        return answers


@asynccontextmanager
async def worker() -> AsyncIterator[Worker]:
    letters = Vocabulary([chr(97 + i) for i in range(8)])
    texts = replace(version_of("lm", "generate"), vocabularies={"characters": letters})
    with tempfile.TemporaryDirectory() as folder:
        device = Device()
        behind = LocalEngine(SETTINGS, [version_of("tagger"), texts], lambda: device, Metrics())
        await behind.start(lambda: None)
        listening = await EngineServer(behind).listen(open_engine_socket(f"{folder}/engine"))
        made = Worker()
        await connect(f"{folder}/engine", lambda: made.connection)
        try:
            yield made
        finally:
            made.connection.close()
            listening.close()
            await behind.close()


def generate(**changes) -> Generate:
    return Generate(**{name: getattr(TEXT, name) for name in TEXT.__struct_fields__} | {"id": 2} | changes)


TWICE = column([3, 3], np.int64)
BAD = {
    "no sequences": infer(counts=column([0], np.int64), lengths=b"", values=pack({"ids": IDS[:0]})),
    "fewer sequences than lengths": infer(lengths=column([1, 2], np.int32)),
    "less than no sequences": infer(counts=column([-1], np.int64)),
    "more counts than requests": infer(counts=TWICE),
    "more times than requests": infer(timeouts_seconds=column([1.0, 1.0], np.float64)),
    "more clients than requests": infer(clients=column([1, 2], np.int64)),
    "half a count": infer(counts=b"\0" * 7),
    "half a length": infer(lengths=b"\0" * 7),
    "no inputs": infer(values={}),
    "another input": infer(name="word_ids"),
    "one input too many": infer(values=pack({"ids": IDS, "more": IDS})),
    "length 0": infer(np.zeros(0, np.int32)),
    "a negative length": infer(IDS, IDS, lengths=column([-1, 7], np.int32)),
    "longer than the largest bucket": infer(np.ones(9, np.int32)),
    "another dtype": infer(IDS.astype(np.int64)),
    "floats": infer(IDS.astype(np.float32)),
    "another shape": infer(values=pack({"ids": np.ones((3, 2), np.int32)})),
    "more ids than lengths": infer(values=pack({"ids": np.ones(4, np.int32)})),
    "no axis": infer(values=pack({"ids": np.array(5, np.int32)})),
    "a negative id": infer(np.array([1, -1], np.int32)),
    "bytes that are not of the shape": packed(Packed("<i4", (5,), b"\0" * 8)),
    "half a number": packed(Packed("<i4", (2,), b"\0" * 7)),
    "a negative axis": packed(Packed("<i4", (-2, -2), b"\0" * 16)),
    "an axis that overflows": packed(Packed("<i4", (2**62, 4), b"\0" * 16)),
    "objects": packed(Packed("|O", (1,), b"\0" * 8)),
    "no dtype": packed(Packed("nonsense(", (1,), b"\0" * 4)),
    "another byte order": infer(values=pack({"ids": IDS.astype(">i4")})),
    "no model": msgspec.structs.replace(GOOD, ids=column([2], np.int64), name="stranger"),
    "no version": infer(version="2"),
    "a generator": msgspec.structs.replace(GOOD, ids=column([2], np.int64), name="lm"),
    "no time": infer(timeouts_seconds=column([math.nan], np.float64)),
    "endless time": infer(timeouts_seconds=column([math.inf], np.float64)),
    "one good, one bad": infer(IDS, np.zeros(0, np.int32)),
    "half an id of a prompt": generate(prompt=b"\0" * 7),
    "no prompt": generate(prompt=b""),
    "an id that is no character": generate(prompt=np.array([10], np.int32).tobytes()),
    "a negative id of a prompt": generate(prompt=np.array([-1], np.int32).tobytes()),
    "nothing to generate": generate(max_tokens=0),
    "less than nothing to generate": generate(max_tokens=-1),
    "top_k below 0": generate(top_k=-1),
    "top_k over 32 bits": generate(top_k=2**31),
    "a seed over 64 bits": generate(seed=2**63),
    "no temperature": generate(temperature=math.nan),
    "no top_p": generate(top_p=math.inf),
    "a text of no time": generate(timeout_seconds=math.nan),
    "a text of a tagger": generate(name="tagger"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_malformed_message_is_answered_and_harms_no_neighbour(bad):
    async def test():
        async with worker() as here:
            other = infer(IDS, IDS, id=3)
            answers = await here.ask(GOOD, bad, other, generate(id=4))
            assert isinstance(answers[2], Failed), answers[2]
            assert answers[2].message
            assert isinstance(answers[1], Outcome)
            assert isinstance(answers[3], Outcome)
            assert isinstance(answers[4], Token)
            assert answers[3].outputs["sum"].tolist() == [6, 6]
            assert not here.closed.is_set()

    run(test())


def test_a_bad_request_harms_none_that_came_in_the_same_message():
    async def test():
        async with worker() as here:
            bad = np.array([1, -1], np.int32)
            together = infer(IDS, bad, IDS, IDS, ids=column([2, 3, 4], np.int64), counts=column([1, 1, 2], np.int64))
            times, clients = column([60.0] * 3, np.float64), column([0] * 3, np.int64)
            message = msgspec.structs.replace(together, timeouts_seconds=times, clients=clients)
            here.connection.send(message)
            answers: dict[int, object] = {}
            while len(answers) < 3:
                answer = await here.answers.get()
                if isinstance(answer, Done):
                    answers |= dict(outcomes_of(answer))
                elif isinstance(answer, Failed):
                    answers[answer.id] = answer
            assert [type(answers[id]) for id in (2, 3, 4)] == [Outcome, Failed, Outcome]

    run(test())


SEVEN, NOTHING = column([7], np.int64), column([0.0], np.float64)
STRAY = Done(SEVEN, SEVEN, SEVEN, {}, {}, NOTHING, NOTHING, column([1], np.int64))


def test_a_ping_is_answered_and_messages_that_are_not_for_an_engine_are_ignored():
    async def test():
        async with worker() as here:
            for stray in (Cancel(99), STRAY, Failed(8, "X", "", 0.0), Pong(0)):
                here.connection.send(stray)
            assert await here.ask(Ping(0)) == {0: Pong(0)}
            assert isinstance((await here.ask(GOOD))[1], Outcome)

    run(test())
