"""Distillation sets: kept on disk, initial word embeddings, and students that learn the teacher's outputs."""

import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from service.text.vocabulary import PAD, UNK, Vocabulary
from tests.training.tiny import SOURCE, sentiment, tagging, treebank, treebank_with_lemmas
from training.data.dataset import Array, Example, collate
from training.data.distillation import DistillationSet, DistillationSetMissing
from training.data.running_text import CASES
from training.run.loop import load_best, make_predict, train
from training.tasks.tagging import HEADS
from training.tasks.tagging_batches import TEACHER_LABELS, drawn_cases

NEW = (("the", "heron", "sees"), ("a", "heron", "finds", "today"))


pytestmark = pytest.mark.usefixtures("runs")


def distillation_set(sentences: tuple[tuple[str, ...], ...], outputs: dict[str, Array]) -> DistillationSet:
    """Returns a set whose vectors lie along two directions of twelve."""
    words = sorted(
        {w.lower() for s in sentences for w in s} | {w.form.lower() for t in treebank()["train"] for w in t.words}
    )
    vectors = np.array([[ord(word[0]) - 100.0, len(word), *[0.0] * 10] for word in words])
    lengths = np.array([len(words) for words in sentences])
    counts = np.full(len(words), 9)
    return DistillationSet(list(sentences), lengths, outputs, words, counts, vectors.astype(np.float16), (SOURCE,))


def certain(count: int, *heads: str) -> dict[str, Array]:
    """Returns a teacher's outputs for some words: of each head, the first label with the probability 1."""
    ids = {head: np.zeros((count, TEACHER_LABELS), np.int32) for head in heads}
    return ids | {f"{head}_shares": np.eye(1, TEACHER_LABELS, dtype=np.float32).repeat(count, axis=0) for head in heads}


def test_comes_back_as_it_was_written(runs):
    distillation_set((("some", "other"),), {}).write("tagger-tiny")
    new = (*NEW, ("\u00a0…", "né"))
    written = distillation_set(new, {"upos": np.arange(18).reshape(9, 2)})
    assert written.write("tagger-tiny") == runs / "tagger-tiny" / "distillation"
    read = DistillationSet.read("tagger-tiny")
    assert [read.sentences[i] for i in range(len(read.sentences))] == list(new)
    assert (read.words, read.sources, read.lengths.tolist()) == (written.words, (SOURCE,), [3, 4, 2])
    np.testing.assert_array_equal(read.vectors, written.vectors)
    assert read.outputs_by_word(0)["upos"].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert read.outputs_by_word(1)["upos"].tolist() == [[6, 7], [8, 9], [10, 11], [12, 13]]
    assert [path.name for path in (runs / "tagger-tiny").iterdir()] == ["distillation"]


def test_a_set_that_does_not_say_its_labels_is_not_learned_from(runs):
    file = distillation_set(NEW, certain(7, *HEADS)).write("tagger-tiny") / "distillation.json"
    contents = json.loads(file.read_text())
    del contents["labels"]
    file.write_text(json.dumps(contents))
    with pytest.raises(DistillationSetMissing, match=r"earlier release.*: run `tagwerk-train teach tagger-tiny` again"):
        tagging(teacher="tagger-tiny")


def test_answers_have_the_numbers_of_the_students_labels_whatever_order_the_teacher_had_them_in():
    """The order is that of their frequency, which changes with how often a recipe reads a sentence."""
    outputs = certain(7, *HEADS)
    outputs["upos"][:, :3] = [0, 1, 2]
    outputs["upos_shares"][:, :3] = [0.5, 0.25, 0.125]
    own = tagging().labels
    labels = own | {"upos": ("OLD", own["upos"][1], own["upos"][0])}
    replace(distillation_set(NEW, outputs), labels=labels).write("tagger-tiny")
    example = tagging(teacher="tagger-tiny")._distilled_example(0, "")
    assert example.targets["upos_shares"][0, :3].tolist() == [0, 0.25, 0.125], "none of a label that is not its own"
    assert example.targets["upos"][0, 1:3].tolist() == [1, 0]
    np.testing.assert_array_equal(example.targets["feats"], outputs["feats"][:3])


def test_a_missing_set_names_the_command_that_makes_it():
    with pytest.raises(DistillationSetMissing, match="tagwerk-train teach tagger-tiny"):
        tagging(teacher="tagger-tiny")


