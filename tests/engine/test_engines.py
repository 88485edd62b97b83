"""The engines with a device that the test holds: its thread waits inside a batch until it is let go.

Each test runs in the process of its caller and over a socket: callers cannot tell the two apart.
"""

import asyncio
import gc
import os
import pickle
import tempfile
import threading
import time
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.artifact.manifest import Manifest
from service.engine.local import LocalEngine
from service.engine.protocol import Engine, Generation, Inference, Outcome
from service.errors import (
    ConfigurationError,
    DeadlineExceeded,
    DeviceFailed,
    EngineUnavailable,
    ModelNotFound,
    Overloaded,
)
from service.process.listening import open_engine_socket
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.transport.connection import Connection
from service.transport.pool import EnginePool
from service.transport.remote import RemoteEngine
from service.transport.server import EngineServer
from service.types import ModelKey, Ragged, State
from tests.fakes import Device, Repeater, failing, version_of

SETTINGS = Settings(batch_sizes=(1, 2, 4), slots=2, max_queue_entries=8, max_items=8)
TAGGER, LM = ModelKey("tagger", "1"), ModelKey("lm", "1")


@asynccontextmanager
async def local_engine(device: Device, settings: Settings = SETTINGS) -> AsyncIterator[LocalEngine]:
    made = LocalEngine(settings, [version_of("tagger"), version_of("lm", "generate")], lambda: device, Metrics())
    await made.start(lambda: None)
    try:
        yield made
    finally:
        device.go.set()
        await made.close()


@asynccontextmanager
async def remote_engine(device: Device, settings: Settings = SETTINGS) -> AsyncIterator[RemoteEngine]:
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/engine"
        async with local_engine(device, settings) as behind:
            server = EngineServer(behind)
            listening = await server.listen(open_engine_socket(address))
            made = RemoteEngine(address)
            await made.start(lambda: None)
            await until(lambda: made.state() is State.READY)
            try:
                yield made
            finally:
                await made.close()
                listening.close()


@asynccontextmanager
async def pooled_engine(device: Device, settings: Settings = SETTINGS) -> AsyncIterator[EnginePool]:
    """A pool of one that serves and one that is not there."""
    async with local_engine(device, settings) as behind:
        yield EnginePool([RemoteEngine("/nowhere"), behind])


@pytest.fixture(params=[local_engine, remote_engine, pooled_engine])
def engine(request: pytest.FixtureRequest):
    return request.param


def request(
    *rows: list[int], seconds: float = 60.0, model: ModelKey = TAGGER, further: frozenset[str] = frozenset()
) -> Inference:
    sequences = Ragged.of([{"ids": np.array(row, np.int32)} for row in rows])
    return Inference(model, sequences, time.monotonic() + seconds, further)


def rows_of(request: Inference, outcome: Outcome, name: str = "ids") -> list[list[int]]:
    """Returns an output with a time axis, of each sequence of a request."""
    ends = np.cumsum(request.sequences.lengths)[:-1]
    return [row.tolist() for row in np.split(outcome.outputs[name], ends)]


def prompt(*ids: int, max_tokens: int = 3, seconds: float = 60.0, logprobs: bool = False) -> Generation:
    return Generation(LM, np.array(ids, np.int32), max_tokens, 1.0, 0, 1.0, 1, time.monotonic() + seconds, logprobs)


async def until(condition) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.002)
    pytest.fail("never came true")


def transport_of(connection: Connection) -> asyncio.Transport:
    assert connection._transport is not None
    return connection._transport


async def hold(device: Device, made: Engine) -> asyncio.Task[Outcome]:
    """Sends a request that keeps the device busy until the test lets it go."""
    device.go.clear()
    device.busy.clear()
    task = asyncio.create_task(made.infer(request([99])))
    await until(device.busy.is_set)
    return task


def run(test) -> None:
    asyncio.run(asyncio.wait_for(test, 30))


