"""Ladders: what each rung changes, that each learns, by which rules it is trained, and what is shown of it."""

import io
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from service.artifact.manifest import Metric
from service.errors import ConfigurationError
from tests.training import tiny
from training.course import ladder_names, load_ladder, load_recipe
from training.course.ladders import Ladder, Rung
from training.course.ladders.masking import Unsorted, UnsortedRecipe
from training.course.models.counted import MarkovChainSizes
from training.course.results import Results, Run, markdown, pack, unpack, write
from training.course.train_rungs import train_rungs
from training.data.dataset import IGNORED, collate
from training.data.distillation import DistillationSet
from training.data.treebank import Tree
from training.metrics.predictions import Predictions, resampled
from training.report.recipe import fingerprint
from training.run.loop import dev_loss, load_best, make_predict, train
from training.tasks.base import Recipe, ServedTask
from training.tasks.language_modelling import LanguageModelling, LanguageModelRecipe, cut
from training.tasks.sentiment import Sentiment, SentimentRecipe
from training.tasks.tagging import Tagging, TaggingRecipe

MAKE: dict[type[Recipe], Callable[[Any], ServedTask]] = {
    TaggingRecipe: lambda recipe: Tagging(recipe, tiny.treebank(), (tiny.SOURCE,)),
    UnsortedRecipe: lambda recipe: Unsorted(recipe, tiny.treebank(), (tiny.SOURCE,)),
    SentimentRecipe: lambda recipe: Sentiment(
        recipe, dict.fromkeys(("train", "dev", "test"), tiny.sentences()), (tiny.SOURCE,)
    ),
    LanguageModelRecipe: lambda recipe: LanguageModelling(recipe, cut([tiny.VERSE * 8], recipe), (tiny.SOURCE,)),
}
LADDERS = {name: load_ladder(name) for name in ladder_names()}
EVERY_RUNG = {rung.recipe.name: rung for ladder in LADDERS.values() for rung in ladder.rungs}
pytestmark = pytest.mark.usefixtures("runs")


def small_recipe(rung: Rung, **changes: Any) -> Recipe:
    """Returns the recipe of a rung for a tiny corpus, its widths cut down."""
    recipe = rung.recipe
    widths = {"units": 8, "embedding": 8, "word_embedding": 8, "character_units": 4, "spelling": 4}
    sizes = asdict(recipe.sizes)
    cut_down = {key: width for key, width in widths.items() if sizes.get(key)}
    cut_down |= {"layers": 2} if sizes.get("layers", 1) > 2 else {}
    settings: dict[str, Any] = {
        "sizes": replace(recipe.sizes, **cut_down),
        "epochs": min(1, recipe.epochs),
        "batch_tokens": 64,
        "limit": None,
        "teacher": None,
    }
    settings |= {"word_count": 1, "tokenizer": "spacy-en"} if isinstance(recipe, TaggingRecipe) else {}
    return replace(recipe, **settings | changes)


def small(rung: Rung, **changes: Any) -> ServedTask:
    """Returns the task of a rung on a tiny corpus, its widths cut down."""
    recipe = small_recipe(rung, **changes)
    return MAKE[type(recipe)](recipe)


# Rungs whose networks differ, once their sizes are cut down, or that read their corpora in another way.
TASKS = {
    repr((type(r.recipe), small_recipe(r).sizes, getattr(r.recipe, "overlap", 0))): r
    for r in EVERY_RUNG.values()
    if not r.model
}
every_rung = pytest.mark.parametrize("rung", EVERY_RUNG.values(), ids=EVERY_RUNG)
every_task = pytest.mark.parametrize("rung", TASKS.values(), ids=[rung.recipe.name for rung in TASKS.values()])


@every_rung
def test_a_rung_bears_its_ladders_name_and_says_what_it_changes(rung):
    name = rung.recipe.name.removesuffix(f"-{rung.name}")
    if rung.model:
        assert rung.recipe == load_recipe(rung.model)
    else:
        assert name in LADDERS
        assert not rung.recipe.shipped
    assert rung.change


@pytest.mark.parametrize("name", LADDERS)
def test_a_rung_stands_behind_the_one_that_it_is_compared_with(name):
    names = [rung.name for rung in LADDERS[name].rungs]
    assert len(set(names)) == len(names)
    for i, rung in enumerate(LADDERS[name].rungs):
        assert rung.below is None or rung.below.name in names[:i]


