"""Ladders: what each rung changes, that each learns, by which rules it is trained, and what is shown of it."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from rich.console import Console

from service.artifact.manifest import Metric
from tests.training import tiny
from training.course import ladder_names, load_ladder, load_recipe
from training.course.ladders import Ladder, Rung
from training.course.ladders.domains import KINDS, Domains, DomainsRecipe
from training.course.ladders.masking import Unsorted, UnsortedRecipe
from training.course.ladders.transfer import TransferRecipe
from training.course.results import Results, Run, Summary, markdown, pack, write
from training.course.train_rungs import train_rungs
from training.data.dataset import collate
from training.report.recipe import fingerprint
from training.run.loop import make_predict
from training.run.step import Step
from training.tasks.base import Recipe, ServedTask
from training.tasks.language_modelling import LanguageModelling, LanguageModelRecipe, divide
from training.tasks.sentiment import Sentiment, SentimentRecipe
from training.tasks.tagging import Tagging, TaggingRecipe


def tagger(recipe: TaggingRecipe) -> Tagging:
    return Tagging(recipe, tiny.treebank(), (tiny.SOURCE,))


def of_domains(recipe: DomainsRecipe) -> Domains:
    texts = [tree[-1:] for tree in tiny.sentences()]
    of_a_kind = {"train": texts[::2], "dev": texts[1::2], "test": []}
    further = {name: of_a_kind for name in KINDS if name != recipe.corpus}
    return Domains(recipe, tiny.alike(tiny.sentences()), (tiny.SOURCE,), None, further)


MAKE: dict[type[Recipe], Callable[[Any], ServedTask]] = {
    TaggingRecipe: tagger,
    TransferRecipe: tagger,
    UnsortedRecipe: lambda recipe: Unsorted(recipe, tiny.treebank(), (tiny.SOURCE,)),
    SentimentRecipe: lambda recipe: Sentiment(recipe, tiny.alike(tiny.sentences()), (tiny.SOURCE,)),
    DomainsRecipe: of_domains,
    LanguageModelRecipe: lambda recipe: LanguageModelling(recipe, divide([tiny.VERSE * 8], recipe), (tiny.SOURCE,)),
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


def settings(rung: Rung) -> set[object]:
    """Returns what makes the network of a rung: its settings with their values, sizes cut down, of a cell whether any.

    The cells have tests of their own.
    """
    recipe = small_recipe(rung)
    found = asdict(recipe.sizes) | {"overlap": bool(getattr(recipe, "overlap", 0))}
    found = {
        name: bool(value) if isinstance(value, float) or name == "cell" else value for name, value in found.items()
    }
    return {(MAKE[type(recipe)], type(recipe.sizes), *item) for item in found.items()}


def covering(rungs: Sequence[Rung]) -> Iterator[Rung]:
    """Yields few of the rungs, which together have every value of every setting of a network."""
    seen: set[object] = set()
    while settings(best := max(rungs, key=lambda rung: len(settings(rung) - seen))) - seen:
        yield best
        seen |= settings(best)


TASKS = {rung.recipe.name: rung for rung in covering([r for r in reversed(EVERY_RUNG.values()) if not r.model])}
every_rung = pytest.mark.parametrize("rung", EVERY_RUNG.values(), ids=EVERY_RUNG)
every_task = pytest.mark.parametrize("rung", TASKS.values(), ids=TASKS)


def corpora_of(rung: Rung) -> set[str]:
    recipe: Any = rung.recipe
    return {recipe.corpus, *getattr(recipe, "further", ()), *getattr(recipe, "statements", ())}


@every_rung
def test_a_rung_has_the_name_of_its_ladder_and_a_description(rung):
    name = rung.recipe.name.removesuffix(f"-{rung.name}")
    if rung.model:
        of_model = load_recipe(rung.model)
        assert (rung.recipe.name, rung.recipe.sizes) == (of_model.name, of_model.sizes)
        assert rung.model == of_model.name
        assert corpora_of(rung) == corpora_of(rung.below), "what the other rungs need is enough"
    else:
        assert name in LADDERS
        assert load_recipe(rung.recipe.name) == load_recipe(f"{name}/{rung.name}") == rung.recipe
        assert not rung.recipe.shipped
    assert rung.change


@every_rung
def test_a_rung_changes_one_thing(rung):
    below = rung.below
    if below is None or rung.model or not below.recipe.epochs:  # the first goes from counting to learning
        return
    one, other = (asdict(recipe) | asdict(recipe.sizes) for recipe in (below.recipe, rung.recipe))
    changed = {key for key in one | other if one.get(key) != other.get(key)} - {"name", "sizes"}
    pair = {"inner_dropout", "output_dropout"}  # of one kind of dropout
    assert len(changed) == 1 or changed == pair, changed


@every_task
def test_every_rung_trains_and_answers_alike_however_it_is_padded(rung):
    task = small(rung)
    model = task.network()
    if task.recipe.epochs:
        optimizer = keras.optimizers.Adam(task.recipe.learning_rate)
        optimizer.build(model.trainable_variables)
        batch = next(iter(task.train_batches(np.random.default_rng(0))))
        loss, norm, _ = Step(task, model, optimizer, [])(batch, task.initial_state())
        assert np.isfinite(loss)
        assert norm > 0
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
    ladder = Ladder(LADDERS["tagging"].rungs[:2], 2, (0.01, 0.02))
    train_rungs(ladder, ladder.rungs, results, Console(file=said, width=200))
    runs = [Run.model_validate_json(line) for line in (tmp_path / "out" / "tagging.jsonl").read_text().splitlines()]
    counted, *trained = runs
    assert (counted.rung, counted.epochs) == ("most-frequent", 0)
    assert [(run.seed, run.learning_rate) for run in trained[:2]] == [(1, 0.01), (1, 0.02)]
    best = max(trained[:2], key=lambda run: run.rank).learning_rate
    assert [(run.seed, run.learning_rate) for run in trained[2:]] == [(2, best)]
    assert trained[0].losses
    assert len(trained[0].curve) == trained[0].epochs == 1

    first, second = results.summaries(ladder)
    assert first.difference is None
    assert [run.learning_rate for run in second.runs] == [best] * 2
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
    assert lines[3].startswith("| feed-forward | A feed-forward layer over each word")
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


def test_a_diverged_run_is_chosen_last_and_shown_as_diverged_and_columns_are_what_all_others_have(tmp_path):
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

    of_shipped = measured(80.0, [5, 4, 4, 3])
    of_shipped["metrics"] += (Metric(name="Lemmas", value=90.0, unit="%", split="dev"),)
    summary = Summary(free, (run_of(free, ladder, **of_shipped),), None)
    assert markdown([second, summary]).splitlines()[0].count("%") == 1, "no rung has a figure of lemmas"

    runs = tuple(run_of(free, ladder, **measured(value, [5, 4, 4, 3])) for value in (1000.0, 1240.0))
    assert "| 1120 ± 170 |" in markdown([Summary(free, runs, None)])

    other = Ladder((free,), 1, (1e-3, 2e-3))
    results = Results(tmp_path / "other.jsonl")
    results.add(run_of(free, other, learning_rate=1e-3))
    results.add(run_of(free, other, learning_rate=2e-3, **measured(75.0, [5, 4, 3, 3])))
    assert [run.learning_rate for run in results.summaries(other)[0].runs] == [2e-3]


def test_the_command_writes_the_results_of_its_rungs(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(TaggingRecipe, "task", lambda recipe: Tagging(recipe, tiny.treebank(), (tiny.SOURCE,)))
    assert run("ladder", "tagging", "most-frequent", "--out", "out") == 0
    assert "minutes" in capsys.readouterr().out
    assert {path.name for path in Path("out").iterdir()} == {"tagging.jsonl", "tagging.md", "tagging.svg"}
