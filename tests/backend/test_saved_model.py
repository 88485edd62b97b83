"""The committed models through the service's backend: goldens, batches, slots, and inputs longer than a step."""

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from service.artifact.manifest import CANDIDATES, ModelVersion, read_goldens, read_manifest
from service.backend.base import GenerationModel, SequenceModel
from service.backend.cache import ExecutableCache
from service.backend.compiling import Compiler
from service.backend.graphs import Graphs
from service.backend.saved_model import TensorFlowBackend, choose_device, run_golden
from service.backend.steps import WordCache
from service.engine.loader import full_rows
from service.engine.requests import Generation, Sampling
from service.engine.slots import Slots, Stream
from service.errors import ArtifactError, ConfigurationError, DeviceFailed
from service.store.registry import load_version
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tag, Tagging, windows
from service.text.interruptible import finish
from service.text.lemmatizer import NEXT_RULES
from service.text.tokenizer import Tokenizer
from service.types import Array, ModelKey, Ragged, pad
from tests.batches import Padded, padded, rows_of
from tests.conftest import STORE
from training.run.version_folder import checksums

BATCH_SIZES = (1, 2, 8, 16, 32, 96)
SEQUENCE_MODELS = ["tagger-en", "sentiment-en"]


def newest(name: str) -> ModelVersion:
    return load_version(max((STORE / name).iterdir(), key=lambda p: int(p.name)))


@pytest.fixture(scope="module")
def backend() -> TensorFlowBackend:
    return TensorFlowBackend("cpu")


def test_goldens_of_a_language_model_come_out_of_what_xla_compiles():
    """Its step has no goldens of its own; `load_generation_model` runs them uncompiled."""
    version = newest("lm-shakespeare")
    loaded = tf.saved_model.load(str(version.folder / "saved_model"))  # owns the weights
    signature = loaded.signatures[version.manifest.endpoint_name]
    run = tf.function(lambda **inputs: signature(**inputs), jit_compile=True)
    for golden in read_goldens(version.folder)[:3]:
        outputs = run_golden(version.manifest.endpoint, run, golden)
        for key, expected in golden.outputs.items():
            np.testing.assert_allclose(outputs[key], expected, *version.manifest.tolerance(key), err_msg=key)


@pytest.fixture(scope="module")
def serve(backend):
    """Returns a function that returns a version, and its model with steps of the batch sizes up to its capacity."""

    @cache
    def serve(name: str) -> tuple[ModelVersion, SequenceModel]:
        version = newest(name)
        model = backend.load_sequence_model(version.folder, version.manifest)
        executables = list(model.warm_up(BATCH_SIZES, version.manifest.length_buckets[-1]))
        assert len(executables) == len(BATCH_SIZES) + (2 if name == "tagger-en" else 1)  # words, logits; explanations
        return version, model

    return serve


@pytest.fixture(params=SEQUENCE_MODELS)
def served(serve, request):
    return serve(request.param)


