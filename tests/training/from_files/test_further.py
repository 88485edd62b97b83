"""Going on from a version with corrections: what is kept, what is learned, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from service.text.vocabulary import encode_tokens
from tests.training.from_files.made import TOPICS
from tests.training.from_files.test_served import said
from tests.training.tiny import SOURCE, alike, conllu, sentence, sentences
from training.data import corpora, genders
from training.data.dataset import IGNORED, Array, Example, collate
from training.data.distillation import DistillationSet
from training.data.sst import Phrase
from training.data.treebank import Word
from training.from_files import further_classifier
from training.from_files.base_version import BaseVersion, embeddings
from training.from_files.further_labels import with_new
from training.from_files.further_tagger import ContinuedTagging, answers, read_task
from training.from_files.options import Options
from training.models.lemmatizer import TaggedWord
from training.models.sentiment import SentimentSizes
from training.run import export
from training.run.loop import make_predict
from training.run.versions import commands_of
from training.tasks.sentiment import SentimentRecipe
from training.tasks.tagging_batches import TEACHER_LABELS
from training.teachers import unlabelled

STORE = Path(__file__).parents[3] / "model_store"
RNG = np.random.default_rng(0)
MORE = ("--set", "epochs=8", "--set", "learning_rate=0.01")


def write_plain() -> None:
    """Writes the texts of the classifier's table as plain text."""
    rows = map(json.loads, Path("topics.jsonl").read_text().splitlines())
    Path("plain.txt").write_text("".join(f"{row['text']}\n" for row in rows))


def test_tables_are_found_in_layers_of_layers():
    """By a private interface of Keras: a new version that changes it fails here, by its name."""
    network = SentimentSizes().network(10, 2)
    assert network.reader.embedding in embeddings(network)


@pytest.mark.usefixtures("made")
def test_what_a_version_cannot_go_on_from_is_said(run, capsys):
    """Going on from a tagger, and what it keeps: see `test_correcting_page`."""
    write_plain()
    corrected = "tagger --from tagger-xx --data bank.conllu"
    for arguments, message in (
        (corrected, "what tagger-xx/1 has learned from is not here; right: --unlabelled FILE"),
        (f"{corrected} --unlabelled plain.txt --set chosen_by=AllTags", "chosen_by=AllTags; right: one of UPOS, UFea"),
        ("tagger --from tagger-xx", "right: --data FILE"),
        ("tagger --name x", "right: --data FILE"),
        ("classifier --from topics", "right: --data FILE"),
        ("tagger --data bank.conllu", "neither --name nor --from; right: the name of a new model, or the version to g"),
        ("tagger --data bank.conllu --from none", "no version of 'none'"),
        ("tagger --data bank.conllu --from none --teacher multilingual", "--from with --teacher; right: one of both"),
        ("tagger --data bank.conllu --from none --related bank.conllu", "--from with --related; right: one of both"),
    ):
        assert run("train", *arguments.split()) == 1
        assert message in capsys.readouterr().err


@pytest.mark.usefixtures("made")
def test_the_most_frequent_lemma_of_a_corrected_word_is_in_the_dictionary():
    the = TaggedWord("the", "ADV", "_")
    lemmatizer = BaseVersion(Path("model_store"), "tagger-xx", "tag").lemmatizer(
        [(the, "die"), (the, "der"), (the._replace(form="The"), "der"), (the, "die"), (the, "der"), (the, "das")]
    )
    assert lemmatizer
    assert lemmatizer.lemma("the", "ADV", "_", [0]) == "der"
    assert lemmatizer.lemma("the", "DET", "Definite=Def", [0]) == "the"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, with NumPy 2
