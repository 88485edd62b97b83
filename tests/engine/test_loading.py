"""How the versions of a process are loaded: the order, the progress, what is refused, and what serves meanwhile."""

import asyncio
import errno
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.artifact.manifest import Manifest, ModelVersion, TaskName
from service.backend.cache import NO_CACHE, ExecutableCache
from service.backend.priority import Priority
from service.engine import loader
from service.engine.engine import Engine, starting
from service.engine.loader import Generator, ModelLoading, Sequences, loading_order
from service.errors import ArtifactError, ConfigurationError, DeviceFailed, EngineUnavailable
from service.telemetry.metrics import Metrics
from service.text.lemmatizer import LEMMA
from service.types import ModelKey, Ragged, State, Tensors
from tests.engine.running import LM, SETTINGS, TAGGER, Timed, make_engine, prompt, request, rows_of, text
from tests.fakes import Device, Repeater, version_of
from tests.waiting import iterations, until


def test_the_default_models_of_each_task_are_loaded_first():
    tasks: dict[str, TaskName] = {"lm": "generate", "sentiment": "classify", "tagger": "tag"}
    versions = [version_of(prefix + name, task) for prefix in ("b-", "", "a-") for name, task in tasks.items()]
    order = [version.key.name for version in loading_order(versions, list(tasks))]
    assert order == ["tagger", "sentiment", "lm", "a-tagger", "b-tagger", "a-sentiment", "b-sentiment", "a-lm", "b-lm"]


class Bench(Timed):
    """The loading of some versions, and its device.

    Attributes:
        progress: all that was reported, with the number of executables.
        loaded, refused, unread: what was passed on.
        counts: the number of all steps when each version was loaded.
    """

    def __init__(self, *versions: ModelVersion, executables: ExecutableCache = NO_CACHE) -> None:
        super().__init__()
        self.progress: list[tuple[ModelKey, int]] = []
        self.loaded: dict[ModelKey, Sequences | Generator] = {}
        self.refused: dict[ModelKey, str] = {}
        self.unread: dict[ModelKey, str] = {}
        self.counts = [0]
        some = versions or (version_of("tagger"), version_of("lm", "generate"))
        self.loading = ModelLoading(SETTINGS, some, lambda: self, self.metrics, self.clock, cache=executables)
        self.loading.on_progress, self.loading.on_unread = self.on_progress, self.unread.__setitem__
        self.loading.stopped = lambda: self.stopped
        self.stopped = False

    def on_progress(self, key: ModelKey, compiled: int) -> None:
        self.progress.append((key, compiled))

    def run(self) -> None:
        def on_loaded(key: ModelKey, model: Sequences | Generator, overlaps: bool) -> None:
            assert overlaps is self.overlaps
            self.loaded[key] = model
            self.counts.append(len(self.shapes))

        self.loading.run(on_loaded, self.refused.__setitem__)

    def begun(self) -> list[str]:
        """Returns the names of the versions in the order in which their loading began."""
        return [key.name for key, compiled in self.progress if not compiled]


def test_what_is_loaded_is_passed_on_and_the_progress_is_reported():
    bench = Bench()
    bench.run()
    assert isinstance(bench.loaded[TAGGER], Sequences)
    assert isinstance(bench.loaded[LM], Generator)
    assert bench.refused == {}
    assert bench.metric("model_info", model="tagger", version="1") == 1
    assert bench.metric("model_load_duration_seconds", model="lm", version="1") == 0
    counts = dict(bench.progress)
    assert list(counts) == [TAGGER, LM]
    assert all(counts.values())
    assert bench.progress == [(key, compiled) for key, count in counts.items() for compiled in range(count + 1)]


def test_a_tagger_without_lemma_rules_says_so_in_the_log_and_another_model_does_not(caplog):
    bench = Bench(version_of("lm", "generate"), version_of("plain"), version_of("tagger", labels={LEMMA: ("lower",)}))
    bench.run()
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["plain/1: it gives no lemmas; made again of a treebank with lemmas, it does: none"]
    assert starting(version_of("plain")).description == f"for tests; {warnings[0].removeprefix('plain/1: ')}"


