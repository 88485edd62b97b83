"""Ladders: what each rung changes, that each learns, and what is shown of them."""

import io
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from service.errors import ConfigurationError
from tests.training import tiny
from training.data.dataset import collate
from training.data.distillation import DistillationSet
from training.data.treebank import Tree
from training.models.counted import MarkovChainSizes
from training.recipes import Rung, ladder_names, load_ladder, load_recipe
from training.run import ladder
from training.run.loop import load_best, make_predict, train
from training.tasks.base import Recipe, Task
from training.tasks.tagging import Tagging, TaggingRecipe

MAKE: dict[str, Callable[..., Task]] = {
    "tagging": tiny.tagging,
    "french": tiny.tagging,
    "sentiment": tiny.sentiment,
    "language": tiny.language_model,
}
RUNGS = {name: load_ladder(name) for name in ladder_names()}
EVERY_RUNG = [(name, rung) for name, rungs in RUNGS.items() for rung in rungs if name != "french"]
every_rung = pytest.mark.parametrize(("name", "rung"), EVERY_RUNG, ids=[rung.recipe.name for _, rung in EVERY_RUNG])
pytestmark = pytest.mark.usefixtures("runs")


def small(name: str, rung: Rung, **changes: Any) -> Task:
    """Returns the task of a rung on the twenty sentences, its widths cut down."""
    sizes = rung.recipe.sizes
    widths = {"units": 8, "embedding": 8, "word_embedding": 8, "character_units": 4}
    cut = {key: width for key, width in widths.items() if key in asdict(sizes)}
    return MAKE[name](name=rung.recipe.name, sizes=replace(sizes, **cut), epochs=min(1, rung.recipe.epochs), **changes)


def test_every_ladder_has_a_task_to_try_it_on() -> None:
    assert set(RUNGS) == set(MAKE)


@pytest.mark.parametrize("name", RUNGS)
def test_rungs_bear_their_ladders_name_and_say_what_they_change(name: str) -> None:
    names = [rung.recipe.name for rung in RUNGS[name]]
    assert len(set(names)) == len(names)
    assert all(rung_name.startswith(f"{name}-") for rung_name in names)
    assert all(rung.change for rung in RUNGS[name])


@pytest.mark.parametrize("name", ["tagging", "sentiment", "language"])
def test_a_rung_changes_one_thing_and_the_highest_is_shipped(name: str) -> None:
    *rungs, shipped = [rung.recipe for rung in RUNGS[name]]
    for below, above in list(pairwise(rungs))[1:]:  # the first goes from counting to learning
        assert len(differences(below, above) - {"learning_rate"}) <= 2, above.name
    (recipe,) = (
        r for r in map(load_recipe, ("tagger-en", "sentiment-en", "lm-shakespeare")) if type(r) is type(shipped)
    )
    assert replace(shipped, name=recipe.name) == recipe


def differences(below: Recipe, above: Recipe) -> set[str]:
    one, other = (asdict(recipe) | asdict(recipe.sizes) for recipe in (below, above))
    return {key for key in one | other if one.get(key) != other.get(key)} - {"name", "sizes"}


def test_french_is_tagged_by_the_recipes_of_english_without_its_teacher() -> None:
    english = {rung.recipe.name.removeprefix("tagging-"): rung.recipe for rung in RUNGS["tagging"]}
    for rung in RUNGS["french"]:
        recipe = english[rung.recipe.name.removeprefix("french-")]
        assert isinstance(recipe, TaggingRecipe)
        assert isinstance(rung.recipe, TaggingRecipe)
        alone = replace(recipe, teacher=None, distillation_tokens=0)
        assert replace(rung.recipe, name=recipe.name, corpus="ewt", language="en") == alone


def test_a_column_that_says_nothing_has_one_label_and_no_figure() -> None:
    trees = [Tree(tuple(word._replace(xpos="_") for word in tree.words)) for tree in tiny.treebank()["train"]]
    task = Tagging(tiny.tagging().recipe, dict.fromkeys(("train", "dev", "test"), trees), (tiny.SOURCE,))
    assert set(task.labels) == set(task.endpoint.outputs) == {"upos", "xpos", "feats"}, "the service reads all three"
    assert task.labels["xpos"] == ("_",)
    metrics = task.evaluate(make_predict(task, task.network()), "dev")
    assert {metric.name for metric in metrics if "," not in metric.name} == {"UPOS", "UFeats", "AllTags"}