def test_a_tagger_goes_on_with_its_corpus_and_with_features_that_it_lacks(monkeypatch):
    new = "Degree=Pos|Foreign=Yes"
    rows = [sentence(i) for i in range(12)]
    train = [replace(tree, words=(*tree.words, Word("très", "ADJ", "_", new))) for tree in rows[:8]]
    texts = {"train": train, "dev": rows[8:10], "test": rows[10:]}
    monkeypatch.setattr(corpora, "read", lambda corpus, split: conllu(texts.get(split, [])))
    monkeypatch.setattr(corpora, "sources", lambda corpus: (SOURCE,))
    monkeypatch.setattr(genders, "lexicon", lambda: genders.GenderLexicon({"NOUN": {}, "PROPN": {}}, SOURCE))
    options = Options(name="tagger-de", language="de", files={}, base="tagger-de", changes=[("epochs", "2")])
    task = read_task(options, STORE, Console(quiet=True))
    own = BaseVersion(STORE, "tagger-de", "tag")
    labels = own.manifest.labels["feats"]
    place = task.labels["feats"].index(new)
    assert len(task.labels["feats"]) == len(labels) == len({*task.labels["feats"]})
    assert new not in labels
    assert task.recipe.epochs == 2
    kept = ContinuedTagging(task.recipe, alike(rows), (), own).network()
    assert task._distillation is None, "its teacher was not asked here"
    heads = [model.heads["feats"].kernel.numpy() for model in (task.network(), kept)]
    assert (heads[0][:, place] == heads[1][:, labels.index("Degree=Pos")]).all(), "it starts as what it is most like"


def test_a_tagger_goes_on_with_the_answers_of_its_teacher_where_they_are_here(monkeypatch, runs):
    rows = [sentence(i) for i in range(12)]
    texts = {"train": rows[:8], "dev": rows[8:10], "test": rows[10:]}
    monkeypatch.setattr(corpora, "read", lambda corpus, split: conllu(texts.get(split, [])))
    monkeypatch.setattr(corpora, "sources", lambda corpus: (SOURCE,))
    heads = {"upos": ("VERB", "NOUN"), "xpos": ("_",), "feats": ("_",), "lemma": ("keep",)}
    outputs: dict[str, Array] = {head: np.zeros((2, TEACHER_LABELS), np.int32) for head in heads}
    outputs |= {f"{head}_shares": np.eye(1, TEACHER_LABELS).repeat(2, axis=0) for head in heads}
    words, nothing = ["o", "cão"], np.zeros((2, 0), np.float16)
    DistillationSet([("o", "cão")], np.array([2]), outputs, words, np.ones(2), nothing, (SOURCE,), heads).write(
        "tagger-pt"
    )
    options = Options(name="tagger-pt", language="pt", files={}, base="tagger-pt", changes=[("epochs", "2")])
    task = read_task(options, STORE, Console(quiet=True))
    example = task._distilled_example(0, "")
    assert example.source == ("o", "cão")
    assert [task.labels["upos"][i] for i in example.targets["upos"][:, 0]] == ["VERB", "VERB"]
    assert sum(batch.tokens for batch in task.train_batches(RNG)) > sum(map(len, task.examples("train")))


def test_the_english_tagger_goes_on_with_its_treebank_and_the_sentences_that_were_written(monkeypatch):
    rows = {
        ("ewt", "train"): [0, 1, 2],
        ("ewt", "dev"): [3],
        ("ewt", "test"): [4],
        ("written_en", "everyday"): [5],
        ("written_en", "prose"): [6],
    }
    monkeypatch.setattr(corpora, "read", lambda *part: conllu(map(sentence, rows[part])))
    monkeypatch.setattr(corpora, "sources", lambda corpus: (SOURCE.model_copy(update={"name": corpus}),))
    options = Options(name="tagger-en", language="en", files={}, base="tagger-en")
    task = read_task(options, STORE, Console(quiet=True))
    own, written = BaseVersion(STORE, "tagger-en", "tag"), task.recipe.written
    expected = [0, 1, 2, *[5] * written["everyday"], *[6] * written["prose"]]
    assert [example.source for example in task.examples("train")] == [sentence(i).forms for i in expected]
    assert task.labels["xpos"] == own.manifest.labels["xpos"]
    assert [source.name for source in task.data[-2:]] == ["written_en/everyday", "written_en/prose"]


def test_features_of_corrections_take_the_place_of_the_rarest_that_these_have_not():
    assert with_new(tuple("abcdefgh"), tuple("hxbyz")) == tuple("xyabcdeh")
    assert with_new(tuple("xyabcdeh"), tuple("z")) == tuple("zxyabcde"), "none that earlier corrections brought"
    assert with_new(tuple("abc"), tuple("ab")) == tuple("abc")


