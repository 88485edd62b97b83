"""Lemmas: what is known, what is asked for, what is remembered; and which lemmatizer suits which tagger."""

from typing import Any

import numpy as np
import pytest

from service.artifact.manifest import DataSource
from service.artifact.version import ModelVersion
from service.pipelines.catalog import Catalog
from service.tasks import lemmatization
from service.tasks.lemmatization import Lemmatization
from service.tasks.tagging import Tag, Tagging
from service.text.lemmas import EDITS, Inflected, LemmaDictionary
from service.text.tokenizer import Token
from service.text.vocabulary import Vocabulary
from service.types import ModelState, State
from tests.fakes import version_of

CORPUS, OTHER = (DataSource(name=name, address="a", sha256="0", licence="CC0") for name in ("corpus", "other"))
NOUN = Tag("NOUN", "NNS", {"Number": "Plur"}, 1.0)
SYMBOLS = Vocabulary(["UPOS=NOUN", "XPOS=NNS", "Number=Plur", *"abcdefghijklmnopqrstuvwxyz"])
TAGGER_LABELS = {"upos": ("NOUN",), "xpos": ("NNS",), "feats": ("_",)}


def lemmatizer(name: str = "lemmas", **changes: object) -> ModelVersion:
    manifest = version_of(name, "lemmatize", **{"data": (CORPUS,), "length_buckets": (8, 16)} | changes).manifest
    dictionary = LemmaDictionary({"NOUN NNS": {"mice": "mouse"}, "NOUN *": {"geese": "goose", "mice": "rodent"}})
    return ModelVersion(version_of(name).folder, manifest, {"symbols": SYMBOLS}, dictionary)


def tagger(**changes: Any) -> ModelVersion:
    version = version_of("tagger", data=(OTHER, CORPUS), labels=TAGGER_LABELS, **changes)
    ids = version.manifest.endpoint.inputs["ids"].model_copy(update={"axes": ("B", "T", 12)})
    endpoint = version.manifest.endpoint.model_copy(update={"inputs": {"char_ids": ids}})
    manifest = version.manifest.model_copy(update={"endpoints": {"tag": endpoint}})
    return ModelVersion(version.folder, manifest, {"words": SYMBOLS, "characters": SYMBOLS})


def spelled(lemma: str) -> dict[str, np.ndarray]:
    ids = [SYMBOLS.id(character) for character in lemma]
    return {"edit": np.array([EDITS.index("spelled")], np.int32), "lemma_ids": np.array([*ids, 0, 0], np.int32)}


def known(task: Lemmatization, form: str, tag: Tag = NOUN) -> str | Inflected:
    (found,) = task.known([Token(form, 0, len(form))], [tag])
    return found


def test_the_dictionary_knows_a_word_with_its_tags():
    task = Lemmatization(lemmatizer())
    assert known(task, "mice") == "mouse"
    asked = known(task, "Mice", NOUN._replace(upos="VERB"))
    assert asked == Inflected("Mice", "VERB", "NNS", "Number=Plur")


def test_the_dictionary_knows_a_word_with_any_xpos_in_any_case():
    task = Lemmatization(lemmatizer())
    assert [known(task, form, NOUN._replace(xpos="NN")) for form in ("geese", "Geese", "mice")] == [
        "goose",
        "goose",
        "rodent",
    ]
    assert isinstance(known(task, "geese", NOUN._replace(upos="VERB")), Inflected)


def test_the_words_of_a_sentence_are_known_or_predicted_each_with_its_own_tags():
    task = Lemmatization(lemmatizer())
    tokens = [Token(form, 0, len(form)) for form in ("mice", "cats", "mice", "geese")]
    tags = [NOUN, NOUN, NOUN._replace(xpos="NN"), NOUN]
    for _ in range(2):
        assert task.known(tokens, tags) == ["mouse", Inflected("cats", "NOUN", "NNS", "Number=Plur"), "rodent", "goose"]
    assert task.known([], []) == []


