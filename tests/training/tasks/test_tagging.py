"""Lemma rules of a tagger: which are learned, how they are measured, and that the service makes the same lemmas."""

import shutil
import unicodedata
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.artifact import manifest as artifact
from service.artifact.manifest import Metric
from service.backend.saved_model import TensorFlowBackend
from service.engine.scheduler import Grid
from service.store.registry import load_version
from service.tasks.tagging import Tagging as ServedTagging
from service.text.interruptible import finish
from service.text.lemmatizer import LEMMA, NEXT_RULES
from service.text.segmenter import Segmenter
from service.text.tokens import TokenSpan
from service.types import pad
from tests.training import tiny
from training.data.dataset import IGNORED, Example
from training.data.lexicon import Lexicon
from training.data.treebank import Tree, Word
from training.run import export, loop
from training.run.loop import make_predict
from training.tasks.tagged_lemmas import with_exceptions
from training.tasks.tagging import UNSEEN, Tagging

RULES = ("lower", "lower|end-1+", "=be", "=not")
RARE = ("mice", "mouse"), ("geese", "goose"), ("Is", "be"), ("went", "go")  # no rule is that of three words
AFFIXES = replace(tiny.TAGGER.sizes, affix_embedding=2)
Learned = tuple[Tagging, Any, Path]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """A tagger that is overfitted on its sentences, and where it is exported."""
    folder = tmp_path_factory.mktemp("tagger")
    task = tiny.tagging(splits=tiny.treebank_with_lemmas(), epochs=40, word_dropout=0.0, schedule="constant")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "better", lambda *_: True)  # the tags of earlier epochs are as good, not the rules
        patch.setattr(export, "check_version", lambda folder: None)  # a test below compares what is served
        model = tiny.trained(task, folder / "runs")
        metrics = task.evaluate(make_predict(task, model), "dev")
        return task, model, export.export(task, model, metrics, folder / "store")


def test_learns_the_lemma_rules_of_its_sentences_by_heart(learned):
    task, model, _ = learned
    assert task.labels[LEMMA] == RULES
    predict = make_predict(task, model)
    assert task.predictions(predict, "dev")[LEMMA].right.all(), "the rules, not the dictionary"
    metrics = {metric.name: metric.value for metric in task.evaluate(predict, "dev")}
    assert (metrics["Lemmas"], metrics["Lemmas, known words"], metrics["AllTags"]) == (100, 100, 100)


def test_any_lemma_is_right_for_a_word_without_one_and_none_where_no_rule_makes_it(learned):
    task, model, _ = learned
    predict = make_predict(task, model)
    mice, nothing = task.examples("test")[-1].targets[LEMMA].tolist()
    assert (mice, nothing) == (UNSEEN, IGNORED)
    assert task.predictions(predict, "test")[LEMMA].right[-2:].tolist() == [False, False]
    right = task._right_lemmas(task.predictions(predict, "test"), "test")
    assert right[-2:].tolist() == [False, True]
    metrics = {metric.name: metric.value for metric in task.evaluate(predict, "test")}
    assert metrics["Lemmas"] == pytest.approx(100 * right.mean(), abs=0.01)
    assert metrics["Lemmas, unknown words"] < 100


def test_a_version_holds_its_rules_and_its_lemmatizer(learned):
    task, _, folder = learned
    manifest = artifact.read_manifest(folder)
    assert manifest.labels[LEMMA] == RULES
    assert artifact.LEMMAS in manifest.files
    assert set(NEXT_RULES) < manifest.endpoints["tag_from_table"].outputs.keys()
    assert {metric.name for metric in manifest.metrics} > {"Lemmas", "Lemmas, known words", "Lemmas, unknown words"}
    lemmatizer = load_version(folder).lemmatizer
    assert lemmatizer is not None
    assert task.lemmatizer is not None
    for tree in tiny.treebank_with_lemmas()["train"]:
        for word in tree.words:
            own = word.form, word.upos, word.xpos
            assert lemmatizer.find(*own) == task.lemmatizer.find(*own) == word.lemma


