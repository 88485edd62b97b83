"""The application in the process of its test, on a device that gives all texts one label and all tokens one tag."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from service.api.app import create_app
from service.artifact.manifest import Endpoint, Manifest, ModelVersion, TensorSpec
from service.engine.engine import Engine
from service.engine.loader import ModelLoading
from service.http.context import Context
from service.pipelines.catalog import Catalog, Dictionaries
from service.security.keys import Authenticator, add_key
from service.security.rate_limiter import RateLimiter
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.text.lemmatizer import LEMMA, NEXT_RULES, LemmaFile, Lemmatizer
from service.text.vocabulary import Vocabulary
from service.types import Array, Tensors
from tests.fakes import Device, Echo, version_of
from tests.waiting import until

LABELS = ("bad", "good")
RULES = ("lower", "upper", "lower|end-1+", "first|end-2+y", "=be")
HEADS = {"upos": ("NOUN", "VERB"), "xpos": ("NN", "VB"), "feats": ("_", "Number=Sing"), LEMMA: RULES}
LEMMATIZER = Lemmatizer(RULES, LemmaFile("abcdefinostx", {"be": ["is"]}, {}, {"NOUN\tNN": {"cat": "feline"}}))


class FakeClassifier(Echo):
    """Gives each text the same probabilities."""

    timed_outputs: frozenset[str] = frozenset()

    def outputs(self, inputs: Tensors, extra_outputs: frozenset[str]) -> dict[str, Array]:
        return {"probabilities": np.tile(np.array([0.25, 0.75], np.float32), (len(inputs["lengths"]), 1))}


class Tagger(FakeClassifier):
    """Gives each token the tag of its heads' first label, and a lemma rule by its first character and its place."""

    timed_outputs = frozenset(
        f"{head}_{kind}" for head in HEADS for kind in ("id", "probability", "top_ids", "top_probabilities")
    ).union(NEXT_RULES)

    def outputs(self, inputs: Tensors, extra_outputs: frozenset[str]) -> dict[str, Array]:
        shape = inputs["word_ids"].shape  # (B, T)
        outputs = {f"{head}_id": np.zeros(shape, np.int32) for head in HEADS}
        rules = inputs["char_ids"][..., 0] + np.arange(shape[1], dtype=np.int32)
        outputs |= {name: (rules + i) % len(RULES) for i, name in enumerate((f"{LEMMA}_id", *NEXT_RULES))}
        outputs |= {f"{head}_probability": np.full(shape, 0.75, np.float32) for head in HEADS}
        best = {"ids": np.array([0, 1], np.int32), "probabilities": np.array([0.75, 0.25], np.float32)}
        outputs |= {name: np.tile(best[name.rpartition("_")[2]], (*shape, 1)) for name in extra_outputs}
        valid = np.arange(shape[1]) < inputs["lengths"][:, None]
        return {name: values[valid] for name, values in outputs.items()}


class SequenceModelDevice(Device):
    """A device that loads fake classifiers and taggers."""

    def load_sequence_model(self, folder: Path, manifest: Manifest) -> Any:
        return Tagger(self) if manifest.task == "tag" else FakeClassifier(self)


def classifier() -> ModelVersion:
    ids = TensorSpec(dtype="int32", axes=("B", "T"))
    lengths = TensorSpec(dtype="int32", axes=("B",))
    scores = TensorSpec(dtype="float32", axes=("B", 2))
    endpoint = Endpoint(inputs={"word_ids": ids, "lengths": lengths}, outputs={"probabilities": scores})
    version = version_of("classifier", "classify", endpoints={"classify": endpoint}, labels={"sentiment": LABELS})
    return replace(version, vocabularies={"words": Vocabulary(["fine"])})


def tagger() -> ModelVersion:
    """Returns a tagger with lemma rules."""
    words = TensorSpec(dtype="int32", axes=("B", "T"))
    characters = TensorSpec(dtype="int32", axes=("B", "T", 4))
    lengths = TensorSpec(dtype="int32", axes=("B",))
    heads = {head: TensorSpec(dtype="float32", axes=("B", "T", len(labels))) for head, labels in HEADS.items()}
    endpoint = Endpoint(inputs={"word_ids": words, "char_ids": characters, "lengths": lengths}, outputs=heads)
    version = version_of("tagger", "tag", endpoints={"tag": endpoint}, labels=HEADS)
    vocabularies = {"words": Vocabulary(["fine"]), "characters": Vocabulary([*"abcfi"])}
    return replace(version, vocabularies=vocabularies, lemmatizer=LEMMATIZER)


