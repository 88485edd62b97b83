"""The lemmatizer: that it learns, when it stops, and what it is measured by."""

import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from service.artifact import manifest as artifact
from service.errors import ArtifactError, ConfigurationError
from service.text import lemmas
from service.text.lemmas import EDITS, Inflected, LemmaDictionary
from service.text.vocabulary import PAD, UNK, Vocabulary
from tests.training import tiny
from training.data.dataset import collate
from training.data.lexicon import Lexicon
from training.data.treebank import Tree, Word
from training.report import attention
from training.run import export, versions
from training.run.loop import load_best, make_predict, train
from training.tasks.base import OtherModel, Predict
from training.tasks.lemmatization import Lemmatization, inflected

SPELLED = EDITS.index("spelled")


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lemmatization, Any, Path]:
    """A lemmatizer that is overfitted on its twenty words, without a dictionary; and where it is exported."""
    folder = tmp_path_factory.mktemp("lemmas")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGWERK_RUNS_DIR", str(folder / "runs"))
        task = tiny.lemmatization()
        task.dictionary = LemmaDictionary({})
        train(task, Console(file=io.StringIO()))
        model = load_best(task)
    return task, model, export.export(task, model, [], folder / "store")


def test_learns_twenty_words_by_heart(learnt: tuple[Lemmatization, Any, Path]) -> None:
    task, model, _ = learnt
    metrics = task.evaluate(make_predict(task, model), "dev")
    assert [(metric.name, metric.value) for metric in metrics[:2]] == [("Lemmas", 100), ("Lemmas, known words", 100)]


def test_the_parts_of_an_answer_are_an_edit_and_characters_up_to_the_end(
    learnt: tuple[Lemmatization, Any, Path],
) -> None:
    task, model, _ = learnt
    symbols = task.vocabularies["symbols"]
    words = [inflected(tree.words[0]) for tree in tiny.inflected_words()]
    outputs = task.predict(model, collate([task._example(word, "") for word in words]).inputs)
    edits, ids = (np.asarray(outputs[name]) for name in ("edit", "lemma_ids"))
    by_form = {word.form: (edit, row.tolist()) for word, edit, row in zip(words, edits, ids, strict=True)}
    assert by_form["NASA"] == (EDITS.index("form"), [PAD] * ids.shape[1]), "nothing is spelled where nothing need be"
    assert by_form["Often"][0] == EDITS.index("lower case")
    edit, row = by_form["mice"]
    assert edit == SPELLED
    assert [symbols.string(id) for id in row[:5]] == list("mouse")
    assert row[5:] == [PAD] * (len(row) - 5)


def test_a_lemma_has_no_more_characters_than_the_word_has_symbols() -> None:
    """Whatever the network gives: it has not learnt when to stop."""
    keras.utils.set_random_seed(1)
    task = tiny.lemmatization()
    model = task.network()
    model.head.bias.assign(np.arange(len(task.vocabularies["symbols"])))  # never PAD
    model.edit.bias.assign(10.0 * (np.arange(len(EDITS)) == SPELLED))
    batch = collate(task._examples)
    ids = np.asarray(task.predict(model, batch.inputs)["lemma_ids"])
    for row, length in zip(ids, batch.inputs["lengths"], strict=True):
        assert (row[:length] != PAD).all()
        assert (row[length:] == PAD).all()


def test_what_is_spelled_step_by_step_is_what_the_loop_spells(learnt: tuple[Lemmatization, Any, Path]) -> None:
    task, model, _ = learnt
    batch = collate([example for example in task._examples if example.targets["edit"] == SPELLED])
    expected = np.asarray(task.predict(model, batch.inputs)["lemma_ids"])
    ids, weights = (np.asarray(output) for output in model.attend(**batch.inputs, steps=expected.shape[1]))
    for row, wanted in zip(ids, expected, strict=True):
        end = wanted.tolist().index(PAD)
        assert row[: end + 1].tolist() == wanted[: end + 1].tolist()
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    for row, length in zip(weights, batch.inputs["lengths"], strict=True):
        np.testing.assert_array_equal(row[:, length:], 0)


