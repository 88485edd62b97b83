"""The application in the process of its test, on a device that gives all texts one label and all tokens one tag."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

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


KEYS: dict[str, dict[str, Any]] = {
    "web": {"scopes": ["infer"]},
    "narrow": {"scopes": ["infer"], "concurrent": 1},
    "boss": {"scopes": ["admin"]},
    "rare": {"scopes": ["infer"], "requests_per_second": 0.5},
    "terse": {"scopes": ["infer"], "tokens_per_second": 0.5},
    "critic": {"scopes": ["feedback"]},
    "all": {"scopes": ["infer", "feedback", "admin"]},
}


def keyed(path: Path, *names: str) -> tuple[Authenticator, dict[str, str]]:
    """Writes a file with some of the `KEYS`; returns its authenticator, and the header of each key by its name."""
    headers = {name: f"Authorization: Bearer {add_key(path, name, **KEYS[name])}" for name in names}
    return Authenticator(path, RateLimiter(clock=lambda: 1000.0)), headers


def header_of(line: str) -> dict[str, str]:
    """Returns a header as httpx takes it."""
    name, _, value = line.partition(": ")
    return {name: value}
