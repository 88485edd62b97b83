"""The translator: that it learns, what it is measured by, and its commands."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tests.training import tiny
from training.course.recipes import translation as recipes
from training.course.tasks.translation import Translation, translation_scores
from training.data import corpora
from training.data.translations import Pair
from training.run.loop import load_best, make_predict, train
from training.tasks.tagging import TaggingRecipe


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Translation, Any]:
    """A translator that is overfitted on its twenty pairs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGWERK_RUNS_DIR", str(tmp_path_factory.mktemp("translation")))
        task = tiny.translation()
        train(task, Console(file=io.StringIO()))
        return task, load_best(task)


def test_learns_twenty_translations_by_heart(learnt: tuple[Translation, Any]) -> None:
    task, model = learnt
    predict = make_predict(task, model)
    assert task.translate(predict, ["small library for all of us", "This is a free tool."]) == [
        "bibliothèque petit pour nous tous",
        "C'est un outil libre.",
    ]
    assert {metric.name: metric.value for metric in task.evaluate(predict, "dev")} == dict.fromkeys(
        ("BLEU", "chrF", "BLEU, titles", "chrF, titles", "BLEU, paragraphs", "chrF, paragraphs"), 100
    )
    assert task.samples(predict)["small tool for all of us"] == "outil petit pour nous tous"


def test_what_is_generated_looks_at_what_it_translates(learnt: tuple[Translation, Any]) -> None:
    task, model = learnt
    read, generated, weights = task.attend(model, "small library for all of us")
    assert "".join(generated) == "▁bibliothèque▁petit▁pour▁nous▁tousend"
    assert weights.shape == (len(generated), len(read))
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)


def test_a_kind_is_measured_by_its_own_pairs() -> None:
    pairs = [Pair("title", "", "a b c d"), Pair("paragraph", "", "e f g h")]
    metrics = {metric.name: metric.value for metric in translation_scores(["a b c d", "x"], pairs, "dev")}
    assert metrics["BLEU, titles"] == metrics["chrF, titles"] == 100
    assert metrics["BLEU, paragraphs"] == metrics["chrF, paragraphs"] == 0
    assert 0 < metrics["BLEU"] < 100
    assert 0 < metrics["chrF"] < 100


def test_pairs_that_are_too_long_are_not_learned_from() -> None:
    whole, short = tiny.translation(), tiny.translation(longest=6)
    assert 0 < len(short._examples) < len(whole._examples) == 20
    for batch in short.train_batches(np.random.default_rng(0)):
        assert max(batch.inputs["symbol_ids"].shape[1], batch.targets["translation_ids"].shape[1]) <= 6


def test_the_recipe_is_trained_measured_and_drawn_but_not_exported(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = "".join("\t".join(pair) + "\n" for pair in tiny.pairs())
    monkeypatch.setattr(corpora, "read", lambda corpus, split: lines)
    tiny_recipe = tiny.translation().recipe
    shortened = replace(recipes.recipe, sizes=tiny_recipe.sizes, subwords=60, longest=60, epochs=1, batch_tokens=200)
    monkeypatch.setattr(recipes, "recipe", shortened)
    assert run("train", "translation") == 0
    printed = capsys.readouterr().out
    assert "BLEU, titles" in printed
    assert "reading 1 of the test split" in printed
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
