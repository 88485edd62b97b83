"""The device thread: the order of its work, and what it tells the scheduler."""

import asyncio

from service.engine.scheduler import Scheduler
from tests.engine.test_engines import LM, SETTINGS, hold, local_engine, prompt, request, run, until
from tests.fakes import Device


class Diary(Device):
    """Notes in which order batches and steps of generation come."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    def wait(self) -> None:
        self.order.append("step" if len(self.steps) > self.order.count("step") else "batch")
        super().wait()


def test_neither_batches_nor_steps_of_generation_wait_for_more_than_one_of_the_other():
    async def test():
        device = Diary()
        async with local_engine(device, SETTINGS.model_copy(update={"batch_sizes": (1,)})) as made:
            held = await hold(device, made)
            waiting = [asyncio.create_task(made.infer(request([i]))) for i in range(8)]
            texts = [made.generate(prompt(i, max_tokens=4)) for i in (1, 2)]
            first = [asyncio.create_task(anext(text)) for text in texts]
            await until(lambda: made._driver._generators[LM].slots.waiting == 2)
            device.order.clear()
            device.go.set()
            await asyncio.gather(held, *waiting, *first)
            for text in texts:
                assert len([token async for token in text]) == 3
            assert device.order == [*["batch", "step"] * 4, *["batch"] * 4]

    run(test())


def test_the_device_thread_tells_the_scheduler_what_each_batch_took(monkeypatch):
    told = []
    monkeypatch.setattr(Scheduler, "measured", lambda self, batch, seconds: told.append((batch.shape, seconds > 0)))

    async def test():
        async with local_engine(Device()) as made:
            await made.infer(request([1, 2, 3]))
            await made.infer(request([5]))

    run(test())
    assert told == [((1, 3), True), ((1, 1), True)]