def test_the_service_gives_the_tags_and_lemmas_that_training_measured(learned):
    task, model, folder = learned
    version, predict = load_version(folder), make_predict(learned[0], model)
    served = ServedTagging(version, 8)
    backend = TensorFlowBackend("cpu").load_sequence_model(folder, version.manifest)
    grid = Grid((1,), (8,))
    list(backend.warm_up(grid.batch_sizes, grid.capacity))
    sentences = [*(tree.forms for tree in tiny.treebank_with_lemmas()["test"]), ("Is", "seeds", "½", "KINDLE", "feels")]
    found: list[dict[str, Any]] = []
    for one in (sequences := finish(served.encode(sentences))).split([1] * len(sequences)):
        found.append(backend.start(pad(one, (1, 8)), frozenset(task.labels))())
    outputs = {name: np.concatenate([each[name] for each in found]) for name in found[0]}
    tokens = [[TokenSpan(form, 0, len(form)) for form in forms] for forms in sentences]
    tagged = finish(served.decode(tokens, outputs, lemmas=True))
    expected = [tag for tags in task.tag(predict, sentences) for tag in tags]
    assert [(tag.upos, tag.xpos, tag.lemma) for tags in tagged for tag in tags] == [
        (tag.upos, tag.xpos, tag.lemma) for tag in expected
    ]
    assert {tag.lemma for tag in expected} > {"be", "see", "½"}
    whole = task._probabilities(predict, [Example(forms, task.inputs(forms)) for forms in sentences])
    for head, rows in whole.items():
        np.testing.assert_allclose(outputs[head], np.concatenate(rows), atol=1e-5, err_msg=head)
        best = -np.sort(-outputs[head], axis=-1)
        np.testing.assert_allclose(outputs[f"{head}_probability"], best[:, 0], atol=1e-6, err_msg=head)
        for rank, name in enumerate((f"{head}_id", *(NEXT_RULES if head == LEMMA else ()))):
            probabilities = np.take_along_axis(outputs[head], outputs[name][:, None], axis=-1)[:, 0]
            np.testing.assert_array_equal(probabilities, best[:, rank], err_msg=name)  # of some, 0 in 32 bits


@pytest.mark.parametrize(
    "make",
    [
        tiny.tagging,
        lambda: tiny.tagging(splits=tiny.treebank_with_lemmas(), lemmas=False),
        lambda: tiny.tagging(splits=tiny.alike(treebank_of(*RARE))),
    ],
    ids=["no lemmas", "not wanted", "no rule of three words"],
)
def test_without_lemmas_there_is_no_label_of_a_rule(make):
    task = make()
    assert set(task.labels) == set(task.endpoint.outputs) == {"upos", "xpos", "feats"}
    assert task.lemmatizer is None


def treebank_of(*pairs: tuple[str, str]) -> list[Tree]:
    """Returns a treebank of nouns with their lemmas, each in a sentence of its own."""
    return [Tree((Word(form, "NOUN", "NN", "_", lemma),)) for form, lemma in pairs]


def test_spelling_variants_are_counted_as_one_word():
    variants = ["n't", "n’t", "n't", unicodedata.normalize("NFD", "été"), "été"]
    trees = [Tree((Word(form, "X", "_", "_", form), Word("run", "VERB", "_", "_", "run"))) for form in variants]
    task = tiny.tagging(splits=tiny.alike(trees), word_dropout=1.0)
    words, characters = task.vocabularies["words"], task.vocabularies["characters"]
    assert words.entries == ("run", "n't", "été")
    assert set(characters.entries) == set("runn'tété")
    assert task._drop[words.ids(["run", "n’t", "été"])].tolist() == [1 / 6, 1 / 4, 1 / 3]
    assert task._drop[:2].tolist() == [0, 0]
    first, second, _, *others = task.examples("train")
    for name, ids in first.inputs.items():
        np.testing.assert_array_equal(second.inputs[name], ids)
        np.testing.assert_array_equal(others[0].inputs[name], others[1].inputs[name])


