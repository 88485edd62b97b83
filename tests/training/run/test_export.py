"""What is exported: complete, checked, and the same figures as before."""

import io
import json
import shutil
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from service.artifact import manifest as artifact
from service.artifact.manifest import Endpoint, Metric
from service.backend.saved_model import TensorFlowBackend, check_goldens
from service.errors import ArtifactError
from service.store.registry import load_version
from service.text.lemmatizer import LEMMA
from service.text.segmenter import Segmenter
from tests.training.tiny import alike, tagging, treebank
from training.data.dataset import collate
from training.data.treebank import Tree
from training.run import evaluate, export, goldens, model_card, version_folder, versions
from training.run.loop import make_predict, round_weights
from training.run.readings import READINGS
from training.tasks.endpoints import EndpointFunction
from training.tasks.tagging import Tagging


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tagging, Any, Path]:
    """Exports a network as it is before training: as good as any other."""
    task = tagging()
    model = task.network()
    metrics = task.evaluate(make_predict(task, model), "test")
    return task, model, export.export(task, model, metrics, tmp_path_factory.mktemp("store"))


def test_a_version_is_complete(exported):
    """This one has no lemmas; of one with lemmas, see `tests/training/tasks/test_tagging.py`."""
    task, model, folder = exported
    manifest = artifact.read_manifest(folder)
    artifact.verify_files(folder, manifest)
    assert (manifest.name, manifest.version, manifest.task) == ("tagger-tiny", "1", "tag")
    endpoints = {name: function.endpoint for name, function in task.served_endpoints(model).items()}
    assert manifest.endpoints == {"tag": task.endpoint, **endpoints}
    assert manifest.labels["upos"] == ("NOUN", "DET", "VERB", "ADV")
    assert manifest.lengths == {4: 4, 5: 6, 6: 7, 7: 3}
    assert manifest.length_buckets == (4, 5, 6, 7)
    vocabularies = artifact.read_vocabularies(folder, manifest)
    assert vocabularies["words"].lowercase
    assert not vocabularies["characters"].lowercase
    assert {tag.lemma for tags in task.tag(make_predict(task, model), [["a", "dog"]]) for tag in tags} == {"_"}
    assert not [metric for metric in manifest.metrics if metric.name.startswith("Lemmas")]
    assert artifact.LEMMAS not in manifest.files
    assert not (folder / artifact.LEMMAS).exists()
    assert not {name for name in manifest.endpoints["tag_from_table"].outputs if name.startswith(LEMMA)}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, with NumPy 2
