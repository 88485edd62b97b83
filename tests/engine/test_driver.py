"""The device thread: the order of its work, and what it tells the scheduler."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from service.artifact.version import ModelVersion
from service.engine import driver
from service.engine.driver import Driver
from service.engine.loader import LoadProgress
from service.engine.protocol import Requests
from service.engine.queue import EngineRequest
from service.engine.scheduler import Scheduler
from service.engine.slots import Slots, Stream
from service.errors import ConfigurationError, ModelNotFound
from service.telemetry.metrics import Metrics
from service.types import ModelKey, ModelState, Sampled, State
from tests.engine.test_engines import LM, SETTINGS, TAGGER, hold, local_engine, prompt, request, run, until
from tests.fakes import Clock, Device, failing, version_of

# Deadlines of requests are by the real clock, which is at 0 when a machine starts; a bench has a clock of its own.
NO_DEADLINE = 1e9
STEP_SECONDS = 1 / 32  # exact in binary


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


class Bench(Device):
    """A driver without its thread, and its device: whatever it runs takes `STEP_SECONDS` by the clock."""

    def __init__(self, *more: ModelVersion) -> None:
        super().__init__()
        self.clock = Clock()
        self.metrics = Metrics()
        self.progress: list[LoadProgress] = []
        self.changes: list[dict[ModelKey, State]] = []
        self.requests: list[EngineRequest] = []
        self.tokens: list[tuple[float, list[int]]] = []
        self.look: Callable[[], object] = lambda: None
        self.seen: list[object] = []  # by `look`, when a step is almost over
        versions = [version_of("tagger"), version_of("lm", "generate"), *more]
        self.driver = Driver(
            SETTINGS, versions, lambda: self, self.metrics, self, self.clock, on_progress=self.progress.append
        )

    def wait(self) -> None:
        self.clock.now += STEP_SECONDS
        self.seen.append(self.look())
        super().wait()

    def on_models(self) -> None:
        self.changes.append({key: model.state for key, model in self.driver.models.items()})

    def on_finished_requests(self, requests: Sequence[EngineRequest]) -> None:
        self.requests += requests

    def on_tokens(self, tokens: Sequence[tuple[Stream, Sequence[Sampled]]]) -> None:
        self.tokens += [(self.clock.now, [token.id for token in of_stream]) for _, of_stream in tokens]

    def on_failed_streams(self, streams: Sequence[Stream]) -> None:
        raise NotImplementedError

    def admit(self, *rows: list[int]) -> EngineRequest:
        (admitted,) = self.driver.admit(Requests.of(request(*rows, seconds=NO_DEADLINE)))
        assert isinstance(admitted, EngineRequest)
        return admitted

    def admit_stream(self, *ids: int, max_tokens: int = 3, model: ModelKey = LM) -> Stream:
        return self.driver.admit_stream(replace(prompt(*ids, max_tokens=max_tokens, seconds=NO_DEADLINE), model=model))

    def run(self) -> None:
        """Runs what is admitted, looking at each step."""
        self.seen.clear()
        self.driver.drain()
        self.driver.run()

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"tagwerk_{name}", labels)


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.driver.load()
    return made


def test_what_is_loaded_is_reported_and_serves(bench):
    assert bench.driver.state is State.READY
    assert {key: model.state for key, model in bench.driver.models.items()} == {TAGGER: State.READY, LM: State.READY}
    assert (bench.metric("model_info", model="tagger", version="1"), bench.metric("queue_entries")) == (1, 0)
    assert bench.metric("model_load_duration_seconds", model="lm", version="1") == 0
    tagger = [one for one in bench.progress if one.key == TAGGER]
    lm = [one for one in bench.progress if one.key == LM]
    assert bench.progress == [*tagger, *lm]
    for number, (key, reports) in enumerate([(TAGGER, tagger), (LM, lm)], start=1):
        count = reports[-1].executables
        assert count > 0
        assert reports == [
            LoadProgress(key, number, 2),
            *(LoadProgress(key, number, 2, compiled, count) for compiled in range(1, count + 1)),
        ]


def test_each_model_serves_as_soon_as_it_is_loaded_lemmatizers_before_taggers(bench):
    assert bench.changes[0] == {TAGGER: State.READY, LM: State.STARTING}
    assert bench.changes[-1] == {TAGGER: State.READY, LM: State.READY}
    more = Bench(version_of("verbs", "lemmatize"), version_of("moods", "classify"))
    more.driver.load()
    assert [one.key.name for one in more.progress if one.compiled == 0] == ["moods", "verbs", "tagger", "lm"]


def test_a_version_that_fails_to_load_is_refused_at_once_and_the_next_one_is_loaded(monkeypatch, caplog):
    bench = Bench()
    monkeypatch.setattr(bench, "load_sequence_model", lambda folder, manifest: [][0])
    with caplog.at_level(logging.INFO, logger="tagwerk"):
        bench.driver.load()
    reason = "IndexError: list index out of range"
    assert bench.driver.models[TAGGER] == ModelState(TAGGER, State.REFUSED, reason)
    assert bench.changes[0] == {TAGGER: State.REFUSED, LM: State.STARTING}
    assert bench.changes[-1] == {TAGGER: State.REFUSED, LM: State.READY}
    assert bench.metric("model_info", model="tagger", version="1") is None
    refused, ready = [record for record in caplog.records if record.message.startswith(("refused", "ready"))]
    assert (refused.levelname, refused.message) == ("ERROR", f"refused tagger/1: {reason}")
    assert ready.message.startswith("ready on test device: lm/1; 0.0 s, ")


def test_an_engine_without_a_model_that_loads_is_ready_and_tells_why(monkeypatch, caplog):
    bench = Bench()
    bench.broken = {"tagger", "lm"}
    with caplog.at_level(logging.INFO, logger="tagwerk"):
        bench.driver.load()
    assert bench.driver.state is State.READY
    assert {key: model.reason for key, model in bench.driver.models.items()} == {
        TAGGER: "tagger is broken",
        LM: "lm is broken",
    }
    assert "ready on test device: no model; " in caplog.text
    assert isinstance(bench.driver.admit(Requests.of(request([1])))[0], ModelNotFound)


def test_a_wrong_setting_that_shows_while_a_model_loads_ends_the_loading(monkeypatch):
    def fail(folder: object, manifest: object) -> None:
        raise ConfigurationError("the device has too little memory")

    bench = Bench()
    monkeypatch.setattr(bench, "load_sequence_model", fail)
    with pytest.raises(ConfigurationError, match="too little memory"):
        bench.driver.load()
    assert {model.state for model in bench.driver.models.values()} == {State.STARTING}


def test_models_are_loaded_by_the_function_that_sets_their_priority():
    bench, within = Bench(), list[LoadProgress]()

    def call(work):
        known = len(bench.progress)
        loaded = work()
        within.extend(bench.progress[known:])
        return loaded

    bench.driver._call = call
    bench.driver.load()
    assert {one.key for one in within} == {TAGGER, LM}
    assert within == [one for one in bench.progress if one.compiled]


def test_what_loading_costs_is_measured_and_logged(monkeypatch, caplog):
    resident = iter([100.0, 350.0, 360.0, 400.0, 410.0])  # before and after each model, and after all
    monkeypatch.setattr(driver, "resident_megabytes", lambda: next(resident))
    bench = Bench()
    with caplog.at_level(logging.INFO, logger="tagwerk"):
        bench.driver.load()
    steps = 3 * 2 * 3  # each of three batch sizes with two lengths, three times
    assert bench.metric("model_load_duration_seconds", model="tagger", version="1") == steps * STEP_SECONDS
    assert bench.metric("model_load_duration_seconds", model="lm", version="1") == 0
    assert caplog.messages == [
        "loads and compiles tagger/1 (1 of 2)",
        "tagger/1: 3 executables, at most 0% padding, 0.6 s, 250 MB",
        "loads and compiles lm/1 (2 of 2)",
        "lm/1: 2 executables, 0.0 s, 40 MB",
        "ready on test device: tagger/1, lm/1; 0.6 s, 410 MB in all",
    ]


@pytest.mark.parametrize(("during", "loaded"), [(TAGGER, {TAGGER}), (LM, {TAGGER, LM})], ids=["the first", "the last"])
def test_one_that_drains_while_it_loads_loads_nothing_more_and_is_not_ready(during, loaded, caplog):
    bench = Bench()
    bench.driver._on_progress = lambda progress: bench.driver.drain() if progress.key == during else None
    with caplog.at_level(logging.INFO, logger="tagwerk"):
        bench.driver.load()
    assert bench.driver.state is State.DRAINING
    assert {key for key, model in bench.driver.models.items() if model.state is not State.STARTING} == loaded
    assert "ready on" not in caplog.text


def test_an_engine_whose_device_thread_ends_while_it_loads_loads_nothing_more():
    bench = Bench()
    bench.driver._on_progress = lambda progress: setattr(bench.driver, "state", State.STOPPED)
    bench.driver.load()
    assert bench.driver.state is State.STOPPED
    assert bench.driver.models[LM].state is State.STARTING


def test_a_failed_batch_ends_each_of_its_requests_once(bench):
    bench.failure = failing()
    requests = [bench.admit([1], [2]), bench.admit([3])]
    bench.run()
    assert bench.seen == [None], "all in one batch"
    assert bench.requests == requests
    assert [request.error for request in bench.requests] == [bench.failure] * 2


def test_a_batch_is_measured_from_its_start_to_its_outputs(bench):
    bench.admit([1, 2, 3])
    bench.admit([5])
    bench.clock.now += 0.5
    bench.run()
    assert len(bench.requests) == 2
    assert bench.metric("queue_duration_seconds_sum", model="tagger") == 1.0, "half a second each"
    assert bench.metric("inference_duration_seconds_sum", model="tagger", bucket="4") == STEP_SECONDS
    assert bench.metric("batch_size_sum", model="tagger") == 2
    assert bench.metric("batch_cells_total", model="tagger") == 6
    assert bench.metric("padding_cells_total", model="tagger") == 2
    assert [request.inference_seconds for request in bench.requests] == [STEP_SECONDS] * 2


def test_the_time_of_a_request_is_spent_in_the_queue_until_all_of_it_runs(bench):
    request = bench.admit([1, 2, 3])
    bench.clock.now += 3.0
    assert bench.driver.time_spent(request) == {"queue": 3.0, "inference": 0.0}
    bench.look = lambda: bench.driver.time_spent(request)
    bench.run()
    assert bench.seen == [{"queue": 3.0, "inference": STEP_SECONDS}]
    long = bench.admit([1] * 8, *[[1]] * 7)
    bench.clock.now += 1.0
    bench.look = lambda: bench.driver.time_spent(long)["inference"]
    bench.run()
    assert bench.seen[0] == 0.0
    assert bench.seen[-1] == STEP_SECONDS


def test_a_step_says_how_long_it_has_run(bench):
    bench.admit([1])
    bench.admit_stream(1, max_tokens=2)
    bench.look = bench.driver.step_seconds
    bench.run()
    assert bench.seen == [STEP_SECONDS] * 3
    assert bench.driver.step_seconds() == 0.0


def test_a_generation_step_is_measured_and_its_tokens_are_counted(bench, monkeypatch):
    took = []
    monkeypatch.setattr(Slots, "measured", lambda self, step, seconds: took.append(seconds))
    began = bench.clock.now
    stream = bench.admit_stream(1, max_tokens=2)
    bench.look = lambda: bench.metric("slots_in_use", model="lm")
    bench.run()
    assert took == [STEP_SECONDS] * 2
    assert bench.seen == [1, 1]
    assert bench.metric("slots_in_use", model="lm") == 0
    assert bench.metric("generated_tokens_total", model="lm") == 2
    assert bench.tokens == [(began + STEP_SECONDS, [2]), (began + 2 * STEP_SECONDS, [3])]
    assert (stream.arrived, stream.handed) == (began, began + 2 * STEP_SECONDS)


def test_the_queue_gauges_follow_but_not_each_of_many_admissions(bench):
    def shown() -> tuple[float | None, float | None]:
        return bench.metric("queue_entries"), bench.metric("queue_tokens")

    first = bench.admit([1, 2, 3])
    assert shown() == (1, 3)
    bench.clock.now += 0.009
    bench.admit([4])
    assert shown() == (1, 3)
    bench.clock.now += 0.002
    bench.admit([5, 6])
    assert shown() == (3, 6)
    bench.driver.abandon(first)
    assert shown() == (2, 3), "at once"
    bench.run()
    assert shown() == (0, 0)


def test_language_models_take_turns_and_the_slots_of_a_models_versions_are_shown_together():
    bench = Bench(version_of("lm", "generate", version="2"), version_of("poet", "generate"))
    bench.driver.load()
    keys = [LM, ModelKey("lm", "2"), ModelKey("poet", "1")]
    for number, key in enumerate(keys, start=1):
        bench.admit_stream(10 * number, max_tokens=2, model=key)
    bench.look = lambda: (bench.metric("slots_in_use", model="lm"), bench.metric("slots_in_use", model="poet"))
    bench.run()
    assert [ids for _, ids in bench.tokens] == [[11], [21], [31], [12], [22], [32]]
    assert bench.seen == [(2, 1)] * 6
    assert bench.look() == (0, 0)


def test_a_text_for_a_model_that_is_not_loaded_is_refused(bench):
    with pytest.raises(ModelNotFound, match="model none/1 is not loaded"):
        bench.admit_stream(1, model=ModelKey("none", "1"))


USES = {
    Scheduler: ("add_model", "admit", "abandon", "take", "measured"),
    Slots: ("admit", "cancel", "assemble", "measured", "advance"),
}


def test_the_queue_the_slots_and_the_state_are_used_by_one_thread_at_a_time(monkeypatch):
    """Without the lock, a driver that drains just as its models are loaded would become ready again, and never end."""
    bench = Bench()
    used: set[str] = set()
    unlocked: list[str] = []

    def note(what: str) -> None:
        used.add(what)
        if not bench.driver._lock.locked():
            unlocked.append(what)

    def watched(owner: type, name: str) -> Callable[..., object]:
        method = getattr(owner, name)

        def use(*arguments):
            note(f"{owner.__name__}.{name}")
            return method(*arguments)

        return use

    def set_attribute(driver: Driver, name: str, value: object) -> None:
        if name == "state":
            note(f"state {value}")
        object.__setattr__(driver, name, value)

    for owner, names in USES.items():
        for name in names:
            monkeypatch.setattr(owner, name, watched(owner, name))
    monkeypatch.setattr(Driver, "__setattr__", set_attribute)
    bench.driver.load()
    bench.driver.abandon(bench.admit([1, 2], [3]))
    bench.driver.abandon_stream(bench.admit_stream(1))
    bench.admit_stream(1, max_tokens=1)
    bench.admit([4])
    bench.run()
    bench.failure = failing()
    bench.admit([5])
    bench.run()
    assert unlocked == []
    methods = {f"{owner.__name__}.{name}" for owner, names in USES.items() for name in names}
    assert used == methods | {"state ready", "state draining"}
