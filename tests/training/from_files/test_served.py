"""From files to answers over HTTP: a tagger of a tiny treebank with a teacher, and a classifier of a tiny table."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest
from rich.console import Console

from service.artifact.manifest import DataSource, read_manifest
from service.text.lemmatizer import LEMMA
from tests.conftest import start_server
from tests.training.tiny import conllu, sentence, tagging, treebank, with_lemmas
from training.data.dataset import Array
from training.data.distillation import DistillationSet
from training.data.files import DataFileError
from training.data.treebank import Tree, read
from training.run import export
from training.tasks.tagging import Tagging
from training.tasks.tagging_batches import TEACHER_LABELS
from training.teachers.unlabelled import Text, of_file

TOPICS = {"sport": "the team won a match", "law": "the court heard a case"}
TINY = ("--set", "epochs=2", "--set", "sizes.units=8", "--seed", "3")
TEXT = "\n".join(" ".join(sentence(i).forms) + " ." for i in range(200))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, with NumPy 2
def test_models_of_files_are_served_and_compared(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(export, "_check", lambda folder: None)  # the service checks the goldens as well
    module = ModuleType("teach")  # the real one imports PyTorch
    monkeypatch.setattr(module, "teach", answers, raising=False)
    monkeypatch.setitem(sys.modules, "training.teachers.teach", module)
    Path("bank.conllu").write_text(treebank_with_lemmas(treebank()["train"] * 2))
    Path("text.txt").write_text(TEXT)
    texts = [(f"{text}, number {i}", topic) for i in range(30) for topic, text in TOPICS.items()]
    rows_of_topics = [{"text": text, "label": topic, "half": i % 2} for i, (text, topic) in enumerate(texts)]
    Path("topics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows_of_topics))
    Path("words.tsv").write_text("dog\tnoun\nsees\tverb\nfeeds\tnoun\nfeeds\tverb\ncats\tnoun\tkitten\n")
    tagger = ("--name", "tagger-xx", "--language", "nl", "--data", "bank.conllu", "--lexicon", "words.tsv")
    teacher = ("--teacher", "multilingual", "--unlabelled", "text.txt", "--set", "sizes.word_embedding=8")
    assert run("train", "tagger", *tagger, *teacher, *TINY) == 0
    assert "lexicon: 4 words, 7% of the different words of train" in capsys.readouterr().out
    folder = Path("model_store/tagger-xx/1")
    manifest = read_manifest(folder)
    assert [data.name for data in manifest.data] == ["bank.conllu", "words.tsv", "text.txt", "weights"]
    assert "--teacher multilingual" in manifest.command
    assert "heron" in (folder / "words.json").read_text(), "the teacher alone has read this word"
    assert (folder / "lemmas.json").exists()
    assert run("train", "classifier", "--name", "topics", "--data", "topics.jsonl", *TINY) == 0

    rows = said(run, capsys, "evaluate", "tagger-xx", "tagger-xx/1", "--data", "bank.conllu")
    for head in ("upos", "lemma"):
        assert [head, "difference", "+0.00", "+0.00", "to", "+0.00"] in rows
    rows = said(run, capsys, "evaluate", "topics", "--data", "topics.jsonl", "--group-column", "half")
    assert ["label", "topics/1", "100.00", "100.00", "to", "100.00"] in rows
    for value in ("sport", "law", "0", "1"):
        assert [value, "30", "30"] in rows
    for names in (("tagger-xx", "topics"), ("topics",) * 3):
        assert run("evaluate", *names, "--data", "topics.jsonl") == 1
        assert "right: " in capsys.readouterr().err

    with start_server(tmp_path / "log", TAGWERK_MODEL_STORE=str(tmp_path / "model_store")) as server:
        server.wait_until_ready()
        with httpx.Client(base_url=server.url, timeout=60) as client:

            def ask(path: str, **body: Any) -> dict[str, Any]:
                answer = client.post(path, json=body)
                assert answer.status_code == 200, answer.text
                (result,) = answer.json()["results"]
                return dict(result)

            (tagged,) = ask("/tag", model="tagger-xx", text="the dog sees zum cat")["sentences"]
            tokens = tagged["tokens"]
            assert [token["text"] for token in tokens] == ["the", "dog", "sees", "zu", "dem", "cat"]
            assert tagged["multiword_tokens"] == [{"text": "zum", "start": 13, "end": 16, "first": 3, "last": 4}]
            assert {token["upos"] for token in tokens} <= {"ADP", "DET", "NOUN", "VERB", "ADV", "NUM"}
            assert all(token["lemma"] for token in tokens)
            assert set(ask("/classify", model="topics", text=TOPICS["law"])["scores"]) == set(TOPICS)


def said(run: Callable[..., int], capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    """Runs a command; returns the words of each line that it printed."""
    capsys.readouterr()
    assert run(*arguments) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def treebank_with_lemmas(trees: list[Tree]) -> str:
    """Returns sentences as a file has them, each made different by a number, so that no split has another's.

    Each has the multiword token "zum", whose words are not parts of it.
    """
    text = ""
    for number, tree in enumerate(trees):
        words = [*((w.form, w.form.removesuffix("s").lower(), w.upos, w.feats) for w in tree.words)]
        words.append((str(number), str(number), "NUM", "NumType=Card"))
        words += [("zu", "zu", "ADP", "_"), ("dem", "der", "DET", "_")]
        rows = [
            f"{i}\t{form}\t{lemma}\t{upos}\t_\t{feats}\t_\t_\t_\t_"
            for i, (form, lemma, upos, feats) in enumerate(words, 1)
        ]
        rows.insert(-2, f"{len(words) - 1}-{len(words)}\tzum" + "\t_" * 8)
        text += "\n".join([*rows, "\n"])
    return text


def answers(task: Tagging, console: Console, text: Text) -> DistillationSet:
    """Stands for a teacher that knows the treebank: gives a word its label there, or the most frequent one."""
    known = {word.form: word for tree in map(with_lemmas, map(sentence, range(20))) for word in tree.words}
    words = [word for sentence in text.sentences for word in sentence]
    outputs: dict[str, Array] = {}
    for head, labels in task.labels.items():
        ids = np.zeros((len(words), TEACHER_LABELS), np.int32)
        if head != LEMMA:
            places = {label: i for i, label in enumerate(labels)}
            ids[:, 0] = [places.get(getattr(known[w], head), 0) if w in known else 0 for w in words]
        outputs[head], outputs[f"{head}_shares"] = ids, np.tile(np.array([0.9, 0.1, 0, 0], np.float32), (len(words), 1))
    counts = {word: words.count(word) for word in dict.fromkeys(words)}
    return DistillationSet(
        sentences=text.sentences,
        lengths=np.array([len(sentence) for sentence in text.sentences]),
        outputs=outputs,
        words=[*counts, "heron"],
        counts=np.array([*counts.values(), 9]),
        vectors=np.random.default_rng(0).normal(size=(len(counts) + 1, 24)).astype(np.float16),
        sources=(*text.sources, DataSource(name="weights", address="pkg:pypi/w@1", sha256="0" * 64, licence="MIT")),
    )


def test_text_is_split_into_sentences_and_some_are_restyled(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text(TEXT + "\nMr. Smith sees a bird. The cat likes it.\n\n")
    text = of_file(file, "CC0", tagging().text_tokenizer(), 1200, 1)
    assert 1150 < sum(map(len, text.sentences)) < 1220  # some without their last full stop
    styles = [words[0] for words in text.sentences if words[0].lower() == "the"]
    assert {"the", "THE", "The"} == set(styles)
    assert text.sources[0].licence == "CC0"
    file.write_text("word\n\n")
    with pytest.raises(DataFileError, match="has no sentence; right: plain text with sentences of 2 to 60 words"):
        of_file(file, "CC0", tagging().text_tokenizer(), 400, 1)


def test_restyled_sentences_of_the_treebank_keep_their_labels() -> None:
    task = tagging(restyled=1.0)
    plain, both = (tagging(restyled=share).train_batches(np.random.default_rng(1)) for share in (0.0, 1.0))
    tokens = sum(len(tree.words) for tree in treebank()["train"])
    assert [sum(batch.tokens for batch in batches) for batches in (plain, both)] == [tokens, 2 * tokens]
    upper = [e for e in task._restyled(np.random.default_rng(1)) if e.source[0] == "THE"]
    assert upper
    assert all((e.targets["upos"][0] == task.labels["upos"].index("DET")) for e in upper)


def test_a_comment_marks_sentences_whose_spacing_is_unknown() -> None:
    known, unknown = conllu([sentence(1)]), "# spacing = unknown\n" + conllu([sentence(2)])
    assert [tree.spaced for tree in read(known + unknown + known)] == [True, False, True]