def test_names_keep_their_capitals_in_lemma_rules_and_other_words_do_not():
    words = [Word(form, "PROPN", "NNP", "_", form) for form in ("Anna", "Rome", "lisa", "NASA")]
    words += [Word(form, "NOUN", "NN", "_", form.lower()) for form in ("Dog", "cat", "bird", "USA")]
    trees = [Tree((word, Word("runs", "VERB", "VBZ", "_", "run"))) for word in words]
    task = tiny.tagging(splits=tiny.alike(trees))
    assert task._lemma_labels.rule("lisa", "PROPN", "lisa") == "keep"
    assert task._lemma_labels.rule("cat", "NOUN", "cat") == "lower"
    assert {task._lemma_labels.rule(word.form, word.upos, word.lemma) for word in words} == {"keep", "lower"}
    assert set(task.labels[LEMMA]) == {"keep", "lower", "lower|end-1+"}


def in_lower_case(task: Tagging, form: str, upos: str, tag: str = "_") -> str:
    """Returns the lemma of a word of which the network says that its lemma is the form in lower case."""
    assert task.lemmatizer
    return task.lemmatizer.lemma(form, upos, tag, [RULES.index("lower")])


def test_lemmas_of_a_lexicon_that_the_network_does_not_find_are_kept_for_its_parts_of_speech(monkeypatch):
    """This network says of every word that its lemma is the form in lower case."""
    task = tiny.tagging(tiny.LEXICON, splits=tiny.treebank_with_lemmas(), sizes=AFFIXES)
    lower, before = RULES.index("lower"), task.lemmatizer
    assert in_lower_case(task, "Geese", "NOUN") == "geese"

    def predict(inputs: Any) -> Any:
        shape = inputs["word_ids"].shape
        return {head: np.eye(1, len(labels))[np.zeros(shape, int)] for head, labels in task.labels.items()}

    task.learn_exceptions(predict)
    assert before
    assert task.lemmatizer
    assert in_lower_case(task, "Geese", "NOUN") == "goose"
    assert in_lower_case(task, "mice", "NOUN", "Number=Sing") == "mousse"
    assert in_lower_case(task, "geese", "VERB") == "geese"
    assert in_lower_case(task, "Is", "AUX", "VBZ") == "be", "which the treebank has alone"
    found = [task.lemmatizer._lexicon.find(form, "NOUN") for form in ("geese", "mice", "sheep", "the")]
    assert found == ["goose", "mousse", None, None], "of sheep and the, the rule makes the lemma"
    wanted = tiny.tagging(splits=tiny.treebank_with_lemmas(), lemminflect=True)
    monkeypatch.setattr("training.tasks.tagging.of_lemminflect", lambda: tiny.LEXICON)
    wanted.learn_exceptions(predict)
    assert in_lower_case(wanted, "Geese", "NOUN") == "goose"
    assert tiny.LEXICON.source in wanted.data
    spoken = tiny.tagging(splits=tiny.treebank_with_lemmas(), spacy_lemmas=True)

    def of_spacy(language: str, part_of_speech: Callable[[Sequence[str]], list[str]]) -> Lexicon:
        assert language == spoken.recipe.language
        return replace(tiny.LEXICON, lemmas={("geese", part_of_speech(["geese"])[0]): "goose"})

    monkeypatch.setattr("training.tasks.tagging.lemmas_of_spacy", of_spacy)
    spoken.learn_exceptions(predict)
    assert [in_lower_case(spoken, "Geese", upos) for upos in spoken.labels["upos"][:2]] == ["goose", "geese"]
    unsure = {form: np.eye(len(RULES))[lower] * 0.8 for form in ("geese", "sheep")}
    listed = with_exceptions(before, {form: {"NOUN": form} for form in unsure}, unsure)
    assert listed._lexicon.find("sheep", "NOUN") == "sheep", "in a sentence, another rule may be more probable"
    monkeypatch.setattr("training.tasks.lemma_labels.RARE", 0.4)
    verbs = {"feeds": "feed", "finds": "find", "likes": "like", "fled": "flee"}
    words = {form: {"VERB": lemma} for form, lemma in verbs.items()}
    listed = with_exceptions(before, words, {form: np.eye(len(RULES))[lower] for form in words})
    irregular = [listed.find(form, "VERB", "VBD") for form in ("Fled", "bled")]
    assert irregular == ["flee", None], "whatever rules say"
    assert listed.find("fled", "NOUN", "NN") is None
    assert not [form for form in words if form != "fled" and listed.find(form, "VERB", "any")]
    plain = tiny.tagging(tiny.LEXICON, sizes=AFFIXES)
    plain.learn_exceptions(predict)
    assert plain.lemmatizer is None