def repeater() -> ModelVersion:
    letters = Vocabulary([chr(97 + i) for i in range(26)])
    return replace(version_of("lm", "generate"), vocabularies={"characters": letters})


def without_lemmas(name: str) -> ModelVersion:
    """Returns a tagger of another name, without lemma rules."""
    version = tagger()
    endpoint = version.manifest.endpoint
    outputs = {head: spec for head, spec in endpoint.outputs.items() if head != LEMMA}
    labels = {head: those for head, those in version.manifest.labels.items() if head != LEMMA}
    changes = {"name": name, "labels": labels, "endpoints": {"tag": endpoint.model_copy(update={"outputs": outputs})}}
    return replace(version, manifest=version.manifest.model_copy(update=changes), lemmatizer=None)


def made_context(
    device: SequenceModelDevice | None = None,
    authenticator: Authenticator | None = None,
    more: Sequence[ModelVersion] = (),
    **settings: Any,
) -> Context:
    """Returns a service whose engine is in this process, not started. more: versions beside the usual ones."""
    made = Settings(slots=2, batch_sizes=(1, 2), **settings)
    metrics, device = Metrics(), device or SequenceModelDevice()
    catalog = Catalog(Dictionaries(made, metrics))
    engine = device_engine(made, [classifier(), repeater(), tagger(), *more], device, metrics, catalog)
    return Context(made, metrics, engine, catalog, authenticator)


def device_engine(
    settings: Settings, versions: Sequence[ModelVersion], device: Device, metrics: Metrics, catalog: Catalog
) -> Engine:
    """Returns an engine on a test device, not started, whose versions a catalog offers."""
    loading = ModelLoading(settings, versions, lambda: device, metrics, prepare=catalog.prepare)
    return Engine(settings, loading, metrics, schedule=device.schedule)


# scope, requests per second and requests in progress of keys
KEYS: dict[str, tuple[str, float | None, int | None]] = {
    "web": ("infer", None, None),
    "narrow": ("infer", None, 1),
    "boss": ("admin", None, None),
    "rare": ("infer", 0.001, None),
}


def keyed(path: Path, *names: str) -> tuple[Authenticator, dict[str, str]]:
    """Writes a file with some of the `KEYS`; returns its authenticator, and the header of each key by its name."""
    headers: dict[str, str] = {}
    for name in names:
        scope, rate, most = KEYS[name]
        headers[name] = (
            f"Authorization: Bearer {add_key(path, name, [scope], requests_per_second=rate, concurrent=most)}"
        )
    return Authenticator(path, RateLimiter(clock=lambda: 1000.0)), headers


@asynccontextmanager
async def scene(
    device: SequenceModelDevice | None = None, authenticator: Authenticator | None = None, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Yields a client of an application that is started, and stops it in order at the end of the block."""
    async with (
        started(device, authenticator, **settings) as transport,
        httpx.AsyncClient(transport=transport, base_url="http://here", timeout=30) as client,
    ):
        yield client


def post(path: str, content: bytes, headers: dict[str, str] | None = None, **settings: Any) -> httpx.Response:
    """Returns the answer of an application of its own to a request, whose body is JSON unless the headers say else."""

    async def test() -> httpx.Response:
        async with scene(**settings) as client:
            return await client.post(
                path, content=content, headers={"content-type": "application/json"} | (headers or {})
            )

    return asyncio.run(test())


@asynccontextmanager
async def started(
    device: SequenceModelDevice | None = None, authenticator: Authenticator | None = None, **settings: Any
) -> AsyncIterator[httpx.ASGITransport]:
    """Yields the transport to an application that is started, and stops it in order at the end of the block."""
    context = made_context(device, authenticator, **settings)
    app = create_app(context)
    async with lifespan(app):
        await until(context.ready)
        yield httpx.ASGITransport(app)


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
