"""Dictionaries of models: what answers say of them, and what a change of a file does."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.pipelines.catalog import Dictionaries
from service.settings import Settings
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tagging
from service.telemetry.metrics import Metrics
from tests.http.running import post
from tests.http.scene import classifier, tagger


def answer(folder: Path, path: str, **body: Any) -> Any:
    response = post(path, json.dumps(body).encode(), overrides_dir=str(folder))
    assert response.status_code == 200, response.text
    return response.json()["results"][0]


def test_answers_say_what_is_from_the_dictionary(tmp_path: Path) -> None:
    (tmp_path / "tagger.tsv").write_text("cat\t\tVERB\tVB\t_\tpurr\n")
    plain, cat = answer(tmp_path, "/tag", text="fine cat")["sentences"][0]["tokens"]
    assert "source" not in plain
    assert (cat["upos"], cat["xpos"], cat["lemma"], cat["confidence"]) == ("VERB", "VB", "purr", 1.0)
    assert cat["source"] == "dictionary"
    body = json.dumps({"text": "fine cat", "format": "conllu"}).encode()
    rows = post("/tag", body, overrides_dir=str(tmp_path)).text.splitlines()
    assert [row.endswith("|Source=dictionary") for row in rows if row[:1].isdigit()] == [False, True]


@pytest.mark.parametrize("sentences", [False, True])
def test_answers_say_what_is_ignored(tmp_path: Path, sentences: bool) -> None:
    (tmp_path / "classifier.tsv").write_text("Acme\n")
    found = answer(tmp_path, "/classify", text="Acme is fine. Acme.", sentences=sentences)
    assert found["ignored"] == [{"text": "Acme", "source": "dictionary"}] * 2
    assert "ignored" not in answer(tmp_path, "/classify", text="All is fine.")


def test_reads_files_again_that_have_changed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tagwerk.server")
    metrics = Metrics()
    dictionaries = Dictionaries(Settings(overrides_dir=str(tmp_path)), metrics)
    tagging, sentiment = Tagging(tagger(), 16), Sentiment(classifier(), 16)
    file = tmp_path / "tagger.tsv"
    seen = []
    for content in (None, "a\t\tVERB\nb\t\tVERB\n", "a\t\tNUON\n", "a\t\tNUON\n", "\udcff", "c\t\tVERB\n", None):
        if content is None:
            file.unlink(missing_ok=True)
        elif not file.exists() or file.read_bytes() != content.encode(errors="surrogateescape"):
            file.write_bytes(content.encode(errors="surrogateescape"))
        dictionaries.update([tagging, sentiment])
        seen.append(tagging.dictionary and [*tagging.dictionary.ignored("abc")])
    assert seen == [None, [0, 1], [0, 1], [0, 1], [0, 1], [2], None]
    assert sentiment.dictionary is None
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "line 1: the UPOS 'NUON'; right: NOUN, VERB" in errors[0]
    assert len(errors) == 2
    assert all(error.endswith("; what was read before stays") for error in errors)


def test_counts_words(tmp_path: Path) -> None:
    (tmp_path / "classifier.tsv").write_text("Acme\n")
    metrics = Metrics()
    dictionaries = Dictionaries(Settings(overrides_dir=str(tmp_path)), metrics)
    task = Sentiment(classifier(), 16)
    dictionaries.update([task])
    assert task.dictionary
    task.dictionary.ignored(["Acme", "Acme"])
    assert 'tagwerk_dictionary_words_total{model="classifier"} 2.0' in metrics.exposition().decode()
