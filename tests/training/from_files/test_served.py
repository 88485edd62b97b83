"""From files to answers over HTTP: models of a tiny treebank and of a tiny table, served together."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import start_server
from tests.training.tiny import treebank
from training.data.treebank import Tree
from training.run import export

TOPICS = {"sport": "the team won a match", "law": "the court heard a case"}
TINY = ("--set", "epochs=2", "--set", "sizes.units=8", "--seed", "3")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, with NumPy 2
def test_models_of_files_are_served_and_compared(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(export, "_check", lambda folder: None)  # the service checks the goldens as well
    Path("bank.conllu").write_text(treebank_with_lemmas(treebank()["train"] * 2))
    texts = [(f"{text}, number {i}", topic) for i in range(30) for topic, text in TOPICS.items()]
    rows_of_topics = [{"text": text, "label": topic, "half": i % 2} for i, (text, topic) in enumerate(texts)]
    Path("topics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows_of_topics))
    tagger = ("--name", "tagger-xx", "--language", "nl", "--data", "bank.conllu")
    Path("words.tsv").write_text("dog\tnoun\nsees\tverb\nfeeds\tnoun\nfeeds\tverb\ncats\tnoun\tkitten\n")
    assert run("train", "tagger", *tagger, "--lexicon", "words.tsv", *TINY) == 0
    assert "lexicon: 4 words, 7% of the different words of train" in capsys.readouterr().out
    assert run("train", "classifier", "--name", "topics", "--data", "topics.jsonl", *TINY) == 0

    rows = said(run, capsys, "evaluate", "tagger-xx", "tagger-xx/1", "--data", "bank.conllu")
    for head in ("upos", "lemma"):
        assert [head, "difference", "+0.00", "+0.00", "to", "+0.00"] in rows
    assert Path("model_store/tagger-xx/1/lemmas.json").exists()
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
