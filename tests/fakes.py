"""A clock and a device that tests control."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from service.artifact.manifest import Endpoint, Manifest, ModelVersion, TaskName, TensorSpec
from service.backend.base import Fetch
from service.errors import ArtifactError, DeviceFailed
from service.types import Array, Tensors
from tests.waiting import until

T = TypeVar("T")


class Clock:
    """A monotonic clock whose time tests set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Gate(threading.Event):
    """An event that calls a function when it is set."""

    def __init__(self, on_set: Callable[[], None]) -> None:
        super().__init__()
        self._on_set = on_set

    def set(self) -> None:
        super().set()
        self._on_set()


class Device:
    """A device beside the processor: each row's output is its input, each step's token the one read, plus one.

    Blocks nothing: a step that has been started ends when `go` is set, because `schedule`, which an engine under test
    is given, keeps the engine's next iteration until then.

    Attributes:
        shapes, steps: the shape of each batch, and the inputs of each generation step, that has been started.
        fetched: the extra outputs with which each of them was fetched.
        go: whether steps may end.
        busy: set by the start of each step.
        failure: the error of each step, raised when it is fetched, or with `fails_at_start` when it is started.
        broken: names of the models that cannot be loaded.
    """

    device = "test device"
    overlaps = True

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []
        self.fetched: list[frozenset[str]] = []
        self.steps: list[Tensors] = []
        self.busy = threading.Event()
        self.failure: Exception | None = None
        self.fails_at_start = False
        self.broken: set[str] = set()
        self._running = 0  # steps that have been started, and not fetched
        self._kept: list[tuple[asyncio.AbstractEventLoop, Callable[[], None]]] = []
        self.go = Gate(self._continue)
        self.go.set()

    async def hold(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begins work, and returns once a step of it runs, which does not end until `go` is set."""
        self.go.clear()
        self.busy.clear()
        task = asyncio.create_task(work)
        await until(self.busy.is_set)
        return task

    def load_sequence_model(self, folder: Path, manifest: Manifest) -> "Echo":
        return Echo(self._checked(manifest))

    def load_generation_model(self, folder: Path, manifest: Manifest) -> "Repeater":
        return Repeater(self._checked(manifest))

    def _checked(self, manifest: Manifest) -> "Device":
        if manifest.name in self.broken:
            raise ArtifactError(f"{manifest.name} is broken")
        return self

    def start_step(self) -> None:
        """Called when a step is started."""
        if self.failure is not None and self.fails_at_start:
            raise self.failure
        self._running += 1
        self.busy.set()

    def finish_step(self) -> None:
        """Called when the outputs of a step are fetched."""
        assert self.go.is_set(), "a step was fetched that the device has not finished"
        self._running -= 1
        if self.failure is not None:
            raise self.failure

    def schedule(self, callback: Callable[[], None]) -> None:
        """Calls a function in the next iteration of the event loop, but not before the steps that run may end."""
        loop = asyncio.get_running_loop()
        loop.call_soon(self._run, loop, callback)

    def _run(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        if self._running and not self.go.is_set():
            self._kept.append((loop, callback))
        else:
            callback()

    def _continue(self) -> None:
        kept, self._kept = self._kept, []
        for loop, callback in kept:
            loop.call_soon_threadsafe(self._run, loop, callback)


class Echo:
    """Gives each row its ids back (timed), and their sum; on request, twice the ids (timed)."""

    timed_outputs = frozenset({"ids", "twice"})

    def __init__(self, device: Device) -> None:
        self._device = device

    def warm_up(self, batch_sizes: Iterable[int], capacity: int) -> Iterator[None]:
        yield from [None for _ in batch_sizes]

    def start(self, inputs: Tensors, extra_outputs: frozenset[str] = frozenset()) -> Fetch:
        self._device.start_step()
        self._device.shapes.append(next(iter(inputs.values())).shape[:2])

        def fetch() -> dict[str, Array]:
            self._device.finish_step()
            self._device.fetched.append(extra_outputs)
            return self.outputs(inputs, extra_outputs)

        return fetch

    def outputs(self, inputs: Tensors, extra_outputs: frozenset[str]) -> dict[str, Array]:
        ids = inputs["ids"][np.arange(inputs["ids"].shape[1]) < inputs["lengths"][:, None]]
        outputs = {"ids": ids, "sum": inputs["ids"].sum(axis=1), "twice": 2 * ids}
        return {name: values for name, values in outputs.items() if name != "twice" or name in extra_outputs}


class Repeater:
    """Samples, for each row, the last id that it read, plus one."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def warm_up(self, slots: int, shapes: Iterable[tuple[int, int]]) -> Iterator[None]:
        yield from [None for _ in shapes]

    def start(self, inputs: Tensors, logprobs: bool = False) -> Fetch:
        self._device.start_step()
        self._device.steps.append(inputs)

        def fetch() -> dict[str, Array]:
            self._device.finish_step()
            self._device.fetched.append(frozenset({"logprobs"} if logprobs else ()))
            last = inputs["ids"][np.arange(len(inputs["ids"])), inputs["lengths"] - 1]
            top = last[:, None] + np.array([1, 0])
            some = {"logprobs": -0.25 * last, "top_ids": top, "top_logprobs": -0.25 * top} if logprobs else {}
            return {"ids": last + 1, **some}

        return fetch


def failing() -> DeviceFailed:
    return DeviceFailed("the device is on fire")


def version_of(name: str, task: TaskName = "tag", **changes: Any) -> ModelVersion:
    """A model version with a manifest and no files."""
    ids = TensorSpec(dtype="int32", axes=("B", "T"))
    endpoint = Endpoint(inputs={"ids": ids, "lengths": TensorSpec(dtype="int32", axes=("B",))}, outputs={"ids": ids})
    manifest = Manifest(
        name=name,
        version="1",
        task=task,
        description="for tests",
        language="en",
        recipe=name,
        seed=1,
        command="none",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        licence="MIT",
        data=(),
        metrics=(),
        endpoints={"step" if task == "generate" else task: endpoint},
        labels={},
        vocabularies={},
        tokenizer=None,
        lengths={},
        length_buckets=() if task == "generate" else (4, 8),
        frameworks={},
        files={},
    )
    return ModelVersion(Path("nowhere"), manifest.model_copy(update=changes), {})