def test_a_version_with_other_lemmas_and_another_tokenizer_has_the_same_network(
    learned: Learned, tmp_path: Path
) -> None:
    source = learned[2]
    task, folder = copy(learned[0]), tmp_path / source.parent.name / source.name
    shutil.copytree(source, folder)
    assert task.lemmatizer
    task.lemmatizer = task.lemmatizer.with_weights({"known": 0.5})
    task.segmenter = Segmenter(abbreviations={"dr.": False})
    task.data += (words := tiny.SOURCE.model_copy(update={"name": "words"}),)
    measured = Metric(name="Lemmas", value=1.5, unit="%", split="dev")
    again = export.export_copy(task, folder, [measured])
    assert again == folder.parent / str(int(folder.name) + 1)
    before, manifest = artifact.read_manifest(source), artifact.read_manifest(again)
    changed = {name for name in before.files if manifest.files[name] != before.files[name]}
    assert changed == {artifact.LEMMAS, artifact.MODEL_CARD}
    assert manifest.files.keys() - before.files.keys() == {artifact.SEGMENTER}
    assert artifact.read_segmenter(again, manifest) == task.segmenter
    assert [metric for metric in manifest.metrics if metric not in before.metrics] == [measured]
    assert manifest.data == (*before.data, words)
    lemmatizer = load_version(again).lemmatizer
    assert lemmatizer
    assert lemmatizer._weights == {"known": 0.5}


def test_weights_are_learned_of_words_of_dev_that_the_dictionary_lacks() -> None:
    """This network says of every word that its lemma is rather the form in lower case than as it is."""
    train = treebank_of(*[("seen", "seen"), ("Seen", "Seen"), ("This", "this")] * 3)
    task = tiny.tagging(splits=tiny.alike(train) | {"dev": treebank_of(*[("New", "New"), ("Old", "Old")] * 20)})
    labels = task.labels[LEMMA]
    scores = np.array([{"lower": 0.6, "keep": 0.4}.get(label, 0.0) for label in labels])

    def predict(inputs: Any) -> Any:
        shape = inputs["word_ids"].shape
        found = {head: np.eye(1, len(names))[np.zeros(shape, int)] for head, names in task.labels.items()}
        return found | {LEMMA: np.broadcast_to(scores, (*shape, len(labels)))}

    ((first,),) = task.tag(predict, [["Else"]])
    task.learn_lemma_weights(predict)
    ((tags,),) = task.tag(predict, [["Else"]])
    assert (first.lemma, tags.lemma) == ("else", "Else")
    assert task.tag(predict, [["seen"]])[0][0].lemma == "seen"


def test_a_task_takes_the_labels_of_a_version_and_words_as_they_are_written():
    task = tiny.tagging()
    labels = {head: tuple(reversed(names)) for head, names in task.labels.items()}
    other = task.with_labels(labels)
    for own, example in zip(task.examples("dev"), other.examples("dev"), strict=True):
        for head, names in task.labels.items():
            assert [names[i] for i in own.targets[head]] == [labels[head][i] for i in example.targets[head]]
    upper = task.written(str.upper)
    assert [example.source for example in upper.examples("train")] == [e.source for e in task.examples("train")]
    assert upper.examples("test")[0].source == tuple(map(str.upper, task.examples("test")[0].source))
    assert upper.labels == task.labels