def test_a_version_is_exported_again_in_integers_with_its_own_goldens_and_with_what_is_new(exported, tmp_path):
    """One that keeps its precision keeps its goldens: see `tests/training/from_files/test_served.py`."""
    source = exported[2]
    folder = tmp_path / source.parent.name / source.name
    shutil.copytree(source, folder)
    task = tagging()
    task.segmenter = Segmenter(multiwords={"du": ("de", "le")})
    model = versions.restore(task, folder)
    round_weights(task, model)
    measured = Metric(name="UPOS", value=1.5, unit="%", split="test")
    again = export.export_again(task, model, folder, [measured])
    assert again == folder.parent / "2"
    manifest, renewed = map(artifact.read_manifest, (folder, again))
    artifact.verify_files(again, renewed)
    assert renewed.precision == "int8"
    assert artifact.read_segmenter(again, renewed) == task.segmenter
    assert [metric for metric in renewed.metrics if metric not in manifest.metrics] == [measured]
    told = {"lengths", "length_buckets", "labels", "data"}
    assert renewed.model_dump(include=told) == manifest.model_dump(include=told)
    old, new = map(artifact.read_goldens, (folder, again))
    assert [golden.source for golden in old] == [golden.source for golden in new]
    assert old != new
    assert (again / artifact.MODEL_CARD).read_text().startswith("# tagger-tiny, version 2")


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the check of what is exported out: it takes half of the time, and the first export is checked."""
    monkeypatch.setattr(export, "check_version", lambda folder: None)


@pytest.fixture(scope="module")
def in_integers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tagging, Any, Path]:
    """Exports a network whose states are multiplied in integers."""
    task = tagging()
    model = task.network()
    round_weights(task, model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "check_version", lambda folder: None)  # of one in integers, see `test_served`
        return task, model, export.export(task, model, [], tmp_path_factory.mktemp("store"))


def test_a_version_in_integers_says_so_and_is_restored_in_floats(in_integers):
    task, model, folder = in_integers
    manifest = artifact.read_manifest(folder)
    assert manifest.precision == "int8"
    assert "Products of states: int8." in (folder / artifact.MODEL_CARD).read_text(encoding="utf-8")
    restored = versions.restore(task, folder)
    assert {weight.dtype for weight in restored.weights} == {"float32"}
    assert restored.count_params() == task.network().count_params()
    round_weights(task, restored)
    integers = [np.asarray(weight.value) for weight in model.weights if weight.dtype == "int8"]
    again = [np.asarray(weight.value) for weight in restored.weights if weight.dtype == "int8"]
    for one, other in zip(integers, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_service_accepts_goldens_within_the_tolerance_of_the_precision(in_integers, tmp_path):
    folder = in_integers[2]
    manifest = artifact.read_manifest(folder)
    signature = tf.saved_model.load(str(folder / artifact.SAVED_MODEL)).signatures["tag"]
    goldens = artifact.read_goldens(folder)
    as_trained = [np.array(golden.outputs["upos"]) for golden in goldens]
    for moved, refused in ((0.008, False), (0.011, True)):
        for golden, probabilities in zip(goldens, as_trained, strict=True):
            best = probabilities == probabilities.max(
                -1, keepdims=True
            )  # the largest may differ by no more than the others
            golden.outputs["upos"] = (probabilities + moved * best).tolist()
        version_folder.write_goldens(tmp_path, goldens)
        for precision in ("int8", "float32"):
            of_precision = manifest.model_copy(update={"precision": precision})
            if refused or precision == "float32":
                with pytest.raises(ArtifactError, match="upos is not what training computed"):
                    check_goldens(tmp_path, of_precision, signature)
            else:
                check_goldens(tmp_path, of_precision, signature)


def with_logits_of_the_step(functions: Mapping[str, EndpointFunction]) -> dict[str, EndpointFunction]:
    """Returns the functions of a tagger as they were before: the step returns the logits of all labels."""
    step, logits = functions["tag_from_table"], functions["logits"]

    def compute(**tensors: Any) -> dict[str, Any]:
        found = dict(step.compute(**tensors))
        return found | logits.compute(outputs=found.pop("outputs"), **tensors)

    outputs = {name: spec for name, spec in step.endpoint.outputs.items() if name != "outputs"}
    endpoint = Endpoint(inputs=step.endpoint.inputs, outputs=outputs | logits.endpoint.outputs)
    return {"project": functions["project"], "tag_from_table": EndpointFunction(endpoint, compute, step.variables)}


@pytest.mark.usefixtures("unchecked")
def test_a_tagger_whose_step_returns_all_logits_gives_the_same_candidates(in_integers, tmp_path, monkeypatch):
    task, model, folder = in_integers
    monkeypatch.setattr(
        task, "served_endpoints", lambda model: with_logits_of_the_step(type(task).served_endpoints(task, model))
    )
    folders = [folder, export.export(task, model, [], tmp_path)]
    inputs = dict(collate(task.goldens()).inputs)
    rows, length = inputs["word_ids"].shape
    found = []
    for version in map(load_version, folders):
        assert ("logits" in version.manifest.endpoints) == (version.folder == folder)
        backend = TensorFlowBackend("cpu").load_sequence_model(version.folder, version.manifest)
        list(backend.warm_up([rows], length))
        names = frozenset(name for pair in version.manifest.candidate_outputs.values() for name in pair)
        found.append(backend.start(inputs, names | {*version.manifest.heads})())
    assert found[0].keys() == found[1].keys()
    for name, values in found[0].items():
        np.testing.assert_array_equal(values, found[1][name], err_msg=name)


def test_the_model_card_says_what_it_was_made_of(exported):
    folder = exported[2]
    card = (folder / artifact.MODEL_CARD).read_text(encoding="utf-8")
    for part in ("tagger-tiny", "CC0", "https://example.org/tiny", "It is tiny.", "| test | UPOS |"):
        assert part in card
    assert versions.commands_of(folder) == ("tagwerk-train train tagger-tiny",)
    assert "<https://example.org/tiny>" in card, "a link"
    assert model_card._linked("part of the project") == "part of the project", "no link"


def test_the_model_card_has_the_commands_that_made_the_versions_before(exported, tmp_path):
    task, model = copy(exported[0]), exported[1]
    task.data *= 2
    first, further = "tagwerk-train train tagger-tiny", "tagwerk-train train tagger --from tagger-tiny/3 --set epochs=2"
    folder = export.export(task, model, [], tmp_path, (first, further))
    manifest = artifact.read_manifest(folder)
    assert (manifest.command, manifest.data) == (further, exported[0].data), "each source once"
    again = export.export_again(task, model, folder)
    for path in (folder, again):
        assert versions.commands_of(path) == (first, further.replace("/3", "")), "that of the command before"
    (folder / artifact.MODEL_CARD).write_text("A card of another release.")
    assert versions.commands_of(folder) == (further,)


def test_a_model_that_does_not_give_its_goldens_is_not_exported(exported, tmp_path, monkeypatch):
    task, model, _ = exported
    golden_of = goldens.golden_of

    def wrong(*given: Any) -> Any:
        golden = golden_of(*given)
        golden.outputs["upos"][0][0] += 1e-3
        return golden

    monkeypatch.setattr(export, "golden_of", wrong)
    with pytest.raises(ArtifactError, match="another upos"):
        export.export(task, model, [], tmp_path)
    assert list((tmp_path / task.recipe.name).iterdir()) == []


@pytest.mark.parametrize(("compiled", "how"), [(False, "loaded back"), (True, "compiled by XLA")])
def test_a_model_that_computes_another_answer_in_one_way_alone_is_not_exported(exported, monkeypatch, compiled, how):
    def load(folder: Path, name: str, jit_compile: bool = False) -> Any:
        by_words = {tuple(golden.inputs["word_ids"]): golden for golden in artifact.read_goldens(folder)}

        def predict(inputs: Mapping[str, Any]) -> dict[str, Any]:
            rows = zip(inputs["word_ids"].tolist(), inputs["lengths"], strict=True)
            goldens = [by_words[tuple(ids[:length])] for ids, length in rows]
            moved = 1e-3 * (jit_compile == compiled)
            return {name: [np.array(g.outputs[name]) + moved for g in goldens] for name in goldens[0].outputs}

        return predict

    monkeypatch.setattr(goldens, "load_endpoint", load)
    with pytest.raises(ArtifactError, match=f"{how}, gives another upos"):
        goldens.check_version(exported[2])


def recipe_of(task: Tagging, trees: dict[str, list[Tree]] | None = None) -> Any:
    """Stands for a recipe whose corpora are at hand."""
    return SimpleNamespace(task=lambda words: Tagging(task.recipe, trees or treebank(), task.data, words))


def test_evaluation_reads_the_exported_model_alone(exported, tmp_path, monkeypatch):
    task, _, folder = exported
    monkeypatch.setattr(versions, "load_recipe", lambda name: recipe_of(task))
    monkeypatch.setenv("TAGWERK_RUNS_DIR", str(tmp_path / "runs"))
    said = Console(file=io.StringIO(), width=120)
    metrics = evaluate.evaluate(folder.parent.parent, task.recipe.name, "test", said)
    assert set(artifact.read_manifest(folder).metrics) < set(metrics)
    assert {"upos, calibration error", "feats, calibration error"} <= {metric.name for metric in metrics}
    text = said.file.getvalue()  # type: ignore[attr-defined]
    assert "95 % interval of accuracy" in text
    for column in ("precision", "taken for", "VERB"):
        assert column in text
    assert {metric.name for metric in metrics} >= {"UPOS", "XPOS", "UFeats", "UPOS, unknown words"}
    assert "reading 1 of the test split" in text
    (reading,) = (tmp_path / "runs" / task.recipe.name / READINGS).read_text().splitlines()
    assert json.loads(reading)["metrics"] == {metric.name: metric.value for metric in metrics}


def test_a_version_is_read_with_the_corpora_of_a_given_recipe_and_its_own_vocabularies(exported):
    task, _, folder = exported
    _, read = versions.read_version(folder, recipe_of(tagging(word_count=9)))
    assert read.vocabularies["words"].entries == task.vocabularies["words"].entries


def test_evaluation_refuses_a_model_of_other_data(exported, monkeypatch):
    task, _, folder = exported
    monkeypatch.setattr(versions, "load_recipe", lambda name: recipe_of(task, alike([treebank()["test"][-1]])))
    with pytest.raises(ArtifactError, match="other data"):
        versions.read_version(folder)