@every_rung
def test_every_rung_trains_and_answers_alike_however_it_is_padded(name: str, rung: Rung) -> None:
    task = small(name, rung)
    model = task.network()
    if task.recipe.epochs:
        train(task, Console(file=io.StringIO()))
        model = load_best(task)
    predict = make_predict(task, model)
    assert all(np.isfinite(metric.value) for metric in task.evaluate(predict, "dev"))
    if getattr(task.recipe.sizes, "reads_padding", False):
        return  # the rung that shows why lengths matter
    examples = task.goldens()
    together = predict(collate(examples).inputs)
    for row, example in enumerate(examples):
        for output, array in predict(collate([example]).inputs).items():
            alone = array[0]
            valid = alone.shape[0] if alone.ndim == 2 else None
            np.testing.assert_allclose(together[output][row][:valid], alone, atol=1e-5)


def test_the_most_frequent_tag_is_counted() -> None:
    task = small("tagging", RUNGS["tagging"][0])
    metrics = {m.name: m.value for m in task.evaluate(make_predict(task, task.network()), "test")}
    assert metrics["UPOS, known words"] == 100
    assert metrics["UPOS, unknown words"] < 100


def test_a_bag_of_words_cannot_tell_what_a_recurrence_can() -> None:
    bag, first, *_ = RUNGS["sentiment"]
    for rung in (bag, first):
        task = small("sentiment", rung)
        predict = make_predict(task, task.network())
        orders = np.array([[2, 3, 4, 5, 6, 7], [5, 6, 4, 2, 3, 7]], np.int32)  # the same words
        one, other = predict({"word_ids": orders, "lengths": np.full(2, 6, np.int32)})["probabilities"]
        assert np.allclose(one, other, atol=1e-6) == (rung is bag)


def test_a_markov_chain_says_what_it_counted() -> None:
    task = tiny.language_model("abab" * 250, sizes=MarkovChainSizes(order=2), epochs=0)
    predict = make_predict(task, task.network())
    assert task.evaluate(predict, "test")[0].value < 0.1
    random = tiny.language_model(
        "".join(np.random.default_rng(0).choice(list("ab"), 4000)), sizes=MarkovChainSizes(order=2)
    )
    assert random.evaluate(make_predict(random, random.network()), "test")[0].value == pytest.approx(
        np.log(2), abs=0.02
    )


def test_climbing_measures_each_rung_and_writes_table_and_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rungs = [RUNGS["tagging"][0], RUNGS["tagging"][3]]
    tasks = {rung.recipe.name: rung for rung in rungs}

    def task(recipe: Recipe) -> Task:
        original = recipe.name.split("-seed")[0]
        made = small("tagging", tasks[original], seed=recipe.seed, limit=recipe.limit)
        made.recipe = replace(made.recipe, name=recipe.name)
        return made

    monkeypatch.setattr(type(rungs[0].recipe), "task", task)
    said = io.StringIO()
    results = ladder.train_rungs(rungs, Console(file=said, width=200), seeds=(1, 2), epochs=1, limit=10)
    assert [len(result.values("UPOS")) for result in results] == [2, 2]
    assert results[1].weights > 0
    text, picture = ladder.write(results, tmp_path / "out", "tagging")
    lines = text.read_text().splitlines()
    assert (
        lines[0]
        == "| rung | what it changes | UPOS, % | XPOS, % | UFeats, % | AllTags, % | weights | training | dev read in |"
    )
    assert lines[2].startswith("| most-frequent | The most frequent tag of each word | ")
    assert "±" in lines[3]
    assert "<svg" in picture.read_text()
    assert "A GRU in the place" in said.getvalue()


def test_a_rung_whose_teacher_was_not_asked_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, taught = RUNGS["tagging"][0], RUNGS["tagging"][-2]
    assert taught.recipe.teacher

    def task(recipe: Recipe) -> Task:
        if recipe.teacher:
            DistillationSet.read(recipe.teacher)
        return small("tagging", counted)

    monkeypatch.setattr(type(taught.recipe), "task", task)
    said = io.StringIO()
    results = ladder.train_rungs([taught, counted], Console(file=said, width=200))
    assert [result.rung for result in results] == [counted]
    assert "left out: " in said.getvalue()
    assert "run `tagwerk-train teach tagger-en` first" in said.getvalue()


def test_a_shortened_run_has_a_folder_of_its_own() -> None:
    recipe = RUNGS["tagging"][1].recipe
    assert ladder.shortened(recipe, 2, None, None).name == "tagging-window-seed2"
    short = ladder.shortened(recipe, 1, 1, 100)
    assert (short.name, short.epochs, short.limit) == ("tagging-window-seed1-epochs1-limit100", 1, 100)
    assert ladder.shortened(recipe, 1, 99, None).epochs == recipe.epochs
    assert ladder.shortened(RUNGS["tagging"][0].recipe, 1, 3, None).epochs == 0


def test_a_ladder_that_is_not_there_is_told() -> None:
    with pytest.raises(
        ConfigurationError, match=r"no ladder is called 'step'; there are french, language, sentiment, tagging"
    ):
        load_ladder("step")
