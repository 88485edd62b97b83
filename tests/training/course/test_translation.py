"""Translation: pairs, subwords, the translator, and its commands."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.text.vocabulary import PAD, UNK
from tests.training import tiny
from training.course.data.subwords import Subwords
from training.course.recipes import translation as recipes
from training.course.tasks.translation import Translation, TranslationRecipe, translation_scores
from training.data import corpora, translations
from training.data.translations import Pair
from training.run.loop import make_predict
from training.tasks.tagging import TaggingRecipe


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("translation")


@pytest.fixture(scope="module")
def learnt(runs_folder: Path) -> tuple[Translation, Any]:
    """A translator that is overfitted on its twenty pairs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpora, "read", lambda *_: "".join("\t".join(pair) + "\n" for pair in tiny.pairs()))
        task = replace(tiny.translation().recipe, name="translation").task()
    return task, tiny.trained(task, runs_folder)


def test_learns_twenty_translations_by_heart(learnt):
    task, model = learnt
    predict = make_predict(task, model)
    assert task.translate(predict, ["small library for all of us", "This is a free tool."]) == [
        "bibliothèque petit pour nous tous",
        "C'est un outil libre.",
    ]
    assert {metric.name: metric.value for metric in task.evaluate(predict, "dev")} == dict.fromkeys(
        ("BLEU", "chrF", "BLEU, titles", "chrF, titles", "BLEU, paragraphs", "chrF, paragraphs"), 100
    )


def test_a_kind_is_measured_by_its_own_pairs():
    pairs = [Pair("title", "", "a b c d"), Pair("paragraph", "", "e f g h")]
    metrics = {metric.name: metric.value for metric in translation_scores(["a b c d", "x"], pairs, "dev")}
    assert metrics["BLEU, titles"] == metrics["chrF, titles"] == 100
    assert metrics["BLEU, paragraphs"] == metrics["chrF, paragraphs"] == 0
    assert 0 < metrics["BLEU"] < 100
    assert 0 < metrics["chrF"] < 100


def test_the_recipe_is_trained_measured_and_drawn_but_not_exported(
    learnt, runs_folder, run, monkeypatch, capsys, tmp_path
):
    """By the run that is done, whose checkpoint is found."""
    task, _ = learnt
    monkeypatch.setenv("TAGWERK_RUNS_DIR", str(runs_folder))
    monkeypatch.setattr(TranslationRecipe, "task", lambda recipe: task)
    monkeypatch.setattr(recipes, "recipe", task.recipe)
    assert run("train", "translation") == 0
    printed = capsys.readouterr().out
    assert "BLEU, titles" in printed
    assert "reading 1 of the test split" in printed
    assert "'small tool for all of us': outil petit pour nous tous\n" in printed
    assert run("attention", "translation", "small library", "free font", "--out", "drawn.png") == 0
    assert run("attention", "translation") == 1
    assert "translation needs a text" in capsys.readouterr().err
    assert (tmp_path / "drawn.png").stat().st_size > 5_000
    monkeypatch.setattr(TaggingRecipe, "task", lambda recipe: tiny.tagging())
    assert run("attention", "tagger-en", "dog") == 1
    assert "tagger-en has no decoder with attention" in capsys.readouterr().err
    assert run("export", "translation") == 1
    assert "translation is measured and not exported: the service has no such task" in capsys.readouterr().err
    assert not (tmp_path / "model_store").exists()


TEXTS = ["shared library for images", "bibliothèque partagée d'images", "images, images and more images"]
SUBWORDS = Subwords(TEXTS, 60)
CHARACTERS = sorted({character for text in TEXTS for character in text})


@given(st.text(CHARACTERS, max_size=40).map(str.lstrip))
def test_a_text_of_known_characters_comes_back_as_it_was(text):
    ids = SUBWORDS.encode(text)
    assert UNK not in ids
    assert PAD not in ids
    assert SUBWORDS.decode(ids.tolist()) == text


def test_a_line_is_a_pair_whatever_its_texts_hold(monkeypatch):
    lines = 'title\tSong "of\u2028two" lines\tchant\nparagraph\tAs before\x85\tcomme avant\n'
    monkeypatch.setattr(corpora, "read", lambda corpus, split: {("debian_en_fr", "dev"): lines}[corpus, split])
    assert list(translations.read("debian_en_fr", "dev")) == [
        Pair("title", 'Song "of\u2028two" lines', "chant"),
        Pair("paragraph", "As before\x85", "comme avant"),
    ]
