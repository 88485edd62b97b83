"""The committed models through the service's backend: goldens, batches, slots."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from service.artifact import read_goldens
from service.backend.device import choose_device
from service.backend.saved_model import TensorFlowBackend, run_golden
from service.engine.padding import Grid, pad, unpad
from service.engine.protocol import Generation, ModelKey
from service.engine.slots import Slots, Stream
from service.errors import ArtifactError, ConfigurationError, DeviceFailed
from service.registry import ModelVersion, read_version
from service.tasks.lemmatization import OUTPUTS
from tests.conftest import STORE

GRID = Grid((1, 8), (8, 16, 24, 32, 48, 64, 128))
SEQUENCE_MODELS = ["tagger-en", "sentiment-en"]
MODELS = [*SEQUENCE_MODELS, "lm-shakespeare", "lemmas-en"]


def newest(name: str) -> ModelVersion:
    return read_version(max((STORE / name).iterdir(), key=lambda p: int(p.name)))


@pytest.fixture(scope="module")
def backend() -> TensorFlowBackend:
    return TensorFlowBackend("cpu", 1)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_goldens_come_out_of_the_saved_model_as_training_computed_them(name, compiled):
    version = newest(name)
    loaded = tf.saved_model.load(str(version.folder / "saved_model"))
    endpoint_name, endpoint = version.manifest.endpoint_name, version.manifest.endpoint
    signature = loaded.signatures[endpoint_name]
    run = tf.function(lambda **inputs: signature(**inputs), jit_compile=True) if compiled else signature
    goldens = read_goldens(version.folder)
    for golden in goldens[: 3 if compiled else None]:
        outputs = run_golden(endpoint, run, golden)
        assert outputs.keys() >= golden.outputs.keys() > set()
        for key, expected in golden.outputs.items():
            np.testing.assert_allclose(outputs[key], expected, rtol=1e-3, atol=1e-4, err_msg=key)


@pytest.mark.parametrize("name", SEQUENCE_MODELS)
def test_an_answer_does_not_depend_on_its_batch_in_any_bucket(backend, name):
    version = newest(name)
    model = backend.load_sequence_model(version.folder, version.manifest)
    endpoint = version.manifest.endpoint
    words = len(version.vocabularies["words"])
    rng = np.random.default_rng(7)

    def example(length: int) -> dict[str, np.ndarray]:
        made = {"word_ids": rng.integers(1, words, length, dtype=np.int32)}
        if "char_ids" in endpoint.inputs:
            made["char_ids"] = rng.integers(0, 30, (length, endpoint.inputs["char_ids"].axes[2]), dtype=np.int32)
        return made

    def run(examples, shape):
        batch = pad(examples, endpoint.inputs, shape)
        return unpad(model.run(batch.inputs, frozenset(endpoint.outputs)), batch, model.timed_outputs)

    for length in GRID.lengths:
        list(model.warm_up(Grid(GRID.batch_sizes, (length,)).shapes))
        examples = [example(n) for n in (length, 1, length // 2, length - 1, 3)]
        together = run(examples, (8, length))
        for one, expected in zip(examples, together, strict=True):
            (alone,) = run([one], (1, length))
            for key, values in alone.items():
                if values.dtype == np.int32:
                    assert values.tolist() == expected[key].tolist(), key
                else:
                    # Log-odds are logarithms of probabilities: as close where those are near 0 or 1, but not as small.
                    close = {"atol": 1e-4, "rtol": 1e-4} if key in ("contributions", "baseline") else {"atol": 1e-5}
                    np.testing.assert_allclose(values, expected[key], **close, err_msg=key)


def test_a_lemma_does_not_depend_on_its_batch_and_is_its_golden(backend):
    version = newest("lemmas-en")
    model = backend.load_sequence_model(version.folder, version.manifest)
    lengths = version.manifest.length_buckets
    list(model.warm_up(Grid((1, 16), lengths).shapes))
    goldens = read_goldens(version.folder)
    examples = [{"symbol_ids": np.asarray(golden.inputs["symbol_ids"], np.int32)} for golden in goldens]
    together = pad(examples, version.manifest.endpoint.inputs, (16, lengths[-1]))
    outputs = unpad(model.run(together.inputs, OUTPUTS), together, model.timed_outputs)
    for golden, example, output in zip(goldens, examples, outputs, strict=True):
        shape = (1, Grid((1,), lengths).bucket(len(example["symbol_ids"])))
        alone = pad([example], version.manifest.endpoint.inputs, shape)
        (single,) = unpad(model.run(alone.inputs, OUTPUTS), alone, model.timed_outputs)
        assert single.keys() == output.keys() == golden.outputs.keys()
        for name, expected in golden.outputs.items():
            assert single[name].tolist() == output[name].tolist() == expected


@pytest.mark.parametrize("name", SEQUENCE_MODELS)
def test_goldens_come_out_of_a_model_as_it_is_served(backend, name):
    """The service looks up what does not depend on a word's place; the answers are those of the whole model."""
    version = newest(name)
    assert "project" in version.manifest.endpoints
    model = backend.load_sequence_model(version.folder, version.manifest)
    list(model.warm_up([(1, 64)]))
    for golden in read_goldens(version.folder):
        example = {name: np.asarray(value, np.int32) for name, value in golden.inputs.items()}
        for _ in range(2):  # words that are new, and words that are remembered
            batch = pad([example], version.manifest.endpoint.inputs, (1, 64))
            (output,) = unpad(model.run(batch.inputs, frozenset(golden.outputs)), batch, model.timed_outputs)
            for key, expected in golden.outputs.items():
                np.testing.assert_allclose(output[key], expected, rtol=1e-3, atol=1e-4, err_msg=key)
            for head in version.manifest.heads:
                probabilities = np.asarray(golden.outputs[head])
                assert output[f"{head}_id"].tolist() == probabilities.argmax(-1).tolist()
                np.testing.assert_allclose(output[f"{head}_probability"], output[head].max(-1))