class Processor(Bench):
    """A bench whose steps take processor time by their cells, and any time by the clock."""

    overlaps = False
    processor_seconds = 0.0

    def finish_step(self) -> None:
        rows, length = self.shapes[-1]
        self.processor_seconds += 1e-3 * (1 + rows * length)
        self.clock.now += len(self.shapes) % 7
        super().finish_step()


def test_steps_of_a_processor_are_measured_in_its_time_whatever_other_processes_take(monkeypatch):
    bench = Processor()
    monkeypatch.setattr("service.engine.loader.time.process_time", lambda: bench.processor_seconds)
    bench.run()
    loaded = bench.loaded[TAGGER]
    assert isinstance(loaded, Sequences)
    for rows in SETTINGS.batch_sizes:
        assert loaded.step_times.seconds(rows, 9) == pytest.approx(1e-3 * (1 + rows * 9))


def test_the_steps_of_models_of_one_graph_and_capacity_are_measured_once():
    files = {"saved_model/saved_model.pb": "the same"}
    same = [version_of("tagger", files=files), version_of("tagger-sv", files=files)]
    bench = Bench(*same, version_of("longer", files=files, length_buckets=(4, 16)), version_of("other"))
    bench.run()
    steps = [after - before for before, after in pairwise(bench.counts)]
    assert steps[0] == steps[2] == steps[3] > steps[1] == 0


async def test_steps_are_measured_in_the_event_loop_one_per_iteration():
    iterations = 0

    def count() -> None:
        nonlocal iterations
        iterations += 1
        asyncio.get_running_loop().call_soon(count)

    class Counting(Device):
        def start_step(self) -> None:
            measured.append(iterations)
            assert threading.current_thread() is threading.main_thread()
            super().start_step()

    measured = list[int]()
    device, versions, metrics = Counting(), [version_of("tagger")], Metrics()
    made = Engine(SETTINGS, ModelLoading(SETTINGS, versions, lambda: device, metrics), metrics)
    count()
    await made.start(lambda: None)
    await made.close()
    assert len(measured) == len(set(measured)) > len(SETTINGS.batch_sizes)


def failing(error: Exception) -> Any:
    def fail(*arguments: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("where", "error", "reason"),
    [
        ("load_sequence_model", IndexError("list index out of range"), "IndexError: list index out of range"),
        ("prepare", ArtifactError("it has no words"), "it has no words"),
    ],
)
def test_a_version_that_fails_to_load_is_refused_at_once_and_the_next_one_is_loaded(where, error, reason, caplog):
    bench = Bench()
    if where == "prepare":
        bench.loading.prepare = lambda version: failing(error)() if version.key == TAGGER else None
    else:
        setattr(bench, where, failing(error))
    with caplog.at_level(logging.INFO, logger="tagwerk"):
        bench.run()
    assert (bench.refused, list(bench.loaded)) == ({TAGGER: reason}, [LM])
    assert bench.metric("model_info", model="tagger", version="1") is None
    refused, ready = [record for record in caplog.records if record.message.startswith(("refused", "ready"))]
    assert (refused.levelname, refused.message) == ("ERROR", f"refused tagger/1: {reason}")
    assert ready.message.startswith("ready on test device: lm/1; ")


def test_a_wrong_setting_that_shows_while_a_model_loads_ends_the_loading():
    bench = Bench()
    bench.load_sequence_model = failing(ConfigurationError("the device has too little memory"))  # type: ignore[method-assign]
    with pytest.raises(ConfigurationError, match="too little memory"):
        bench.run()
    assert (bench.loaded, bench.refused) == ({}, {})


def test_models_are_loaded_at_low_priority_after_the_device_is_there(monkeypatch):
    bench, events = Bench(), list[object]()
    monkeypatch.setattr(loader, "set_priority", events.append)
    bench.loading.make_backend = lambda: events.append("device") or bench  # type: ignore[func-returns-value]
    bench.loading.on_progress = lambda key, compiled: events.append(key)
    bench.loading.priority = Priority.LOW
    bench.run()
    assert list(dict.fromkeys(events)) == ["device", Priority.LOW, TAGGER, LM]


