"""Files whose texts are in several languages, with taggers for English and French."""

import csv
import io
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from service.commands.annotate import command
from service.errors import ModelNotFound
from service.settings import Settings
from tests.commands.annotate.conftest import content_of, objects, output_of, run, write
from tests.http.scene import tagger
from tests.http.test_language import DANISH, ENGLISH, FRENCH, french

TEXTS = [ENGLISH, FRENCH, DANISH, ""]
FOUND = ["en", "fr", "da", "und"]


@pytest.fixture(autouse=True)
def taggers(engine, monkeypatch):
    def served(settings: Settings, *, every_model: bool):
        made = [tagger(), french()]
        folders = [settings.model_store / one.key.name / one.key.version for one in made]
        return [replace(one, folder=folder) for one, folder in zip(made, folders, strict=True)], {"tag": "tagger"}

    monkeypatch.setattr(command, "served", served)


@pytest.fixture
def lines(tmp_path):
    return write(tmp_path, "texts.txt", "\n".join(TEXTS) + "\n")


def test_the_language_of_each_row_is_identified(lines):
    results = objects(content_of(lines, "tag", language="auto"))
    assert [one["language"] for one in results] == FOUND
    assert [one["probability"] > 0.9 for one in results] == [True, True, True, False]
    rows = list(csv.DictReader(io.StringIO(content_of(lines, "tag", "csv", language="auto"))))
    assert list(dict.fromkeys(row["language"] for row in rows)) == FOUND[:3]
    content = content_of(lines, "tag", "conllu", language="auto")
    generators = [line.rpartition(", ")[2] for line in content.split("\n") if line.startswith("# generator")]
    assert generators == ["tagger/1", "zz-fr/1", "tagger/1"], "texts in other languages are tagged by the default"
    assert run(lines, task="tag", form="parquet", language="auto") == 0
    assert pq.read_table(output_of(lines, "tag", "parquet"))["language"].to_pylist() == FOUND


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_column_says_the_language(tmp_path, form):
    given = [("fr", ENGLISH), ("en-GB", FRENCH), ("", FRENCH)]
    content = "language,text\n" + "".join(f"{language},{text}\n" for language, text in given)
    if form == "jsonl":
        content = "".join(f'{{"language": "{language}", "text": "{text}"}}\n' for language, text in given)
    table = write(tmp_path, f"texts.{form}", content)
    results = objects(content_of(table, "tag", language="auto", prefix="its_"))
    assert [(one["language"], one["its_language"]) for one in results] == [("fr", "fr"), ("en-GB", "en"), ("", "fr")]


def test_tokens_are_identified_together(lines):
    rows = objects(content_of(lines, "tag", language="auto", tokenized=True))
    assert [row["language"] for row in rows] == [*FOUND[:3], None]


def test_one_language_chooses_its_tagger(lines, engine):
    assert run(lines, task="tag", language="fr-CA") == 0
    assert engine == ["zz-fr/1"]
    with pytest.raises(ModelNotFound, match="no model of the language 'da' is in the store; there is: en, fr"):
        run(lines, task="tag", language="da")


@pytest.mark.parametrize("tokenized", [False, True])
@pytest.mark.parametrize("form", ["jsonl", "csv", "conllu", "parquet"])
def test_a_file_without_texts_has_no_language(tmp_path, form, tokenized):
    files = write(tmp_path, "texts.csv", "id,text\n"), write(tmp_path, "blank.txt", "\n\n")
    assert run(*files, task="tag", form=form, language="auto", tokenized=tokenized) == 0