@pytest.mark.parametrize(
    ("name", "usual"),
    [
        ("tagger-en", {f"{head}_{part}" for head in ("upos", "xpos", "feats") for part in ("id", "probability")}),
        ("sentiment-en", {"probabilities"}),
    ],
)
def test_what_nobody_asks_for_stays_on_the_device(backend, name, usual):
    version = newest(name)
    model = backend.load_sequence_model(version.folder, version.manifest)
    list(model.warm_up([(1, 8)]))
    inputs = pad([], version.manifest.endpoint.inputs, (1, 8)).inputs
    assert model.run(inputs).keys() == usual
    further = version.manifest.endpoint.outputs.keys() - usual
    for output in further:
        assert model.run(inputs, frozenset({output})).keys() == usual | {output}
    assert model.run(inputs, frozenset({"nothing"})).keys() == usual


def test_a_model_that_is_exported_whole_serves_as_well(backend):
    version = newest("tagger-en")
    whole = version.manifest.model_copy(update={"endpoints": {"tag": version.manifest.endpoint}})
    golden = read_goldens(version.folder)[-1]
    example = {name: np.asarray(value, np.int32) for name, value in golden.inputs.items()}
    outputs = []
    for manifest in (version.manifest, whole):
        model = backend.load_sequence_model(version.folder, manifest)
        list(model.warm_up([(1, 64)]))
        outputs.append(model.run(pad([example], manifest.endpoint.inputs, (1, 64)).inputs))
    length = len(example["word_ids"])
    for key, values in outputs[0].items():
        np.testing.assert_allclose(values[:, :length], outputs[1][key][:, :length], atol=1e-5, err_msg=key)


def test_a_shape_that_is_not_on_the_grid_is_never_compiled_for_a_request(backend):
    version = newest("sentiment-en")
    model = backend.load_sequence_model(version.folder, version.manifest)
    list(model.warm_up([(1, 8)]))
    endpoint = version.manifest.endpoint
    with pytest.raises(DeviceFailed, match=r"\(2, 8\) is not on the grid"):
        model.run(pad([{"word_ids": np.ones(3, np.int32)}], endpoint.inputs, (2, 8)).inputs)


def texts(backend: TensorFlowBackend, wishes: list[Generation], slots: int = 4) -> list[list[int]]:
    """Generates texts in slots; one joins every second step."""
    version = newest("lm-shakespeare")
    model = backend.load_generation_model(version.folder, version.manifest)
    house = Slots(slots, 8, 99)
    list(model.warm_up(slots, house.shapes))
    streams = [Stream(wish, 0.0) for wish in wishes]
    made: dict[int, list[int]] = {id(stream): [] for stream in streams}
    waiting = list(streams)
    for number in range(10_000):
        if waiting and number % 2 == 0:
            house.admit(waiting.pop(0))
        steps = house.assemble(0.0)
        if not steps:
            break
        for step in steps:
            for stream, tokens in house.advance(step, model.step(step.inputs), 0.0):
                made[id(stream)] += [token.id for token in tokens]
    return list(made.values())


def test_the_text_for_a_seed_is_the_same_alone_and_in_a_full_house(backend):
    prompts = [[5, 6, 7], [8] * 11, [9], [10, 11], [12] * 30, [5, 6, 7]]
    wishes = [
        Generation(ModelKey("lm", "1"), np.array(prompt, np.int32), 30, temperature, top_k, top_p, seed, 1e9)
        for prompt, temperature, top_k, top_p, seed in zip(
            prompts,
            [1, 0.7, 0, 1.3, 1, 1],
            [0, 5, 0, 0, 40, 0],
            [1, 1, 1, 0.9, 1, 1],
            [1, 2, 3, 2**52, 5, 1],
            strict=True,
        )
    ]
    together = texts(backend, wishes)
    assert [texts(backend, [wish])[0] for wish in wishes] == together
    assert together[0] == together[5], "the same seed and prompt gave two texts"
    assert len({tuple(text) for text in together}) == 5
    assert all(len(text) == 30 and min(text) >= 2 for text in together)


def test_goldens_that_differ_refuse_the_model(backend, tmp_path):
    version = newest("sentiment-en")
    folder = tmp_path / "sentiment-en" / version.key.version
    folder.mkdir(parents=True)
    (folder / "saved_model").symlink_to((version.folder / "saved_model").absolute())
    lines = (version.folder / "goldens.jsonl").read_text().splitlines()
    (folder / "goldens.jsonl").write_text(lines[0].replace("0.", "0.1", 1) + "\n")
    with pytest.raises(ArtifactError, match="golden 1: probabilities is not what training computed"):
        backend.load_sequence_model(folder, version.manifest)
    backend.load_sequence_model(folder, version.manifest, checked=True)
    (folder / "saved_model").unlink()
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        backend.load_sequence_model(folder, version.manifest)


def test_asking_for_a_gpu_that_is_not_there_is_an_error():
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigurationError, match="TAGWERK_DEVICE=gpu"):
        choose_device("gpu", 1)


def test_the_model_runs_beside_other_threads(backend):
    """The engine's thread is not the one that loaded TensorFlow."""
    version = newest("sentiment-en")
    results = []

    def work():
        model = backend.load_sequence_model(version.folder, version.manifest)
        results.extend(model.warm_up([(1, 8)]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == [(1, 8)]