@every_rung
def test_a_rung_changes_one_thing(rung):
    below = rung.below
    if below is None or rung.model or not below.recipe.epochs:  # the first goes from counting to learning
        return
    one, other = (asdict(recipe) | asdict(recipe.sizes) for recipe in (below.recipe, rung.recipe))
    changed = {key for key in one | other if one.get(key) != other.get(key)} - {"name", "sizes"}
    pair = {"inner_dropout", "output_dropout"}  # of one kind of dropout
    assert len(changed) == 1 or changed == pair, changed


def test_a_column_that_says_nothing_has_one_label_and_no_figure():
    trees = [Tree(tuple(word._replace(xpos="_") for word in tree.words)) for tree in tiny.treebank()["train"]]
    task = Tagging(tiny.tagging().recipe, dict.fromkeys(("train", "dev", "test"), trees), (tiny.SOURCE,))
    assert set(task.labels) == set(task.endpoint.outputs) == {"upos", "xpos", "feats"}, "the service reads all three"
    assert task.labels["xpos"] == ("_",)
    metrics = task.evaluate(make_predict(task, task.network()), "dev")
    assert {metric.name for metric in metrics if "," not in metric.name} == {"UPOS", "UFeats", "AllTags"}


@every_task
def test_every_rung_trains_and_answers_alike_however_it_is_padded(rung):
    task = small(rung)
    model = task.network()
    if task.recipe.epochs:
        train(task, Console(file=io.StringIO()))
        model = load_best(task)
    predict = make_predict(task, model)
    metrics = task.evaluate(predict, "dev")
    assert all(np.isfinite(metric.value) for metric in metrics)
    sums, sizes = task.scores(predict, "dev")
    assert sums.sum() / sizes.sum() == pytest.approx(metrics[0].value, abs=0.006), "two digits"
    if getattr(task.recipe.sizes, "reads_padding", False):
        return  # the rung that shows why lengths matter
    examples = task.goldens()
    together = predict(collate(examples).inputs)
    for row, example in enumerate(examples):
        for output, array in predict(collate([example]).inputs).items():
            alone = array[0]
            valid = alone.shape[0] if alone.ndim == 2 else None
            np.testing.assert_allclose(together[output][row][:valid], alone, atol=1e-5)


def test_a_markov_chain_says_what_it_counted():
    task = tiny.language_model("abab" * 250, sizes=MarkovChainSizes(order=2), epochs=0)
    predict = make_predict(task, task.network())
    assert task.evaluate(predict, "test")[0].value < 0.1
    random = tiny.language_model(
        "".join(np.random.default_rng(0).choice(list("ab"), 4000)), sizes=MarkovChainSizes(order=2)
    )
    assert random.evaluate(make_predict(random, random.network()), "test")[0].value == pytest.approx(
        np.log(2), abs=0.02
    )


def test_padding_counts_in_an_unmasked_loss_alone():
    losses = {}
    for name in ("masked", "unmasked"):
        task = small(LADDERS["masking"].rung(name))
        model = task.network()
        examples = sorted(task.examples("train"), key=len)  # type: ignore[attr-defined]
        batch = collate([examples[0], examples[-1]])
        assert (batch.targets["upos"] == IGNORED).any()
        losses[name] = float(task.loss(model, batch.inputs, batch.targets, ())[0])
        again = task.train_batches(np.random.default_rng(0))
        assert sum(len(b.inputs["lengths"]) for b in again) == len(examples), "every sentence once"
    assert losses["masked"] != pytest.approx(losses["unmasked"], rel=1e-3)


def test_a_state_that_is_not_carried_is_empty_at_each_chunk():
    after = {}
    for name in ("chunk-32", "cut"):
        task = small(LADDERS["truncation"].rung(name))
        batch = next(iter(task.train_batches(np.random.default_rng(0))))
        state = task.initial_state()
        _, after[name] = task.loss(task.network(), batch.inputs, batch.targets, state)
    assert np.any(after["chunk-32"])
    assert not np.any(after["cut"])


