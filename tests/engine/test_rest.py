"""An engine in haste: it serves with a few shapes of each model, and takes the others in when they are there."""

import asyncio
import threading

import numpy as np

from service.engine.local import LocalEngine
from service.engine.protocol import Inference, ModelKey, State
from service.metrics import Metrics
from service.registry import ModelVersion
from service.settings import Settings
from tests.engine.test_engines import until
from tests.fakes import Device, Echo, failing, version_of

SETTINGS = Settings(batch_sizes=(1, 2, 4), length_buckets=(4, 6, 8, 12, 16))
COARSE = [(4, 4), (4, 16)]
TAGGER = ModelKey("tagger", "1")


class SlowDevice(Device):
    """One that loads the shapes of the coarse grid, until the test lets it load more."""

    def __init__(self) -> None:
        super().__init__()
        self.more = threading.Event()
        self.broken_shapes = False

    def load_sequence_model(self, folder, manifest, checked=False):
        super().load_sequence_model(folder, manifest, checked)
        return SlowEcho(self)


class SlowEcho(Echo):
    def warm_up(self, shapes):
        if len(shapes) > len(COARSE):
            assert self._device.more.wait(10)
            if self._device.broken_shapes:
                raise failing()
        yield from shapes


def request(length: int) -> Inference:
    return Inference(TAGGER, [{"ids": np.arange(length, dtype=np.int32)}], deadline=1e9)


def hasty(device: Device, metrics: Metrics, *others: ModelVersion) -> LocalEngine:
    return LocalEngine(SETTINGS, [version_of("tagger"), *others], lambda: device, metrics, in_haste=[TAGGER])


def compiled(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("tagwerk_compilations_total", {"model": "tagger"})


def test_it_serves_in_the_largest_batch_size_until_the_others_are_loaded_and_timed():
    async def test():
        device, metrics = SlowDevice(), Metrics()
        engine = hasty(device, metrics)
        await engine.start(lambda: None)
        assert compiled(metrics) == 2
        assert set(device.shapes) == set(COARSE)
        device.shapes.clear()
        for length in (3, 8, 16):
            outcome = await engine.infer(request(length))
            assert outcome.outputs[0]["ids"].tolist() == list(range(length))
        assert device.shapes == [(4, 4), (4, 16), (4, 16)]
        device.shapes.clear()
        device.more.set()

        async def small() -> bool:
            await engine.infer(request(3))
            return device.shapes[-1] == (1, 4)

        async with asyncio.timeout(10):
            while not await small():
                pass
        assert compiled(metrics) == 15
        small_batches = {(rows, length) for rows in (1, 2) for length in SETTINGS.length_buckets}
        assert small_batches <= set(device.shapes), "all were timed"
        await engine.close()

    asyncio.run(test())


def test_it_goes_on_without_those_that_fail():
    async def test():
        device, metrics = SlowDevice(), Metrics()
        device.broken_shapes = True
        device.more.set()
        engine = hasty(device, metrics)
        await engine.start(lambda: None)
        await until(lambda: not any(thread.name == "rest" for thread in threading.enumerate()))
        await engine.infer(request(3))
        assert set(device.shapes) == set(COARSE)
        await engine.close()

    asyncio.run(test())


def test_it_can_end_while_it_loads_the_others():
    async def test():
        device, metrics = SlowDevice(), Metrics()
        engine = hasty(device, metrics)
        await engine.start(lambda: None)
        closing = asyncio.create_task(engine.close())
        await asyncio.sleep(0)
        device.more.set()
        await closing
        assert not any(thread.name == "rest" for thread in threading.enumerate())

    asyncio.run(test())


def test_only_what_served_before_is_loaded_in_haste():
    """A version whose goldens were wrong before is not taken for checked."""

    async def test():
        device, metrics = SlowDevice(), Metrics()
        device.broken.add("stranger")
        device.more.set()
        engine = hasty(device, metrics, version_of("stranger"), version_of("fellow"))
        await engine.start(lambda: None)
        assert device.unchecked == {"tagger"}
        assert metrics.registry.get_sample_value("tagwerk_compilations_total", {"model": "fellow"}) == 15
        assert {str(model.key): model.state for model in engine.models()} == {
            "tagger/1": State.READY,
            "stranger/1": State.REFUSED,
            "fellow/1": State.READY,
        }
        await engine.close()

    asyncio.run(test())
