"""Going on from a version with corrections: what is kept, what is learned, what is refused."""

import json
from pathlib import Path

import pytest

from service.artifact.manifest import read_lemmatizer, read_manifest
from tests.training.from_files.made import TOPICS
from tests.training.from_files.test_served import said
from training.run import export

MORE = ("--set", "epochs=8", "--set", "learning_rate=0.01")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, with NumPy 2
@pytest.mark.usefixtures("made")
def test_a_tagger_with_corrections_keeps_labels_vocabulary_and_tokenizer(run, capsys, monkeypatch):
    monkeypatch.setattr(export, "_check", lambda folder: None)
    text = Path("bank.conllu").read_text()
    # "the" is an adverb, with another lemma; features are not corrected, XPOS is of another kind
    right = text.replace("the\tthe\tDET\t_\tDefinite=Def", "the\tder\tADV\tXY\t_").replace("Number=Sing", "_")
    Path("right.conllu").write_text("".join(f"{block}\n\n" for block in right.split("\n\n")[:30]))
    Path("plain.txt").write_text("a cat sees dogs\nsome cats feed the heron today\n" * 20)

    go_on = ("train", "tagger", "--from", "tagger-xx", "--data", "right.conllu")
    assert run(*go_on) == 1
    assert "what tagger-xx/1 has learned from is not here; right: --unlabelled FILE" in capsys.readouterr().err
    assert run(*go_on, "--unlabelled", "plain.txt", "--set", "epochs=1") == 0
    assert "XPOS" not in capsys.readouterr().out
    old, new = (read_manifest(Path("model_store/tagger-xx") / version) for version in ("1", "2"))
    assert new.labels == old.labels
    assert new.length_buckets == old.length_buckets
    for name in ("words.json", "characters.json", "tokenizer.json"):
        assert new.files[name] == old.files[name]
    lemmatizer = read_lemmatizer(Path("model_store/tagger-xx/2"), new)
    assert lemmatizer
    assert lemmatizer.lemma("the", "ADV", "_", [0]) == "der"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, with NumPy 2
@pytest.mark.usefixtures("made")
def test_a_classifier_learns_corrections(run, capsys, monkeypatch):
    monkeypatch.setattr(export, "_check", lambda folder: None)
    rows = map(json.loads, Path("topics.jsonl").read_text().splitlines())
    texts = {"law": "the team filed a claim", "sport": "a judge of the match", "other": "rain"}
    for name, labels in (("right", ("law", "sport")), ("wrong", ("law", "sport", "other"))):
        lines = [f'"{texts[label]}, on day {i}",{label}\n' for i in range(15) for label in labels]
        Path(f"{name}.csv").write_text("text,label\n" + "".join(lines))
    Path("plain.txt").write_text("".join(f"{row['text']}\n" for row in rows))

    go_on = ("train", "classifier", "--from", "topics/1", "--unlabelled", "plain.txt", "--data")
    assert run(*go_on, "wrong.csv") == 1
    assert "wrong.csv, line 4: the label 'other'; right: one of topics/1: " in capsys.readouterr().err
    assert run(*go_on, "right.csv", *MORE) == 0
    counted = said(run, capsys, "evaluate", "topics", "--data", "right.csv")
    assert sum(int(row[1]) for row in counted if row and row[0] in TOPICS) >= 27


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "neither --name nor --from; right: the name of a new model, or the version to go on from"),
        ("--from none", "no version of 'none'"),
        ("--from none --teacher multilingual", "--from with --teacher; right: one of both"),
    ],
)
def test_what_cannot_be_gone_on_from(run, capsys, arguments, message):
    Path("right.conllu").write_text("")
    assert run("train", "tagger", "--data", "right.conllu", *arguments.split()) == 1
    assert message in capsys.readouterr().err
