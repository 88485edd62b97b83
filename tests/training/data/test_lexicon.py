"""Lexicons: a file of one's own, and the tables of spacy-lookups-data."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from spacy.util import registry

from service.errors import ConfigurationError
from training.data import lexicon
from training.data.files import DataFileError

TABLES: dict[str, Any] = {
    "lemma_index": {"noun": ["maison", "marche", "Paris"], "verb": ["marcher"], "adj": ["beau"]},
    "lemma_exc": {"adj": {"belle": ["beau"]}, "verb": {"marche": ["marcher"]}},
    "lemma_lookup": {"maisons": "maison", "marchons": ["marcher", "marche"], "belle": "beau", "xyz": "unlisted"},
    "lemma_rules": {"noun": [["s", ""]]},
}


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs tables of the language fr, and of one without parts of speech."""
    languages: dict[str, dict[str, Any]] = {"fr": TABLES, "de": {"lemma_lookup": {"Häuser": "Haus"}}}
    for language, found in languages.items():
        for name, table in found.items():
            (tmp_path / f"{language}_{name}.json").write_text(json.dumps(table))
    paths = {code: {name: tmp_path / f"{code}_{name}.json" for name in found} for code, found in languages.items()}
    monkeypatch.setattr(type(registry.lookups), "get_all", lambda _: paths)
    monkeypatch.setattr(lexicon, "version", lambda _: "1.0.5")


def test_a_file_has_a_line_for_each_thing_that_a_word_may_be(tmp_path):
    path = tmp_path / "words.tsv.gz"
    path.write_bytes(gzip.compress("﻿run\tverb\r\nRun\tnoun\r\nice cream\tnoun, mass\r\nRuns\tverb\trun\r\n".encode()))
    found = lexicon.read(path, "CC0")
    assert found.kinds == {"run": ("noun", "verb"), "ice cream": ("noun, mass",), "runs": ("verb",)}
    assert found.lemmas == {("runs", "verb"): "run"}
    assert (found.source.name, found.source.licence, len(found.source.sha256)) == ("words.tsv.gz", "CC0", 64)


@pytest.mark.parametrize("line", ["run", "run\t", "\tnoun", "run\tnoun\t", "run\tnoun\trun\tx", ""])
def test_a_line_without_two_or_three_columns_is_named(tmp_path, line):
    path = tmp_path / "words.tsv"
    path.write_text(f"dog\tnoun\n{line}\ncat\tnoun\n")
    with pytest.raises(DataFileError, match=r"words.tsv, line 2: .*; right: a word, a tab, and what the word may be"):
        lexicon.read(path, "")


def test_a_column_of_something_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lexicon, "MOST_CLASSES", 1)
    path = tmp_path / "lemmas.tsv"
    path.write_text("ran\trun\ndogs\tdog\n")
    with pytest.raises(DataFileError, match=r"2 different combinations of what a word may be; right: 1 at most"):
        lexicon.read(path, "")


@pytest.mark.usefixtures("tables")
def test_words_of_spacy_have_their_parts_of_speech_or_those_of_their_lemmas():
    found = lexicon.of_spacy("fr-CA")
    assert found.kinds == dict.fromkeys(("maison", "paris"), ("noun",)) | dict.fromkeys(("beau", "belle"), ("adj",)) | {
        "marche": ("noun", "verb"),
        "marcher": ("verb",),
        "maisons": ("noun, inflected",),
        "marchons": ("noun, inflected", "verb, inflected"),
    }
    lemmas = (
        "maison noun maison; marche noun marche; marche verb marcher; paris noun Paris; marcher verb marcher; "
        "beau adj beau; belle adj beau; maisons noun maison; marchons noun marche; marchons verb marcher"
    )
    assert {" ".join((*key, lemma)) for key, lemma in found.lemmas.items()} == set(lemmas.split("; "))
    assert found.source.address == "pkg:pypi/spacy-lookups-data@1.0.5"


@pytest.mark.usefixtures("tables")
def test_a_language_without_parts_of_speech_is_refused():
    with pytest.raises(ConfigurationError, match="no parts of speech of the language 'de'; right: one of fr, or"):
        lexicon.of_spacy("de")


@pytest.mark.usefixtures("tables")
def test_lemmas_of_a_language_without_parts_of_speech_are_of_those_that_words_are_taken_for(monkeypatch, tmp_path):
    (tmp_path / "de.json").write_text(json.dumps({"Häuser": "Haus", "ging": "gehen", "3.": "3"}))
    tables = {"de": {"lemma_lookup": tmp_path / "de.json"}, "eo": {"lexeme_norm": tmp_path / "de.json"}}
    monkeypatch.setattr(type(registry.lookups), "get_all", lambda _: tables)
    taken_for = {"Häuser": "NOUN", "ging": "VERB"}
    found = lexicon.lemmas_of_spacy("de", lambda forms: [taken_for[form] for form in forms])
    assert found.lemmas == {("häuser", "NOUN"): "Haus", ("ging", "VERB"): "gehen"}
    assert found.source.name == "spacy-lookups-data, de"
    with pytest.raises(ConfigurationError, match="no parts of speech of the language 'eo'"):
        lexicon.lemmas_of_spacy("eo", lambda forms: [])


@pytest.mark.usefixtures("tables")
def test_lemmas_have_the_parts_of_speech_that_the_package_says():
    assert lexicon.lemmas_of_spacy("fr", lambda forms: []).lemmas == lexicon.of_spacy("fr").lemmas


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(type(registry.lookups), "get_all", lambda _: {})
    with pytest.raises(ConfigurationError, match="is not installed; right: pip install spacy-lookups-data"):
        lexicon.of_spacy("fr")


def test_words_of_lemminflect_are_read_from_its_package_which_is_not_imported(tmp_path, monkeypatch):
    monkeypatch.setattr(lexicon, "LEMMINFLECT", replace(lexicon.LEMMINFLECT, module="lemminflect_of_a_test"))
    with pytest.raises(
        ConfigurationError, match=r"lemminflect, words of .* is not installed; right: pip install --no-deps lemmi"
    ):
        lexicon.of_lemminflect()
    folder = tmp_path / "lemminflect_of_a_test"
    (folder / "resources").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError")
    rows = "saw,verb,see/saw\nsaw,noun,saw\nSang,verb,sing\n"
    (folder / "resources" / "lemma_lu.csv.gz").write_bytes(gzip.compress(rows.encode()))
    monkeypatch.syspath_prepend(str(tmp_path))
    found = lexicon.of_lemminflect()
    assert found.lemmas == {("saw", "verb"): "see", ("saw", "noun"): "saw", ("sang", "verb"): "sing"}
    assert found.source.address == "pkg:pypi/lemminflect@0.2.3"
