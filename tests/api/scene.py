"""The application in the process of its test, on a device that judges every text alike and repeats what it reads."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from service.api.app import create_app
from service.api.context import Context
from service.api.guard import Guard
from service.artifact import Endpoint, Manifest, TensorSpec
from service.engine.local import LocalEngine
from service.engine.padding import Array, Tensors
from service.engine.protocol import State
from service.metrics import Metrics
from service.registry import ModelVersion
from service.settings import Settings
from service.tasks.catalog import Catalog
from service.text.spacy_tokenizer import SpacyTokenizer
from service.text.vocabulary import Vocabulary
from tests.engine.test_engines import until
from tests.fakes import Device, version_of

LABELS = ("bad", "good")


class Judge:
    """Says of each text the same."""

    timed_outputs: frozenset[str] = frozenset()

    def __init__(self, device: "Court") -> None:
        self._device = device

    def warm_up(self, shapes: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        yield from shapes

    def run(self, inputs: Tensors, further: frozenset[str] = frozenset()) -> dict[str, Array]:
        self._device.wait()
        return {"probabilities": np.tile(np.array([0.25, 0.75], np.float32), (len(inputs["lengths"]), 1))}


class Court(Device):
    """A device whose classifiers are judges."""

    def load_sequence_model(self, folder: Path, manifest: Manifest, checked: bool = False) -> Any:
        return Judge(self)


def judge() -> ModelVersion:
    ids = TensorSpec(dtype="int32", axes=("B", "T"))
    lengths = TensorSpec(dtype="int32", axes=("B",))
    scores = TensorSpec(dtype="float32", axes=("B", 2))
    endpoint = Endpoint(inputs={"word_ids": ids, "lengths": lengths}, outputs={"probabilities": scores})
    version = version_of("judge", "classify", endpoints={"classify": endpoint}, labels={"sentiment": LABELS})
    return replace(version, vocabularies={"words": Vocabulary(["fine"])})


def repeater() -> ModelVersion:
    letters = Vocabulary([chr(97 + i) for i in range(26)])
    return replace(version_of("lm", "generate"), vocabularies={"characters": letters})


def made_context(device: Court | None = None, guard: Guard | None = None, **settings: Any) -> Context:
    """Returns a service whose engine is in this process, not started."""
    made, versions = Settings(slots=2, batch_sizes=(1, 2), **settings), {v.key.name: v for v in (judge(), repeater())}
    metrics, device = Metrics(), device or Court()
    engine = LocalEngine(made, list(versions.values()), lambda: device, metrics)
    catalog = Catalog(Path("nowhere"), read=lambda folder: versions[folder.parent.name])
    return Context(made, metrics, engine, catalog, SpacyTokenizer(), guard)


@asynccontextmanager
async def scene(
    device: Court | None = None, guard: Guard | None = None, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Yields a client of an application that is started, and stops it in order at the end of the block."""
    context = made_context(device, guard, **settings)
    app = create_app(context)
    async with lifespan(app):
        await until(lambda: context.engine.state() is State.READY and context.catalog.states)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here", timeout=30) as client:
            yield client


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Starts and stops an application as a server does."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    running = asyncio.create_task(app({"type": "lifespan"}, to_app.get, from_app.put))
    for step in ("startup", "shutdown"):
        to_app.put_nowait({"type": f"lifespan.{step}"})
        assert (await from_app.get())["type"] == f"lifespan.{step}.complete"
        if step == "startup":
            yield
    await running