@pytest.mark.usefixtures("made")
def test_a_version_does_not_answer_with_what_corrections_have_first():
    imperative = Word("go", "VERB", "_", "Mood=Imp")
    right = [replace(tree, words=(*tree.words, imperative)) for tree in map(sentence, range(20))]
    Path("right.conllu").write_text(conllu(right))
    Path("plain.txt").write_text("The dog sees the cat.\nThe cat sees 12 dogs.\n")
    options = Options(
        name="tagger-xx",
        language="und",
        files={"train": Path("right.conllu")},
        unlabelled=Path("plain.txt"),
        base="tagger-xx",
    )
    task = read_task(options, Path("model_store"), Console(quiet=True))
    place = task.labels["feats"].index("Mood=Imp")
    shares = [batch.targets["feats_shares"][batch.targets["feats"] == place] for batch in task.train_batches(RNG)]
    assert {float(share) for batch in shares for share in batch} == {0.0, 1.0}, "of the version, of the corrections"
    base, plain = BaseVersion(Path("model_store"), "tagger-xx", "tag"), [tuple("The dog sees 12 cats .".split())]
    same, moved = (
        answers(base, plain, task.recipe.characters, labels) for labels in (base.manifest.labels, task.labels)
    )
    for head in base.manifest.labels:
        first, second = (found.outputs[head][:, 0] for found in (same, moved))
        assert [base.manifest.labels[head][i] for i in first] == [task.labels[head][i] for i in second]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, with NumPy 2
def test_a_classifier_goes_on_with_its_corpora_and_with_its_own_answers(monkeypatch):
    plain = ("Please", "bring", "the", "keys", ".")
    further = {"everyday": {"train": [[Phrase(("It", "works", "again", "!"), 3)]], "dev": [], "test": []}}
    parts = alike(sentences()), (SOURCE,), further
    monkeypatch.setattr(SentimentRecipe, "splits", lambda self: parts)
    monkeypatch.setattr(unlabelled, "of_corpora", lambda settings, seed: unlabelled.UnlabelledText([plain], (SOURCE,)))
    options = Options(name="sentiment-en", language="en", files={}, base="sentiment-en", changes=[("epochs", "3")])
    task = further_classifier.read_task(options, STORE, Console(quiet=True))
    assert task.recipe.epochs == 3
    model, base = task.network(), BaseVersion(STORE, "sentiment-en", "classify")
    (found,) = further_classifier.answers(base, [plain])
    example = Example(plain, {"word_ids": encode_tokens(plain, base.vocabularies["words"])})
    assert make_predict(task, model)(collate([example]).inputs)["probabilities"][0] == pytest.approx(found, abs=0.02)

    model.reader.head.bias.assign_add(np.ones(5))
    task.settle(model)
    assert model.reader.head.bias.numpy() - task.network().reader.head.bias.numpy() == pytest.approx(0.5, abs=1e-5)
    assert not any("embedding" in weight.path for weight in model.trainable_weights)

    targets = [batch.targets for batch in task.train_batches(np.random.default_rng(0))]
    grades, shares = (np.concatenate([one[name] for one in targets]) for name in ("class_id", "shares"))
    answered = grades == IGNORED
    learned = {phrase.tokens for tree in (*sentences(), *further["everyday"]["train"]) for phrase in tree}
    assert (~answered).sum() == answered.sum() - 1 == len(learned)
    assert shares[answered].sum(axis=1) == pytest.approx(1)
    assert not shares[~answered].any()
    assert any((row @ task.label_of_class) == pytest.approx(found, abs=0.02) for row in shares[answered])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, with NumPy 2
@pytest.mark.usefixtures("made")
def test_a_classifier_learns_corrections(run, capsys, monkeypatch):
    monkeypatch.setattr(export, "check_version", lambda folder: None)
    write_plain()
    texts = {"law": "the team filed a claim", "sport": "a judge of the match", "other": "rain"}
    for name, labels in (("right", ("law", "sport")), ("wrong", ("law", "sport", "other"))):
        lines = [f'"{texts[label]}, on day {i}",{label}\n' for i in range(15) for label in labels]
        Path(f"{name}.csv").write_text("text,label\n" + "".join(lines))

    go_on = ("train", "classifier", "--from", "topics/1", "--unlabelled", "plain.txt", "--data")
    assert run(*go_on, "wrong.csv") == 1
    assert "wrong.csv, line 4: the label 'other'; right: one of topics/1: " in capsys.readouterr().err
    assert run(*go_on, "right.csv", *MORE) == 0
    before, own = commands_of(Path("model_store/topics/2"))
    assert before.startswith("tagwerk-train train classifier --name topics ")
    assert own.startswith("tagwerk-train train classifier --from topics ")
    counted = said(run, capsys, "evaluate", "topics", "--data", "right.csv")
    assert sum(int(row[1]) for row in counted if row and row[0] in TOPICS) >= 27
