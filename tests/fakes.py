"""A clock, a device and an engine that tests control."""

import threading
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from service.artifact.manifest import Endpoint, Manifest, Task, TensorSpec
from service.artifact.version import ModelVersion
from service.engine.protocol import Generation, Inference, OnChange, Outcome
from service.errors import ArtifactError, DeviceFailed
from service.types import Array, ModelState, Sampled, State, Tensors


class Clock:
    """A monotonic clock whose time tests set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Device:
    """Runs what it is given when it is let: each row's output is its input, and each step's token the one read."""

    device = "test device"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []
        self.fetched: list[frozenset[str]] = []  # the further outputs that each batch was asked for
        self.steps: list[Tensors] = []
        self.go = threading.Event()
        self.go.set()
        self.busy = threading.Event()
        self.failure: Exception | None = None
        self.broken: set[str] = set()

    def load_sequence_model(self, folder: Path, manifest: Manifest) -> "Echo":
        return Echo(self._checked(manifest))

    def load_generation_model(self, folder: Path, manifest: Manifest) -> "Repeater":
        return Repeater(self._checked(manifest))

    def _checked(self, manifest: Manifest) -> "Device":
        if manifest.name in self.broken:
            raise ArtifactError(f"{manifest.name} is broken")
        return self

    def wait(self) -> None:
        self.busy.set()
        assert self.go.wait(10), "the test never let the device go"
        if self.failure is not None:
            raise self.failure


class Echo:
    """Gives each row its ids back (timed), and their sum; on request, twice the ids (timed)."""

    timed_outputs = frozenset({"ids", "twice"})

    def __init__(self, device: Device) -> None:
        self._device = device

    def warm_up(self, batch_sizes: Iterable[int], capacity: int) -> Iterator[int]:
        sizes = list(batch_sizes)
        yield from [len(sizes)] * len(sizes)

    def run(self, inputs: Tensors, further: frozenset[str] = frozenset()) -> dict[str, Array]:
        self._device.shapes.append(inputs["ids"].shape)
        self._device.wait()
        outputs = {"ids": inputs["ids"].copy(), "sum": inputs["ids"].sum(axis=1), "twice": 2 * inputs["ids"]}
        self._device.fetched.append(further)
        return {name: values for name, values in outputs.items() if name != "twice" or name in further}


class Repeater:
    """Samples, for each row, the last id that it read, plus one."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def warm_up(self, slots: int, shapes: Iterable[tuple[int, int]]) -> Iterator[int]:
        count = len(list(shapes))
        yield from [count] * count

    def step(self, inputs: Tensors, logprobs: bool = False) -> dict[str, Array]:
        self._device.steps.append(inputs)
        self._device.wait()
        last = inputs["ids"][np.arange(len(inputs["ids"])), inputs["lengths"] - 1]
        self._device.fetched.append(frozenset({"logprobs"} if logprobs else ()))
        top = last[:, None] + np.array([1, 0])
        some = {"logprobs": -0.25 * last, "top_ids": top, "top_logprobs": -0.25 * top} if logprobs else {}
        return {"ids": last + 1, **some}


class ReadyEngine:
    """An engine that is ready and takes nothing: tests define what theirs is to do."""

    def state(self) -> State:
        return State.READY

    def models(self) -> Sequence[ModelState]:
        return []

    async def start(self, on_change: OnChange) -> None:
        raise NotImplementedError

    async def infer(self, request: Inference) -> Outcome:
        raise NotImplementedError

    def generate(self, request: Generation) -> AsyncGenerator[Sampled, None]:
        raise NotImplementedError

    def cut_texts(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def failing() -> DeviceFailed:
    return DeviceFailed("the device is on fire")


def version_of(name: str, task: Task = "tag", **changes: Any) -> ModelVersion:
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