def test_words_begin_as_the_first_components_of_their_vectors():
    made = distillation_set(NEW, {})
    vocabulary = Vocabulary([*made.words, "zebra"], lowercase=True)
    table = made.embeddings(vocabulary, 2, scale=0.1)
    assert table.std() == pytest.approx(0.1, rel=0.2)
    assert not table[[PAD, UNK, vocabulary.id("zebra")]].any()
    rows = table[[vocabulary.id(word) for word in made.words]]
    centred = made.vectors - made.vectors.mean(0)
    between, expected = (np.linalg.norm(x[:, None] - x, axis=-1) for x in (rows, centred))
    np.testing.assert_allclose(between / between.max(), expected / expected.max(), atol=1e-3)


def test_a_tagger_learns_what_the_teacher_says_of_new_words():
    """Nothing but the teacher says that a heron may be a verb, too, and how probably."""
    labels = tagging().labels["upos"]
    noun, verb, determiner = (labels.index(label) for label in ("NOUN", "VERB", "DET"))
    outputs = certain(7, *HEADS)
    outputs["upos"][:, 0] = [determiner, noun, verb, determiner, noun, verb, noun]
    outputs["upos"][:, 1] = verb
    outputs["upos_shares"][[1, 4], :2] = 0.6, 0.4
    distillation_set(NEW, outputs).write("tagger-tiny")

    task = tagging(teacher="tagger-tiny", distillation_tokens=100, epochs=25, word_dropout=0.0)
    assert task.data == (SOURCE, SOURCE)
    train(task, Console(quiet=True))
    inputs = collate([Example(NEW[0], task.inputs(NEW[0]))]).inputs
    _, heron, _ = make_predict(task, load_best(task))(inputs)["upos"][0]
    assert task.vocabularies["words"].id("heron") != UNK
    assert heron[noun] == pytest.approx(0.6, abs=0.15)
    assert heron[verb] == pytest.approx(0.4, abs=0.15)


def test_a_tagger_reads_text_in_other_cases_with_the_answers_and_lemmas_of_the_text_as_it_is():
    with_rules, forms = tagging(splits=treebank_with_lemmas()), ("the", "cat", "feeds")
    outputs = certain(3, *HEADS, "lemma")
    lemmas = ["the", "cat", "feed"]
    rules = [with_rules.rule_id(form, "VERB", lemma) for form, lemma in zip(forms, lemmas, strict=True)]
    outputs["lemma"][:, 0] = [rule or 0 for rule in rules]
    outputs["upos"][:, 0] = with_rules.labels["upos"].index("VERB")
    distillation_set((forms,), outputs).write("tagger-tiny")
    task = tagging(splits=treebank_with_lemmas(), teacher="tagger-tiny", restyled_text=1.0, distillation_tokens=3)
    assert task.labels == with_rules.labels
    for case, change in CASES.items():
        example = task._distilled_example(0, case)
        assert example.source == tuple(map(change, forms))
        for form, rule, share, lemma in zip(
            example.source, example.targets["lemma"], example.targets["lemma_shares"], lemmas, strict=True
        ):
            assert not share[0] or task.lemma(form, "VERB", "_", int(rule[0])) == lemma
        np.testing.assert_array_equal(example.targets["upos"], outputs["upos"])
    assert task._distilled_example(0, "").source == forms
    assert set(drawn_cases(200, 0.3, np.random.default_rng(0))) == {"", *CASES}
    assert sum(batch.tokens for batch in task.train_batches(np.random.default_rng(0))) >= 3


def test_a_classifier_learns_what_the_teacher_says_of_unlabelled_texts():
    good, bad = ("a", "superb", "film"), ("a", "dismal", "film")
    logits = np.array([[-4.0, -4, -4, 2, 6], [6, 2, -4, -4, -4]], np.float32)
    words = ["a", "film", "superb", "dismal", "not", "plot", "awful", "weak", "fine", "lovely", "long", "."]
    vectors = np.random.default_rng(0).normal(size=(len(words), 16)).astype(np.float16)
    outputs = {"logits": logits[[0, 1] * 10]}
    DistillationSet([good, bad] * 10, np.full(20, 3), outputs, words, np.full(len(words), 9), vectors).write("taught")
    task = sentiment(teacher="taught", distillation_tokens=60, epochs=12)
    train(task, Console(quiet=True))
    predict = make_predict(task, load_best(task))
    ids = np.array([[task.vocabularies["words"].id(word) for word in text] for text in (good, bad)], np.int32)
    inputs = {"word_ids": ids, "lengths": np.array([3, 3], np.int32)}
    assert predict(inputs)["probabilities"].argmax(-1).tolist() == [2, 0]