def test_a_word_of_the_dictionary_is_found_again_without_it_and_few_are_remembered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lemmatization, "SEEN_WORDS", 2)
    task = Lemmatization(lemmatizer())
    asked: list[str] = []

    def find(form: str, upos: str, xpos: str) -> str:
        asked.append(form)
        return form.upper()

    monkeypatch.setattr(task, "_find", find)
    long = "x" * (lemmatization.LONGEST_SEEN + 1)
    for form in ("a", "a", "b", "a", long, long, "c", "c"):
        assert known(task, form) == form.upper()
        assert len(task._seen) <= 2
    assert asked == ["a", "b", long, long, "c"]
    assert known(task, "a") == "A"
    assert asked[-1] == "a", "it has been forgotten"


def test_a_word_is_asked_for_once_and_read_with_its_tags():
    task = Lemmatization(lemmatizer())
    word = known(task, "cats")
    assert isinstance(word, Inflected)
    inputs = task.encode([word]).values["symbol_ids"]
    assert [SYMBOLS.string(id) for id in inputs.tolist()] == ["UPOS=NOUN", "XPOS=NNS", "Number=Plur", *"cats"]
    assert task.decode([word], [5], spelled("cat")) == ["cat"]
    assert known(task, "cats") == "cat"
    assert known(task, "cats", NOUN._replace(feats={})) != "cat", "with other tags it is another word"


def test_each_word_gets_the_ids_of_its_own_length():
    task = Lemmatization(lemmatizer())
    words = [word for form in ("cats", "ds") if isinstance(word := known(task, form), Inflected)]
    sequences = task.encode(words)
    lengths = sequences.lengths.tolist()
    ids = np.zeros(sequences.tokens, np.int32)
    for start, lemma in ((0, "cat"), (lengths[0], "d")):
        ids[start : start + len(lemma)] = [SYMBOLS.id(character) for character in lemma]
    outputs = {"edit": np.array([EDITS.index("spelled")] * 2, np.int32), "lemma_ids": ids}
    assert task.decode(words, lengths, outputs) == ["cat", "d"]


def test_the_words_that_were_not_used_for_the_longest_time_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lemmatization, "CACHED_WORDS", 3)
    task = Lemmatization(lemmatizer())
    forms = ("as", "bs", "cs", "ds")
    words = {form: word for form in forms if isinstance(word := known(task, form), Inflected)}
    for form in ("as", "bs", "cs"):
        task.decode([words[form]], [3], spelled(form[0]))
    assert known(task, "as") == "a"  # used again
    task.decode([words["ds"]], [3], spelled("d"))
    remembered = {form: isinstance(known(task, form), str) for form in words}
    assert remembered == {"as": True, "bs": False, "cs": True, "ds": True}


def catalog(*versions: ModelVersion) -> Catalog:
    made = Catalog()
    for version in versions:
        made.prepare(version)
    made.update([ModelState(version.key, State.READY) for version in versions])
    return made


@pytest.mark.parametrize(
    ("version", "suits"),
    [(lemmatizer(), True), (lemmatizer(language="fr"), False), (lemmatizer(data=()), False)],
    ids=["the same corpus", "another language", "another corpus"],
)
def test_a_tagger_has_the_lemmatizer_of_its_language_and_corpus(version: ModelVersion, suits: bool):
    here = catalog(tagger(), version)
    (task,) = here.all(Tagging)
    found = here.lemmatizer(task)
    assert (found is not None) is suits
    assert here.find(Lemmatization, None).version is version


def test_a_service_without_a_lemmatizer_has_none():
    here = catalog(tagger())
    assert here.lemmatizer(here.find(Tagging, None)) is None
    here = catalog(tagger(), lemmatizer())
    here.update([ModelState(tagger().key, State.READY), ModelState(lemmatizer().key, State.REFUSED, "broken")])
    assert here.lemmatizer(here.find(Tagging, None)) is None, "nor one that was refused"