def example(version: ModelVersion, length: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Returns a sequence of a few hundred words, fewer than a model remembers."""
    inputs = version.manifest.endpoint.inputs
    made = {"word_ids": rng.integers(1, 300, length, dtype=np.int32)}
    if "char_ids" in inputs:
        made["char_ids"] = (made["word_ids"][:, None] + np.arange(inputs["char_ids"].axes[2], dtype=np.int32)) % 30
    return made


def batch_of(version, examples, rows: int = 1) -> Padded:
    longest = max(len(one["word_ids"]) for one in examples)
    return padded(examples, version.manifest.endpoint.inputs, (rows, longest))


def outputs_in(version, model, examples, rows: int = 1, extra_outputs=()) -> list[dict[str, np.ndarray]]:
    """Returns the outputs of each example in a batch with so many rows, on request also others than the endpoint's."""
    batch = batch_of(version, examples, rows)
    wanted = frozenset([*version.manifest.endpoint.outputs, *extra_outputs])
    return rows_of(model.start(batch.inputs, wanted)(), batch, model.timed_outputs)


def examples_in(version: ModelVersion) -> Iterator[tuple[dict[str, np.ndarray], dict[str, Any]]]:
    """Yields the inputs and outputs of each golden."""
    for golden in read_goldens(version.folder):
        yield {name: np.asarray(value, np.int32) for name, value in golden.inputs.items()}, golden.outputs


def test_an_answer_is_the_same_to_the_bit_in_any_row_beside_any_others_and_for_any_batch_size(served):
    version, model = served
    buckets, rng = version.manifest.length_buckets, np.random.default_rng(7)
    for length in sorted({1, 2, 15, 16, 17, *buckets[::3], buckets[-1]}):
        one = example(version, length, rng)
        (alone,) = outputs_in(version, model, [one])
        for rows in BATCH_SIZES:
            for row, longest in {0: buckets[-1], rows - 1: min(length + 16, buckets[-1])}.items():
                examples = [example(version, int(n), rng) for n in rng.integers(1, longest + 1, rows)]
                examples[row] = one
                together = outputs_in(version, model, examples, rows)[row]
                for key, values in alone.items():
                    np.testing.assert_array_equal(together[key], values, err_msg=f"{key}, {length}, {rows} rows")


def test_what_is_cached_of_a_word_is_the_same_to_the_bit_whatever_else_was_new():
    version, rng = newest("tagger-en"), np.random.default_rng(9)
    loaded = tf.saved_model.load(str(version.folder / "saved_model"))  # owns the weights
    project = loaded.signatures["project"]
    crowd = batch_of(version, [example(version, 40, rng) for _ in range(8)], 8).inputs
    caches = [WordCache(Compiler("/CPU:0"), project, version.manifest.endpoints["project"]) for _ in range(2)]
    for words in caches:
        words.warm_up()
    for row in (3, 0, 7):  # the first memory meets them in small groups, the other all at once
        alone = {name: values[row : row + 1] for name, values in crowd.items()}
        read = [memory.prepare(inputs)["rows"] for memory, inputs in zip(caches, (alone, crowd), strict=True)]
        rows = read[0][0], read[1][row]
        for name in caches[0].tables:
            known = [memory.tables[name].numpy()[places] for memory, places in zip(caches, rows, strict=True)]
            np.testing.assert_array_equal(known[0], known[1])
            assert known[0].any()


def test_the_served_step_gives_what_the_whole_model_gives(served):
    """At lengths 1, each bucket's edge, and the capacity."""
    version, model = served
    rng = np.random.default_rng(8)
    whole = tf.saved_model.load(str(version.folder / "saved_model")).signatures[version.manifest.endpoint_name]
    for length in (1, *version.manifest.length_buckets):
        one = example(version, length, rng)
        (output,) = outputs_in(version, model, [one], 2)
        expected = whole(**{name: tf.constant(values) for name, values in batch_of(version, [one]).inputs.items()})
        for key, values in expected.items():
            # XLA's tanh differs from TensorFlow's in its last digit, by which a state is rounded to another integer.
            # Log-odds are logarithms of probabilities: as close where those are near 0 or 1, but not as small.
            atol = 0.1 if key in ("contributions", "baseline") else 0.01
            np.testing.assert_allclose(output[key], values[0], atol=atol, err_msg=f"{key} of {length}")


def test_goldens_come_out_of_a_model_as_it_is_served(served):
    """The service looks up what does not depend on a word's place; the answers are those of the whole model."""
    version, model = served
    heads = version.manifest.heads
    for inputs, expected in examples_in(version):
        for _ in range(2):  # words that are new, and words that are remembered
            (output,) = outputs_in(version, model, [inputs])
            for key, values in expected.items():
                relative, absolute = version.manifest.tolerance(key)
                np.testing.assert_allclose(output[key], values, relative, absolute, err_msg=key)
            for head in heads:
                assert output[f"{head}_id"].tolist() == np.asarray(expected[head]).argmax(-1).tolist()
                np.testing.assert_array_equal(output[f"{head}_probability"], output[head].max(-1))
            if "lemma" in heads:
                best = np.argsort(-output["lemma"], axis=-1, kind="stable")
                assert [output[name].tolist() for name in NEXT_RULES] == [best[:, 1].tolist(), best[:, 2].tolist()]


def test_models_of_one_graph_run_with_the_executables_of_the_first_and_give_their_own_labels(backend):
    functions = []
    for version in map(newest, ("tagger-sv", "tagger-da")):
        model = backend.load_sequence_model(version.folder, version.manifest)
        list(model.warm_up([1], version.manifest.length_buckets[-1]))
        functions.append((version.manifest.graph, model._runs[1].name))  # TensorFlow compiles a name once
        for inputs, outputs in examples_in(version):
            (output,) = outputs_in(version, model, [inputs])
            for head, labels in version.manifest.labels.items():
                expected = np.asarray(outputs[head])[:, : len(labels)]  # the rest is padding
                np.testing.assert_allclose(output[head], expected, *version.manifest.tolerance(head), err_msg=head)
                assert output[f"{head}_id"].tolist() == expected.argmax(-1).tolist()
    assert functions[0] == functions[1]


def test_labels_that_the_model_gives_and_the_manifest_lacks_are_refused(backend, tmp_path):
    version = newest("tagger-en")
    labels = version.manifest.labels | {"upos": version.manifest.labels["upos"][:5]}
    with pytest.raises(ArtifactError, match="5 labels of upos, but the model gives others"):
        backend.load_sequence_model(version.folder, version.manifest.model_copy(update={"labels": labels}))


USUAL_OUTPUTS = {
    "tagger-en": {
        *(f"{head}_{part}" for head in ("upos", "xpos", "feats", "lemma") for part in ("id", "probability")),
        *NEXT_RULES,
    },
    "sentiment-en": {"probabilities"},
}


def test_outputs_that_are_not_requested_stay_on_the_device(served):
    version, model = served
    usual = USUAL_OUTPUTS[version.key.name]
    inputs = full_rows(version.manifest.endpoint.inputs, (1, 8))
    assert model.start(inputs)().keys() == usual
    extra_outputs = version.manifest.endpoint.outputs.keys() - usual
    for output in extra_outputs:
        assert model.start(inputs, frozenset({output}))().keys() == usual | {output}
    assert model.start(inputs, frozenset({"nothing"}))().keys() == usual


def test_a_step_runs_in_the_thread_that_calls_it(served):
    """Handing its loops to another thread, which XLA does where something else is ready, takes 0.1 ms and more."""
    version, model = served
    rng = np.random.default_rng(5)
    for rows in BATCH_SIZES:
        inputs = batch_of(version, [example(version, 12, rng) for _ in range(rows)], rows).inputs
        model.start(inputs)()  # with it, its words are known
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        for _ in range(20):
            model.start(inputs)()
        assert resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before < 10, f"{rows} rows"


def test_a_shape_that_no_step_takes_is_never_compiled_for_a_request(served):
    version, model = served
    for shape in ((3, 8), (1, version.manifest.length_buckets[-1] + 1)):
        inputs = full_rows(version.manifest.endpoint.inputs, shape)
        with pytest.raises(DeviceFailed, match=r"no step was compiled that takes the shape"):
            model.start(inputs)


def test_steps_that_are_started_before_others_are_fetched_give_their_own_outputs(served):
    version, model = served
    extra_outputs, rng = frozenset(version.manifest.endpoint.outputs), np.random.default_rng(11)
    batches = [batch_of(version, [example(version, n, rng), example(version, 3, rng)], 2) for n in (16, 9, 1)]
    alone = [model.start(batch.inputs, extra_outputs)() for batch in batches]
    started = [model.start(batch.inputs, extra_outputs) for batch in batches]
    for fetch, expected in zip(started, alone, strict=True):
        np.testing.assert_equal(fetch(), expected)


def test_the_candidates_of_each_head_are_its_most_probable_labels_and_ties_go_to_the_lower_id(served):
    """They are found on the device, so few numbers leave it, and nothing is compiled for them."""
    version, model = served
    manifest, rng = version.manifest, np.random.default_rng(3)
    names = [name for pair in manifest.candidate_outputs.values() for name in pair]
    outputs = outputs_in(version, model, [example(version, n, rng) for n in (8, 5)], 2, names)
    for output, length in zip(outputs, (8, 5), strict=True):
        for head, (ids, probabilities) in manifest.candidate_outputs.items():
            expected = np.argsort(-output[head], axis=-1, kind="stable")[:, :CANDIDATES]
            assert output[ids].shape == output[probabilities].shape == (length, CANDIDATES)
            assert output[ids].dtype == np.int32
            assert output[ids].tolist() == expected.tolist()
            assert output[ids][:, 0].tolist() == output[f"{head}_id"].tolist()
            values = np.take_along_axis(output[head], expected, axis=-1)
            assert output[probabilities].tolist() == values.tolist()
    assert tf.math.top_k(tf.zeros([3, 7]), 5).indices.numpy().tolist() == [[0, 1, 2, 3, 4]] * 3


CLAUSES = (
    "the old captain who had lost his ship told us that nobody believed him",
    "she reads the morning paper before her children wake up and leave for school",
    "they will probably sell the house near the river next year",
    "I can't say whether the meeting was useful for anyone there",
)


def outputs_of(model: SequenceModel, sequences: Ragged) -> dict[str, Array]:
    """Returns the outputs of sequences, each run alone."""
    found = [model.start(pad(one, (1, one.tokens)))() for one in sequences.split([1] * len(sequences))]
    return {name: np.concatenate([output[name] for output in found]) for name in found[0]}


@pytest.mark.parametrize("clauses", [6, 9, 12])
def test_a_long_sentence_is_tagged_in_windows_as_it_would_be_whole(serve, clauses):
    version, model = serve("tagger-en")
    text = " and ".join(CLAUSES[i % len(CLAUSES)] for i in range(clauses)) + "."
    tokens = Tokenizer().tokens(text)

    def tags(longest: int) -> list[Tag]:
        tagging = Tagging(version, longest)
        outputs = outputs_of(model, finish(tagging.encode([[token.text for token in tokens]])))
        (found,) = finish(tagging.decode([tokens], outputs, lemmas=True))
        return found

    whole, seen_in_windows = tags(version.manifest.length_buckets[-1]), tags(64)
    assert len(whole) == len(seen_in_windows) == len(tokens) > 64
    for window in windows(len(tokens), 64):
        for seam in {window.keep_start, window.keep_end} - {0, len(tokens)}:
            near = slice(seam - 8, seam + 8)
            assert [tag.upos for tag in seen_in_windows[near]] == [tag.upos for tag in whole[near]]
    same = [tag[:3] == other[:3] for tag, other in zip(whole, seen_in_windows, strict=True)]
    assert np.mean(same) > 0.98


def test_all_windows_of_a_long_text_count(serve):
    version, model = serve("sentiment-en")
    longest = version.manifest.length_buckets[-1]
    sentiment = Sentiment(version, longest)

    def positive(tokens: list[str]) -> float:
        ids: list[int] = []
        lengths = sentiment.encode(tokens, ids)
        assert len(lengths) == -(-len(tokens) // longest)
        assert sum(lengths) == len(tokens) == len(ids), "a word is left out"
        sequences = Ragged(np.array(lengths, np.int32), {"word_ids": np.array(ids, np.int32)})
        return sentiment.decode(outputs_of(model, sequences)["probabilities"], lengths).scores["positive"]

    filler = "it runs for ninety minutes .".split() * 40
    praise = "it is wonderful , brilliant and moving .".split() * 8
    plain = positive(filler)
    for place in (0, 100, len(filler)):
        assert positive([*filler[:place], *praise, *filler[place:]]) > plain + 0.1, f"praise at {place} does not count"


def texts(model: GenerationModel, wishes: list[Generation]) -> list[list[int]]:
    """Generates texts in four slots; one joins every second step."""
    slots = Slots(4, 8, 99)
    made: dict[Stream, list[int]] = {Stream(wish, 0.0): [] for wish in wishes}
    waiting = list(made)
    for number in count():
        if waiting and number % 2 == 0:
            slots.admit([waiting.pop(0)])
        if not (steps := slots.assemble(0.0)):
            break
        for step in steps:
            for stream, tokens in slots.advance(step, model.start(step.inputs)(), 0.0):
                made[stream] += [token.id for token in tokens]
    return list(made.values())


def test_the_text_for_a_seed_is_the_same_alone_and_with_all_slots_in_use(backend):
    wishes = [
        Generation(ModelKey("lm", "1"), np.array(prompt, np.int32), 30, Sampling(*sampling), 1e9)
        for prompt, sampling in (
            ([5, 6, 7], (1, 0, 1, 1)),
            ([8] * 11, (0.7, 5, 1, 2)),
            ([9], (0, 0, 1, 3)),
            ([10, 11], (1.3, 0, 0.9, 2**52)),
            ([12] * 30, (1, 40, 1, 5)),
            ([5, 6, 7], (1, 0, 1, 1)),
        )
    ]
    version = newest("lm-shakespeare")
    model = backend.load_generation_model(version.folder, version.manifest)
    list(model.warm_up(4, Slots(4, 8, 99).shapes))
    together = texts(model, wishes)
    assert [texts(model, [wish])[0] for wish in wishes] == together
    assert together[0] == together[5], "the same seed and prompt gave two texts"
    assert len({tuple(text) for text in together}) == 5
    assert all(len(text) == 30 and min(text) >= 2 for text in together)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Returns a copy of a version folder."""
    version = newest("sentiment-en")
    return Path(shutil.copytree(version.folder, tmp_path / "sentiment-en" / version.key.version))


def replace(name: str, old: str, new: str) -> Callable[[Path], object]:
    """Returns what replaces a string in a file, where it is first."""
    return lambda folder: (folder / name).write_text((folder / name).read_text().replace(old, new, 1))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (replace("goldens.jsonl", "0.", "0.1"), "golden 1: probabilities is not what training computed"),
        (
            replace("manifest.json", '"B",\n            3\n', '"B",\n            4\n'),
            "probabilities has an axis of 4 in the manifest, of 3 in the model",
        ),
        (lambda folder: (folder / "saved_model/saved_model.pb").write_bytes(b"nonsense"), "cannot be loaded"),
    ],
)
def test_a_model_that_does_not_give_what_its_goldens_and_manifest_say_is_refused(backend, copied, harm, reason):
    harm(copied)
    manifest = read_manifest(copied).model_copy(update={"files": checksums(copied)})
    with pytest.raises(ArtifactError, match=reason):
        backend.load_sequence_model(copied, manifest)


def test_goldens_are_run_until_they_come_out_right_and_then_once_for_each_version_and_cache(tmp_path, monkeypatch):
    version, runs = newest("lm-shakespeare"), list[str]()
    other = version.manifest.model_copy(update={"description": "another"})
    errors = [ArtifactError("other outputs")]

    def check(*_: object) -> None:
        runs.append(folder)
        if errors:
            raise errors.pop()

    monkeypatch.setattr("service.backend.saved_model.check_goldens", check)
    for folder, manifest, ran in [
        ("a", version.manifest, True),
        ("a", version.manifest, True),
        ("a", version.manifest, False),
        ("a", other, True),
        ("b", version.manifest, True),
        ("", version.manifest, True),
        ("", version.manifest, True),
    ]:
        cache = ExecutableCache(tmp_path / folder if folder else None)
        if folder:
            cache.place.mkdir(parents=True, exist_ok=True)
        runs.clear()
        with suppress(ArtifactError):
            TensorFlowBackend("cpu", cache).load_generation_model(version.folder, manifest)
        assert bool(runs) is ran


def test_files_that_changed_after_they_were_verified_are_not_loaded(backend, copied, monkeypatch):
    manifest = load_version(copied).manifest
    read: list[Path] = []
    monkeypatch.setattr(Graphs, "load", lambda self, folder, graph: read.append(folder))
    for name in ("saved_model/variables/variables.index", "goldens.jsonl"):
        whole = (copied / name).read_bytes()
        (copied / name).write_bytes(whole[::-1])
        with pytest.raises(ArtifactError, match=f"{name} is altered"):
            backend.load_sequence_model(copied, manifest)
        (copied / name).write_bytes(whole)
    assert not read, "TensorFlow has read none of it"


def test_asking_for_a_gpu_that_is_not_there_is_an_error():
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigurationError, match="TAGWERK_DEVICE=gpu"):
        choose_device("gpu")