@pytest.fixture
def tiny_corpora(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every tagger train on a tiny treebank, its width cut down."""

    def task(recipe: TaggingRecipe) -> ServedTask:
        name = "most-frequent" if not recipe.epochs else "window"
        changes = {"name": recipe.name, "seed": recipe.seed, "learning_rate": recipe.learning_rate}
        return small(LADDERS["tagging"].rung(name), **changes)

    monkeypatch.setattr(TaggingRecipe, "task", task)


@pytest.mark.usefixtures("tiny_corpora")
def test_a_rung_tries_its_rates_with_the_first_seed_and_keeps_the_best_for_the_others(tmp_path):
    results, said = Results(tmp_path / "out" / "tagging.jsonl"), io.StringIO()
    ladder = Ladder(LADDERS["tagging"].rungs[:2], 3, (0.01, 0.02))
    train_rungs(ladder, ladder.rungs, results, Console(file=said, width=200))
    runs = [Run.model_validate_json(line) for line in (tmp_path / "out" / "tagging.jsonl").read_text().splitlines()]
    counted, *trained = runs
    assert (counted.rung, counted.epochs) == ("most-frequent", 0)
    assert [(run.seed, run.learning_rate) for run in trained[:2]] == [(1, 0.01), (1, 0.02)]
    best = max(trained[:2], key=lambda run: run.rank).learning_rate
    assert [(run.seed, run.learning_rate) for run in trained[2:]] == [(2, best), (3, best)]
    assert trained[0].losses
    assert len(trained[0].curve) == trained[0].epochs == 1

    first, second = results.summaries(ladder)
    assert first.difference is None
    assert [run.learning_rate for run in second.runs] == [best] * 3
    assert second.difference is not None
    values = second.values("UPOS")
    assert second.difference[0] == pytest.approx(np.mean(values) - first.values("UPOS")[0], abs=0.01)
    assert second.difference[1] <= second.difference[0] <= second.difference[2]

    train_rungs(ladder, ladder.rungs, results, Console(file=io.StringIO()))
    assert len((tmp_path / "out" / "tagging.jsonl").read_text().splitlines()) == len(runs), "nothing is done twice"

    names = {path.name: path.read_text() for path in write(results.summaries(ladder), tmp_path / "out", "tagging")}
    lines = names["tagging.md"].splitlines()
    assert lines[0] == (
        "| rung | what it changes | UPOS, % | against | XPOS, % | UFeats, % | AllTags, % | rate | epochs | weights "
        "| minutes |"
    )
    assert lines[2].startswith("| most-frequent | The most frequent tag of each word | ")
    assert lines[3].startswith("| window | A simple RNN over each word")
    assert " ± " in lines[3]
    assert f" | most-frequent: {second.difference[0]:+.2f} (" in lines[3]
    assert all("<svg" in names[picture] for picture in ("tagging.svg", "tagging-epochs.svg"))


def run_of(rung: Rung, ladder: Ladder, **changes: Any) -> Run:
    """Returns a run of a trained rung."""
    recipe = ladder.recipe(rung, changes.get("seed", 1), changes.get("learning_rate", ladder.rates[0]))
    settings: dict[str, Any] = {
        "rung": rung.name,
        "settings": fingerprint(recipe),
        "seed": recipe.seed,
        "learning_rate": recipe.learning_rate,
        "weights": 1,
        "epochs": 2,
        "chosen": 2.0,
        "losses": (1.0, 0.5),
        "curve": (1.0, 2.0),
    }
    return Run(**settings | changes)


def measured(value: float, sums: list[int]) -> dict[str, Any]:
    """Returns what a run has measured: a percentage, of four items of 5 words."""
    metric = Metric(name="UPOS", value=value, unit="%", split="dev")
    return {"metrics": (metric,), "sums": pack(100 * np.array(sums)), "sizes": pack(np.full(4, 5))}


def test_a_run_that_diverged_is_the_last_choice_and_is_shown_as_that(tmp_path):
    ladder = LADDERS["clipping"]
    free, clipped = ladder.rungs[:2]
    results = Results(tmp_path / "clipping.jsonl")
    results.add(run_of(free, ladder))
    results.add(run_of(clipped, ladder, **measured(75.0, [5, 4, 3, 3])))
    first, second = results.summaries(ladder)
    assert (first.values("UPOS"), second.difference) == ([], None)
    lines = markdown([first, second]).splitlines()
    assert lines[2].startswith("| free | A ReLU network over chunks of 128 characters, no clipping | diverged |")
    assert "75.00" in lines[3]
    assert write([first, second], tmp_path, "clipping")

    other = Ladder((free,), 1, (1e-3, 2e-3))
    results = Results(tmp_path / "other.jsonl")
    results.add(run_of(free, other, learning_rate=1e-3))
    results.add(run_of(free, other, learning_rate=2e-3, **measured(75.0, [5, 4, 3, 3])))
    assert [run.learning_rate for run in results.summaries(other)[0].runs] == [2e-3]


@pytest.mark.parametrize(
    ("found", "files"),
    [(measured(75.0, [5, 4, 3, 3]), ["depth.md", "depth.svg"]), ({}, ["depth.md"])],
    ids=["not trained", "all diverged"],
)
def test_what_there_is_nothing_of_is_not_drawn(found, files, tmp_path):
    ladder = LADDERS["depth"]
    results = Results(tmp_path / "depth.jsonl")
    results.add(run_of(ladder.rungs[0], ladder, epochs=0, losses=(), curve=(), **found))
    assert [path.name for path in write(results.summaries(ladder), tmp_path, "depth")] == files


def test_the_loss_on_dev_is_that_of_the_right_labels():
    shares = np.array([[0.5, 0.5], [0.25, 0.75], [0.1, 0.9]])
    given = Predictions(gold=np.array([0, 1, -2]), probabilities=shares, groups=np.zeros(3, int))
    assert given.cross_entropy == pytest.approx(-(np.log(0.5) + np.log(0.75)) / 2), "what the model has not is left out"
    task = small(LADDERS["tagging"].rung("window"))
    predict = make_predict(task, task.network())
    assert dev_loss(task, predict) == pytest.approx(
        sum(p.cross_entropy for p in task.predictions(predict, "dev").values())
    )
    assert dev_loss(small(LADDERS["cells"].rung("gru")), predict) is None


def test_two_rungs_are_compared_on_the_same_resampled_sentences(tmp_path):
    ladder = LADDERS["depth"]
    one, two = ladder.rungs[:2]
    results = Results(tmp_path / "depth.jsonl")
    results.add(run_of(one, ladder, **measured(50.0, [2, 3, 2, 3])))
    results.add(run_of(two, ladder, **measured(70.0, [3, 4, 3, 4])))
    difference = results.summaries(ladder)[1].difference
    assert difference == pytest.approx((20.0, 20.0, 20.0)), "each sentence is better by one word of five"
    assert resampled(100 * np.array([2, 3, 2, 3]), np.full(4, 5)) != pytest.approx((50.0, 50.0))


@pytest.mark.parametrize("array", [np.array([0, 3, 8000]), np.array([1.5, 2.25])])
def test_scores_are_packed_as_text(array):
    np.testing.assert_array_equal(unpack(pack(array)), array)


def test_a_fingerprint_tells_what_trains_differently():
    recipe = EVERY_RUNG["tagging-window"].recipe
    assert fingerprint(recipe) == fingerprint(replace(recipe, name="other", description="other"))
    for changes in ({"seed": 2}, {"learning_rate": 1.0}, {"limit": 5}, {"sizes": replace(recipe.sizes, units=1)}):
        assert fingerprint(recipe) != fingerprint(replace(recipe, **changes))


def test_a_rung_whose_teacher_was_not_asked_is_left_out(monkeypatch, tmp_path):
    taught = LADDERS["tagging"].rung("vectors")
    monkeypatch.setattr(type(taught.recipe), "task", lambda recipe: DistillationSet.read(recipe.teacher))
    said = io.StringIO()
    results = Results(tmp_path / "tagging.jsonl")
    train_rungs(LADDERS["tagging"], [taught], results, Console(file=said, width=200))
    assert results.summaries(LADDERS["tagging"]) == []
    assert "left out: " in said.getvalue()
    assert "run `tagwerk-train teach sentiment-en` first" in said.getvalue()


def test_the_command_writes_the_results_of_its_rungs(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(TaggingRecipe, "task", lambda recipe: Tagging(recipe, tiny.treebank(), (tiny.SOURCE,)))
    assert run("ladder", "tagging", "most-frequent", "--out", "out") == 0
    assert "minutes" in capsys.readouterr().out
    assert {path.name for path in Path("out").iterdir()} == {"tagging.jsonl", "tagging.md", "tagging.svg"}


def test_a_ladder_or_a_rung_that_is_not_there_is_told():
    with pytest.raises(ConfigurationError, match=r"no ladder is called 'step'; there are cells, clipping, depth, "):
        load_ladder("step")
    with pytest.raises(ConfigurationError, match=r"no rung is called 'top'; there are one, two, four, residual"):
        LADDERS["depth"].rung("top")