class SlowDevice(Device):
    """Loads no language model until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_load = threading.Event()

    def load_generation_model(self, folder: Path, manifest: Manifest) -> Repeater:
        assert self.may_load.wait(10), "the test never let it load"
        return super().load_generation_model(folder, manifest)


def test_a_model_serves_while_another_is_still_loaded():
    async def test():
        device, changes = SlowDevice(), list[dict[str, State]]()
        made = LocalEngine(SETTINGS, [version_of("tagger"), version_of("lm", "generate")], lambda: device, Metrics())
        server = EngineServer(made)

        def on_change() -> None:
            changes.append({state.key.name: state.state for state in made.models()})
            server.report()

        starting = asyncio.create_task(made.start(on_change))
        with tempfile.TemporaryDirectory() as folder:
            listening = await server.listen(open_engine_socket(f"{folder}/engine"))
            remote = RemoteEngine(f"{folder}/engine")
            await remote.start(lambda: None)
            await until(lambda: remote.state() is State.READY and made.state() is State.READY)
            for engine in (made, remote):
                asked = request([1, 2], [3])
                assert rows_of(asked, await engine.infer(asked)) == [[1, 2], [3]]
                with pytest.raises(EngineUnavailable, match="lm/1 is still being loaded"):
                    await anext(engine.generate(prompt(1)))
            assert not starting.done()
            device.may_load.set()
            await starting
            assert len([token async for token in made.generate(prompt(1))]) == 3
            assert changes[0] == {"tagger": State.READY, "lm": State.STARTING}
            assert changes[-1] == {"tagger": State.READY, "lm": State.READY}
            await remote.close()
            listening.close()
            await made.close()

    run(test())


def test_each_request_gets_its_own_answers_in_order(engine):
    async def test():
        async with engine(Device()) as made:
            wanted = [[[i, i + 1], [i] * 7, [i]] for i in range(40)]
            outcomes = await asyncio.gather(*(made.infer(request(*rows)) for rows in wanted[:2]))
            for rows in wanted[2:]:
                outcomes.append(await made.infer(request(*rows)))
            for rows, outcome in zip(wanted, outcomes, strict=True):
                assert rows_of(request(*rows), outcome) == rows
                assert outcome.outputs["sum"].tolist() == [sum(row) for row in rows]

    run(test())


def test_what_a_request_leaves_behind_needs_no_search_for_garbage(engine):
    async def test():
        async with engine(Device()) as made:
            wish = request([7])
            sent = weakref.ref(wish.sequences.values["ids"])
            gc.disable()
            try:
                await made.infer(wish)
                del wish
                await made.infer(request([8]))  # the device's thread holds the last one
                await until(lambda: sent() is None)
            finally:
                gc.enable()

    run(test())


def test_requests_that_wait_together_share_a_batch(engine):
    async def test():
        device = Device()
        async with engine(device) as made:
            held = await hold(device, made)
            waiting = [asyncio.create_task(made.infer(request([i]))) for i in range(4)]
            await asyncio.sleep(0)
            device.go.set()
            outcomes = await asyncio.gather(held, *waiting)
            assert [int(outcome.outputs["sum"][0]) for outcome in outcomes] == [99, 0, 1, 2, 3]
            assert device.shapes[-1] == (4, 1)
            assert [outcome.batch_size for outcome in outcomes] == [1, 4, 4, 4, 4]

    run(test())


def test_further_outputs_come_to_those_who_ask_for_them_alone(engine):
    async def test():
        device = Device()
        async with engine(device) as made:
            held = await hold(device, made)
            plain = asyncio.create_task(made.infer(request([3], [4, 4])))
            asks = asyncio.create_task(made.infer(request([3], further=frozenset({"twice", "thrice"}))))
            await asyncio.sleep(0)
            device.go.set()
            assert sorted((await plain).outputs) == ["ids", "sum"]
            output = (await asks).outputs
            assert sorted(output) == ["ids", "sum", "twice"], "what the model does not have is not there"
            assert output["twice"].tolist() == [6]
            await held
            assert device.fetched[-1] == {"twice", "thrice"}
            await made.infer(request([3]))
            assert device.fetched[-1] == frozenset(), "nobody of the batch asked"

    run(test())


def test_a_client_that_goes_while_it_waits_frees_its_place_and_harms_nobody(engine):
    async def test():
        device = Device()
        async with engine(device) as made:
            held = await hold(device, made)
            stays = asyncio.create_task(made.infer(request([1])))
            goes = asyncio.create_task(made.infer(request([2])))
            await asyncio.sleep(0)
            goes.cancel()
            await asyncio.gather(goes, return_exceptions=True)
            device.go.set()
            assert int((await stays).outputs["sum"][0]) == 1
            await held
            assert device.shapes[-1] == (1, 1), "the one that went away was run"

    run(test())


def test_a_client_that_goes_while_its_batch_runs_harms_nobody(engine):
    async def test():
        device = Device()
        async with engine(device) as made:
            held = await hold(device, made)
            held.cancel()
            await asyncio.gather(held, return_exceptions=True)
            device.go.set()
            assert int((await made.infer(request([5]))).outputs["sum"][0]) == 5

    run(test())


def test_a_deadline_passes_while_the_device_is_busy(engine):
    async def test():
        device = Device()
        async with engine(device) as made:
            held = await hold(device, made)
            with pytest.raises(DeadlineExceeded):
                await made.infer(request([1], seconds=0.02))
            device.go.set()
            await held

    run(test())


def test_a_deadline_that_passes_says_where_the_time_went(engine):
    async def test():
        device = Device()
        async with engine(device) as made:
            device.go.clear()
            device.busy.clear()
            sent = time.monotonic()
            running = asyncio.create_task(made.infer(request([1], seconds=0.3)))
            await until(device.busy.is_set)
            taken_within = time.monotonic() - sent
            with pytest.raises(DeadlineExceeded) as waited:
                await made.infer(request([2], seconds=0.05))
            assert waited.value.stages["queue"] > 0
            assert waited.value.stages["inference"] == 0
            with pytest.raises(DeadlineExceeded) as ran:
                await running
            assert 0 <= ran.value.stages["queue"] <= taken_within
            assert ran.value.stages["inference"] > 0
            device.go.set()

    run(test())


def test_a_full_queue_refuses(engine):
    async def test():
        device = Device()
        async with engine(device) as made:
            held = await hold(device, made)
            waiting = asyncio.create_task(made.infer(request(*[[1]] * 8)))
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await made.infer(request([2]))
            begun = asyncio.create_task(made.infer(replace(request([2]), begun=True)))
            await asyncio.sleep(0.05)
            assert not begun.done(), "what is begun is taken"
            device.go.set()
            await asyncio.gather(held, waiting, begun)

    run(test())


def test_a_failed_batch_fails_its_requests_and_the_next_ones_are_answered(engine):
    async def test():
        device = Device()
        async with engine(device) as made:
            device.failure = failing()
            device.shapes.clear()
            with pytest.raises(DeviceFailed, match="on fire"):
                await made.infer(request([1], [2] * 8))
            device.failure = None
            assert int((await made.infer(request([5]))).outputs["sum"][0]) == 5
            assert device.shapes == [(1, 1), (1, 1)], "the other sequence of a request that has failed never runs"

    run(test())


def test_texts_are_generated_side_by_side_and_beside_batches(engine):
    async def test():
        async with engine(Device()) as made:

            async def collect(*ids: int) -> list[int]:
                return [token.id async for token in made.generate(prompt(*ids, max_tokens=5))]

            texts = await asyncio.gather(collect(1, 2, 3, 4, 5, 6), collect(10), collect(20), made.infer(request([7])))
            assert texts[0] == [7, 8, 9, 10, 11]
            assert texts[1] == [11, 12, 13, 14, 15]
            assert texts[2] == [21, 22, 23, 24, 25]
            assert int(texts[3].outputs["sum"][0]) == 7

    run(test())


def test_logprobs_come_to_those_who_ask_for_them_alone(engine):
    async def test():
        device = Device()
        async with engine(device) as made:
            asks, plain = (made.generate(prompt(4, max_tokens=2, logprobs=wish)) for wish in (True, False))
            held = await hold(device, made)
            waiting = [asyncio.create_task(anext(text)) for text in (asks, plain)]
            await asyncio.sleep(0.01)
            device.go.set()
            first, second = await waiting[0], await waiting[1]
            assert first[:3] == (5, -1.0, ((5, -1.25), (4, -1.0)))
            assert second[:3] == (5, None, ())
            await held
            assert [token[:3] async for token in asks] == [(6, -1.25, ((6, -1.5), (5, -1.25)))]
            await plain.aclose()
            await asyncio.sleep(0.01)
            device.fetched.clear()
            assert [token.id async for token in made.generate(prompt(7))] == [8, 9, 10]
            assert set(device.fetched) == {frozenset()}, "nobody of the step asked"

    run(test())


def test_a_token_says_how_long_its_text_waited_for_a_slot_and_how_many_had_the_step(engine):
    async def test():
        async with engine(Device()) as made:
            asked = time.monotonic()
            pair = [made.generate(prompt(i, max_tokens=10**6)) for i in (1, 2)]  # for all the slots
            for token in [await anext(text) for text in pair]:
                assert 0 <= token.queue_seconds <= time.monotonic() - asked
            while (await anext(pair[0])).batch_size < 2:
                pass
            third = made.generate(prompt(3, max_tokens=10**6))
            waiting = asyncio.create_task(anext(third))
            sent = time.monotonic()
            while time.monotonic() < sent + 0.5:
                await anext(pair[0])
                await asyncio.sleep(0)  # tokens that have come already let nothing else run
            for text in pair:
                await text.aclose()
            assert (await waiting).queue_seconds > 0.1  # less than it waited: it may reach the engine late
            while (await anext(third)).batch_size > 1:  # until both have left
                pass
            await third.aclose()

    run(test())


def test_a_text_whose_deadline_passes_in_the_queue_says_so(engine):
    async def test():
        device = Device()
        async with engine(device) as made:
            held = await hold(device, made)
            with pytest.raises(DeadlineExceeded) as late:
                await anext(made.generate(prompt(1, seconds=0.05)))
            assert late.value.stages["queue"] > 0
            assert late.value.stages["inference"] == 0
            device.go.set()
            await held

    run(test())


def test_texts_that_leave_the_queue_make_room_at_once(engine):
    async def test():
        device = Device()
        async with engine(device) as made:
            device.go.clear()  # no stream has a slot any more
            held = asyncio.create_task(made.infer(request([99])))
            await until(device.busy.is_set)
            for seconds in (60.0, 0.02):  # the first ones are cancelled, the next ones expire
                waiting = [asyncio.create_task(anext(made.generate(prompt(1, seconds=seconds)))) for _ in range(256)]
                await asyncio.sleep(0.01)
                for task in waiting if seconds == 60.0 else ():
                    task.cancel()
                errors = await asyncio.gather(*waiting, return_exceptions=True)
                wanted = asyncio.CancelledError if seconds == 60.0 else DeadlineExceeded
                assert {type(error) for error in errors} == {wanted}
            last = asyncio.create_task(anext(made.generate(prompt(5))))
            await asyncio.sleep(0.01)
            device.go.set()
            assert (await last).id == 6
            await held

    run(test())


def test_closing_a_text_frees_its_slot(engine):
    async def test():
        device = Device()
        async with engine(device) as made:
            endless = [made.generate(prompt(1, max_tokens=10**6)) for _ in range(2)]
            for text in endless:
                await anext(text)
                await text.aclose()
            assert [token.id async for token in made.generate(prompt(5, max_tokens=1))] == [6]

    run(test())


def test_a_text_whose_deadline_passes_or_whose_step_fails_says_so(engine):
    async def test():
        device = Device()
        async with engine(device) as made:
            with pytest.raises(DeadlineExceeded) as late:
                async for _ in made.generate(prompt(1, max_tokens=10**6, seconds=0.05)):
                    pass
            assert 0 <= late.value.stages["queue"] < late.value.stages["inference"]
            device.failure = failing()
            with pytest.raises(DeviceFailed):
                async for _ in made.generate(prompt(1)):
                    pass
            device.failure = None
            assert [token.id async for token in made.generate(prompt(5, max_tokens=1))] == [6]

    run(test())


def test_closing_answers_what_was_admitted_and_refuses_what_comes_after():
    async def test():
        device = Device()
        async with local_engine(device) as made:
            held = await hold(device, made)
            waiting = asyncio.create_task(made.infer(request([3])))
            await asyncio.sleep(0)
            closing = asyncio.create_task(made.close())
            await until(lambda: made.state() is State.DRAINING)
            with pytest.raises(EngineUnavailable):
                await made.infer(request([4]))
            device.go.set()
            assert int((await waiting).outputs["sum"][0]) == 3
            await held
            await closing
            assert made.state() is State.STOPPED

    run(test())


def test_a_broken_model_is_refused_with_the_reason_and_the_others_serve(engine):
    async def test():
        device = Device()
        device.broken = {"tagger"}
        async with engine(device) as made:
            states = {state.key.name: (state.state, state.reason) for state in made.models()}
            assert states == {"tagger": (State.REFUSED, "tagger is broken"), "lm": (State.READY, None)}
            with pytest.raises(ModelNotFound):
                await made.infer(request([1]))
            assert [token.id async for token in made.generate(prompt(5, max_tokens=1))] == [6]

    run(test())


def test_an_engine_without_its_device_does_not_start():
    def make_backend():
        raise ConfigurationError("there is no GPU")

    async def test():
        made = LocalEngine(SETTINGS, [version_of("tagger")], make_backend, Metrics())
        with pytest.raises(ConfigurationError, match="no GPU"):
            await made.start(lambda: None)
        with pytest.raises(EngineUnavailable):
            await made.infer(request([1]))
        await made.close()

    run(test())


def test_an_engine_that_goes_away_fails_what_is_under_way_at_once_and_is_found_again():
    async def test():
        with tempfile.TemporaryDirectory() as folder:
            address = f"{folder}/engine"
            device = Device()
            changes = []
            made = RemoteEngine(address)
            await made.start(lambda: changes.append(made.state()))
            with pytest.raises(EngineUnavailable):
                await made.infer(request([1]))
            async with local_engine(device) as behind:
                server = EngineServer(behind)
                listening = await server.listen(open_engine_socket(address))
                await until(lambda: made.state() is State.READY)
                held = await hold(device, made)
                text = made.generate(prompt(1, max_tokens=10**6))
                waiting = asyncio.create_task(anext(text))
                await asyncio.sleep(0.01)
                listening.close()
                for connection in list(server._peers):
                    transport_of(connection).abort()
                for task in (held, waiting):
                    with pytest.raises(EngineUnavailable, match="was lost"):
                        await task
                assert made.state() is State.STARTING
                device.go.set()
                again = await server.listen(open_engine_socket(address))
                await until(lambda: made.state() is State.READY)
                assert int((await made.infer(request([5]))).outputs["sum"][0]) == 5
                assert changes == [State.READY, State.STARTING, State.READY]
                again.close()
            await made.close()

    run(test())


def test_a_worker_that_goes_away_takes_its_requests_with_it():
    async def test():
        with tempfile.TemporaryDirectory() as folder:
            device = Device()
            async with local_engine(device) as behind:
                server = EngineServer(behind)
                listening = await server.listen(open_engine_socket(f"{folder}/engine"))
                stays, goes = RemoteEngine(f"{folder}/engine"), RemoteEngine(f"{folder}/engine")
                for made in (stays, goes):
                    await made.start(lambda: None)
                await until(lambda: stays.state() is goes.state() is State.READY)
                held = await hold(device, stays)
                lost = asyncio.create_task(goes.infer(request([2], [3])))
                kept = asyncio.create_task(stays.infer(request([4])))
                await until(lambda: sum(len(peer.requests) for peer in server._peers.values()) == 3)
                await goes.close()
                await until(lambda: len(server._peers) == 1)
                await asyncio.sleep(0)
                device.go.set()
                assert int((await kept).outputs["sum"][0]) == 4
                await held
                assert device.shapes[-1] == (1, 1), "a request of the worker that went away was run"
                lost.cancel()
                await stays.close()
                listening.close()

    run(test())


def test_a_peer_that_talks_nonsense_is_hung_up_on():
    async def test():
        with tempfile.TemporaryDirectory() as folder:
            async with local_engine(Device()) as behind:
                listening = await EngineServer(behind).listen(open_engine_socket(f"{folder}/engine"))
                reader, writer = await asyncio.open_unix_connection(f"{folder}/engine")
                writer.write((9).to_bytes(4, "big") + b"nonsense!")
                await reader.read()  # the report, and then the end
                writer.close()
                listening.close()

    run(test())


def test_what_a_peer_sends_is_not_unpickled():
    class Evil:
        folder = ""

        def __reduce__(self):
            return (os.mkdir, (f"{self.folder}/run",))

    async def test():
        with tempfile.TemporaryDirectory() as folder:
            evil = Evil()
            evil.folder = folder
            content = pickle.dumps([evil])
            async with local_engine(Device()) as behind:
                listening = await EngineServer(behind).listen(open_engine_socket(f"{folder}/engine"))
                reader, writer = await asyncio.open_unix_connection(f"{folder}/engine")
                writer.write(len(content).to_bytes(4, "big") + content)
                await reader.read()
                writer.close()
                listening.close()
            assert not Path(folder, "run").exists()  # noqa: ASYNC240

    run(test())