@pytest.mark.parametrize(("priority", "steps"), [(Priority.USUAL, 0), (Priority.LOW, 3)])
def test_caches_are_filled_before_a_version_serves_beside_others(monkeypatch, priority, steps):
    word = Ragged.of([{"ids": np.ones(2, np.int32)}])

    def warm_up(infer: Callable[[Ragged], Tensors]) -> Iterator[None]:
        for number in range(9):
            bench.stopped = number == 2
            infer(word)
            yield

    monkeypatch.setattr(loader, "set_priority", lambda priority: None)
    usual, bench = (Bench(version_of("tagger")) for _ in range(2))
    bench.loading.priority, bench.loading.prepare = priority, lambda version: warm_up
    usual.run()
    bench.run()
    assert bench.shapes[len(usual.shapes) :] == [(min(SETTINGS.batch_sizes), usual.shapes[-1][1])] * steps
    assert list(bench.loaded) == [TAGGER]


@pytest.mark.parametrize("during", [TAGGER, LM], ids=["the first", "the last"])
def test_loading_that_is_stopped_compiles_nothing_more_and_is_not_ready(during, caplog):
    class Stopped(Bench):
        def on_progress(self, key: ModelKey, compiled: int) -> None:
            super().on_progress(key, compiled)
            self.stopped = self.stopped or (key, compiled) == (during, 1)

    bench = Stopped()
    with caplog.at_level(logging.INFO, logger="tagwerk"):
        bench.run()
    assert bench.progress[-1] == (during, 1)
    assert "ready on" not in caplog.text


def test_a_model_that_another_process_compiles_is_loaded_after_those_that_none_does(tmp_path):
    class Other(Bench):
        def on_progress(self, key: ModelKey, compiled: int) -> None:
            super().on_progress(key, compiled)
            if (key.name, compiled) == ("c", len(SETTINGS.batch_sizes)):
                compiled_by_others.close()

    names = ["a", "b", "c"]
    bench, compiled_by_others = Other(*map(version_of, names), executables=ExecutableCache(tmp_path)), ExitStack()
    graphs = {ModelKey(name, "1"): f"{name}-1" for name in names}
    assert compiled_by_others.enter_context(ExecutableCache(tmp_path).first_free(graphs, lambda: False)).name == "a"
    bench.run()
    assert bench.begun() == ["b", "c", "a"]


class DeviceOfCachedExecutables(Bench):
    """Cannot load the tagger while a damaged executable is cached."""

    def __init__(self, cached: Path, executables: ExecutableCache) -> None:
        super().__init__(executables=executables)
        self.cached = cached
        self.attempts = 0

    def load_sequence_model(self, folder: Path, manifest: Manifest) -> Any:
        self.attempts += 1
        if self.cached.exists():
            raise DeviceFailed("the executable is truncated")
        return super().load_sequence_model(folder, manifest)


def test_a_version_whose_cached_executables_are_damaged_is_compiled_again_and_the_others_are_kept(tmp_path, caplog):
    place = ExecutableCache(tmp_path).place
    place.mkdir()
    for name in ("damaged.pb", "intact.pb"):
        (place / name).write_bytes(b"machine code")
    executables = ExecutableCache(tmp_path)
    executables.record()
    (place / "damaged.pb").write_bytes(b"machine")
    bench = DeviceOfCachedExecutables(place / "damaged.pb", executables=executables)
    bench.run()
    assert (list(bench.loaded), bench.refused, bench.attempts) == ([TAGGER, LM], {}, 2)
    assert "cached executables that are damaged, and are compiled again: 1" in caplog.text
    assert [path.name for path in sorted(place.iterdir())] == ["intact.pb", "intact.sha256"]