def as_they_are(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Stands for a network that says of every word that its form is its lemma."""
    rows = len(inputs["lengths"])
    return {"edit": np.full(rows, EDITS.index("form"), np.int32), "lemma_ids": np.zeros((rows, 1), np.int32)}


def test_the_dictionary_answers_before_the_network() -> None:
    asked: list[int] = []

    def predict(inputs: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(len(inputs["lengths"]))
        return as_they_are(inputs)

    mice, mouse, foreign = (
        Inflected(*word, "_") for word in (("mice", "NOUN", "NNS"), ("mice", "X", "FW"), ("Zyx", "X", "FW"))
    )
    assert tiny.lemmatization().lemmatize(predict, [mice, mouse, foreign, mouse]) == ["mouse", "mice", "Zyx", "mice"]
    assert sum(asked) == 2, "each word once"


def test_parts_of_a_word_torn_apart_have_any_lemma_and_are_not_learnt() -> None:
    torn = [Tree((Word("hou", "X", "GW", "_", "_"), Word("ses", "NOUN", "NNS", "_", "house")))]
    task = Lemmatization(tiny.lemmatization().recipe, dict.fromkeys(("train", "dev", "test"), torn), (tiny.SOURCE,))
    assert [example.source[0] for example in task._examples] == ["ses"]
    assert [metric.value for metric in task.evaluate(as_they_are, "dev")] == [100, 100, 100]


def test_measures_with_the_tags_of_the_newest_tagger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tagging, task = tiny.tagging(), tiny.lemmatization()
    export.export(tagging, tagging.network(), [], tmp_path)
    monkeypatch.setattr(versions, "read_version", lambda folder: (artifact.read_manifest(folder), tagging))
    words: list[Inflected] = []

    def lemmatize(predict: Predict, given: list[Inflected]) -> list[str]:
        words.extend(given)
        return [word.form for word in words]

    monkeypatch.setattr(task, "lemmatize", lemmatize)
    metrics = task.evaluate_text(as_they_are, "dev", versions.newest_models(tmp_path))
    assert metrics[0].name == "Lemmas, tags of tagger-tiny/1"
    assert metrics[0].value == 100 * 7 / 20, "of names and of two adverbs, the lemma is the form"
    forms = [tree.words[0].form for tree in tiny.inflected_words()]
    assert [word.form for word in words] == forms * 2, "on the tokens of the treebank, then from raw text"
    assert {word.xpos for word in words} <= set(tagging.labels["xpos"]), "its own tags"


def test_a_version_holds_its_dictionary(
    learnt: tuple[Lemmatization, Any, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_check", lambda folder: None)  # these weights have passed
    folder = export.export(tiny.lemmatization(), learnt[1], [], tmp_path)
    manifest = artifact.read_manifest(folder)
    assert manifest.task == "lemmatize"
    assert manifest.labels == {"edit": EDITS}
    assert artifact.DICTIONARY in manifest.files
    dictionary = LemmaDictionary.parse((folder / artifact.DICTIONARY).read_bytes())
    assert dictionary.find("went", "VERB", "VBD") == "go"
    assert dictionary.find("went", "VERB", "VBN") is None
    exported = versions.load_endpoint(learnt[2], "lemmatize", jit_compile=True)
    for example in learnt[0].goldens()[::6]:
        batch = collate([example])
        for name, output in learnt[0].predict(learnt[1], batch.inputs).items():
            np.testing.assert_array_equal(exported(batch.inputs)[name], output)


def test_the_parts_of_a_lemmatizer_make_up_the_whole(learnt: tuple[Lemmatization, Any, Path]) -> None:
    whole, project, spell = (
        versions.load_endpoint(learnt[2], name) for name in ("lemmatize", "project", "lemmatize_from_table")
    )
    inputs = collate(learnt[0].goldens()).inputs
    outputs = spell({**inputs, "table": project({})["projected"]})
    for name, values in whole(inputs).items():
        np.testing.assert_array_equal(outputs[name], values)


def test_what_the_network_gets_wrong_of_a_lexicon_is_in_the_dictionary() -> None:
    task = tiny.lemmatization(tiny.LEXICON)
    task.learn_exceptions(as_they_are)
    dictionary = task.dictionary
    assert dictionary.find("geese", "NOUN", "NNS") == dictionary.find("Geese", "NOUN", "NN") == "goose"
    assert dictionary.find("geese", "VERB", "VB") is None
    assert dictionary.find("sheep", "NOUN", "NN") is None, "which the network gets right"
    assert dictionary.find("mice", "NOUN", "NNS") == "mouse", "as the treebank has it"
    assert dictionary.find("mice", "NOUN", "NN") is None, "as before: the lexicon says nothing of words of the treebank"
    assert dictionary.find("the", "DET", "DT") is None, "a part of speech that the treebank has not"


def test_an_epoch_has_as_much_of_a_lexicon_as_of_the_treebank() -> None:
    lexicon = Lexicon({}, tiny.SOURCE, {(f"{a}{b}{c}", "noun"): "house" for a in "house" for b in "mic" for c in "dog"})

    def words(task: Lemmatization, epoch: int) -> Counter[str]:
        batches = task.train_batches(np.random.default_rng(epoch))
        rows = [(row, n) for b in batches for row, n in zip(b.inputs["symbol_ids"], b.inputs["lengths"], strict=True)]
        symbols = task.vocabularies["symbols"]
        return Counter(
            "".join(symbols.string(i) for i in row[:n] if i > UNK and len(symbols.string(i)) == 1) for row, n in rows
        )

    plain, task = tiny.lemmatization(), tiny.lemmatization(lexicon)
    assert plain.vocabularies["symbols"].entries == task.vocabularies["symbols"].entries
    own = words(plain, 1)
    first, second = words(task, 1) - own, words(task, 2) - own
    assert first.total() >= own.total() / 2
    assert first != second
    assert (words(task, 1) & own) == own


def test_the_most_frequent_lemma_counts() -> None:
    saw = Inflected("saw", "VERB", "VBD", "_")
    dictionary = LemmaDictionary.count([(saw, "saw"), (saw, "see"), (saw, "see"), (saw._replace(upos="NOUN"), "saw")])
    assert dictionary.find("saw", "VERB", "VBD") == "see"
    assert dictionary.find("saw", "NOUN", "VBD") == "saw"
    assert dictionary.find("saw", "NOUN", "NN") is dictionary.find("sees", "VERB", "VBD") is None


@given(st.text(max_size=30), st.text(max_size=30))
def test_what_an_edit_is_called_for_is_what_it_makes(form: str, lemma: str) -> None:
    vocabulary = Vocabulary(sorted(set(lemma)))
    ids = [vocabulary.id(character) for character in lemma]
    assert lemmas.decode(form, lemmas.edit_of(form, lemma), [*ids, PAD], vocabulary) == (lemma or form)


def test_draws_what_was_looked_at(learnt: tuple[Lemmatization, Any, Path], tmp_path: Path) -> None:
    task, model, _ = learnt
    words = ["mice/NOUN/NNS/Number=Plur", "went/VERB/VBD", "cities/NOUN/NNS/Number=Plur", "Unseen/NOUN/NN"]
    out = attention.draw(task, model, words, tmp_path / "attention.png")
    assert out.stat().st_size > 10_000
    with pytest.raises(ConfigurationError, match="'mice' is no word with its tags; one is women/NOUN"):
        attention.draw(task, model, ["mice"], out)


def test_refuses_the_tags_of_what_is_no_tagger() -> None:
    task = tiny.lemmatization()
    with pytest.raises(ArtifactError, match="lemmas-tiny/1 is not a tagger"):
        task.evaluate_text(as_they_are, "dev", lambda name: OtherModel("lemmas-tiny/1", task, as_they_are))