def test_a_version_whose_step_fails_without_a_damaged_executable_is_refused_after_one_attempt(tmp_path):
    bench = DeviceOfCachedExecutables(tmp_path, executables=ExecutableCache(tmp_path / "executables"))
    bench.run()
    assert (list(bench.loaded), bench.refused) == ([LM], {TAGGER: "the executable is truncated"})
    assert bench.attempts == 1


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def of_system(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "of_machine"),
    [
        (of_system(errno.ENOSPC), True),
        (of_system(errno.EMFILE), True),
        (MemoryError(), True),
        (caused_by(ArtifactError("saved_model.pb cannot be read"), of_system(errno.EIO)), True),
        (caused_by(DeviceFailed("the device failed"), of_system(errno.EROFS)), True),
        (caused_by(ArtifactError("it cannot be built"), caused_by(ValueError("no"), of_system(errno.ENOMEM))), True),
        (ArtifactError("golden 1"), False),
        (caused_by(ArtifactError("gone"), of_system(errno.ENOENT)), False),
        (OSError("odd"), False),
    ],
    ids=repr,
)
def test_a_fault_of_the_machine_is_not_the_version_s_and_what_is_not_one_is(error, of_machine):
    bench = Bench()
    bench.load_sequence_model = failing(error)  # type: ignore[method-assign]
    bench.run()
    assert (list(bench.loaded), list(bench.refused)) == ([LM], [TAGGER])
    assert list(bench.unread) == [TAGGER] * of_machine


def test_a_version_is_not_refused_for_a_temporary_folder_that_a_cleaner_has_removed(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "removed"))
    bench = Bench()
    bench.load_sequence_model = failing(of_system(errno.ENOENT))  # type: ignore[method-assign]
    bench.run()
    assert list(bench.unread) == [TAGGER]


class SlowDevice(Device):
    """Loads no language model until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_load = threading.Event()

    def load_generation_model(self, folder: Path, manifest: Manifest) -> Repeater:
        assert self.may_load.wait(10), "the test never let it load"
        return super().load_generation_model(folder, manifest)


async def test_a_model_serves_while_another_is_still_loaded():
    device, changes = SlowDevice(), list[dict[str, State]]()
    made = make_engine(device)

    def on_change() -> None:
        changes.append({state.key.name: state.state for state in made.models()})

    assert (made.state, [state.task for state in made.models()]) == (State.STARTING, ["tag", "generate"])
    starting = asyncio.create_task(made.start(on_change))
    await until(lambda: made.state is State.READY)
    sent = request([1, 2], [3])
    assert rows_of(sent, await made.infer(sent)) == [[1, 2], [3]]
    with pytest.raises(EngineUnavailable, match="lm/1 is still being loaded"):
        await text(made, prompt(1))
    assert not starting.done()
    device.may_load.set()
    await starting
    assert len(await text(made, prompt(1))) == 3
    assert changes[0] == {"tagger": State.READY, "lm": State.STARTING}
    assert changes[-1] == {"tagger": State.READY, "lm": State.READY}
    await made.close()


async def test_an_engine_that_is_closed_while_it_loads_finishes_what_it_has_and_serves_no_more():
    device = SlowDevice()
    made = make_engine(device)
    starting = asyncio.create_task(made.start(lambda: None))
    await until(lambda: made.state is State.READY)
    admitted = asyncio.create_task(made.infer(request([1])))
    await iterations(1)
    closing = asyncio.create_task(made.close())
    assert int((await admitted).outputs["sum"][0]) == 1
    with pytest.raises(EngineUnavailable, match="the engine is draining"):
        await made.infer(request([2]))
    assert not closing.done()
    device.may_load.set()
    await asyncio.gather(starting, closing)
    assert made.state is State.STOPPED


async def test_an_engine_without_its_device_does_not_start():
    make_backend = failing(ConfigurationError("there is no GPU"))
    made = Engine(SETTINGS, ModelLoading(SETTINGS, [version_of("tagger")], make_backend, Metrics()), Metrics())
    with pytest.raises(ConfigurationError, match="no GPU"):
        await made.start(lambda: None)
    with pytest.raises(EngineUnavailable):
        await made.infer(request([1]))
    await made.close()
